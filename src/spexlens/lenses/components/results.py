"""Interactions of components as the field reads them: maps, energies, edges and groups."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spexlens._support.files import write_text
from spexlens._support.tables import csv_text
from spexlens.core.interactions import Interactions
from spexlens.core.masks import FloatArray
from spexlens.core.spectrum import FourierSpectrum
from spexlens.errors import InvalidInputError
from spexlens.models.gating.sites import Site

COOPERATIVE, REDUNDANT = "cooperative", "redundant"
_NO_EFFECT = 1e-9  # as a share of the largest: rounding
_COLUMNS = ("source", "target", "effect", "std_err", "kind", "source_layer", "target_layer")


@dataclass(frozen=True, eq=False)
class LayerMap:
    """Numbers of components laid out by layer; NaN where a layer has no such component.

    Attributes
    ----------
    layers : tuple of int (L,)
    effects : float array (L, width)
        Effect of each component alone.
    involvement : float array (L, width)
        Sum of the absolute effects of all sets of two and more that it is part of.
    """

    layers: tuple[int, ...]
    effects: FloatArray
    involvement: FloatArray


@dataclass(frozen=True)
class LayerEnergy:
    """Where the variance of interactions lies: within layers, or between them.

    Attributes
    ----------
    within, across : float
        Sums of squared Fourier coefficients of sets of two and more, all in one layer or not.
    expected_within : float
        The share that would be within layers if the same energy were spread over all pairs.
    by_distance : tuple of float
        The same energy by the distance of a set's first and last layer: 0, 1, ….
    """

    within: float
    across: float
    expected_within: float
    by_distance: tuple[float, ...]

    @property
    def within_share(self) -> float:
        """Share of the energy within layers; NaN without interactions."""
        total = self.within + self.across
        return self.within / total if total else float("nan")


@dataclass(frozen=True)
class Edge:
    """One pair of components.

    Attributes
    ----------
    source, target : str
        The component of the earlier layer first.
    effect : float
    std_err : float or None
    kind : "cooperative" or "redundant"
        Whether the two add more together than apart, or less: backups of each other.
    source_layer, target_layer : int or None
    """

    source: str
    target: str
    effect: float
    std_err: float | None
    kind: str
    source_layer: int | None
    target_layer: int | None


def layer_map(interactions: Interactions, sites: Sequence[Site]) -> LayerMap:
    """Map single effects and involvement in interactions, layer by layer.

    Parameters
    ----------
    interactions : Interactions
        Of a component game; FBII reads best.
    sites : sequence of Site
        Its components, `game.lens.sites`; each must belong to a layer.
    """
    layers = _layers(interactions.supports.n, sites)
    rows = tuple(sorted(set(layers)))
    width = max(layers.count(layer) for layer in rows)
    effects, involvement = np.full((2, len(rows), width), np.nan)
    seen = dict.fromkeys(rows, 0)
    at = []
    for layer in layers:
        at.append((rows.index(layer), seen[layer]))
        seen[layer] += 1
    single, shared = np.zeros(len(layers)), np.zeros(len(layers))
    for group, part in interactions.supports.slices():
        values = interactions.effects[part]
        if group.shape[1] == 1:
            single[group[:, 0]] = values
        elif group.shape[1] > 1:
            np.add.at(shared, group, np.abs(values)[:, None])
    for number, place in enumerate(at):
        effects[place], involvement[place] = single[number], shared[number]
    return LayerMap(rows, effects, involvement)


def layer_energy(spectrum: FourierSpectrum, sites: Sequence[Site]) -> LayerEnergy:
    """Split the interactions' variance: how much is within layers, how far apart the rest is."""
    layers = np.array(_layers(spectrum.n, sites))
    energy = np.zeros(int(layers.max() - layers.min()) + 1)
    for group, part in spectrum.supports.slices():
        if group.shape[1] > 1:
            own = layers[group]
            distance = own.max(axis=1) - own.min(axis=1)
            np.add.at(energy, distance, spectrum.coefficients[part] ** 2)
    counts = np.unique(layers, return_counts=True)[1]
    pairs = len(layers) * (len(layers) - 1) / 2
    expected = float((counts * (counts - 1) / 2).sum() / pairs) if pairs else float("nan")
    return LayerEnergy(float(energy[0]), float(energy[1:].sum()), expected, tuple(energy.tolist()))


def edges(
    interactions: Interactions, sites: Sequence[Site], top: int | None = None
) -> tuple[Edge, ...]:
    """List the pairs, strongest first; at most `top` of them.

    Examples
    --------
    >>> sites = [Site("L0.H0", 0, "a", "input"), Site("L2.H1", 2, "b", "input")]
    >>> found = Interactions.from_dict({(0, 1): -2.0}, "FBII", ["L0.H0", "L2.H1"])
    >>> edges(found, sites)[0].kind
    'redundant'
    """
    _refuse_others(interactions.supports.n, sites)
    pairs = interactions.top(len(interactions) if top is None else top, order=2)
    found = []
    for row in pairs.ranking().tolist():
        effect = float(pairs.effects[row])
        members = sorted(pairs.supports.sets()[row], key=lambda i: (sites[i].layer or 0, i))
        first, last = (sites[i] for i in members)
        error = None if pairs.std_err is None else float(pairs.std_err[row])
        kind = COOPERATIVE if effect >= 0 else REDUNDANT
        found.append(Edge(first.name, last.name, effect, error, kind, first.layer, last.layer))
    return tuple(found)


def write_edges(path: str | Path, found: Sequence[Edge]) -> Path:
    """Write edges to a `.csv` or `.json` file.

    Raises
    ------
    InvalidInputError
        For another ending.
    """
    target = Path(path)
    rows = [vars(edge) for edge in found]
    if target.suffix == ".json":
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    elif target.suffix == ".csv":
        text = csv_text([_COLUMNS, *([row[name] for name in _COLUMNS] for row in rows)], "\n")
    else:
        raise InvalidInputError(f"{target} given for edges; needed a name ending in .csv or .json.")
    return write_text(target, text)


def groups(interactions: Interactions, top: int = 20) -> tuple[tuple[str, ...], ...]:
    """List components that the `top` strongest sets of two and more join, the largest group first.

    Sets without effect, as an exact explanation lists them, join nothing.

    Examples
    --------
    >>> found = Interactions.from_dict({(0, 2): 1.0, (2, 3): -1.0}, "FBII", ["a", "b", "c", "d"])
    >>> groups(found)
    (('a', 'c', 'd'),)
    """
    orders = interactions.supports.orders()
    sizes = np.abs(interactions.effects)
    strongest = interactions.select(
        (orders > 1) & (sizes > _NO_EFFECT * sizes.max(initial=0.0))
    ).top(top)
    found: list[set[int]] = []
    for members in strongest:
        joined = set(members).union(*(group for group in found if group & set(members)))
        found = [*(group for group in found if not group & joined), joined]
    found.sort(key=lambda group: (-len(group), min(group)))
    return tuple(tuple(interactions.players[i] for i in sorted(group)) for group in found)


def _layers(n: int, sites: Sequence[Site]) -> list[int]:
    _refuse_others(n, sites)
    layers = [site.layer for site in sites if site.layer is not None]
    if len(layers) != len(sites):
        raise InvalidInputError(
            "some sites belong to no layer (named modules); needed heads, MLPs, neurons or layers."
        )
    return layers


def _refuse_others(n: int, sites: Sequence[Site]) -> None:
    if len(sites) != n:
        raise InvalidInputError(
            f"{len(sites)} sites given for {n} players; needed those of the game, game.lens.sites."
        )
