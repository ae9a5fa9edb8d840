"""Every lens over every subject: what belongs together runs, all else is told with both names."""

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

import spexlens as sx
from spexlens import lenses, models
from spexlens.core.interventions import PARTS, Interventions, Needs
from spexlens.lenses.base import check_fit
from spexlens.lenses.joint.game import JointLens
from spexlens.lenses.training.surrogates import AdditiveSubject, CheckedSubject
from spexlens.models.hiding.language_model import hidden_from
from spexlens.trainers.network_gradients import AdditiveEffects
from tests.lenses.joint.test_gated_prompts import reader
from tests.lenses.test_image import PICTURE
from tests.lenses.test_image import model as vision
from tests.lenses.text.test_chat import CHAT, TEMPLATE
from tests.lenses.text.test_classifier import config
from tests.tiny_models import tiny_model, tiny_tokenizer
from tests.training_cases import blobs

TEXT = "not bad"
SCORE = lenses.TokenScore((3, 4), (1.0, -1.0), False, "a - b")
LENSES = {
    "prompt": lambda: lenses.PromptLens(TEXT),
    "chat": lambda: lenses.ChatLens(chat_tokenizer(), CHAT),
    "attention": lambda: lenses.AttentionLens.of(lenses.PromptLens(TEXT), tiny_tokenizer()),
    "components": lambda: lenses.ComponentLens(heads()),
    "fewer components": lambda: lenses.ComponentLens(heads()[:3]),
    "image": lambda: lenses.ImageLens(PICTURE, lenses.grid(8, 8, 2, 2)),
    "larger image": lambda: lenses.ImageLens(np.zeros((9, 9, 3)), lenses.grid(9, 9, 2, 2)),
    "table": lambda: lenses.TabularLens(background(3)),
    "wider table": lambda: lenses.TabularLens(background(4)),
    "training": lambda: lenses.TrainingLens.of_examples(8),
    "more training": lambda: lenses.TrainingLens.of_examples(9),
    "words and components": lambda: joined("prompt", "components"),
    "words and training": lambda: joined("prompt", "training"),
    "training and components": lambda: joined("training", "components"),
    "all three": lambda: joined("prompt", "training", "components"),
    "image and training": lambda: joined("image", "training"),
}


def language_model():
    return models.CausalLM(tiny_model(), tiny_tokenizer(), "tiny")


def heads():
    return models.heads(tiny_model())


def chat_tokenizer():
    made = tiny_tokenizer()
    made.chat_template = TEMPLATE
    return made


def classifier():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.SequenceClassifier(BertForSequenceClassification(config()), tiny_tokenizer())


def joined(*names):
    return JointLens({name: LENSES[name]() for name in names})


def background(columns):
    return lenses.Background.of(np.ones(columns), np.zeros((2, columns)))


def retraining():
    return sx.training_game(sx.trainers.Logistic(), blobs(8, test=2)).subject


def endpoint():
    client = models.Endpoint("http://127.0.0.1:9/v1", "tiny", key_variable=None)
    return lenses.EndpointSubject(client, lenses.answer_share("yes"), TEXT)


def scored(subject, model, label):
    return subject(model, lenses.ClassMargin(label).resolve(model.labels))


SUBJECTS = {
    "language model": lambda: lenses.ScoredLM(language_model(), SCORE),
    "classifier": lambda: scored(lenses.ScoredClassifier, classifier(), "good"),
    "endpoint": endpoint,
    "hiding": lambda: lenses.Attending(lenses.ScoredLM(language_model(), SCORE), hidden_from),
    "gated": lambda: sx.component_game(language_model(), [sx.Question(TEXT, "a", ("b",))]).subject,
    "vision": lambda: scored(lenses.ScoredImage, vision(), "both"),
    "rows": lambda: lenses.TabularSubject(
        background(3), lenses.tabular_output(lambda table: table.sum(axis=1), np.ones((1, 3)))
    ),
    "retraining": retraining,
    "checked surrogate": lambda: CheckedSubject(retraining(), retraining(), 3),
    "additive surrogate": lambda: AdditiveSubject(
        AdditiveEffects(np.zeros(2), np.zeros((8, 2))), "trak", retraining()
    ),
    "gated prompts": lambda: lenses.gated_prompts(
        language_model(), TEXT, lenses.LogitDifference("yes", "no"), heads()
    ),
    "reader": reader,
}
TEXTS = {"language model", "classifier", "endpoint"}
BELONG = {
    "prompt": TEXTS,
    "chat": TEXTS,
    "attention": {"hiding"},
    "components": {"gated"},
    "image": {"vision"},
    "table": {"rows"},
    "training": {"retraining", "checked surrogate", "additive surrogate", "reader"},
    "words and components": {"gated prompts"},
    "words and training": {"reader"},
}


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("lens", LENSES)
def test_what_belongs_together_runs_and_all_else_names_both_sides(lens, subject):
    given, runs = LENSES[lens](), SUBJECTS[subject]()
    if subject not in BELONG.get(lens, ()):
        with pytest.raises(sx.InvalidInputError) as told:
            sx.LensGame(given, runs)
        assert type(given).__name__ in str(told.value)
        assert type(runs).__name__ in str(told.value)
        return
    game = sx.LensGame(given, runs)
    if subject != "endpoint":  # which has no server here; tests/lenses/endpoint has one
        values = np.asarray(game(np.ones((3, len(game.players)), dtype=bool)))
        assert values.shape[0] == 3
        assert np.isfinite(values).all()


def test_sites_in_another_order_are_another_subject():
    with pytest.raises(sx.InvalidInputError, match="ComponentLens and GatedSubject have different"):
        sx.LensGame(lenses.ComponentLens(heads()[::-1]), SUBJECTS["gated"]())


def test_what_is_no_subject_is_told():
    for given in (sx.FunctionGame(len, 2), lenses.ScoredLM, None):
        with pytest.raises(sx.InvalidInputError, match="needed one that runs ablations"):
            check_fit(LENSES["prompt"](), given)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_told_in_words(part):
    given = ("a",) if part == "inputs" else np.ones((1, 2))
    other = next(name for name in PARTS if name != part)
    with pytest.raises(sx.InvalidInputError, match=PARTS[part]):
        Needs({other: ()}).check(Interventions(**{part: given}), subject=None)
