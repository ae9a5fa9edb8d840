"""Sparse spectra of set functions, in the (p-biased) Fourier and in the Moebius basis.

The one statement of the conventions: with `x_i = 1` for a present player,

    Fourier:  f(x) = sum_S F(S) prod_{i in S} phi_i(x)
              phi_i(x) = (p_i - x_i) / sqrt(p_i (1 - p_i))
    Moebius:  f(x) = sum_S m(S) prod_{i in S} x_i

The phi_i are orthonormal when player i is kept with probability p_i. At p = 1/2 they are the
Walsh functions `(-1)^x_i` of the SPEX papers (Kang et al., arXiv 2502.13870, eq. 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from spexlens.core.arguments import whole
from spexlens.core.masks import FloatArray, as_masks, keep_probabilities, read_only
from spexlens.core.supports import Supports, collect_terms, evaluate_terms, terms_from_dict
from spexlens.errors import InvalidInputError

_SQUARABLE = 250  # powers of two from 1 within which squares, and sums of them, are far from limits


def default_players(n: int) -> tuple[str, ...]:
    """Return the names of players nobody named: `"0", "1", …`."""
    return tuple(map(str, range(n)))


def fourier_basis(masks: np.ndarray, p: float | FloatArray = 0.5) -> FloatArray:
    """Compute `phi_i(x)` for every player and mask, players first: `(n, m)` from masks `(m, n)`."""
    keep = keep_probabilities(p, masks.shape[1])[:, None]
    present = -np.sqrt((1 - keep) / keep)
    absent = np.sqrt(keep / (1 - keep))
    return np.where(masks.T, present, absent)


@dataclass(frozen=True, eq=False)
class FourierSpectrum:
    """A sparse function in the Fourier basis; calling it on masks evaluates it.

    Attributes
    ----------
    supports : Supports
        The K sets with a coefficient.
    coefficients : float array (K,)
        F(S), aligned with `supports`; in the units of the game's values.
    std_errors : float array (K,), optional
        Standard error of every coefficient.
    p : float or float array (n,), default 0.5
        Keep probability of the basis.

    Examples
    --------
    >>> xor = FourierSpectrum.from_dict({(): 0.5, (0, 1): -0.5}, n=2)
    >>> import numpy as np
    >>> xor(np.array([[False, False], [True, False], [True, True]])).tolist()
    [0.0, 1.0, 0.0]
    """

    supports: Supports
    coefficients: FloatArray
    std_errors: FloatArray | None = None
    p: float | FloatArray = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "coefficients", _aligned(self.coefficients, self.supports, "coefficients")
        )
        if self.std_errors is not None:
            object.__setattr__(
                self, "std_errors", _aligned(self.std_errors, self.supports, "std_errors")
            )
        if isinstance(self.p, np.ndarray):
            object.__setattr__(self, "p", read_only(keep_probabilities(self.p, self.n)))

    @staticmethod
    def from_dict(
        terms: Mapping[tuple[int, ...], float], n: int, p: float | FloatArray = 0.5
    ) -> FourierSpectrum:
        """Make a spectrum from `{sorted tuple of players: coefficient}`."""
        return FourierSpectrum(*terms_from_dict(terms, n), p=p)

    @property
    def n(self) -> int:
        """Number of players."""
        return self.supports.n

    @property
    def players(self) -> tuple[str, ...]:
        """Index names: a spectrum is itself a game."""
        return default_players(self.n)

    @property
    def constant(self) -> float:
        """F(empty set), 0 where absent: the mean over masks drawn with keep probability p."""
        return float(self.coefficients[self.supports.orders() == 0].sum())

    def __len__(self) -> int:
        return len(self.supports)

    def __call__(self, masks: np.ndarray) -> FloatArray:
        """Return values `(m,)` at bool masks `(m, n)`."""
        supports, used = self.supports.compact()
        masks = as_masks(masks, self.n)[:, used]
        keep = keep_probabilities(self.p, self.n)[used]
        return evaluate_terms(
            supports,
            self.coefficients,
            masks.shape[0],
            lambda rows: fourier_basis(masks[rows], keep),
        )

    def __add__(self, other: FourierSpectrum) -> FourierSpectrum:
        """Sum of two functions over the same players and p; standard errors add as independent."""
        if other.n != self.n or not np.allclose(other.p, self.p):
            raise InvalidInputError(
                f"spectra over n = {self.n}, p = {self.p} and n = {other.n}, p = {other.p} were "
                "added; needed the same players and p. Use transforms.moebius.rebase to change p."
            )
        supports, coefficients = _sum(self, other, self.coefficients, other.coefficients)
        errors = None
        if self.std_errors is not None and other.std_errors is not None:
            size = max(each.max(initial=0.0) for each in (self.std_errors, other.std_errors)) or 1.0
            squares = [(each / size) ** 2 for each in (self.std_errors, other.std_errors)]
            errors = size * np.sqrt(_sum(self, other, *squares)[1])
        return FourierSpectrum(supports, coefficients, errors, self.p)

    def scale(self, factor: float) -> FourierSpectrum:
        """Multiply the function by `factor`."""
        errors = None if self.std_errors is None else self.std_errors * abs(factor)
        return replace(self, coefficients=self.coefficients * factor, std_errors=errors)

    def select(self, keep: np.ndarray) -> FourierSpectrum:
        """Keep only the terms where the bool array `keep` `(K,)` is True."""
        errors = None if self.std_errors is None else self.std_errors[keep]
        return FourierSpectrum(self.supports.select(keep), self.coefficients[keep], errors, self.p)

    def truncate(self, k: int) -> FourierSpectrum:
        """Keep the k largest non-constant terms by magnitude, and always the constant.

        Ties at the cut go to the lower order, then to the lexicographically first.
        """
        k, constant = whole("k", k, least=0), self.supports.orders() == 0
        magnitude = np.where(constant, np.inf, np.abs(self.coefficients))
        rank = np.argsort(-magnitude, kind="stable")
        keep = np.zeros(len(self), dtype=bool)
        keep[rank[: k + int(constant.sum())]] = True
        return self.select(keep)

    def up_to_order(self, order: int) -> FourierSpectrum:
        """Keep the terms of at most `order` players: the best such fit in squares at this p."""
        return self.select(self.supports.orders() <= whole("order", order, least=0))

    def squarable(self) -> tuple[FourierSpectrum, float]:
        """Return a function whose squares a float holds, and the factor that makes this one of it.

        The function itself and 1 unless it is beyond 1e75 or below 1e-75.

        >>> huge = FourierSpectrum.from_dict({(0,): 1e200, (0, 1): 1e200}, 2)
        >>> energy = huge.squarable()[0].energy_by_order()
        >>> (energy / energy.sum()).tolist()
        [0.0, 0.5, 0.5]
        """
        largest = float(np.abs(self.coefficients).max(initial=0.0))
        if largest == 0 or abs(math.log2(largest)) < _SQUARABLE:
            return self, 1.0
        exponent = math.frexp(largest)[1] - 1
        errors = None if self.std_errors is None else np.ldexp(self.std_errors, -exponent)
        scaled = np.ldexp(self.coefficients, -exponent)
        return replace(self, coefficients=scaled, std_errors=errors), math.ldexp(1.0, exponent)

    def energy_by_order(self) -> FloatArray:
        """Sum `F(S)^2` over the sets of each order; from 1 on, they share the variance of masks.

        In squared units of the values: of functions beyond 1e150 or below 1e-150, see `squarable`.
        """
        energy = np.bincount(self.supports.orders(), weights=self.coefficients**2)
        return energy.astype(np.float64)

    def to_dict(self) -> dict[tuple[int, ...], float]:
        """Return `{sorted tuple of players: coefficient}`."""
        return dict(zip(self.supports, self.coefficients.tolist(), strict=True))

    def __repr__(self) -> str:
        orders = self.supports.orders()
        highest = int(orders.max()) if len(orders) else 0
        return (
            f"FourierSpectrum(n={self.n}, terms={len(self)}, highest order={highest}, p={self.p})"
        )


def as_spectrum(given: object) -> FourierSpectrum:
    """Check that a spectrum was given; an explanation holds one."""
    if not isinstance(given, FourierSpectrum):
        raise InvalidInputError(
            f"{type(given).__name__} given; needed a FourierSpectrum, such as explanation.spectrum."
        )
    return given


@dataclass(frozen=True, eq=False)
class MoebiusSpectrum:
    """A sparse function in the Moebius basis (unanimity games); calling it on masks evaluates it.

    Attributes
    ----------
    supports : Supports
    coefficients : float array (K,)
        m(S), the Moebius transform (Harsanyi dividends), aligned with `supports`.

    Examples
    --------
    >>> conjunction = MoebiusSpectrum.from_dict({(0, 1): 2.0}, n=2)
    >>> conjunction(np.array([[True, False], [True, True]])).tolist()
    [0.0, 2.0]
    """

    supports: Supports
    coefficients: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "coefficients", _aligned(self.coefficients, self.supports, "coefficients")
        )

    @staticmethod
    def from_dict(terms: Mapping[tuple[int, ...], float], n: int) -> MoebiusSpectrum:
        """Make a spectrum from `{sorted tuple of players: coefficient}`."""
        return MoebiusSpectrum(*terms_from_dict(terms, n))

    @property
    def n(self) -> int:
        """Number of players."""
        return self.supports.n

    @property
    def players(self) -> tuple[str, ...]:
        """Index names: a spectrum is itself a game."""
        return default_players(self.n)

    def __len__(self) -> int:
        return len(self.supports)

    def __call__(self, masks: np.ndarray) -> FloatArray:
        """Return values `(m,)` at bool masks `(m, n)`."""
        supports, used = self.supports.compact()
        masks = as_masks(masks, self.n)[:, used]
        return evaluate_terms(
            supports, self.coefficients, masks.shape[0], lambda rows: masks[rows].T.astype(float)
        )

    def to_dict(self) -> dict[tuple[int, ...], float]:
        """Return `{sorted tuple of players: coefficient}`."""
        return dict(zip(self.supports, self.coefficients.tolist(), strict=True))

    def __repr__(self) -> str:
        return f"MoebiusSpectrum(n={self.n}, terms={len(self)})"


def _sum(
    a: FourierSpectrum, b: FourierSpectrum, weights_a: FloatArray, weights_b: FloatArray
) -> tuple[Supports, FloatArray]:
    return collect_terms(
        a.n,
        [(group, weights_a[part]) for group, part in a.supports.slices()]
        + [(group, weights_b[part]) for group, part in b.supports.slices()],
    )


def _aligned(values: FloatArray, supports: Supports, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(supports),):
        raise InvalidInputError(
            f"{name} have shape {array.shape}; needed one for each of {len(supports)} sets."
        )
    return read_only(array)
