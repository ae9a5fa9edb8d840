import numpy as np
import pytest
from scipy.stats import mannwhitneyu, pearsonr, spearmanr

from spexlens.errors import InvalidInputError
from spexlens.lenses.training.metrics import Removals, agreement, auroc, brittleness, removal_path


def test_agreement_by_scipy():
    rng = np.random.default_rng(0)
    actual = rng.normal(size=(50, 3)).round(1)  # with ties
    predicted = actual + rng.normal(size=(50, 3))
    found = agreement(predicted, actual)
    for j in range(3):
        spearman = spearmanr(predicted[:, j], actual[:, j]).statistic
        assert found.spearman[j] == pytest.approx(spearman)
        assert found.pearson[j] == pytest.approx(pearsonr(predicted[:, j], actual[:, j]).statistic)
    assert found.mean == pytest.approx(found.spearman.mean())
    assert found.lower < found.mean < found.upper


def test_a_constant_test_point_is_left_out_of_the_mean():
    actual = np.column_stack([np.arange(5.0), np.ones(5)])
    found = agreement(actual, actual)
    assert found.mean == 1.0
    assert np.isnan(found.spearman[1])
    assert np.isnan(agreement(np.ones(5), np.ones(5)).mean)


def test_agreement_needs_the_same_shape():
    with pytest.raises(InvalidInputError, match="same shape"):
        agreement(np.ones(5), np.ones(4))


def test_removals_of_a_product_by_hand():
    def game(masks):
        return 3.0 * (masks[:, 0] & masks[:, 1]) + masks[:, 2]

    contexts = np.array([[True, True, True], [False, False, False]])
    removals = Removals.of([(0,), (0, 1), (2,)], contexts)
    # Player 0 alone matters in the first context only.
    np.testing.assert_allclose(removals.effects(game(removals.masks)), [1.5, 3.0, 1.0])
    both = np.column_stack([game(removals.masks)] * 2)
    np.testing.assert_allclose(removals.effects(both), [[1.5] * 2, [3.0] * 2, [1.0] * 2])
    with pytest.raises(InvalidInputError, match="none empty"):
        Removals.of([()], contexts)


def test_brittleness_is_the_first_flip():
    weights = np.array([1.0, 3.0, 2.0])
    masks = removal_path([1, 2, 0], 3)
    values = masks @ weights - 2.5
    assert values.tolist() == [3.5, 0.5, -1.5, -2.5]
    assert brittleness(values) == 2
    assert brittleness(values, -9) is None
    assert brittleness(values, 4) == 0


def test_auroc_is_the_mann_whitney_statistic():
    rng = np.random.default_rng(0)
    scores, truth = rng.normal(size=40).round(1), rng.random(40) < 0.4
    expected = mannwhitneyu(scores[truth], scores[~truth]).statistic / truth.sum() / (~truth).sum()
    assert auroc(scores, truth) == pytest.approx(expected)
    with pytest.raises(InvalidInputError, match="at least one of each"):
        auroc(scores, np.ones(40, dtype=bool))
