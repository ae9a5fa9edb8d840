import numpy as np
import pytest

from spexlens.algorithms.base import suggested_budget


@pytest.mark.parametrize("n", [1, 2, 4, 5, 6, 12, 23, 24, 30, 1000])
def test_the_suggested_budget_is_the_published_one_but_never_more_than_all_masks(n):
    published = max(2 * n * np.log2(max(n, 2)), 32)
    assert suggested_budget(n) == pytest.approx(min(published, 2.0**n), abs=0.5)
