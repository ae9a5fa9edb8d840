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

from spexlens.core.arguments import whole
from spexlens.core.interactions import Interactions
from spexlens.core.masks import FloatArray
from spexlens.core.spectrum import FourierSpectrum, as_spectrum
from spexlens.core.supports import Supports
from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.indices.banzhaf import (
    banzhaf_interaction,
    banzhaf_interaction_defined,
    faithful_banzhaf,
    faithful_banzhaf_defined,
    weighted_banzhaf,
)
from spexlens.indices.coalitions import Definition
from spexlens.indices.coefficients import (
    coefficients,
    fourier_defined,
    identity,
    moebius_defined,
)
from spexlens.indices.influence import influence, influence_defined
from spexlens.indices.measures import (
    banzhaf_measure,
    faithful_banzhaf_measure,
    faithful_shapley_measure,
    k_shapley_measure,
    moebius_measure,
    shapley_measure,
    shapley_taylor_measure,
)
from spexlens.indices.shapley import (
    faithful_shapley,
    faithful_shapley_defined,
    k_shapley_interaction,
    k_shapley_interaction_defined,
    shapley_interaction,
    shapley_interaction_defined,
    shapley_taylor,
    shapley_taylor_defined,
)
from spexlens.transforms.diagonal import Measure
from spexlens.transforms.moebius import SubsetMap, rebase_map, spread_by_size

SetWeight = Callable[[int, int, int], Fraction]
"""(t, s, order) -> weight of a set of s players on a subset of t players."""
Effect = tuple[Supports, FloatArray, FloatArray | None]
"""Sets, their effects and, where the spectrum has them, standard errors."""


@dataclass(frozen=True)
class Index:
    """One row of the table.

    Attributes
    ----------
    name, full_name, source : str
    formula : str
        Its value in LaTeX, for the documentation: m and F are Moebius and Fourier coefficients at
        p = 1/2, t and s the sizes of T and S, l the order asked for.
    definition : callable
        `(coalitions, order) -> effects`, over all 2^n coalitions: what the row is tested against.
    weight : callable, optional
        `(t, s, order) -> Fraction`, in the basis that `basis` names.
    measure : callable, optional
        `(t, order) -> Measure`: the same for a set of t players as a functional on the diagonal
        (`indices.measures`), with which it is read from a posterior without truncation.
    read : callable, optional
        `(spectrum, order) -> (sets, effects, errors)` instead, for an index that stays in the
        spectrum's own basis, whatever its p.
    basis : "moebius" or "fourier"
    default_order : int, optional
        Highest order when none is asked for; None = all orders.
    max_order : int, optional
        Highest order for which the index is defined.
    has_empty : bool
        Whether the index assigns a value to the empty set.
    linear : bool
        Whether the effects of a sum of functions are the sums of their effects.
    efficient : bool
        Whether the effects of all sets add up to the full minus the empty value.
    in_shapiq : bool
        Whether shapiq knows it, by the same name.
    """

    name: str
    full_name: str
    source: str
    formula: str
    definition: Definition
    weight: SetWeight | None = None
    measure: Callable[[int, int], Measure] | None = None
    read: Callable[[FourierSpectrum, int | None], Effect] | None = None
    basis: str = "moebius"
    default_order: int | None = 2
    max_order: int | None = None
    has_empty: bool = False
    linear: bool = True
    efficient: bool = False
    in_shapiq: bool = False

    def __post_init__(self) -> None:
        if (self.weight is None) == (self.read is None):
            raise InvalidInputError(
                f"the index {self.name!r} has {'no' if self.weight is None else 'a'} weight and "
                f"{'no' if self.read is None else 'a'} read; needed one of them."
            )

    @property
    def description(self) -> str:
        """Its name in full."""
        return self.full_name

    def measures(self, order: int) -> tuple[Measure, ...]:
        """List its measures for sets of 1 to `order` players; () where it has none.

        Raises
        ------
        InvalidInputError
            For an order that is too high for them.
        """
        measure = self.measure
        return () if measure is None else tuple(measure(t, order) for t in range(1, order + 1))

    @property
    def counts_empty_alone(self) -> bool:
        """Whether the effect of the empty set is the empty value, whatever else there is."""
        return self.has_empty and self.basis == "moebius"


