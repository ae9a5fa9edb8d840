"""Masks that follow an index: of the sizes that its average over coalitions weighs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spexlens.algorithms.base import MIN_MASKS, Design, draw_seed, suggested_budget
from spexlens.core.masks import BoolArray, FloatArray, first_occurrences, sample_masks
from spexlens.core.presence import learn_keep_probability
from spexlens.errors import InvalidInputError
from spexlens.transforms.diagonal import Measure

_CORNER = 0.02  # a keep probability nearer to 0 or 1 gives hardly any mask but the ends
_TRIES = 30


@dataclass(frozen=True)
class IndexDesign:
    """The empty and the full mask, then masks whose keep probability is drawn from a measure.

    Where the measure is symmetric every mask is followed by its complement: pairs cancel what an
    index does not depend on (Covert and Lee 2021, Improving KernelSHAP). What is drawn is moved
    outwards, a uniform q to the arcsine law, for values vary most where few players are there, or
    few are not (sizes of Witter et al. 2025, Regression-adjusted Monte Carlo estimators for Shapley
    values). Mass at 0 or 1, of Moebius coefficients, is spread towards 1/2, as there is one mask
    only with nobody or everybody.

    Parameters
    ----------
    measure : Measure
        Of the index's highest order (`indices.measures`).

    Examples
    --------
    >>> from spexlens.transforms.diagonal import density
    >>> design = IndexDesign(density([1.0]))(10, 40, np.random.default_rng(0))
    >>> design.masks[:2].sum(axis=1).tolist(), len(design.masks)
    ([0, 10], 40)
    """

    measure: Measure

    def __call__(
        self, n: int, budget: int, rng: np.random.Generator, p: float | FloatArray = 0.5
    ) -> Design:
        """Draw at most `budget` distinct masks; p is not used, the measure takes its place."""
        if budget < MIN_MASKS:
            raise InvalidInputError(
                f"budget = {budget} given; an index needs at least {MIN_MASKS} ablations (about "
                f"{suggested_budget(n)} for {n} players)."
            )
        masks = np.array([[False] * n, [True] * n])
        for _ in range(_TRIES):
            missing = budget - len(masks)
            if missing <= 0:
                break
            masks = np.concatenate([masks, self._drawn(n, missing, rng)])
            masks = masks[first_occurrences(masks)]
        if len(masks) < budget:  # nearly all masks of the sizes that count are there
            masks = np.concatenate([masks, sample_masks(n, min(budget, 2**n), rng)])
            masks = masks[first_occurrences(masks)]
        masks = masks[:budget]
        return Design(masks, p=learn_keep_probability(masks), seed=draw_seed(rng))

    def _drawn(self, n: int, count: int, rng: np.random.Generator) -> BoolArray:
        mass = np.abs(self.measure.weights)
        mass = mass / mass.sum()
        paired = abs(float(mass @ self.measure.nodes) - 0.5) < _CORNER
        wanted = -(-count // 2) if paired else count
        keep = np.clip(self.measure.nodes[rng.choice(len(mass), wanted, p=mass)], 0.0, 1.0)
        keep = np.sin(np.pi / 2 * keep) ** 2
        inwards = np.where(keep < 0.5, 1.0, -1.0) * 0.5 * rng.random(wanted) ** 2
        keep = np.where(np.minimum(keep, 1 - keep) < _CORNER, keep + inwards, keep)
        masks = rng.random((wanted, n)) < keep[:, None]
        if not paired:
            return masks
        return np.stack([masks, ~masks], axis=1).reshape(-1, n)[:count]
