"""Derivatives of the kernel's Gram matrix by its hyper-parameters, all players at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.transforms.kernel import SpectralKernel, levels


@dataclass(frozen=True, eq=False)
class GradientSums:
    """What the derivatives by the relevances are made of, for weights `(N, N)`.

    Attributes
    ----------
    both, either : float array (n,)
        Weighted kernel entries where player i is present on both sides; on each, summed.
    total : float
        All weighted kernel entries.
    energy : float array (n,)
        `phi_i^T weights phi_i`.
    """

    both: FloatArray
    either: FloatArray
    total: float
    energy: FloatArray


def gradient_sums(x: Any, basis: Any, product: Any, weights: Any) -> tuple[Any, Any, Any, Any]:
    """Return the fields of `GradientSums`, in the operators that numpy arrays and tensors share.

    Parameters
    ----------
    x : array (N, n)
        Masks as 0 and 1.
    basis : array (n, N)
        `fourier_basis` of the masks.
    product : array (N, N)
        `product_gram(kernel, masks, masks)`.
    weights : array (N, N)
        Need not be symmetric: it stands for its symmetric part.
    """
    weighted = weights * product
    both = ((weighted @ x) * x).sum(0)
    either = (weighted.sum(1) + weighted.sum(0)) @ x  # one side counted at a time
    return both, either, weighted.sum(), ((basis @ weights) * basis).sum(1)


def relevance_gradient(
    kernel: SpectralKernel, sums: GradientSums
) -> tuple[FloatArray, float, float]:
    """Return derivatives of `sum_ab weights_ab k(x_a, x_b)` by all w_i, the tilt and `log linear`.

    Returns
    -------
    by_relevance : float array (n,)
        From two N x N x n products for all n (`gradient_sums`).
    by_tilt, by_log_linear : float
    """
    absent, present = levels(kernel)
    w, rho, tilt = kernel.relevances, kernel.rates, kernel.tilt
    slope = (1 - rho) * (1 + rho)
    both, mixed = sums.both, sums.either - 2 * sums.both
    neither = sums.total - sums.either + both
    by_relevance = (
        neither * (absent**2 * slope / (1 + rho * absent**2) - (1 - rho) + 2 * tilt * absent)
        + both * (present**2 * slope / (1 + rho * present**2) - (1 - rho) + 2 * tilt * present)
        + mixed * (-2 + tilt * (absent + present))
    )
    by_tilt = w @ (neither * 2 * absent + both * 2 * present + mixed * (absent + present))
    shared = float(kernel.linear_shares @ sums.energy)
    total = max(float(rho.sum()), np.finfo(float).tiny)
    by_relevance += kernel.linear * slope / total * (sums.energy - shared)
    return by_relevance, float(by_tilt), kernel.linear * shared
