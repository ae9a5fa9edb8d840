"""How often players are present in given masks, and the keep probability that this tells."""

from __future__ import annotations

import numpy as np
import scipy  # its submodules load on first use

from spexlens.core.masks import BoolArray, FloatArray, keep_probabilities

_SLIGHT, _MARKED = 0.02, 0.05  # of all players together, of one player
_UNLIKELY = 1e-4  # of deviations by chance


def learn_keep_probability(masks: BoolArray) -> float | FloatArray:
    """Learn p from masks `(m, n)`: 1/2 or one number where that explains them, else one a player.

    Examples
    --------
    >>> from spexlens.core.masks import all_masks
    >>> learn_keep_probability(all_masks(3))
    0.5
    >>> learn_keep_probability(np.array([[True, True], [True, False], [False, True]] * 20))
    0.6666666666666666
    """
    pooled = float(masks.mean()) if masks.size else 0.5
    common = 0.5 if _explained(masks, 0.5) else float(np.clip(pooled, *_within(masks)))
    if _players_explained(masks, common):
        return common
    each: FloatArray = (masks.sum(axis=0) + 0.5) / (len(masks) + 1)
    return each


def contradicts(masks: BoolArray, p: float | FloatArray) -> bool:
    """Tell whether masks `(m, n)` were hardly drawn at keep probability p."""
    return not (_explained(masks, p) and _players_explained(masks, p))


def presence_in_words(masks: BoolArray) -> str:
    """Write what share of the players the masks keep, and of single players where these differ.

    >>> presence_in_words(np.array([[True, True], [True, False]]))
    'keep 75 % of the players (player 0 in 100 %, player 1 in 50 % of the masks)'
    """
    shares = masks.mean(axis=0)
    told = f"keep {shares.mean():.0%} of the players".replace("%", " %")
    most, least = int(shares.argmax()), int(shares.argmin())
    if shares[most] - shares[least] <= 4 * _MARKED:
        return told
    extremes = f"player {most} in {shares[most]:.0%}, player {least} in {shares[least]:.0%} of"
    return f"{told} ({extremes.replace('%', ' %')} the masks)"


def _within(masks: BoolArray) -> tuple[float, float]:
    """Bounds that keep p off 0 and 1 where every player is present, or none."""
    return 0.5 / (masks.size + 1), 1 - 0.5 / (masks.size + 1)


def _explained(masks: BoolArray, p: float | FloatArray) -> bool:
    """Whether the mean presence is that of p, by the spread of the masks' own shares."""
    shares = masks.mean(axis=1)
    expected = float(keep_probabilities(p, masks.shape[1]).mean())
    error = float(shares.std()) / len(masks) ** 0.5
    return bool(abs(float(shares.mean()) - expected) <= max(_SLIGHT, 4 * error))


def _players_explained(masks: BoolArray, p: float | FloatArray) -> bool:
    """Whether each player's presence is that of p, as independent draws would have it."""
    keep = keep_probabilities(p, masks.shape[1])
    away = masks.mean(axis=0) - keep
    if np.abs(away).max() <= _MARKED:
        return True
    statistic = float(np.sum(away**2 / (keep * (1 - keep)))) * len(masks)
    return bool(scipy.special.chdtrc(len(keep), statistic) > _UNLIKELY)
