"""The measured keep probability."""

import numpy as np
import pytest

from spexlens import FunctionGame
from spexlens.errors import InvalidInputError
from spexlens.studies.keep_probability import keep_probability


def test_the_more_parts_must_all_be_there_the_more_are_kept():
    chosen = [
        keep_probability(FunctionGame(lambda m, k=k: 1.0 * m[:, :k].all(axis=1), 20), masks=400).p
        for k in (2, 5, 8)
    ]
    assert chosen == [0.8, 0.9, 0.95]


def test_what_was_measured_is_told():
    found = keep_probability(FunctionGame(lambda m: m.mean(axis=1), 10), (0.7, 0.4), masks=300)
    assert [spread.p for spread in found.spreads] == [0.4, 0.7]
    assert (found.full_value, found.empty_value, found.calls) == (1, 0, 602)
    low, high = found.spreads
    assert high.mean == pytest.approx(0.7, abs=0.03)
    assert high.effect == pytest.approx(high.mean)
    assert low.distance == pytest.approx((1 - low.mean) / low.deviation)
    assert found.to_frame().shape == (2, 5)


def test_the_largest_is_taken_where_none_keeps_the_effect():
    all_needed = FunctionGame(lambda m: 1.0 * m.all(axis=1), 40)
    assert keep_probability(all_needed, (0.5, 0.6)).p == 0.6
    constant = FunctionGame(lambda m: np.ones(len(m)), 40)
    assert keep_probability(constant, (0.5, 0.6)).p == 0.6


def test_what_does_not_fit_is_told():
    game = FunctionGame(lambda m: m.sum(axis=1), 4)
    for options in ({"tried": ()}, {"tried": (1.0,)}, {"masks": 1}):
        with pytest.raises(InvalidInputError, match="needed at least 2 masks"):
            keep_probability(game, **options)
