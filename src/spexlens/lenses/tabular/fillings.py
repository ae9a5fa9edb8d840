"""What stands in for absent features: rows of a background, and how much each of them counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.core.tables import Table
from spexlens.lenses.tabular.background import Background


@dataclass(frozen=True)
class Filling:
    """One row of the table.

    Attributes
    ----------
    name : str
    description : str
    source : str
    rows : callable
        Background -> the background whose rows are used.
    weights : callable
        Kept cells `(m, d)` and the background -> weights of its rows `(m, b)`, each row's sum 1.
    """

    name: str
    description: str
    source: str
    rows: Callable[[Background], Background]
    weights: Callable[[BoolArray, Background], FloatArray]


def _same(background: Background) -> Background:
    return background


def equal(cells: BoolArray, background: Background) -> FloatArray:
    """Count all rows alike, whatever is kept."""
    return np.full((len(cells), len(background)), 1 / len(background))


def nearest(cells: BoolArray, background: Background) -> FloatArray:
    """Count alike the rows nearest to the explained one in the features that are kept.

    They are the square root of b, and all that are as near as the last of them: all where nothing
    is kept.
    """
    away = cells @ background.squared_distances().T
    count = int(np.ceil(np.sqrt(len(background))))
    last = np.partition(away, count - 1, axis=1)[:, [count - 1]]
    near = away <= last * (1 + 1e-9)
    weights: FloatArray = near / near.sum(axis=1, keepdims=True)
    return weights


FILLINGS: Table[Filling] = Table("value of absent", (
    Filling(
        "marginal", "has the values of every background row in turn; the outputs are averaged",
        "Lundberg, Lee, A unified approach to interpreting model predictions, 2017, eq. (11)",
        _same, equal,
    ),
    Filling(
        "conditional", "has the values of those background rows that are nearest in what is kept",
        "Aas, Jullum, Løland, Explaining individual predictions when features are dependent, "
        "2021, section 3.3",
        _same, nearest,
    ),
    Filling(
        "mean", "has the column's mean, or its commonest category",
        "Lundberg, Lee, A unified approach to interpreting model predictions, 2017, eq. (12)",
        Background.averaged, equal,
    ),
))  # fmt: skip
"""What `absent=` of `tabular_game` names."""
