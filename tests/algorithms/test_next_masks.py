"""Masks chosen from the values so far: new ones, of the largest fall of the posterior variance."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from spexlens.algorithms.index_design import IndexDesign
from spexlens.algorithms.next_masks import NextMasks, step_sizes
from spexlens.core.masks import all_masks, mask_keys
from spexlens.indices.measures import moebius_measure, shapley_measure
from spexlens.proxies.index_posterior import members_of
from spexlens.transforms.kernel import gram
from spexlens.transforms.kernel_indices import coalition_weights

SHAPLEY = shapley_measure(1, 1)


def values_of(masks):
    return np.tanh(masks @ np.linspace(-2, 3, masks.shape[1])) + 2.0 * (masks[:, 0] & masks[:, 2])


@pytest.mark.parametrize("n", [3, 14, 100])
@pytest.mark.parametrize("total", [4, 40, 41, 600])
def test_steps_rise_to_the_total(n, total):
    sizes = step_sizes(n, total)
    assert sizes[-1] == total
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("refused", [0, 5, 39])
@pytest.mark.parametrize(("measures", "count"), [
    ((SHAPLEY,), 30), ((SHAPLEY, shapley_measure(2, 2)), 30), ((moebius_measure(1, 2),) * 2, 7),
])  # fmt: skip
def test_masks_are_new_and_as_many_as_asked_for(measures, count, refused):
    rng = np.random.default_rng(0)
    masks = IndexDesign(measures[-1])(8, 40, rng).masks
    values = values_of(masks)
    values[:refused] = np.nan
    more = NextMasks(measures)(masks, values, count, rng)
    every = mask_keys(np.concatenate([masks, more]))
    assert len(set(every.tolist())) == len(every) == 40 + count


def test_a_game_with_few_masks_left_gets_those():
    rng = np.random.default_rng(0)
    masks = IndexDesign(SHAPLEY)(4, 10, rng).masks
    more = NextMasks((SHAPLEY,))(masks, values_of(masks), 30, rng)
    assert len(np.unique(np.concatenate([masks, more]), axis=0)) == 16


def test_each_mask_is_the_one_that_narrows_the_index_most():
    """Against the variances of all functions on the cube, process by process."""
    n, rng = 6, np.random.default_rng(1)
    masks, cube = IndexDesign(SHAPLEY)(n, 20, rng).masks, all_masks(n)
    values = values_of(masks)
    chosen = NextMasks((SHAPLEY,))(masks, values, 3, np.random.default_rng(0))
    weights = coalition_weights(cube, SHAPLEY, np.arange(n)[:, None])
    spread = (values - values.mean()) / values.std()
    parts, evidence = [], []
    for member in members_of(masks, spread, steps=20):
        hyper = member.process.hyperparameters
        amplitude = member.scale.amplitude[cube.sum(axis=1)]
        prior = gram(hyper.kernel, cube, cube) + hyper.noise * np.eye(len(cube))
        parts.append(prior * np.outer(amplitude, amplitude))  # noise is part of the function
        own = member.scale.amplitude[masks.sum(axis=1)]
        rest = (spread - member.scale.profile[masks.sum(axis=1)]) - own * member.process.mean
        at = (cube[:, None] == masks).all(axis=2).argmax(axis=0)
        told = parts[-1][np.ix_(at, at)]
        evidence.append(multivariate_normal(cov=told, allow_singular=True).logpdf(rest))
    trust = np.exp(0.05 * (np.array(evidence) - max(evidence)))

    def left(prior, known):
        at = [int(np.flatnonzero((cube == mask).all(axis=1))[0]) for mask in known]
        across = prior[:, at]
        after = prior - across @ np.linalg.pinv(prior[np.ix_(at, at)], hermitian=True) @ across.T
        return np.trace(weights.T @ after @ weights)

    known = list(masks)
    for mask in chosen:
        others = [x for x in cube if not any((x == k).all() for k in known)]
        falls = [
            sum(weight * (left(prior, known) - left(prior, [*known, x])) / left(prior, masks)
                for weight, prior in zip(trust, parts, strict=True))
            for x in others
        ]  # fmt: skip
        own = falls[[int((x == mask).all()) for x in others].index(1)]
        assert own >= 0.97 * max(falls)
        known.append(mask)
