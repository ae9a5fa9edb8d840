"""Half of a character (a byte that is no text, read with surrogateescape) is told at every door."""

import numpy as np
import pytest

import spexlens as sx
from spexlens.lenses.components.questions import Question
from spexlens.lenses.endpoint.game import endpoint_game
from spexlens.lenses.endpoint.response import EchoedLogProbability
from spexlens.lenses.endpoint.samples import answer_share
from spexlens.lenses.endpoint.scores import NextTokenLogOdds
from spexlens.lenses.text.chat import ChatLens
from spexlens.lenses.text.prompt import PromptLens, question_template
from spexlens.studies.levels import explain_by_levels
from spexlens.trainers.sentence_features import minilm

HALF = b"caf\xe9".decode("utf-8", "surrogateescape")
ONE = np.ones((1, 2), dtype=bool)

DOORS = {
    "players": lambda: sx.FunctionGame(len, ["a", HALF]),
    "table": lambda: sx.TableGame(ONE, [1.0], ["a", HALF]),
    "text": lambda: PromptLens(HALF),
    "template": lambda: PromptLens("a b", HALF + "{text}"),
    "question": lambda: question_template(HALF),
    "filler": lambda: PromptLens("a b", absent="replace", fillers=HALF),
    "chat": lambda: ChatLens(None, [{"role": "user", "content": HALF}]),
    "answers": lambda: NextTokenLogOdds("a", HALF),
    "several answers": lambda: NextTokenLogOdds("a", ["b", HALF]),
    "response": lambda: EchoedLogProbability(HALF),
    "samples": lambda: answer_share(HALF),
    "system": lambda: endpoint_game("http://x", "m", "a b", answers=["a", "b"], system=HALF),
    "prompt of a question": lambda: Question(HALF, "a"),
    "answer to a question": lambda: Question("q", HALF),
    "wrong answer": lambda: Question("q", "a", HALF),
    "reference": lambda: Question("q", "a", "b", HALF),
    "levels": lambda: explain_by_levels(HALF, len, 100),
    "sentences": lambda: minilm(["a", HALF]),
}


@pytest.mark.parametrize("door", DOORS)
def test_half_of_a_character_is_told_at_the_door(door):
    with pytest.raises(sx.InvalidInputError, match="a byte that is no text"):
        DOORS[door]()


def test_a_game_of_ones_own_is_told_before_it_is_called():
    class Own:
        players = ("a", "b", HALF)

        def __call__(self, masks):
            pytest.fail("called")

    with pytest.raises(sx.InvalidInputError, match="player 2"):
        sx.explain(Own(), 8)
    with pytest.raises(sx.InvalidInputError, match="player 2"):
        sx.measure(Own(), np.ones((1, 3), dtype=bool))
