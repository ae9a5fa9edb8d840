"""The smallest set of players that keeps, or whose removal kills, a share of the effect.

In the Moebius basis a sparse function is linear in products of the players' indicators, so the
search is a mixed-integer linear programme with one variable a product (McCormick 1976), solved
exactly by HiGHS through `scipy.optimize.milp`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spexlens.core.arguments import real
from spexlens.core.masks import FloatArray
from spexlens.core.spectrum import FourierSpectrum, MoebiusSpectrum, as_spectrum
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.transforms.moebius import fourier_to_moebius

KINDS = ("sufficient", "necessary")


@dataclass(frozen=True)
class MinimalSet:
    """A smallest set, according to the spectrum.

    Attributes
    ----------
    kind : "sufficient" or "necessary"
        Sufficient: alone, these players keep the share. Necessary: without them, no more than
        `1 - share` is left.
    share : float
        Share of `f(all) - f(none)` asked for.
    players : tuple of int
    predicted : float
        The share that the spectrum predicts to be kept (sufficient) or lost (necessary).
    optimal : bool
        Whether no smaller set was proved to exist; False where the time ran out first.
    """

    kind: str
    share: float
    players: tuple[int, ...]
    predicted: float
    optimal: bool


def minimal_set(
    spectrum: FourierSpectrum, kind: str = "sufficient", share: float = 0.9, seconds: float = 30.0
) -> MinimalSet:
    """Find the smallest sufficient or necessary set of players, by mixed-integer programming.

    Parameters
    ----------
    spectrum : FourierSpectrum
        Truncate it first (`spectrum.truncate(100)`) where it has thousands of terms.
    kind : "sufficient" or "necessary"
    share : float, default 0.9
        Of the effect `f(all) - f(none)`, in (0, 1].
    seconds : float, default 30
        Time limit; the best set found until then is returned with `optimal=False`.

    Raises
    ------
    InvalidInputError
        When the spectrum predicts no difference between all and none, or no set was found in time.

    Examples
    --------
    >>> both = {(): 0.25, (0,): -0.25, (1,): -0.25, (0, 1): 0.25}
    >>> minimal_set(FourierSpectrum.from_dict(both, n=3)).players
    (0, 1)
    >>> minimal_set(FourierSpectrum.from_dict(both, n=3), "necessary").players
    (0,)
    """
    if kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    if not 0 < real("share", share) <= 1:
        raise InvalidInputError(f"share = {share} given; needed a share above 0 and at most 1.")
    if not real("seconds", seconds, 0) > 0:
        raise InvalidInputError(f"seconds = {seconds} given; needed a time above 0.")
    moebius = fourier_to_moebius(as_spectrum(spectrum))
    effects = moebius.coefficients[moebius.supports.orders() > 0]  # the constant is no effect
    effect, scale = float(effects.sum()), float(np.abs(effects).sum()) or 1.0
    if abs(effect) < 1e-9 * scale:
        raise InvalidInputError(
            "the spectrum predicts the same value for all players and for none, so no share of "
            "the effect is defined; look at single interactions instead."
        )
    present, optimal = _solve(moebius, effect, kind, share, seconds)
    kept = (float(moebius(present[None, :])[0]) - _empty(moebius)) / effect
    if kind == "sufficient":
        return MinimalSet(kind, share, _indices(present), kept, optimal)
    return MinimalSet(kind, share, _indices(~present), 1 - kept, optimal)


def _solve(
    moebius: MoebiusSpectrum, effect: float, kind: str, share: float, seconds: float
) -> tuple[np.ndarray, bool]:
    """Which players are present in the best solution, and whether it is proved optimal."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    n = moebius.n
    groups = [(group, part) for group, part in moebius.supports.slices() if group.shape[1]]
    products = [(group, part) for group, part in groups if group.shape[1] > 1]
    count = sum(len(group) for group, _ in products)
    weights = np.zeros(n + count)  # of the players, then of the products
    for group, part in groups:
        if group.shape[1] == 1:
            weights[group[:, 0]] = moebius.coefficients[part]
    rows, columns, data, lower = [], [], [], []
    row, variable = 0, n
    for group, part in products:
        k, order = group.shape
        own = np.arange(variable, variable + k)
        weights[own] = moebius.coefficients[part]
        # product <= each member: k * order rows; product >= sum of members - (order - 1): k rows.
        below = row + np.arange(k * order)
        rows += [below, below]
        columns += [group.ravel(), np.repeat(own, order)]
        data += [np.ones(k * order), -np.ones(k * order)]
        above = row + k * order + np.arange(k)
        rows += [np.repeat(above, order), above]
        columns += [group.ravel(), own]
        data += [-np.ones(k * order), np.ones(k)]
        lower += [np.zeros(k * order), np.full(k, 1.0 - order)]
        row, variable = row + k * (order + 1), variable + k
    goal = weights / effect
    limits = (share, np.inf) if kind == "sufficient" else (-np.inf, 1 - share)
    slack = 1e-9
    constraints = [LinearConstraint(goal, limits[0] - slack, limits[1] + slack)]
    if row:
        links = csr_array(
            (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))),
            shape=(row, n + count),
        )
        constraints.append(LinearConstraint(links, np.concatenate(lower), np.inf))
    cost = np.zeros(n + count)
    cost[:n] = 1.0 if kind == "sufficient" else -1.0
    integrality = np.zeros(n + count)
    integrality[:n] = 1
    result = milp(
        cost, integrality=integrality, bounds=Bounds(0, 1), constraints=constraints,
        options={"time_limit": seconds},
    )  # fmt: skip
    if result.x is None:
        raise InvalidInputError(
            f"no {kind} set was found within {seconds} s ({result.message}); truncate the "
            "spectrum to fewer terms or allow more seconds."
        )
    return result.x[:n] > 0.5, bool(result.status == 0)


def _empty(moebius: MoebiusSpectrum) -> float:
    return float(moebius.coefficients[moebius.supports.orders() == 0].sum())


def _indices(chosen: FloatArray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(chosen).tolist())
