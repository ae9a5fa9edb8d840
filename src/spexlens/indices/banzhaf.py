"""Banzhaf-type indices, as weights in the Moebius or the Fourier basis at p = 1/2.

Every function gives the weight with which a set of `s` players contributes to one of its subsets of
`t` players, as an exact fraction; `order` is the highest order asked for.
"""

from __future__ import annotations

from fractions import Fraction


def banzhaf_interaction(t: int, s: int, order: int) -> Fraction:
    """BII: the mean discrete derivative over coalitions of the others; Moebius weight 2^(t - s).

    Grabisch and Roubens 1999, An axiomatic approach to the concept of interaction. BV is order 1.
    """
    return Fraction(1, 2 ** (s - t))


def faithful_banzhaf(t: int, s: int, order: int) -> Fraction:
    """FBII: Moebius coefficients of the best fit of at most `order` players; **Fourier** weight.

    The Walsh functions are orthonormal, so the best fit in least squares over all masks drops the
    sets above `order`; what is left is read as Moebius coefficients.
    Tsai, Yeh and Ravikumar 2023, Faith-Shap, theorem 17.
    """
    return Fraction((-2) ** t) if s <= order else Fraction(0)
