"""Linear maps from a sparse spectrum to the subsets of its sets: change of basis, and indices.

In every basis of this library a term on S becomes, in another basis, terms on the subsets T of S.
`spread_to_subsets` builds that map once as a sparse matrix, so that effects and their standard
errors go through the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.masks import FloatArray, IntArray, keep_probabilities, read_only
from spexlens.core.spectrum import FourierSpectrum, MoebiusSpectrum
from spexlens.core.supports import Supports, unique_rows
from spexlens.errors import BlowUpError, shown

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_SPREAD_TERMS, MAX_SPREAD_MEMBERS = 10_000_000, 50_000_000
_WRITABLE = 1e300

SubsetWeight = Callable[[IntArray, IntArray], FloatArray]
"""(members of T `(k, P, t)`, members of S not in T `(k, P, s - t)`) -> weights `(k, P)`."""
SizeWeight = Callable[[int, int], float]
"""(t, s) -> weight."""


@dataclass(frozen=True, eq=False)
class SubsetMap:
    """A linear map from weights on sets to weights on some of their subsets.

    Attributes
    ----------
    subsets : Supports
        The L target sets.
    matrix : sparse array (L, K)
        Row T, column S: what one unit on S contributes to T.
    """

    subsets: Supports
    matrix: csr_array

    def apply(self, weights: FloatArray) -> FloatArray:
        """Map weights on the sets, `(K,)`, to weights on the subsets, `(L,)`."""
        return np.asarray(self.matrix @ weights, dtype=np.float64)

    def std_errors(self, std_errors: FloatArray) -> FloatArray:
        """Propagate independent standard errors `(K,)` of the weights to the result, `(L,)`."""
        size = std_errors.max(initial=0.0) or 1.0  # squares of very large ones would overflow
        variance = np.asarray(self.matrix.power(2) @ (std_errors / size) ** 2, dtype=np.float64)
        return size * np.sqrt(variance)

    def after(self, first: SubsetMap) -> SubsetMap:
        """Compose: this map applied to the result of `first`."""
        return SubsetMap(self.subsets, self.matrix @ first.matrix)


def spread_to_subsets(
    supports: Supports,
    weight: SubsetWeight,
    *,
    min_order: int = 0,
    max_order: int | None = None,
) -> SubsetMap:
    """Make the map of every set's weight to its subsets of `min_order` … `max_order` players.

    Raises
    ------
    BlowUpError
        When there are more than `MAX_SPREAD_TERMS` pairs of set and subset, or their members are
        more than `MAX_SPREAD_MEMBERS`; names a largest set.
    """

    def weights(group: IntArray, chosen: IntArray) -> FloatArray:
        return weight(group[:, chosen], group[:, _others(chosen, group.shape[1])])

    parts = list(_parts(supports, min_order, max_order))
    _guard(supports, parts, whole_sets=True)
    return _spread(supports, parts, weights)


def spread_by_size(
    supports: Supports,
    weight: SizeWeight,
    *,
    min_order: int = 0,
    max_order: int | None = None,
) -> SubsetMap:
    """Make the map of `spread_to_subsets` for a weight that depends on sizes alone.

    Subsets of sizes whose weight is zero are not listed.

    Raises
    ------
    BlowUpError
        As `spread_to_subsets`.
    """

    def weights(group: IntArray, chosen: IntArray) -> FloatArray:
        return np.full((len(group), len(chosen)), weight(chosen.shape[1], group.shape[1]))

    parts: list[_Part] = []
    for part in _parts(supports, min_order, max_order):
        if weight(part.size, part.group.shape[1]):
            parts.append(part)
            _guard(supports, parts)  # before the next weight, which may take long for a large set
    return _spread(supports, parts, weights)


@dataclass(frozen=True, eq=False)
class _Part:
    """The subsets of one size of the sets of one size, which have the term numbers `terms`."""

    group: IntArray
    terms: slice
    size: int


def _spread(
    supports: Supports,
    parts: Sequence[_Part],
    weight: Callable[[IntArray, IntArray], FloatArray],
) -> SubsetMap:
    """Make the map; `weight` is of a group of sets `(k, s)` and of places in them `(P, t)`."""
    from scipy.sparse import csr_array  # 0.2 s to import: only where a map is built

    by_order: dict[int, list[tuple[IntArray, FloatArray, IntArray]]] = {}
    for part in parts:
        chosen = _chosen(part.group.shape[1], part.size)
        members, weights = part.group[:, chosen], weight(part.group, chosen)
        if not weights.any():  # structurally zero: absent, not an effect of zero
            continue
        columns = np.repeat(np.arange(part.terms.start, part.terms.stop), len(chosen))
        by_order.setdefault(part.size, []).append(
            (members.reshape(len(columns), part.size), np.ravel(weights), columns)
        )
    groups: list[IntArray] = []
    rows, columns_, data = [np.zeros(0, int)], [np.zeros(0, int)], [np.zeros(0)]
    offset = 0
    for size in sorted(by_order):
        members = np.concatenate([entry[0] for entry in by_order[size]])
        group, inverse = unique_rows(members, supports.n)
        groups.append(read_only(group))
        rows.append(inverse + offset)
        data += [entry[1] for entry in by_order[size]]
        columns_ += [entry[2] for entry in by_order[size]]
        offset += len(group)
    matrix = csr_array(
        (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns_))),
        shape=(offset, len(supports)),
    )
    return SubsetMap(Supports(supports.n, tuple(groups)), matrix)


def change_of_basis(supports: Supports, shift: FloatArray, factor: FloatArray) -> SubsetMap:
    """Return the map for `old_i = shift_i + factor_i * new_i`, both `(n,)`.

    `prod_{i in S} old_i = sum_{T <= S} prod_{T} factor prod_{S - T} shift * prod_{T} new_i`.
    """
    return spread_to_subsets(
        supports, lambda inside, rest: factor[inside].prod(axis=2) * shift[rest].prod(axis=2)
    )


def fourier_to_moebius(spectrum: FourierSpectrum) -> MoebiusSpectrum:
    """Rewrite the function in the Moebius basis, exactly, for any p.

    At p = 1/2: `m(T) = (-2)^|T| sum_{S >= T} F(S)`.

    Raises
    ------
    BlowUpError
        When a set is so large that its 2^|S| subsets cannot be listed; the message names it.
    """
    keep, deviation = _moments(spectrum.p, spectrum.n)
    subset_map = change_of_basis(spectrum.supports, keep / deviation, -1 / deviation)
    return MoebiusSpectrum(subset_map.subsets, subset_map.apply(spectrum.coefficients))


def moebius_to_fourier(moebius: MoebiusSpectrum, p: float | FloatArray = 0.5) -> FourierSpectrum:
    """Rewrite the function in the p-biased Fourier basis, exactly.

    At p = 1/2: `F(T) = (-1)^|T| sum_{S >= T} m(S) / 2^|S|`.
    """
    keep, deviation = _moments(p, moebius.n)
    subset_map = change_of_basis(moebius.supports, keep, -deviation)
    return FourierSpectrum(subset_map.subsets, subset_map.apply(moebius.coefficients), p=p)


def rebase_map(supports: Supports, p: float | FloatArray, new_p: float | FloatArray) -> SubsetMap:
    """Return the map from Fourier coefficients at keep probability p to those at `new_p`."""
    keep, deviation = _moments(p, supports.n)
    new_keep, new_deviation = _moments(new_p, supports.n)
    return change_of_basis(supports, (keep - new_keep) / deviation, new_deviation / deviation)


def rebase(spectrum: FourierSpectrum, p: float | FloatArray) -> FourierSpectrum:
    """Rewrite the function in the Fourier basis of another keep probability, exactly."""
    if np.array_equal(
        keep_probabilities(spectrum.p, spectrum.n), keep_probabilities(p, spectrum.n)
    ):
        return spectrum
    subset_map = rebase_map(spectrum.supports, spectrum.p, p)
    errors = spectrum.std_errors
    return FourierSpectrum(
        subset_map.subsets,
        subset_map.apply(spectrum.coefficients),
        None if errors is None else subset_map.std_errors(errors),
        p,
    )


def _moments(p: float | FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    keep = keep_probabilities(p, n)
    return keep, np.sqrt(keep * (1 - keep))


def _chosen(order: int, size: int) -> IntArray:
    """List the ways to choose `size` of `order` places, `(P, size)`."""
    count = comb(order, size)
    places = chain.from_iterable(combinations(range(order), size))
    return np.fromiter(places, np.int64, count * size).reshape(count, size)


def _others(chosen: IntArray, order: int) -> IntArray:
    """List the places that were not chosen, `(P, order - size)`."""
    left = np.ones((len(chosen), order), dtype=bool)
    left[np.arange(len(chosen))[:, None], chosen] = False
    return np.nonzero(left)[1].reshape(len(chosen), order - chosen.shape[1])


def _parts(supports: Supports, min_order: int, max_order: int | None) -> Iterator[_Part]:
    for group, terms in supports.slices():
        order = group.shape[1]
        top = order if max_order is None else min(order, max_order)
        for size in range(min_order, top + 1):
            yield _Part(group, terms, size)


def _guard(supports: Supports, parts: Sequence[_Part], *, whole_sets: bool = False) -> None:
    """Refuse to list too many subsets, or too many players in them; sets where these are held."""
    counts = [len(part.group) * comb(part.group.shape[1], part.size) for part in parts]
    held = [part.group.shape[1] if whole_sets else part.size for part in parts]
    members = sum(count * size for count, size in zip(counts, held, strict=True))
    if sum(counts) <= MAX_SPREAD_TERMS and members <= MAX_SPREAD_MEMBERS:
        return
    largest = supports.groups[-1][0].tolist()
    total = sum(counts)
    told = f"{total:.3g}" if total < _WRITABLE else f"more than {_WRITABLE:.0e}"
    raise BlowUpError(
        f"listing the subsets of {len(supports)} sets gives {told} terms, more than "
        f"{MAX_SPREAD_TERMS:.0e}, or than {MAX_SPREAD_MEMBERS:.0e} players in them; a largest set "
        f"is ({shown(largest)}), of {len(largest)} players. Truncate the spectrum "
        "(spectrum.up_to_order, spectrum.truncate) or ask for a lower order."
    )