INDICES: Table[Index] = Table("index", (
    Index(
        "Fourier", "Fourier coefficient", "Kang et al. 2025", r"F(T)", fourier_defined,
        read=coefficients, basis="fourier", default_order=None, has_empty=True,
    ),
    Index(
        "Moebius", "Moebius transform", "Grabisch 2000",
        r"m(T) = (-2)^t \sum_{S \supseteq T} F(S)", moebius_defined, identity,
        moebius_measure, default_order=None,
        has_empty=True, in_shapiq=True,
    ),
    Index(
        "SV", "Shapley value", "Shapley 1953", r"\sum_{S \ni i} m(S) / s",
        shapley_interaction_defined, shapley_interaction,
        shapley_measure, default_order=1, max_order=1,
        efficient=True, in_shapiq=True,
    ),
    Index(
        "BV", "Banzhaf value", "Banzhaf 1965",
        r"\sum_{S \ni i} m(S) / 2^{s-1} = -2 F(\{i\})", banzhaf_interaction_defined,
        banzhaf_interaction, banzhaf_measure, default_order=1, max_order=1, in_shapiq=True,
    ),
    Index(
        "BII", "Banzhaf interaction index", "Grabisch & Roubens 1999",
        r"\sum_{S \supseteq T} m(S) / 2^{s-t} = (-2)^t F(T)", banzhaf_interaction_defined,
        banzhaf_interaction, banzhaf_measure, in_shapiq=True,
    ),
    Index(
        "SII", "Shapley interaction index", "Grabisch & Roubens 1999",
        r"\sum_{S \supseteq T} m(S) / (s - t + 1)", shapley_interaction_defined,
        shapley_interaction, shapley_measure, in_shapiq=True,
    ),
    Index(
        "k-SII", "k-Shapley values", "Bordt & von Luxburg 2023",
        r"\sum_{j \le l - t} B_j \sum_{\lvert R \rvert = j} \text{SII}(T \cup R)",
        k_shapley_interaction_defined, k_shapley_interaction,
        k_shapley_measure, has_empty=True, efficient=True,
        in_shapiq=True,
    ),
    Index(
        "STII", "Shapley Taylor interaction index", "Sundararajan et al. 2020",
        r"m(T) \text{ for } t < l; \; \sum_{S \supseteq T} m(S) / \binom{s}{l} \text{ for } t = l",
        shapley_taylor_defined, shapley_taylor, shapley_taylor_measure, has_empty=True,
        efficient=True, in_shapiq=True,
    ),
    Index(
        "FSII", "Faithful Shapley interaction index", "Tsai et al. 2023",
        r"m(T) + (-1)^{l-t} \frac{t}{l+t} \binom{l}{t} \sum_{S \supset T,\, s > l} "
        r"\frac{\binom{s-1}{l}}{\binom{s+l-1}{l+t}} m(S)",
        faithful_shapley_defined, faithful_shapley,
        faithful_shapley_measure, has_empty=True, efficient=True,
        in_shapiq=True,
    ),
    Index(
        "FBII", "Faithful Banzhaf interaction index", "Tsai et al. 2023",
        r"(-2)^t \sum_{S \supseteq T,\, s \le l} F(S)", faithful_banzhaf_defined, faithful_banzhaf,
        faithful_banzhaf_measure, basis="fourier", has_empty=True, in_shapiq=True,
    ),
    Index(
        "WBII", "Weighted Banzhaf interaction index", "Marichal & Mathonet 2011",
        r"F_p(T) \prod_{i \in T} \frac{-1}{\sqrt{p_i (1 - p_i)}}", banzhaf_interaction_defined,
        read=weighted_banzhaf, basis="fourier",
    ),
    Index(
        "Influence", "Influence", "O'Donnell 2014", r"\sum_{S \ni i} F(S)^2", influence_defined,
        read=lambda spectrum, _: influence(spectrum), basis="fourier", default_order=1,
        max_order=1, linear=False,
    ),
))  # fmt: skip


