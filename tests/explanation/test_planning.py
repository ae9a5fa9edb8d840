import numpy as np
import pytest

import spexlens as sx
from spexlens.explanation.planning import expected_fit, warn_of_a_long_fit


def test_a_long_fit_is_told_before_anything_is_measured():
    game = sx.FunctionGame(lambda masks: pytest.fail("measured"), 200)
    with pytest.warns(sx.SpexlensWarning, match=r"20,000 ablations of 200 players by auto may"):
        warn_of_a_long_fit(sx.Auto(), 200, 20_000)
    with pytest.raises(sx.SpexlensWarning, match="may take"):
        sx.explain(game, 30_000, rng=0)


@pytest.mark.parametrize("name", sx.ALGORITHMS)
def test_usual_runs_are_not_warned_of(name):
    warn_of_a_long_fit(sx.find_algorithm(name), 100, 1500)
    warn_of_a_long_fit(sx.find_algorithm(name), 5000, 400)


def test_the_expected_cost_grows_with_both_sizes_and_auto_takes_the_sum():
    costs = [expected_fit(sx.KernelSPEX(), 100, m) for m in (100, 1000, 10_000, 20_000)]
    assert np.all(np.diff([seconds for seconds, _ in costs]) > 0)
    parts = [sx.KernelSPEX(), sx.ProxySPEX(), sx.Pairwise()]
    total = sum(expected_fit(part, 50, 900)[0] for part in parts)
    assert expected_fit(sx.Auto(), 50, 900)[0] == pytest.approx(total)
    assert expected_fit(sx.Lasso(), 50, 900) == (0.0, 0.0)
