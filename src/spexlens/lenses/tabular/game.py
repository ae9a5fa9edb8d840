"""The tabular lens and its subject, and the game that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.arguments import whole
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import BoolArray, FloatArray, as_masks
from spexlens.errors import InvalidInputError
from spexlens.lenses.base import LensGame
from spexlens.lenses.tabular.background import Background
from spexlens.lenses.tabular.fillings import FILLINGS
from spexlens.lenses.tabular.outputs import TabularOutput, tabular_output

_CELLS = 2_000_000  # of the tables that a model is given at once


@dataclass(frozen=True, eq=False)
class TabularLens:
    """Features of one row, alone or in groups; absent ones are filled from a background.

    Parameters
    ----------
    background : Background
    groups : mapping of str to sequence of int, optional
        Players by name, and their columns; by default each column. Columns in no group stay as they
        are.
    absent : str, default "marginal"
        A name of `FILLINGS`.

    Examples
    --------
    >>> lens = TabularLens(Background.of([1.0, 2.0], [[0.0, 0.0], [4.0, 4.0]]))
    >>> lens.players
    ('x0 = 1', 'x1 = 2')
    """

    background: Background
    groups: Mapping[str, Sequence[int]] | None = None
    absent: str = "marginal"

    def __post_init__(self) -> None:
        FILLINGS.find(self.absent)

    @property
    def players(self) -> tuple[str, ...]:
        """Columns with the row's cell, "age = 39", or the groups' names."""
        if self.groups is not None:
            return tuple(self.groups)
        cells = zip(self.background.columns, self.background.cells, strict=True)
        return tuple(f"{column} = {cell}" for column, cell in cells)

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """Tell the kept cells `(m, d)` and the weights of the background's rows `(m, b)`."""
        masks = as_masks(masks, len(self.players))
        cells = masks
        if self.groups is not None:
            cells = np.ones((len(masks), len(self.background.columns)), dtype=bool)
            for kept, columns in zip(masks.T, self.groups.values(), strict=True):
                cells[:, list(columns)] = kept[:, None]
        weights = FILLINGS.find(self.absent).weights(cells, self.background)
        return Interventions(cells=cells, weights=weights)

    def identity(self) -> dict[str, Any]:
        """Tell the groups, the filling, and the background."""
        groups = self.groups and {name: list(columns) for name, columns in self.groups.items()}
        return {
            "lens": "table",
            "absent": self.absent,
            "groups": groups,
            "background": self.background.identity(),
        }

    def describe(self) -> dict[str, Any]:
        """Tell how absent features are filled."""
        return {"lens": "table", "absent": self.absent, "background rows": len(self.background)}


@dataclass(frozen=True, eq=False)
class TabularSubject:
    """The subject made of a model of tables and a background: weighted means of its outputs.

    Parameters
    ----------
    background : Background
    output : TabularOutput
    name : str, optional
        Of the model, under which a store keeps the values.
    """

    background: Background
    output: TabularOutput
    name: str | None = None

    @property
    def needs(self) -> Needs:
        """Kept cells of the row, and weights of the background's rows."""
        rows, columns = self.background.rows.shape
        return Needs({"cells": (columns,), "weights": (rows,)})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure, for every ablation, the weighted mean `(m,)` of outputs over filled rows."""
        cells, weights = self.needs.take(interventions, self)
        weights = np.where(cells.all(axis=1)[:, None], np.eye(1, weights.shape[1]), weights)
        owners, drawn = np.nonzero(weights)  # rows that count nothing are not run
        outputs = np.empty(len(owners))
        step = max(1, _CELLS // cells.shape[1])
        for start in range(0, len(owners), step):
            part = slice(start, start + step)
            table = np.where(
                cells[owners[part]], self.background.row, self.background.rows[drawn[part]]
            )
            outputs[part] = self.output.read(self.background.decode(table))
        shares = weights[owners, drawn] * outputs
        return np.bincount(owners, shares, minlength=len(cells)).astype(np.float64)

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell model, score, and rows run for an ablation at most; nothing is run."""
        return {
            "model": self.name or self.output.model,
            "score": self.output.description,
            "rows for an ablation": len(self.background),
        }

    def identity(self) -> dict[str, Any]:
        """Tell the model's name and the output; an error without a name."""
        if not self.name:
            raise InvalidInputError(
                "a store was given for a model of tables without a name; what it computes cannot "
                "be read off it. Name it: tabular_game(…, name='credit-2026-11')."
            )
        return {"model": self.name, "score": self.output.description}


