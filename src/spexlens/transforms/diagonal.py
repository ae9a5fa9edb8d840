"""Indices as functionals on the diagonal of the multilinear extension.

Let `g(q) = E f(x)` with independent `x_i ~ Bernoulli(q_i)`, and `D_T g(q)` its mixed derivative in
the players of T at the point (q, ..., q): the mean discrete derivative of T over masks that keep
each other player with probability q. In Moebius coefficients `D_T g(q) = sum_{S >= T} m(S)
q^(|S| - |T|)`, so that every cardinal-probabilistic index (Grabisch and Roubens 1999) is one
integral over q,

    I_T = integral D_T g(q) mu_t(dq),        integral q^r mu_t(dq) = w(t, t + r),

w being its weights in the Moebius basis (`indices`). Here a signed measure mu is a set of nodes and
weights: Gauss-Legendre nodes under a polynomial density, and atoms, whose derivatives are those of
the polynomial through nearby points (h has values outside of 0 … 1 too).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np

from spexlens.core.masks import FloatArray, read_only
from spexlens.errors import InvalidInputError

_NODES = 32
_RADIUS = 0.01  # within which a derivative is taken: a hundred players make h change over 1 / 100
_POINTS = 9  # of the polynomial whose derivative it is


@dataclass(frozen=True, eq=False)
class Measure:
    """A signed measure over the keep probability: `integral h dmu = sum_k weights_k h(nodes_k)`.

    Attributes
    ----------
    nodes, weights : float arrays (Q,)
    """

    nodes: FloatArray
    weights: FloatArray

    def __post_init__(self) -> None:
        for name in ("nodes", "weights"):
            object.__setattr__(self, name, read_only(np.asarray(getattr(self, name), dtype=float)))

    def __add__(self, other: Measure) -> Measure:
        return Measure(
            np.concatenate([self.nodes, other.nodes]), np.concatenate([self.weights, other.weights])
        )

    def scaled(self, factor: float) -> Measure:
        """Multiply the measure."""
        return Measure(self.nodes, factor * self.weights)

    def moment(self, r: int) -> float:
        """Integrate q^r: the index's Moebius weight of r further players."""
        return float(self.weights @ self.nodes**r)

    def masses(self, others: int) -> FloatArray:
        """Integrate `q^k (1 - q)^(others - k)`, `(others + 1,)`: of a coalition of k others.

        >>> density([1.0]).masses(2).round(9)[1]  # Shapley: 1! 1! / 3!
        np.float64(0.166666667)
        """
        k = np.arange(others + 1)[:, None]
        found: FloatArray = (self.nodes**k * (1 - self.nodes) ** (others - k)) @ self.weights
        return found


def density(coefficients: Sequence[float]) -> Measure:
    """Make the measure with density `sum_k coefficients_k q^k` on 0 … 1.

    >>> round(density([1.0]).moment(3), 12)
    0.25
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes, weights = (nodes + 1) / 2, weights / 2
    return Measure(nodes, weights * np.polynomial.polynomial.polyval(nodes, coefficients))


def atom(q: float, derivative: int = 0) -> Measure:
    """Put all mass at q: `h(q)`, or a derivative of h there, up to the eighth.

    >>> round(atom(0.5, derivative=1).moment(2), 9)
    1.0

    Raises
    ------
    InvalidInputError
        For a higher one, which floats do not hold.
    """
    if derivative == 0:
        return Measure(np.array([q]), np.array([1.0]))
    if derivative >= _POINTS:
        raise InvalidInputError(
            f"the index needs derivative {derivative} at one keep probability; needed at most "
            f"{_POINTS - 1}. Ask for a lower order, or read it from the spectrum: "
            "explanation.interactions(index, order)."
        )
    at = np.cos(np.pi * (np.arange(_POINTS) + 0.5) / _POINTS)
    powers = np.linalg.inv(np.vander(at, increasing=True))  # values -> coefficients
    return Measure(
        q + _RADIUS * at, factorial(derivative) / _RADIUS**derivative * powers[derivative]
    )
