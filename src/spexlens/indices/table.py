"""The one table of interaction indices, and how each is read off a spectrum.

Every cardinal index is linear: a set S of s players contributes `w(t, s)` times its Moebius
coefficient to each subset T of t players. Since `m(R) = (-2)^|R| sum_{S >= R} F(S)` at p = 1/2, it
contributes

    W(t, s) = sum_{r = t}^{s} C(s - t, r - t) w(t, r) (-2)^r

times its Fourier coefficient. W is a small table of exact fractions, so no index of order l ever
lists more subsets than those of at most l players.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import comb

import numpy as np

from spexlens.core.interactions import Interactions
from spexlens.core.masks import FloatArray, IntArray
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.supports import Supports
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.indices.banzhaf import banzhaf_interaction, faithful_banzhaf
from spexlens.indices.influence import influence
from spexlens.indices.shapley import (
    faithful_shapley,
    k_shapley_interaction,
    shapley_interaction,
    shapley_taylor,
)
from spexlens.transforms.moebius import SubsetMap, rebase_map, spread_to_subsets

SetWeight = Callable[[int, int, int], Fraction]
"""(t, s, order) -> weight of a set of s players on a subset of t players."""


@dataclass(frozen=True)
class Index:
    """One row of the table.

    Attributes
    ----------
    name, full_name, source : str
    weight : callable, optional
        `(t, s, order) -> Fraction`, in the basis that `basis` names; None where the index has a
        function of its own.
    basis : "moebius" or "fourier"
    default_order : int, optional
        Highest order when none is asked for; None = all orders.
    max_order : int, optional
        Highest order for which the index is defined.
    has_empty : bool
        Whether the index assigns a value to the empty set.
    """

    name: str
    full_name: str
    source: str
    weight: SetWeight | None
    basis: str = "moebius"
    default_order: int | None = 2
    max_order: int | None = None
    has_empty: bool = False


def _identity(t: int, s: int, order: int) -> Fraction:
    return Fraction(int(s == t))


_ROWS = (
    Index("Fourier", "Fourier coefficient", "Kang et al. 2025", None, "fourier", None, None, True),
    Index("Moebius", "Moebius transform", "Grabisch 2000", _identity, "moebius", None, None, True),
    Index("SV", "Shapley value", "Shapley 1953", shapley_interaction, "moebius", 1, 1),
    Index("BV", "Banzhaf value", "Banzhaf 1965", banzhaf_interaction, "moebius", 1, 1),
    Index("BII", "Banzhaf interaction index", "Grabisch & Roubens 1999", banzhaf_interaction),
    Index("SII", "Shapley interaction index", "Grabisch & Roubens 1999", shapley_interaction),
    Index(
        "k-SII", "k-Shapley values", "Bordt & von Luxburg 2023", k_shapley_interaction,
        has_empty=True,
    ),
    Index(
        "STII", "Shapley Taylor interaction index", "Sundararajan et al. 2020", shapley_taylor,
        has_empty=True,
    ),
    Index(
        "FSII", "Faithful Shapley interaction index", "Tsai et al. 2023", faithful_shapley,
        has_empty=True,
    ),
    Index(
        "FBII", "Faithful Banzhaf interaction index", "Tsai et al. 2023", faithful_banzhaf,
        "fourier", has_empty=True,
    ),
    Index("Influence", "Influence", "O'Donnell 2014", None, "fourier", 1, 1),
)  # fmt: skip

INDICES: dict[str, Index] = {row.name: row for row in _ROWS}
_BY_LOWER_NAME = {row.name.lower(): row for row in _ROWS}


def find_index(name: str) -> Index:
    """Find the row of a name in any case; `Mobius` and `Möbius` are understood too."""
    key = name.lower().replace("ö", "oe")
    row = _BY_LOWER_NAME.get("moebius" if key == "mobius" else key)
    if row is None:
        raise UnknownNameError("index", name, INDICES)
    return row


def compute_index(
    spectrum: FourierSpectrum,
    name: str,
    order: int | None = None,
    players: tuple[str, ...] | None = None,
) -> Interactions:
    """Compute the interactions of a spectrum under an index.

    Parameters
    ----------
    spectrum : FourierSpectrum
        For p other than 1/2 the function is first rewritten exactly at p = 1/2, because the
        indices are properties of the function, not of the design. Fourier and Influence are the
        two that are relative to p, and stay in the spectrum's own basis.
    name : str
        A key of `INDICES`, in any case.
    order : int, optional
        Highest order to return; for k-SII, STII, FSII and FBII also the order of the approximation
        that defines them. Default 2 for interaction indices, 1 for values, all for Fourier and
        Moebius.
    players : tuple of str, optional
        Names; default `"0", "1", …`.

    Returns
    -------
    Interactions

    Examples
    --------
    >>> both = {(): 0.25, (0,): -0.25, (1,): -0.25, (0, 1): 0.25}
    >>> compute_index(FourierSpectrum.from_dict(both, n=2), "SV").to_dict()
    {(0,): 0.5, (1,): 0.5}
    """
    row = find_index(name)
    order = _checked_order(row, order)
    names = spectrum.players if players is None else players
    if row.name == "Influence":
        supports, effects, errors = influence(spectrum)
    elif row.weight is None:
        chosen = spectrum if order is None else spectrum.up_to_order(order)
        supports, effects, errors = chosen.supports, chosen.coefficients, chosen.std_errors
    else:
        supports, effects, errors = _linear(spectrum, row, order)
    return Interactions(supports, effects, row.name, names, errors)


def _linear(
    spectrum: FourierSpectrum, row: Index, order: int | None
) -> tuple[Supports, FloatArray, FloatArray | None]:
    index_map = index_subset_map(spectrum.supports, spectrum.p, row, order)
    errors = spectrum.std_errors
    return (
        index_map.subsets,
        index_map.apply(spectrum.coefficients),
        None if errors is None else index_map.std_errors(errors),
    )


def index_subset_map(
    supports: Supports, p: float | FloatArray, row: Index, order: int | None
) -> SubsetMap:
    """Make the index a sparse matrix from the Fourier coefficients at keep probability p."""
    if np.any(np.asarray(p) != 0.5):
        at_half = rebase_map(supports, p, 0.5)
        return index_subset_map(at_half.subsets, 0.5, row, order).after(at_half)
    highest = max((group.shape[1] for group in supports.groups), default=0)
    limit = highest if order is None else order

    def weight(members: IntArray, rest: IntArray) -> FloatArray:
        t, s = members.shape[2], members.shape[2] + rest.shape[2]
        return np.full(members.shape[:2], float(_fourier_weight(row.name, t, s, limit)))

    first = 0 if row.has_empty else 1
    return spread_to_subsets(supports, weight, min_order=first, max_order=order)


@cache
def _fourier_weight(name: str, t: int, s: int, order: int) -> Fraction:
    row = INDICES[name]
    assert row.weight is not None
    if row.basis == "fourier":
        return row.weight(t, s, order)
    return sum(
        (comb(s - t, r - t) * row.weight(t, r, order) * (-2) ** r for r in range(t, s + 1)),
        Fraction(0),
    )


def _checked_order(row: Index, order: int | None) -> int | None:
    if order is None:
        return row.default_order
    if order < 1:
        raise InvalidInputError(f"order = {order} given; needed at least 1.")
    if row.max_order is not None and order > row.max_order:
        raise InvalidInputError(
            f"order = {order} given, but {row.name} ({row.full_name}) is defined for single "
            "players only; for interactions use k-SII, STII, FSII, BII or FBII."
        )
    return order
