"""What a lens and a subject tell together before anything runs."""

import numpy as np
import pytest

from spexlens.core.game import CountsTokens, Identified, Priced
from spexlens.core.interventions import Needs
from spexlens.lenses.base import LensGame
from spexlens.lenses.text.game import prompt_game
from spexlens.lenses.text.prompt import PromptLens
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import tiny_model, tiny_tokenizer


class Counter:
    """A subject whose score is the length of the text."""

    needs = Needs({"inputs": ()})

    def evaluate(self, interventions):
        return np.array([float(len(text)) for text in interventions.inputs])

    def describe(self, interventions):
        return {"model": "counter"}


class Paid(Counter):
    def tokens(self, interventions):
        return np.array([len(text.split()) for text in interventions.inputs])

    def price(self, tokens):
        return f"${tokens / 100:.2f}"

    def spent(self):
        return "$0.01"


def test_what_the_subject_cannot_tell_is_left_out():
    game = LensGame(PromptLens("not bad at all"), Counter())
    assert isinstance(game, CountsTokens | Priced | Identified)
    assert game.tokens(np.ones((2, 4), dtype=bool)) is None
    assert (game.price(5), game.spent(), game.notes()) == ("", "", ())
    told = game.describe(100)
    assert told.pop("lens") == game.lens.identity()
    assert told == {"players": 4, "model": "counter", "ablations": 100}


def test_tokens_and_money_come_from_the_subject():
    game = LensGame(PromptLens("not bad at all", "Review: {text}"), Paid())
    masks = np.array([[True] * 4, [False] * 4])
    assert game.tokens(masks).tolist() == [5, 1]
    assert (game.price(5), game.spent()) == ("$0.05", "$0.01")
    assert game.describe(100)["tokens_in_all"] == pytest.approx(300, abs=40)


def test_a_language_model_tells_the_tokens_of_a_run_without_running():
    model = CausalLM(tiny_model(), tiny_tokenizer(), name="tiny")
    game = prompt_game(model, "not bad a b c d", "Review: {text} :", answers=("yes", "no"))
    described = game.describe(budget=200)
    assert described["tokens"] == model.count_tokens([game.lens.prompt])[0]
    assert described["tokens_in_all"] == pytest.approx(200 * (described["tokens"] - 3), rel=0.1)
    assert "ablations" not in game.describe()
