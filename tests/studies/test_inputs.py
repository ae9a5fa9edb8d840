"""Effects over several inputs: means of each input's own fit, with intervals over the inputs."""

import numpy as np
import pytest

import spexlens as sx
from spexlens import lenses
from spexlens.core.masks import all_masks
from spexlens.errors import InvalidInputError
from spexlens.lenses.calls.inputs import InputsGame, with_input
from spexlens.studies.inputs import over_inputs


def games(*weights, players=("a", "b")):
    return [sx.FunctionGame(lambda m, w=w: m @ np.array(w), players, name=str(w)) for w in weights]


def test_the_score_is_the_mean_and_every_input_is_kept():
    game = InputsGame(games((1.0, 0.0), (3.0, -1.0)), ["one", "two"])
    masks = all_masks(2)
    values = game(masks)
    np.testing.assert_allclose(values[:, 1], masks @ [1, 0])
    np.testing.assert_allclose(values[:, 0], masks @ [2, -0.5])
    assert game.identity() != InputsGame(games((1.0, 0.0)), ["one"]).identity()


def test_effects_are_averaged_and_intervals_tell_the_spread_over_inputs():
    weights = np.random.default_rng(0).normal([2.0, 0.0], [0.1, 1.0], size=(12, 2))
    game = InputsGame(games(*map(tuple, weights)), [f"input {i}" for i in range(12)])
    found = over_inputs(sx.explain(game, 4, "exact"), index="BV")
    np.testing.assert_allclose(found.means, weights.mean(axis=0))
    width = found.upper - found.lower
    # The 90 % interval of a mean of 12 is about 2 * 1.645 * deviation / sqrt(12) wide.
    expected = 2 * 1.645 * weights.std(axis=0) / np.sqrt(12)
    np.testing.assert_allclose(width, expected, rtol=0.3)
    frame = found.to_frame()
    assert frame["same_sign"].tolist()[0] == 12
    assert frame["names"].tolist() == [("a",), ("b",)]


def test_what_cannot_be_averaged_is_told():
    with pytest.raises(InvalidInputError, match="two inputs or more"):
        over_inputs(sx.explain(games((1.0, 2.0))[0], 4, "exact"))
    with pytest.raises(InvalidInputError, match="players of their own"):
        InputsGame([*games((1.0, 2.0)), *games((1.0, 2.0), players=("a", "c"))], ["x", "y"])
    with pytest.raises(InvalidInputError, match="one game an input"):
        InputsGame(games((1.0, 2.0)), [])


def test_an_input_goes_where_its_slot_is_or_last():
    assert with_input([], "a") == ([{"role": "user", "content": "a"}], 0)
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "{input}!"}]
    made, place = with_input(messages, "a {b}")
    assert (made[1]["content"], place) == ("a {b}!", 1)
    assert messages[1]["content"] == "{input}!"
    assert lenses.InputsGame is InputsGame
