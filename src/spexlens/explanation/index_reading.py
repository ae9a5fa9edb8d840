"""An index as it was asked for: read from the posterior, of the masks that were measured.

`interactions(index)` of a run that was not asked for an index reads it from the spectrum, whose
masks may hold hardly any coalition that the index averages over: then it says so.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np

from spexlens._support.cores import held_threads
from spexlens.algorithms.base import Algorithm
from spexlens.algorithms.offset import linear_part
from spexlens.core.arguments import whole
from spexlens.core.game import score_column
from spexlens.core.interactions import Interactions
from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.core.supports import collect_terms
from spexlens.core.units import Units
from spexlens.errors import InvalidInputError
from spexlens.explanation.planning import enumerable
from spexlens.explanation.stopping import Reading, Round
from spexlens.indices.table import Index, checked_order, compute_index, find_index
from spexlens.proxies.index_posterior import IndexPosterior
from spexlens.transforms.diagonal import Measure

_MOST_SETS = 20_000  # of one order; beyond, of the strongest players
_QUANTILES = (0.02, 0.98)
_HIGHEST_MEASURED = 30  # order; beyond, one is of no use and takes long
_UNSEEN = 0.25  # of an index's mass outside the sizes measured


def asked_index(index: str | None, order: int | None, n: int) -> tuple[Index, int] | None:
    """Return the row of the index asked for, if any, and its highest order, checked."""
    if index is None:
        if order is not None:
            raise InvalidInputError(
                f"order = {order!r} given without an index; give index= too, or ask the result: "
                "explanation.interactions(order=…)."
            )
        return None
    row = find_index(index)
    if order is None:
        return row, min(row.default_order or 2, n)
    order = checked_order(row, order)
    return row, whole(f"order of {row.name} over {n} players", order, most=n)


def check_masks_are_free(index: str | None, algorithm: Algorithm, **given: object) -> None:
    """Refuse what sets the masks beside an index that draws its own: `given`, or the algorithm."""
    for name, value in given.items():
        if value is not None:
            raise InvalidInputError(
                f"{name} = {value!r} given with index = {index!r}, whose masks are its own; give "
                "one of the two."
            )
    if not (algorithm.any_masks or algorithm.exact):
        raise InvalidInputError(
            f"index = {index!r} given with algorithm {algorithm.name!r}, whose masks are its own; "
            "needed an algorithm for any masks, such as auto."
        )


def read_index(row: Index, order: int, last: Round, players: tuple[str, ...]) -> Reading:
    """Read the index of all sets of up to `order` players from a run's masks and values.

    Of an order with more than 20,000 sets, those among the strongest players are read. Sets with a
    player that all masks keep, or none does, are left out: nothing is known of them.
    """
    design, measure_of = last.design, row.measure
    units = Units.of(last.values)
    score = score_column(units.computed(last.values))
    # An index of a linear function is its slopes: a multiple of the mean derivative is read apart.
    _, slopes = linear_part(design.sensitivities, design.masks, score)
    if last.recovery.tuned.exact or measure_of is None or score.min() == score.max():
        return Reading(compute_index(last.spectrum, row.name, order, players))
    varied = np.flatnonzero(design.masks.any(axis=0) & ~design.masks.all(axis=0))
    strength = np.zeros(design.n)
    terms: list[tuple[IntArray, FloatArray]] = []
    errors: list[FloatArray] = []
    empty = score_column(last.values)[~design.masks.any(axis=1)]
    if len(empty) and row.counts_empty_alone:
        terms.append((np.zeros((1, 0), dtype=np.int64), empty))
        errors.append(np.zeros(1))
    with held_threads(len(score)):
        posterior = IndexPosterior.of(design.masks, score - design.masks @ slopes, design.seed)
        for t in range(1, min(order, len(varied)) + 1):
            group = _sets(varied, t, strength)
            means, std_err = posterior.read(measure_of(t, order), group)
            if t == 1:
                means = means + slopes[group[:, 0]]
                strength[varied] = np.abs(means)
            terms.append((group, means * float(units.scale[0])))
            errors.append(std_err * float(units.scale[0]))
    supports, effects = collect_terms(design.n, terms)
    note = uncovered(row, order, design.masks)
    known = None if one_size(design.masks) else np.concatenate(errors)
    found = Interactions(supports, effects, row.name, players, known, note)
    return Reading(found, posterior.r2)


def part_of(asked: Interactions, row: Index, order: int | None) -> Interactions | None:
    """Find another index, or a lower order, in what was read for the one asked for.

    SV are the singles of SII, and the effects of an index that ignores its highest order are the
    same under a lower one. None where the two differ.

    >>> pairs = Interactions.from_dict({(0,): 1.0, (0, 1): -2.0}, "SII", ["not", "good"])
    >>> found = part_of(pairs, find_index("SV"), None)
    >>> found.index, found.to_dict()
    ('SV', {(0,): 1.0})
    """
    own = find_index(asked.index)
    most = int(asked.supports.orders().max(initial=0))
    order = row.default_order if order is None else order
    if row.name == own.name and order in (None, most):
        return asked
    if own.measure is None or row.measure is None or order is None or order > most:
        return None
    wanted, read = _measures(row, order), _measures(own, most)
    if row.has_empty or not (wanted and read) or any(map(_differ, wanted, read)):
        return None
    orders = asked.supports.orders()
    return replace(asked.select((orders > 0) & (orders <= order)), index=row.name)


def one_size(masks: BoolArray) -> bool:
    """Tell whether all masks keep equally many players: then it is unknown what each adds alike."""
    return len(masks) > 1 and len(np.unique(masks.sum(axis=1))) == 1


def uncovered(row: Index, order: int, masks: BoolArray) -> str:
    """Tell where an index averages over coalitions of other sizes than masks `(m, n)` have."""
    n = masks.shape[1]
    if one_size(masks):
        return (
            f"all masks keep {int(masks[0].sum())} of {n} players: what every player adds alike "
            "cannot be seen, and effects have no intervals. Measure masks of other sizes too."
        )
    measures = _measures(row, order)
    if not measures or enumerable(n, len(masks)):
        return ""
    low, high = np.quantile(masks.mean(axis=1), _QUANTILES)
    outside = max(_outside(measure, low, high, n) for measure in measures)
    if outside <= _UNSEEN:
        return ""
    return (
        f"{row.name} averages over coalitions of other sizes than those measured, which hold "
        f"{low:.0%} to {high:.0%} of the players: {outside:.0%} of its weight lies outside. Masks "
        f"of explain(game, index={row.name!r}) follow it."
    ).replace("%", " %")


def _measures(row: Index, order: int) -> tuple[Measure, ...]:
    """List an index's measures; () also where there are none so high."""
    try:
        return row.measures(order) if order <= _HIGHEST_MEASURED else ()
    except InvalidInputError:
        return ()


def _outside(measure: Measure, low: float, high: float, n: int) -> float:
    """Share of a measure's mass at keep probabilities of which no masks like that were seen."""
    margin = 1.0 / n  # a coalition of the others holds one player less or more
    mass = np.abs(measure.weights)
    seen = (measure.nodes >= low - margin) & (measure.nodes <= high + margin)
    return float(mass[~seen].sum() / mass.sum())


def _differ(first: Measure, second: Measure) -> bool:
    return not (
        np.array_equal(first.nodes, second.nodes) and np.array_equal(first.weights, second.weights)
    )


def _sets(players: IntArray, t: int, strength: FloatArray) -> IntArray:
    """List the sets of t of these players, `(K, t)`: all, or those among the strongest."""
    among = len(players)
    while comb(among, t) > _MOST_SETS:
        among -= 1
    chosen = np.sort(players[np.argsort(-strength[players], kind="stable")[:among]])
    return np.array(list(combinations(chosen.tolist(), t)), dtype=np.int64)