def tabular_game(
    model: Any,
    row: Any,
    background: Any,
    *,
    absent: str = "marginal",
    output: str | None = None,
    label: Any = None,
    groups: Mapping[str, Sequence[str | int]] | None = None,
    columns: Sequence[str] | None = None,
    most: int = 100,
    name: str | None = None,
    rng: int | np.random.Generator = 0,
) -> LensGame:
    """Make the game of a table's row: which features act together on a model's output.

    The full input is the model's output for the row, the empty one its mean over the background, so
    that Shapley values add up to the difference of the two.

    Parameters
    ----------
    model : estimator or callable
        A fitted model with scikit-learn's interface (LightGBM's, XGBoost's and CatBoost's have it;
        pipelines too), or a function of a table that returns one number, or q, a row.
    row : array (d,), pandas Series, data frame of one row, or mapping by column
    background : array (b, d) of numbers, or pandas data frame (b, d)
        What stands for absent features: training rows, for instance.
    absent : str, default "marginal"
        A name of `FILLINGS`.
    output : str, optional
        "probability", "margin" or "value"; see `tabular_output`.
    label : class or int, optional
        Which class, or which column; the row's likeliest by default.
    groups : mapping of str to sequence of columns, optional
        Several columns as one player; a column in no group stays as it is.
    columns : sequence of str, optional
        Names of an array's columns.
    most : int, default 100
        Rows of the background used at most, drawn once. An ablation runs each of them.
    name : str, optional
        Of the model; a store needs it.
    rng : int or Generator, default 0
        Draws these rows.

    Returns
    -------
    LensGame

    Raises
    ------
    InvalidInputError
        Before anything but the row itself is run; see `Background.of` and `tabular_output`.

    Examples
    --------
    >>> game = tabular_game(lambda x: x[:, 0] * x[:, 1], [2.0, 3.0], [[0.0, 0.0], [1.0, 1.0]])
    >>> game(np.array([[True, True], [True, False], [False, False]])).tolist()
    [6.0, 1.0, 0.5]
    """
    filling = FILLINGS.find(absent)
    whole("most", most)
    every = Background.of(row, background, columns)
    used = filling.rows(every).sampled(most, np.random.default_rng(rng))
    read = tabular_output(model, used.decode(used.row[None]), output, label)
    lens = TabularLens(used, None if groups is None else _columns_of(groups, used), absent)
    return LensGame(lens, TabularSubject(used, read, name))


def _columns_of(
    groups: Mapping[str, Sequence[str | int]], background: Background
) -> dict[str, tuple[int, ...]]:
    """Give the columns of groups by number."""
    places: dict[Any, int] = {column: i for i, column in enumerate(background.columns)}
    places.update((i, i) for i in range(len(background.columns)))
    found: dict[str, tuple[int, ...]] = {}
    seen: set[int] = set()
    for name, given in groups.items():
        members = [given] if isinstance(given, str | int) else list(given)
        unknown = [one for one in members if one not in places]
        numbers = [places[one] for one in members if one in places]
        if unknown or not members or seen & set(numbers) or len(set(numbers)) < len(numbers):
            raise InvalidInputError(
                f"group {name!r} of columns {members} was given; needed at least one column, each "
                f"in one group, of {', '.join(background.columns)}."
            )
        seen |= set(numbers)
        found[str(name)] = tuple(numbers)
    if not found:
        raise InvalidInputError("groups without a group were given; needed at least one, or None.")
    return found
