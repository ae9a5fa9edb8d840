"""Training examples from a file or from scikit-learn, with rows set aside as test points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import IntArray
from spexlens.errors import InvalidInputError
from spexlens.trainers.base import TrainingData

if TYPE_CHECKING:
    import pandas as pd

BUILT_IN = ("digits", "breast_cancer", "wine")
_NAME_LENGTH = 60


@dataclass(frozen=True, eq=False)
class ExampleTable:
    """Features, labels and names of examples.

    Attributes
    ----------
    features : float array (N, d)
        Numbers are standardised; texts are as the embedding gives them.
    labels : array (N,)
    names : tuple of str (N,)
        The text of an example, or its row and label.
    groups : tuple of str (N,), optional
    """

    features: NDArray[Any]
    labels: NDArray[Any]
    names: tuple[str, ...]
    groups: tuple[str, ...] | None = None

    def split(self, test_rows: Sequence[int]) -> tuple[TrainingData, IntArray]:
        """Data with the given rows as test points, and the rows that are trained on `(N - q,)`."""
        count = len(self.labels)
        rows = [int(row) for row in test_rows]
        if not rows or len(set(rows)) < len(rows) or min(rows) < 0 or max(rows) >= count:
            raise InvalidInputError(
                f"test rows {rows} given; needed distinct numbers from 0 to {count - 1}."
            )
        kept = np.delete(np.arange(count), rows)
        data = TrainingData(
            self.features[kept], self.labels[kept], self.features[rows], self.labels[rows]
        )
        return data, kept


def built_in(name: str) -> ExampleTable:
    """One of scikit-learn's tables that come with the package: a name of `BUILT_IN`.

    >>> built_in("wine").features.shape
    (178, 13)
    """
    from sklearn import datasets

    loaders: dict[str, Callable[[], Any]] = {
        "digits": datasets.load_digits,
        "breast_cancer": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
    }
    if name not in loaders:
        raise InvalidInputError(f"{name!r} is no built-in table; known: {', '.join(BUILT_IN)}.")
    bunch = loaders[name]()
    labels = np.asarray(bunch.target_names)[bunch.target]
    names = tuple(f"{row} ({label})" for row, label in enumerate(labels.tolist()))
    return ExampleTable(_standardised(bunch.data), labels, names)


def read_csv(
    path: Path,
    label: str,
    *,
    text: str | None = None,
    group: str | None = None,
    embed: Callable[[Sequence[str]], NDArray[Any]] | None = None,
) -> ExampleTable:
    """Examples from a CSV file with a header.

    Parameters
    ----------
    path : Path
    label : str
        Column of the labels.
    text : str, optional
        Column that `embed` makes features of; by default all columns of numbers are features.
    group : str, optional
        Column whose values are the players.
    embed : callable, optional
        Sentences to features `(N, d)`; needed with `text`.

    Raises
    ------
    InvalidInputError
        For a missing column, or empty cells.
    """
    import pandas as pd

    frame = pd.read_csv(path)
    for column in (label, text, group):
        if column is not None and column not in frame.columns:
            raise InvalidInputError(
                f"{path} has no column {column!r}; it has {', '.join(map(repr, frame.columns))}."
            )
    used = [column for column in (label, text, group) if column is not None]
    empty = frame[used].isna().any(axis=1)
    if empty.any():
        raise InvalidInputError(
            f"{int(empty.sum())} rows of {path} have an empty cell in {', '.join(used)}, the first "
            f"is row {int(np.flatnonzero(empty)[0])}; drop them."
        )
    labels = frame[label].to_numpy()
    labels = labels.astype(str) if labels.dtype.kind not in "biuf" else labels
    groups = None if group is None else tuple(frame[group].astype(str))
    if text is None:
        names = tuple(f"{row} ({value})" for row, value in enumerate(labels.tolist()))
        return ExampleTable(_numbers(frame, [label, group], path), labels, names, groups)
    if embed is None:
        raise InvalidInputError("a text column needs an embedding; give embed=.")
    sentences = frame[text].astype(str).tolist()
    names = tuple(sentence[:_NAME_LENGTH] for sentence in sentences)
    return ExampleTable(np.asarray(embed(sentences), dtype=float), labels, names, groups)


def _numbers(frame: pd.DataFrame, left_out: list[str | None], path: Path) -> NDArray[Any]:
    numbers = frame.drop(columns=[c for c in left_out if c is not None]).select_dtypes("number")
    if not numbers.shape[1]:
        raise InvalidInputError(
            f"{path} has no column of numbers besides the label; name a text column instead."
        )
    return _standardised(numbers.to_numpy(dtype=float))


def _standardised(features: NDArray[Any]) -> NDArray[Any]:
    spread = features.std(axis=0)
    scaled: NDArray[Any] = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return scaled
