"""Masks that follow an index: of the sizes that its average over coalitions weighs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb, inf, lgamma

import numpy as np

from spexlens.algorithms.base import MIN_MASKS, Design, draw_seed, suggested_budget
from spexlens.core.masks import BoolArray, FloatArray, IntArray, first_occurrences, sample_masks
from spexlens.core.presence import learn_keep_probability
from spexlens.errors import InvalidInputError
from spexlens.transforms.diagonal import Measure

_CORNER = 0.02  # a keep probability nearer to 0 or 1 gives hardly any mask but the ends
_SPREAD = 64  # points along which mass at such a corner is spread
_MANY = 40.0  # log of a number of masks that no budget reaches
_TRIES = 30  # at another set, for every mask


@dataclass(frozen=True)
class IndexDesign:
    """The empty and the full mask, then a quota of masks of each size, from a measure.

    A keep probability is drawn from the measure, and a mask with it: that gives a share of the
    masks to each size. What is drawn is moved outwards, a uniform q to the arcsine law, for values
    vary most where few players are there, or few are not (sizes of Witter et al. 2025,
    Regression-adjusted Monte Carlo estimators for Shapley values). Mass at 0 or 1, of Moebius
    coefficients, is spread towards 1/2, as there is one mask only with nobody or everybody.

    A size gets its share to one mask, or all its masks where these are fewer; within a small size
    every player is there as often as any other. Where the measure is symmetric every mask is
    followed by its complement: pairs cancel what an index does not depend on (Covert and Lee 2021,
    Improving KernelSHAP).

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
        ends = np.array([[False] * n, [True] * n])
        masks = np.concatenate([ends, self._drawn(n, budget - 2, rng)])
        masks = masks[first_occurrences(masks)]
        if len(masks) < budget:  # nearly all masks of the sizes that count are there
            masks = np.concatenate([masks, sample_masks(n, min(budget, 2**n), rng)])
            masks = masks[first_occurrences(masks)]
        masks = masks[:budget]
        return Design(masks, p=learn_keep_probability(masks), seed=draw_seed(rng))

    def _drawn(self, n: int, count: int, rng: np.random.Generator) -> BoolArray:
        shares = self._size_shares(n)
        there = np.array([0, *(_number(n, size) for size in range(1, n)), 0])
        if not self._paired:
            sizes = size_quotas(shares, there, count, rng)
            rows = [_of_size(n, size, quota, rng) for size, quota in enumerate(sizes)]
            masks = np.concatenate(rows)
            return masks[rng.permutation(len(masks))]
        half = n // 2
        pairs = (shares + shares[::-1])[: half + 1]
        there = there[: half + 1]
        if n % 2 == 0:
            pairs[half], there[half] = pairs[half] / 2, there[half] / 2
        sizes = size_quotas(pairs, there, -(-count // 2), rng)
        rows = [_of_size(n, size, quota, rng, halved=True) for size, quota in enumerate(sizes)]
        masks = np.concatenate(rows)
        masks = masks[rng.permutation(len(masks))]
        return np.stack([masks, ~masks], axis=1).reshape(-1, n)[:count]

    @property
    def _paired(self) -> bool:
        mass = np.abs(self.measure.weights)
        return bool(abs(float(mass @ self.measure.nodes) / mass.sum() - 0.5) < _CORNER)

    def _size_shares(self, n: int) -> FloatArray:
        """Chance of each size, `(n + 1,)`, of a mask whose keep probability is drawn."""
        keep = np.clip(self.measure.nodes, 0.0, 1.0)
        keep = np.sin(np.pi / 2 * keep) ** 2
        inwards = 0.5 * ((np.arange(_SPREAD) + 0.5) / _SPREAD) ** 2
        inwards = np.where(keep[:, None] < 0.5, inwards, -inwards)
        corner = np.minimum(keep, 1 - keep)[:, None] < _CORNER
        keep = np.where(corner, keep[:, None] + inwards, keep[:, None])
        mass = np.repeat(np.abs(self.measure.weights)[:, None] / _SPREAD, _SPREAD, axis=1)
        size = np.arange(n + 1)
        logs = np.array([_log_comb(n, s) for s in size.tolist()])
        q = keep.reshape(-1, 1)
        chances = np.exp(logs + size * np.log(q) + (n - size) * np.log1p(-q))
        shares: FloatArray = mass.ravel() @ chances
        return shares


def size_quotas(
    shares: FloatArray, there: FloatArray, count: int, rng: np.random.Generator
) -> IntArray:
    """Split `count` masks among sizes by their shares, at most as many of each as there are.

    What a size cannot take goes to the others; parts of a mask are drawn, one draw for all.

    >>> size_quotas(np.array([1.0, 2.0, 1.0]), np.array([9.0, 1.0, 9.0]), 5,
    ...             np.random.default_rng(0)).tolist()
    [2, 1, 2]
    """
    free = (there > 0) & (shares > 0)
    wanted = np.zeros(len(shares))
    while free.any():
        left = count - wanted[~free].sum()
        wanted[free] = max(left, 0.0) * shares[free] / shares[free].sum()
        over = free & (wanted >= there)
        if not over.any():
            break
        wanted[over] = there[over]
        free &= ~over
    reached = np.concatenate([[0.0], np.cumsum(wanted)]) + rng.random()
    return np.minimum(np.diff(np.floor(reached + 1e-9)), there).astype(np.int64)


def _of_size(
    n: int, size: int, count: int, rng: np.random.Generator, *, halved: bool = False
) -> BoolArray:
    """Draw `count` distinct masks with `size` players.

    Up to a third of the players, each is there about as often as any other: beyond, masks would be
    near the complement of the one before. Where `halved`, no mask is the complement of another.
    """
    halved = halved and 2 * size == n
    if not count:
        return np.zeros((0, n), dtype=bool)
    if _number(n, size) <= (2 * count if halved else count):
        every = np.array(list(_every(n, size, halved=halved)))
        return every[rng.permutation(len(every))[:count]]
    rows: list[BoolArray] = []
    seen: set[bytes] = set()
    used = np.zeros(n)
    for _ in range(count):
        for attempt in range(_TRIES):
            balance = used if attempt == 0 and 3 * size <= n else np.zeros(n)
            row = np.zeros(n, dtype=bool)
            row[np.lexsort((rng.random(n), balance))[:size]] = True
            if row.tobytes() not in seen:
                break
        else:
            continue
        seen.add(row.tobytes())
        if halved:
            seen.add((~row).tobytes())
        used += row
        rows.append(row)
    return np.array(rows)


def _every(n: int, size: int, *, halved: bool) -> Iterator[BoolArray]:
    for chosen in combinations(range(n), size):
        if halved and chosen[0] != 0:
            return
        row = np.zeros(n, dtype=bool)
        row[list(chosen)] = True
        yield row


def _log_comb(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _number(n: int, size: int) -> float:
    """Count the masks of a size; infinite where it is beyond any budget."""
    return float(comb(n, size)) if _log_comb(n, size) < _MANY else inf
