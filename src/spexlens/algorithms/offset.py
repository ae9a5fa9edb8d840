"""A multiple of the mean derivative taken out of the values before a fit, and put back after it.

For fits that know no prior: what is left is smaller, and has no such linear part to find.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spexlens.algorithms.base import Algorithm, Design, Recovery
from spexlens.core.game import score_column
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.core.sensitivities import Sensitivities
from spexlens.core.spectrum import FourierSpectrum, fourier_basis
from spexlens.core.supports import Supports

MULTIPLE = "multiple of derivatives"


def linear_part(
    told: Sensitivities | None, masks: BoolArray, score: FloatArray
) -> tuple[float, FloatArray]:
    """Return the multiple b of the mean derivative that is in the values, and b times it `(n,)`.

    Least squares, drawn to 0 by its own uncertainty: 1 - 1 / F of it, and nothing below F = 1.

    Examples
    --------
    >>> masks = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [1, 1]], dtype=bool)
    >>> told = Sensitivities(masks[:1], np.array([[1.0, 2.0]]))
    >>> multiple, slopes = linear_part(told, masks, masks @ np.array([3.0, 6.0]))
    >>> round(multiple, 6), slopes.round(6).tolist()
    (3.0, [3.0, 6.0])
    """
    n = masks.shape[1]
    if told is None or len(score) < 3:
        return 0.0, np.zeros(n)
    along = masks @ told.mean
    along = along - along.mean()
    centred = score - score.mean()
    size = float(along @ along)
    if not size > 0:
        return 0.0, np.zeros(n)
    multiple = float(along @ centred) / size
    left = float(((centred - multiple * along) ** 2).sum()) / (len(score) - 2)
    explained = multiple**2 * size
    multiple *= max(0.0, 1.0 - left / explained) if explained > 0 else 0.0
    return multiple, multiple * told.mean


def recover_around(algorithm: Algorithm, design: Design, values: FloatArray) -> Recovery:
    """Recover from what a multiple of the design's mean derivative leaves, and add that."""
    rows = design.fitted
    multiple, slopes = linear_part(
        design.sensitivities, design.masks[rows], score_column(values)[rows]
    )
    if not multiple:
        return algorithm.recover(design, values)
    moved = np.array(values, dtype=np.float64)
    removed = design.masks @ slopes
    if moved.ndim == 1:
        moved -= removed
    else:
        moved[:, 0] -= removed
    found = algorithm.recover(design, moved)
    spectrum = found.spectrum + linear_spectrum(slopes, found.spectrum.p)
    out_of_fold = None if found.out_of_fold is None else found.out_of_fold + removed[rows]
    chosen = {**found.chosen, MULTIPLE: multiple}
    return replace(found, spectrum=spectrum, out_of_fold=out_of_fold, chosen=chosen)


def linear_spectrum(slopes: FloatArray, p: float | FloatArray) -> FourierSpectrum:
    """Return the spectrum of `sum_i slopes_i x_i`."""
    n = len(slopes)
    basis = fourier_basis(np.array([[False] * n, [True] * n]), p)
    coefficients = slopes / (basis[:, 1] - basis[:, 0])
    constant = float(slopes @ np.broadcast_to(p, n))
    supports = Supports(n, (np.zeros((1, 0), dtype=np.int64), np.arange(n)[:, None]))
    return FourierSpectrum(supports, np.append(constant, coefficients), None, p)
