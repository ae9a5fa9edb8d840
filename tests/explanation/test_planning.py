from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import spexlens as sx
from spexlens.explanation.planning import warn_of_a_long_fit


def test_a_long_fit_is_told_before_anything_is_measured():
    game = sx.FunctionGame(lambda masks: pytest.fail("measured"), 200)
    with pytest.warns(sx.SpexlensWarning, match=r"20,000 ablations of 200 players by auto may"):
        warn_of_a_long_fit(sx.Auto(), 200, 20_000)
    with pytest.raises(sx.SpexlensWarning, match="may take"):
        sx.explain(game, 30_000, rng=0)


def test_the_expected_cost_grows_with_both_sizes_and_auto_takes_the_sum():
    costs = [sx.KernelSPEX().fit_cost(100, m) for m in (100, 1000, 10_000, 20_000)]
    assert np.all(np.diff([cost.seconds for cost in costs]) > 0)
    parts = [a.fit_cost(50, 900) for a in (sx.KernelSPEX(), sx.ProxySPEX(), sx.Pairwise())]
    whole = sx.Auto().fit_cost(50, 900)
    assert whole.seconds == pytest.approx(sum(part.seconds for part in parts))
    assert whole.memory == max(part.memory for part in parts)
    assert sx.Lasso().fit_cost(50, 900) == (0.0, 0.0)


def test_the_cost_is_that_of_the_algorithm_itself():
    @dataclass(frozen=True)
    class Slow(sx.Lasso):
        name: ClassVar[str] = "slow"

        def fit_cost(self, n, ablations):
            return sx.FitCost(seconds=10.0 * n, memory=2.0 * ablations)

    with pytest.warns(sx.SpexlensWarning, match=r"by slow may take about 17 minutes and 0\.0 GB"):
        warn_of_a_long_fit(Slow(), 100, 50)
