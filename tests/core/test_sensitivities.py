"""Derivatives as a game: measured, kept and refused like values."""

from dataclasses import dataclass

import numpy as np
import pytest

from spexlens.ablation.evaluate import measure
from spexlens.ablation.store import Store
from spexlens.core.game import Differentiable
from spexlens.core.sensitivities import Sensitivities, SensitivityGame
from spexlens.errors import InvalidInputError


@dataclass(frozen=True)
class Product:
    """x_0 x_1 + 3 x_2, whose derivative by x_2 overflows where player 0 is absent."""

    players = ("a", "b", "c")
    sensitivity_cost = 3

    def __call__(self, masks):
        return 1.0 * masks[:, 0] * masks[:, 1] + 3 * masks[:, 2]

    def sensitivities(self, masks):
        x = masks.astype(float)
        return np.stack([x[:, 1], x[:, 0], np.where(masks[:, 0], 3.0, np.inf)], axis=1)

    def tokens(self, masks):
        return masks.sum(axis=1)

    def identity(self):
        return {"game": "product"}


def test_derivatives_are_measured_once_kept_apart_from_values_and_refused_where_not_finite(
    tmp_path,
):
    game, store = Product(), Store(tmp_path / "values.db")
    assert isinstance(game, Differentiable)
    masks = np.array([[True, True, True], [False, True, False], [True, False, True]])
    values = measure(game, masks, store=store)
    found = measure(SensitivityGame(game), masks, store=store)
    assert (values.calls, found.calls, found.refused) == (3, 3, 1)
    np.testing.assert_array_equal(found.values[[0, 2]], [[1, 1, 3], [0, 1, 3]])
    again = measure(SensitivityGame(game), masks[[2, 0]], store=store)
    assert (again.calls, again.reused) == (0, 2)
    np.testing.assert_array_equal(again.values, found.values[[2, 0]])
    assert SensitivityGame(game).tokens(masks).tolist() == [9, 3, 6]


def test_what_they_say_of_the_players():
    told = Sensitivities(np.ones((2, 2), dtype=bool), np.array([[3.0, -1.0], [-3.0, -1.0]]))
    assert told.mean.tolist() == [0, -1]
    assert told.size.tolist() == [3, 1]
    assert told.scale(-2).values.tolist() == [[-6, 2], [6, 2]]


def test_what_does_not_fit_is_refused():
    masks = np.ones((2, 3), dtype=bool)
    for values in (np.ones((2, 2)), np.full((2, 3), np.nan), np.ones(2)):
        with pytest.raises(InvalidInputError, match="one finite number for each player"):
            Sensitivities(masks, values)
    with pytest.raises(InvalidInputError, match="no derivatives"):
        SensitivityGame(len)
