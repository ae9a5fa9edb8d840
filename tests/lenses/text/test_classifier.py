"""Text classifiers and their game, on a tiny BERT with random weights."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel

import spexlens as sx
from spexlens.core.masks import all_masks
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.text.classifier import ClassMargin
from spexlens.lenses.text.game import prompt_game
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.classifier import SequenceClassifier, fit_probe
from spexlens.models.pretrained.encoder import Encoder, embeddings
from tests.tiny_models import VOCABULARY, tiny_classifier, tiny_model, tiny_tokenizer

TEXTS = ("good film", "bad", "the plot was not very good , no fun", "good film")


def config():
    return BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=16, pad_token_id=2, initializer_range=0.4,
        id2label={0: "bad", 1: "good", 2: "mixed"}, label2id={"bad": 0, "good": 1, "mixed": 2},
    )  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    made = tiny_tokenizer()
    made.add_special_tokens({"mask_token": "<unk>"})
    return made


@pytest.fixture(scope="module")
def classifier(tokenizer):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SequenceClassifier(
            BertForSequenceClassification(config()).train(), tokenizer, "tiny"
        )


@pytest.fixture(scope="module")
def encoder(tokenizer):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Encoder(BertModel(config()).eval(), tokenizer, "tiny")


def alone(model, tokenizer, text):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([tokenizer(text)["input_ids"]]))


def test_batched_logits_equal_those_of_each_text_alone(classifier):
    read = classifier.class_logits(TEXTS)
    assert classifier.model.training, "left in the mode it was in"
    for text, row in zip(TEXTS, read, strict=True):
        expected = alone(classifier.model, classifier.tokenizer, text).logits[0]
        np.testing.assert_allclose(row, expected, atol=1e-5)
    classifier.model.train()
    assert classifier.labels == ("bad", "good", "mixed")
    assert classifier.count_tokens(TEXTS).tolist() == [2, 1, 9, 2]


def test_embeddings_are_means_without_padding(encoder):
    for text, row in zip(TEXTS, embeddings(encoder, TEXTS), strict=True):
        mean = alone(encoder.model, encoder.tokenizer, text)[0][0].mean(dim=0)
        np.testing.assert_allclose(row, mean / mean.norm(), atol=1e-5)


def test_a_probe_learns_and_its_two_logits_are_halves_of_the_log_odds(encoder):
    words = VOCABULARY[3:25]
    labels = ["yes" if i % 2 else "no" for i in range(len(words))]
    probe = fit_probe(encoder, words, labels)
    logits = probe.class_logits(words)
    np.testing.assert_allclose(logits[:, 0], -logits[:, 1])
    right = np.array(probe.labels)[logits.argmax(axis=1)] == labels
    assert right.mean() > 0.7
    other = fit_probe(encoder, words, labels[::-1])
    assert str(probe.identity()) != str(other.identity())
    game = prompt_game(probe, "good film", label="yes")
    ((value,),) = [game(np.ones((1, 2), dtype=bool))]
    assert value == pytest.approx(2 * probe.class_logits(["good film"])[0, 1])
    for texts, given in (
        (words[:4], labels[:4]),
        (words, ["yes"] * len(words)),
        (words, labels[1:]),
    ):
        with pytest.raises(InvalidInputError, match="at least 8"):
            fit_probe(encoder, texts, given)


def test_margins():
    logits = np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    names = ("a", "b", "c")
    np.testing.assert_allclose(ClassMargin("b", "c").resolve(names).values(logits), [3, 0])
    p = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    np.testing.assert_allclose(ClassMargin("b").resolve(names).values(logits), np.log(p / (1 - p)))
    shifted = ClassMargin("b").resolve(names).values(logits + 1000)
    np.testing.assert_allclose(shifted, ClassMargin("b").resolve(names).values(logits))


@pytest.mark.parametrize("absent", ["remove", "mask"])
def test_the_game_scores_edited_texts(classifier, absent):
    game = prompt_game(
        classifier, "not good", "the {text} film", label="good", against="bad", absent=absent
    )
    written = {
        "remove": ("the  film", "the not film", "the good film", "the not good film"),
        "mask": ("the <unk> <unk> film", "the not <unk> film", "the <unk> good film",
                 "the not good film"),
    }[absent]  # fmt: skip
    logits = classifier.class_logits(written)
    np.testing.assert_allclose(game(all_masks(2)), logits[:, 1] - logits[:, 0], atol=1e-5)
    assert sx.explain(game, 4).full_value == pytest.approx(logits[3, 1] - logits[3, 0], abs=1e-5)
    assert game.describe()["score"] == "logit('good') - logit of 'bad'"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"label": "fine"}, "known: bad, good, mixed"),
        ({"against": "good"}, "compared with itself"),
        ({"text": "good " * 20}, "4 more than the 16 positions of tiny.*Coarser players"),
        ({"text": " "}, "is empty"),
    ],
)
def test_what_does_not_fit_is_told_before_any_pass(classifier, given, message):
    arguments = {"text": "good", "label": "good", **given}
    with pytest.raises(InvalidInputError, match=message):
        prompt_game(classifier, **arguments)


@pytest.mark.parametrize("architecture", ["bert", "llama, other padding", "gpt2, no padding"])
@pytest.mark.filterwarnings("ignore:.*refuses several texts:spexlens.errors.SpexlensWarning")
def test_the_one_output_of_a_reward_model_is_the_score(architecture):
    model = SequenceClassifier(tiny_classifier(architecture, labels=1), tiny_tokenizer(), "reward")
    assert model.labels == ("LABEL_0",)
    expected = [
        float(alone(model.model, model.tokenizer, text).logits[0, 0])
        for text in ("the film", "the not film", "the good film", "the not good film")
    ]
    assert np.ptp(expected) > 0.05
    for given in ({}, {"label": "LABEL_0"}):
        game = prompt_game(model, "not good", "the {text} film", **given)
        np.testing.assert_allclose(game(all_masks(2)), expected, atol=1e-5)
        assert game.describe()["score"] == "output 'LABEL_0'"
    with pytest.raises(UnknownNameError, match="known: LABEL_0"):
        prompt_game(model, "good", against="LABEL_1")
    with pytest.raises(InvalidInputError, match="compared with itself"):
        prompt_game(model, "good", against="LABEL_0")
    if architecture == "bert":
        hiding = prompt_game(model, "not good", "the {text} film", absent="hide")
        assert hiding(np.ones((1, 2), dtype=bool))[0] == pytest.approx(expected[-1], abs=1e-5)


@pytest.mark.parametrize("kind", ["multi_label_classification", "regression"])
def test_outputs_that_are_no_alternatives_are_not_held_against_each_other(tokenizer, kind):
    several = config()
    several.problem_type = kind
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SequenceClassifier(BertForSequenceClassification(several), tokenizer, "tiny")
    logits = model.class_logits(["good film"])[0]
    full = np.ones((1, 2), dtype=bool)
    game = prompt_game(model, "good film", label="good")
    assert game(full)[0] == pytest.approx(logits[1], abs=1e-6)
    assert game.describe()["score"] == "output 'good'"
    other = prompt_game(model, "good film", label="good", against="bad")
    assert other(full)[0] == pytest.approx(logits[1] - logits[0], abs=1e-6)


def test_a_classifier_is_asked_for_a_class_and_a_language_model_for_answers(classifier):
    for given in ({}, {"label": "good", "answers": ("yes", "no")}):
        with pytest.raises(InvalidInputError, match="tiny is a classifier; needed label="):
            prompt_game(classifier, "good", **given)
    model = CausalLM(tiny_model(), tiny_tokenizer(), "llama")
    with pytest.raises(InvalidInputError, match="llama is a language model: needed answers"):
        prompt_game(model, "good", label="good")
    with pytest.raises(UnknownNameError, match=r"known: remove, replace.*hide"):
        prompt_game(model, "good", answers=("yes", "no"), absent="blacken")
    with pytest.raises(InvalidInputError, match="hidden pieces stay as they are"):
        prompt_game(model, "good", answers=("yes", "no"), absent="hide", fillers="_")


def test_a_saved_classifier_loads_and_a_headless_model_is_refused(classifier, encoder, tmp_path):
    for name, model in (("head", classifier.model), ("none", encoder.model)):
        model.save_pretrained(tmp_path / name)
        classifier.tokenizer.save_pretrained(tmp_path / name)
    loaded = SequenceClassifier.load(tmp_path / "head")
    np.testing.assert_allclose(
        loaded.class_logits(TEXTS), classifier.class_logits(TEXTS), atol=1e-5
    )
    with pytest.raises(InvalidInputError, match="not trained to classify"):
        SequenceClassifier.load(tmp_path / "none")
    with pytest.raises(InvalidInputError, match="unknown model"):
        SequenceClassifier.load(tmp_path / "absent")
