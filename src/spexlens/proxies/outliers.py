"""Values far out of range: a broken ablation must not decide the fit."""

from __future__ import annotations

import numpy as np

from spexlens.core.masks import FloatArray

_OUTLIER = 40.0  # robust standard deviations from the median
_OUTLIER_SHARE = 0.01  # more than these are no outliers
_NORMAL_IQR = 1.349  # interquartile range of a normal variable of unit variance


def tame_outliers(values: FloatArray) -> tuple[FloatArray, str]:
    """Draw a few far outliers of values `(N, q)` in to the furthest other value, and note it.

    An outlier is 40 robust standard deviations (of the interquartile range) from the median.
    Nothing is touched where more than 1 % of the values are, for then they are how the game is.
    """
    outputs = values.reshape(len(values), -1).copy()
    low, middle, high = np.quantile(outputs, [0.25, 0.5, 0.75], axis=0)
    fence = _OUTLIER * (high - low) / _NORMAL_IQR
    far = (np.abs(outputs - middle) > fence) & (fence > 0)
    far &= far.sum(axis=0) <= max(1, int(_OUTLIER_SHARE * len(outputs)))
    if not far.any():
        return outputs, ""
    within = np.where(far, np.nan, outputs)
    drawn = np.clip(outputs, np.nanmin(within, axis=0), np.nanmax(within, axis=0))
    outputs = np.where(far, drawn, outputs)
    if not far[:, 0].any():
        return outputs, ""
    distance = np.abs(values.reshape(len(values), -1)[far[:, 0], 0] - middle[0]).max()
    return outputs, (
        f"{int(far[:, 0].sum())} of {len(outputs)} values are outliers (the furthest is "
        f"{distance / (high - low)[0]:.0f} times as far from the median as the quartiles are from "
        "each other); they were drawn in to the furthest of the others. Check the value function "
        "at these masks."
    )
