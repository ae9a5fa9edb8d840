"""The noise of a game that masks measured more than once reveal, and what it makes of a full table.

A full table is fitted exactly, its noise with it: without repeats nobody can tell the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy  # its submodules load on first use

from spexlens.algorithms.exact import full_variances
from spexlens.core.game import score_column
from spexlens.core.masks import (
    BoolArray,
    FloatArray,
    IntArray,
    mask_codes,
    masks_from_sets,
    unique_masks,
)
from spexlens.core.units import Units
from spexlens.explanation.fidelity import Fidelity
from spexlens.explanation.stopping import Round


@dataclass(frozen=True, eq=False)
class Repeats:
    """Noise of single values, from masks measured more than once.

    Attributes
    ----------
    deviation : float
        Standard deviation, pooled over the masks, in units of the values.
    degrees : int
        Measurements beyond the first of each mask.
    masks : bool array (k, n)
        The distinct masks.
    counts : int array (k,)
        How often each was measured.
    """

    deviation: float
    degrees: int
    masks: BoolArray
    counts: IntArray

    @property
    def note(self) -> str:
        """What to tell of it."""
        return (
            f"{self.degrees} masks were measured more than once; their values differ with standard "
            f"deviation {self.deviation:.3g} (the noise of the game). Their means were "
            "fitted, and R2 is that of the means, each mask counted once."
        )


def merged(masks: BoolArray, values: FloatArray) -> tuple[BoolArray, FloatArray, Repeats | None]:
    """Give each distinct mask once, with the mean of its values, and the noise that repeats tell.

    Copies of a mask on both sides of a fold would be judged on what was fitted.

    Parameters
    ----------
    masks : bool array (m, n)
    values : float array (m,) or (m, q)
        The noise is that of column 0.
    """
    distinct, group = unique_masks(masks)
    degrees = len(masks) - len(distinct)
    if not degrees:
        return masks, values, None
    counts = np.bincount(group)
    columns = values.reshape(len(values), -1)
    means = np.stack([np.bincount(group, column) / counts for column in columns.T], axis=1)
    score = score_column(values)
    units = Units.of(score)
    computed = units.computed(score)
    away = computed - (np.bincount(group, computed) / counts)[group]
    deviation = float(np.sqrt(np.sum(away**2) / degrees) * units.scale[0])
    repeats = Repeats(deviation, degrees, distinct, counts)
    return distinct, means[:, 0] if values.ndim == 1 else means, repeats


def with_noise(last: Round, repeats: Repeats) -> Round:
    """Give an exact round the standard errors and the fidelity that its noise leaves.

    R2 is that of values measured anew, as often: both have the noise of the means. With V the
    variance of the means over all masks, s2 their mean noise and E_K the energy of K fitted terms
    of 2^n, `R2 = (E_K - 2 s2 K / 2^n) / V`.
    """
    design, recovery = last.design, last.recovery
    shares = 1 / repeats.counts[np.argsort(mask_codes(repeats.masks))]
    errors = repeats.deviation * np.sqrt(full_variances(shares, design.p))
    terms = masks_from_sets(recovery.spectrum.supports, design.n)
    spectrum = replace(recovery.spectrum, std_errors=errors[mask_codes(terms)])
    return replace(
        last,
        recovery=replace(recovery, spectrum=spectrum),
        fidelity=_fidelity(last, repeats.deviation, float(shares.mean()), repeats.degrees),
    )


def _fidelity(last: Round, deviation: float, mean_share: float, degrees: int) -> Fidelity:
    units = Units.of(last.values)
    total = float(units.computed(score_column(last.values)).var())
    share = mean_share * (deviation / float(units.scale[0])) ** 2 / total if total else 0.0
    n, told = last.design.n, last.fidelity
    linear = 2 * (n + 1) / 2**n
    least, most = share * degrees / scipy.special.chdtri(degrees, np.array([0.05, 0.95]))
    return replace(
        told,
        r2=1 - 2 * share, r2_lower=1 - 2 * most, r2_upper=1 - 2 * least,
        linear_r2=told.linear_r2 - linear * share,
        linear_lower=told.linear_r2 - linear * most,
        linear_upper=told.linear_r2 - linear * least,
        gain_lower=1 - told.linear_r2 - (2 - linear) * most,
        gain_upper=1 - told.linear_r2 - (2 - linear) * least,
        method="all masks measured, the noise from those measured more than once",
    )  # fmt: skip
