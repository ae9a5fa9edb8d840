"""An explanation: the result of a run, to predict with, read interactions off, print and save."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from spexlens._support.files import write_text
from spexlens._support.visible import visible
from spexlens.algorithms.base import Design
from spexlens.algorithms.regression import Lasso
from spexlens.core.game import as_values, score_column
from spexlens.core.interactions import Interactions, as_interactions
from spexlens.core.masks import BoolArray, FloatArray, as_masks, read_only
from spexlens.core.names import find_players
from spexlens.core.sensitivities import Sensitivities
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.units import Units
from spexlens.errors import BlowUpError, InvalidInputError
from spexlens.explanation.fidelity import Fidelity, compare
from spexlens.explanation.file import read_fields, write_fields
from spexlens.explanation.index_reading import part_of, uncovered
from spexlens.explanation.learning_curve import LearningCurve
from spexlens.indices.table import compute_index, default_index, find_index

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Explanation:
    """What drives a game's values, and everything needed to check it, print it, or go on from it.

    Attributes
    ----------
    players : tuple of str
    masks : bool array (m, n)
        Every mask that was measured for the fit or its fidelity.
    values : float array (m,) or (m, q)
        Their values.
    spectrum : FourierSpectrum
        The recovered function; `predict` evaluates it.
    fidelity : Fidelity
        R2 on masks not used for the fit, with interval, and the linear (order-1) R2 beside it.
    algorithm : str
        Name of the algorithm that recovered the spectrum.
    chosen : mapping
        What the algorithm chose from the data, by name.
    notes : tuple of str
        What was downgraded or deserves a second look.
    budget, calls : int
        Calls of the value function that were allowed, and that were made.
    full_value, empty_value : float, optional
        Value with every player present, and with none (the neutral baseline), where measured.
    seed : int
        Of the folds and fits.
    curve : LearningCurve, optional
        Fidelity after every batch, where the run was allowed to stop early.
    manifest : mapping
        What was run: versions, and under "game" what the game tells of itself (model, score, text).
    removal : mapping, optional
        Removal curves: name of a ranking -> (players removed, value) pairs, as `Curve.lines` gives
        them; `dataclasses.replace(explanation, removal=curve.lines())` keeps a curve in the file.
    asked : Interactions, optional
        The index that the run was asked for (`explain(index=…)`), from the posterior itself.
    sensitivities : Sensitivities, optional
        Derivatives of the score that were taken (`explain(gradients=…)`).
    """

    players: tuple[str, ...]
    masks: BoolArray
    values: FloatArray
    spectrum: FourierSpectrum
    fidelity: Fidelity
    algorithm: str
    chosen: Mapping[str, Any]
    notes: tuple[str, ...]
    budget: int
    calls: int
    full_value: float | None
    empty_value: float | None
    seed: int
    curve: LearningCurve | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    removal: Mapping[str, Sequence[tuple[int, float]]] | None = None
    asked: Interactions | None = None
    sensitivities: Sensitivities | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "masks", read_only(self.masks))
        object.__setattr__(self, "values", read_only(self.values))
        object.__setattr__(self, "chosen", MappingProxyType(dict(self.chosen)))
        object.__setattr__(self, "manifest", MappingProxyType(dict(self.manifest)))
        if self.removal is not None:
            object.__setattr__(self, "removal", MappingProxyType(dict(self.removal)))

    def predict(self, masks: BoolArray | Sequence[str]) -> Any:
        """Predict values by the spectrum.

        Parameters
        ----------
        masks : bool array (m, n) or (n,), or sequence of str
            Masks, one mask, or the names of the players that are present (as the tables print
            them), all others being absent.

        Returns
        -------
        float array (m,), or a float for one mask
        """
        n = len(self.players)
        named = isinstance(masks, list | tuple | set | frozenset)
        parts: list[Any] = list(masks) if named or isinstance(masks, np.ndarray) else []
        one = np.zeros((1, n), dtype=bool)
        if named and all(isinstance(name, str) for name in parts):
            one[0, list(find_players(parts, self.players))] = True
        elif len(parts) == n and all(np.ndim(present) == 0 for present in parts):
            one = as_masks([parts], n)
        else:
            return self.spectrum(as_masks(masks, n))
        return float(self.spectrum(one)[0])

    def to_frame(self, index: str | None = None, order: int | None = None) -> pd.DataFrame:
        """Return the effects under an index as a pandas table; see `Interactions.to_frame`."""
        return self.interactions(index, order).to_frame()

    def interactions(self, index: str | None = None, order: int | None = None) -> Interactions:
        """Compute effects of sets of players under an index; see `spexlens.INDICES` for the names.

        Parameters
        ----------
        index : str, optional
            Any case. FBII (default at p = 1/2) and Moebius read as "the extra effect of having all
            of these together", WBII (default at another p) as the mean effect over masks like those
            measured, Fourier as deviations from the mean. An index that was asked for
            (`explain(index=…)`) is the default, and read from the posterior; another one whose
            coalitions the masks do not hold says so in its `note`, and has no intervals.
        order : int, optional
            Highest order; by default 2 for interaction indices, all for Fourier and Moebius.
        """
        if self.asked is not None:
            index = self.asked.index if index is None else index
            found = part_of(self.asked, find_index(index), order)
            if found is not None:
                return found
        found = compute_index(self.spectrum, index, order, self.players)
        highest = int(found.supports.orders().max(initial=1)) if order is None else order
        note = uncovered(find_index(found.index), highest, self.masks)
        return replace(found, std_err=None, note=note) if note else found

    def pairs(self) -> Interactions:
        """Compute singles and pairs, of the index asked for or that which these masks know best.

        An index of single players that was asked for has no pairs, and the other takes its place.
        """
        if self.asked is not None and bool((self.asked.supports.orders() > 1).any()):
            return self.asked.select(self.asked.supports.orders() <= 2)
        return self.interactions(default_index(self.spectrum.p), 2)

    def score(self, masks: BoolArray, values: FloatArray) -> Fidelity:
        """Judge fidelity on unseen masks `(m, n)` with their values `(m,)`."""
        masks = as_masks(masks, len(self.players))
        truth = score_column(as_values(values, masks))
        if len(masks) < 2:
            raise InvalidInputError(f"{len(masks)} masks given; needed at least 2 to judge R2 on.")
        design, units = Design(self.masks, p=self.spectrum.p, seed=self.seed), Units.of(self.values)
        linear = Lasso().recover(design, units.computed(self.values)).in_units(units).spectrum
        return compare(truth, self.predict(masks), linear(masks), "given masks")

    def normalised(self, interactions: Interactions) -> Interactions:
        """Divide the interactions by the standard deviation of the measured values."""
        as_interactions(interactions)
        score = score_column(self.values)
        units = Units.of(score)
        spread = float(units.computed(score).std() * units.scale[0])
        if score.min() == score.max():
            raise InvalidInputError(
                "the measured values are all equal, so effects cannot be divided by their "
                "standard deviation."
            )
        return interactions.scale(1 / spread)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one JSON file, atomically; `spexlens.load` reads it back."""
        return write_fields(path, {item.name: getattr(self, item.name) for item in fields(self)})

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        interactions: Sequence[Interactions] = (),
        manifest: Mapping[str, Any] | None = None,
        text: str | None = None,
        spans: Sequence[tuple[int, int]] | None = None,
        items: Sequence[str] | None = None,
        removal: Mapping[str, Sequence[tuple[int, float]]] | None = None,
    ) -> Path:
        """Write one self-contained HTML page to look at, filter and ask "what if it were removed".

        Parameters
        ----------
        path : path
            Of the file; written atomically.
        interactions : sequence of Interactions, optional
            What the page offers to show, the first at once. By default those of `interactions()`,
            of it and to the highest order found (4 at most; first where larger sets carry a
            twentieth of the recovered variance), and the Fourier coefficients.
        manifest : mapping, optional
            What to tell of the run beyond the explanation's own manifest.
        text, spans : str and n pairs (start, end), optional
            The whole prompt, and where in it every player stands. By default what the manifest
            tells of it; else the players stand one after another, or on a layer × head grid where
            all are named like "L3.H5".
        items : n strings, optional
            What every player is, where its name does not say it (training examples): a text, or a
            thumbnail as a `data:image/png;base64,…` URI.
        removal : mapping, optional
            Removal curves, if other than the explanation's own.

        Returns
        -------
        Path

        Raises
        ------
        InvalidInputError
            When text, spans or items do not fit the players.
        """
        return write_text(
            path,
            _late("report.page").page(
                self, interactions=interactions, manifest=manifest, text=text, spans=spans,
                items=items, removal=self.removal if removal is None else removal,
            ),
        )  # fmt: skip

    def plot(self, name: str | None = None, **options: Any) -> Any:
        """Draw it with a plot of `spexlens.plots.PLOTS`.

        Parameters
        ----------
        name : str, optional
            By default the one that suits the players: a map of layers and heads, two sides for two
            lenses, the text with arcs, else a graph, or bars where no sets of players are sure.
        **options
            Of the plot: `ax`, `k`, `sure`, …

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        UnknownNameError
            For no plot's name.
        InvalidInputError
            For a plot that this explanation has nothing for.
        """
        table = _late("plots.table")
        row = table.suited(self) if name is None else table.PLOTS.find(name)
        arguments = row.arguments(self)
        if arguments is None:
            raise InvalidInputError(
                f"the plot {row.name} is of {row.of}, of which this explanation has none; needed "
                "another, such as explanation.plot('bars')."
            )
        return row.draw(*arguments, **options)

    def __repr__(self) -> str:
        lines = [
            f"Explanation of {len(self.players)} players by {visible(self.algorithm)}, "
            f"{self.calls} ablations, {len(self.spectrum)} terms",
            f"fidelity: {self.fidelity}",
            *(f"note: {visible(note)}" for note in self.notes),
            self._listed(),
        ]
        return "\n".join(lines)

    def _listed(self) -> str:
        """Write the interactions; or why they cannot be listed."""
        try:
            return repr(self.interactions())
        except BlowUpError as error:
            return str(error)

    def _repr_html_(self) -> str:
        html: str = _late("report.notebook").fragment(self)
        return html


def as_explanation(given: object) -> Explanation:
    """Check that an explanation was given.

    Raises
    ------
    InvalidInputError
        For anything else.
    """
    if not isinstance(given, Explanation):
        raise InvalidInputError(
            f"{type(given).__name__} given; needed an Explanation, as spexlens.explain and "
            "spexlens.fit return it."
        )
    return given


def _late(module: str) -> Any:
    """Import a module of the report or the plots late: they are built on explanations."""
    return import_module(f"spexlens.{module}")


def load(path: str | os.PathLike[str]) -> Explanation:
    """Read an explanation that `Explanation.save` wrote.

    Raises
    ------
    InvalidInputError
        When the file is no such explanation, or of a newer version.
    """
    return Explanation(**read_fields(path))