def find_index(name: str) -> Index:
    """Find the row of a name in any case; `Mobius` and `Möbius` are understood too."""
    key = str(name).lower().replace("ö", "oe")
    key = "moebius" if key == "mobius" else key
    for row in INDICES.values():
        if row.name.lower() == key:
            return row
    raise UnknownNameError("index", name, INDICES)


def default_index(p: float | FloatArray) -> str:
    """Name the index that masks at keep probability p know best, for when none is asked for.

    FBII at p = 1/2, whose best fit is over such masks. At another p WBII: the mean effect over
    masks like those that were measured, in units of the score.

    >>> default_index(0.5), default_index(0.9)
    ('FBII', 'WBII')
    """
    return "FBII" if np.all(np.asarray(p) == 0.5) else "WBII"


def index_in_words(name: str, p: float | FloatArray) -> str:
    """Name an index, with what it averages over where that depends on keep probability p.

    >>> index_in_words("SV", 0.9), index_in_words("WBII", 0.9)
    ('SV', 'WBII: mean effects at 90 % kept')
    """
    if name != "WBII":
        return name
    kept = {f"{100 * keep:.3g} %" for keep in np.unique(p).tolist()}
    return f"WBII: mean effects {f'at {kept.pop()} kept' if len(kept) == 1 else 'over masks at p'}"


def compute_index(
    spectrum: FourierSpectrum,
    name: str | None = None,
    order: int | None = None,
    players: tuple[str, ...] | None = None,
) -> Interactions:
    """Compute the interactions of a spectrum under an index.

    Parameters
    ----------
    spectrum : FourierSpectrum
        For p other than 1/2 the function is first rewritten exactly at p = 1/2, because the
        indices are properties of the function, not of the design. Fourier, WBII and Influence are
        those that are relative to p, and stay in the spectrum's own basis.
    name : str, optional
        A key of `INDICES`, in any case; by default `default_index` of the spectrum's p.
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
    row = find_index(default_index(as_spectrum(spectrum).p) if name is None else name)
    order = row.default_order if order is None else checked_order(row, order)
    names = spectrum.players if players is None else players
    found = _linear(spectrum, row, order) if row.read is None else row.read(spectrum, order)
    supports, effects, errors = found
    return Interactions(supports, effects, row.name, names, errors)


def _linear(spectrum: FourierSpectrum, row: Index, order: int | None) -> Effect:
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
    set_weight = row.weight
    assert set_weight is not None

    def weight(t: int, s: int) -> float:
        return float(_fourier_weight(set_weight, row.basis, t, s, limit))

    first = 0 if row.has_empty else 1
    return spread_by_size(supports, weight, min_order=first, max_order=order)


@cache
def _fourier_weight(weight: SetWeight, basis: str, t: int, s: int, order: int) -> Fraction:
    if basis == "fourier":
        return weight(t, s, order)
    return sum(
        (comb(s - t, r - t) * weight(t, r, order) * (-2) ** r for r in range(t, s + 1)),
        Fraction(0),
    )


def checked_order(row: Index, order: int) -> int:
    """Return a highest order that the index has.

    Raises
    ------
    InvalidInputError
        For another one.
    """
    order = whole(f"order of {row.name}", order)
    if row.max_order is not None and order > row.max_order:
        raise InvalidInputError(
            f"order = {order} given, but {row.name} ({row.full_name}) is defined for single "
            "players only; for interactions use k-SII, STII, FSII, BII or FBII."
        )
    return order
