"""Which effects a picture shows, and how faint: one rule for all of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spexlens.core.interactions import Interactions
from spexlens.core.masks import FloatArray
from spexlens.plots.axes import colour

FAINT = 0.3
"""Opacity of an effect whose 90 % interval holds zero, as a share of a sure one's."""
NEGLIGIBLE = 0.01
"""Share of the strongest effect below which a set of players joins nothing in a picture."""


def opacities(interactions: Interactions) -> FloatArray:
    """Return an opacity for each effect `(K,)`: 1, or `FAINT` where the interval holds zero."""
    doubtful = interactions.holds_zero
    if doubtful is None:
        return np.ones(len(interactions))
    return np.where(doubtful, FAINT, 1.0)


def with_opacity(interactions: Interactions) -> list[tuple[tuple[int, ...], float, float]]:
    """List players, effect and opacity of every set, the strongest first."""
    faint = opacities(interactions)[interactions.ranking()].tolist()
    return [(*item, opacity) for item, opacity in zip(interactions.items(), faint, strict=True)]


def shown(interactions: Interactions, *, sure: bool = False, least: int = 1) -> Interactions:
    """Select the effects of at least `least` players that a picture may show.

    Sets of two or more of them weigh at least a hundredth of the strongest effect: a line for less
    would be as wide as one for nothing. With `sure`, those whose 90 % interval holds zero are left
    out.
    """
    orders = interactions.supports.orders()
    size = np.abs(interactions.effects)
    largest = float(size[orders > 0].max(initial=0.0))
    keep = (orders >= least) & ((orders < 2) | (size >= NEGLIGIBLE * largest))
    if sure and (doubtful := interactions.holds_zero) is not None:
        keep &= ~doubtful
    return interactions.select(keep)


def tints(effects: Iterable[float], opacity: FloatArray) -> list[tuple[str, float]]:
    """Return every effect's colour and opacity, as matplotlib takes them for points."""
    return [(colour(effect), float(share)) for effect, share in zip(effects, opacity, strict=True)]


def singles(interactions: Interactions) -> tuple[FloatArray, FloatArray]:
    """Return every player's own effect, 0 where there is none, and its opacity, both `(n,)`."""
    own, opacity = np.zeros(interactions.supports.n), np.ones(interactions.supports.n)
    alone = interactions.supports.orders() == 1
    players = [members[0] for members in interactions.supports.select(alone).sets()]
    own[players] = interactions.effects[alone]
    opacity[players] = opacities(interactions)[alone]
    return own, opacity
