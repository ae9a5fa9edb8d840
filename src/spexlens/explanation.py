"""An explanation: the result of a run, to predict with, read interactions off, print and save."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spexlens.algorithms.base import Design
from spexlens.algorithms.regression import Lasso
from spexlens.core.game import as_values, score_column
from spexlens.core.interactions import Interactions
from spexlens.core.masks import BoolArray, FloatArray, as_masks, read_only
from spexlens.core.spectrum import FourierSpectrum
from spexlens.errors import InvalidInputError
from spexlens.fidelity import Fidelity, compare
from spexlens.files import write_text
from spexlens.indices.table import compute_index
from spexlens.learning_curve import LearningCurve
from spexlens.report.page import fragment, page
from spexlens.run_file import read_fields, write_fields


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "masks", read_only(self.masks))
        object.__setattr__(self, "values", read_only(self.values))
        object.__setattr__(self, "chosen", MappingProxyType(dict(self.chosen)))

    def predict(self, masks: BoolArray) -> FloatArray:
        """What the spectrum says of masks `(m, n)`: values `(m,)`."""
        return self.spectrum(masks)

    def interactions(self, index: str = "FBII", order: int | None = None) -> Interactions:
        """Effects of sets of players under an index; see `spexlens.INDICES` for the names.

        Parameters
        ----------
        index : str
            Any case. FBII (default) and Moebius read as "the extra effect of having all of these
            together", Fourier as deviations from the mean.
        order : int, optional
            Highest order; by default 2 for interaction indices, all for Fourier and Moebius.
        """
        return compute_index(self.spectrum, index, order, self.players)

    def score(self, masks: BoolArray, values: FloatArray) -> Fidelity:
        """Fidelity on unseen masks `(m, n)` with their values `(m,)`."""
        masks = as_masks(masks, len(self.players))
        truth = score_column(as_values(values, masks))
        design = Design(self.masks, p=self.spectrum.p, seed=self.seed)
        linear = Lasso().recover(design, self.values).spectrum
        return compare(truth, self.predict(masks), linear(masks), "given masks")

    def normalised(self, interactions: Interactions) -> Interactions:
        """The interactions in units of the standard deviation of the measured values."""
        spread = float(score_column(self.values).std())
        if spread == 0:
            raise InvalidInputError(
                "the measured values are all equal, so effects cannot be divided by their "
                "standard deviation."
            )
        return interactions.scale(1 / spread)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one JSON file, atomically; `spexlens.load` reads it back."""
        return write_fields(path, {item.name: getattr(self, item.name) for item in fields(self)})

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write a self-contained HTML page: fidelity, ranked interactions, notes."""
        return write_text(path, page(self))

    def __repr__(self) -> str:
        lines = [
            f"Explanation of {len(self.players)} players by {self.algorithm}, "
            f"{self.calls} ablations, {len(self.spectrum)} terms",
            f"fidelity: {self.fidelity}",
            *(f"note: {note}" for note in self.notes),
            repr(self.interactions("FBII")),
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return fragment(self)


def load(path: str | os.PathLike[str]) -> Explanation:
    """Read an explanation that `Explanation.save` wrote.

    Raises
    ------
    InvalidInputError
        When the file is no such explanation, or of a newer version.
    """
    return Explanation(**read_fields(path))
