"""Training examples from a file or from scikit-learn, with rows set aside as test points."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import IntArray
from spexlens.errors import InvalidInputError, shown
from spexlens.trainers.base import TrainingData

if TYPE_CHECKING:
    import pandas as pd

BUILT_IN = ("digits", "breast_cancer", "wine")
_NAME_LENGTH = 60
_IDENTIFIER = re.compile(r"(id|idx|index|row|no|number|unnamed.*|.*[_ -]id|uuid)")


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
    used : tuple of str
        Columns that the features were made of.
    dropped : mapping of str to str
        Columns that were not used, and why.
    """

    features: NDArray[Any]
    labels: NDArray[Any]
    names: tuple[str, ...]
    groups: tuple[str, ...] | None = None
    used: tuple[str, ...] = ()
    dropped: Mapping[str, str] = field(default_factory=dict)

    def first(self, count: int, rows: Sequence[int]) -> ExampleTable:
        """Keep the first `count` rows, and of those behind them the given ones, numbered from 0."""
        behind = len(self.labels) - count
        if not rows or min(rows) < 0 or max(rows) >= behind:
            raise InvalidInputError(
                f"test rows {list(rows)} of a second file given; it has rows 0 to {behind - 1}."
            )
        kept = [*range(count), *(count + row for row in rows)]
        groups = None if self.groups is None else tuple(self.groups[i] for i in kept)
        names = tuple(self.names[i] for i in kept)
        return replace(
            self, features=self.features[kept], labels=self.labels[kept], names=names, groups=groups
        )

    def split(self, test_rows: Sequence[int]) -> tuple[TrainingData, IntArray]:
        """Split off the given rows as test points: the data, and the rows trained on `(N - q,)`."""
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
    """Load one of scikit-learn's tables that come with the package: a name of `BUILT_IN`.

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


def count_rows(path: Path) -> int:
    """Count the rows of a CSV file below its header."""
    return len(_cells(path))


def read_csv(
    path: Path,
    label: str,
    *,
    text: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
    embed: Callable[[Sequence[str]], NDArray[Any]] | None = None,
    more: Path | None = None,
) -> ExampleTable:
    """Read examples from a CSV file with a header, in UTF-8.

    Nothing is guessed: only an empty cell is empty ("NA" and "None" are labels and texts like any
    other), a column that is numbers but for a few cells is an error, and `dropped` tells what was
    left out.

    Parameters
    ----------
    path : Path
    label : str
        Column of the labels.
    text : str, optional
        Column that `embed` makes features of; by default all columns of numbers are features, but
        for those that number the rows.
    group : str, optional
        Column whose values are the players.
    drop : sequence of str
        Columns to leave out.
    embed : callable, optional
        Sentences to features `(N, d)`; needed with `text`.
    more : Path, optional
        A second file with the same columns, whose rows come behind those of the first.

    Raises
    ------
    InvalidInputError
        For a file that is no CSV in UTF-8, a missing column, empty cells, or a column of numbers
        in which some cells are none; the message names column, row and cell.
    """
    frame = _cells(path)
    if more is not None:
        frame = _with_more(frame, path, more)
    for column in (label, text, group, *drop):
        if column is not None and column not in frame.columns:
            raise InvalidInputError(
                f"{path} has no column {column!r}; it has {', '.join(map(repr, frame.columns))}. "
                "Columns are told apart by commas, not semicolons or tabs."
            )
    if not len(frame):
        raise InvalidInputError(f"{path} has a header and no rows; needed examples below it.")
    for column in (label, text, group):
        if column is not None:
            _refuse_empty(frame[column], path)
    labels = frame[label].to_numpy(dtype=str)
    numbers = _as_numbers(frame[label])
    if not np.isnan(numbers).any():
        whole = (numbers % 1 == 0).all()
        labels = numbers.astype(np.int64) if whole else numbers
    groups = None if group is None else tuple(frame[group])
    if text is None:
        columns, dropped = _feature_columns(frame, (label, group), tuple(drop), path)
        features, used = np.stack(list(columns.values()), axis=1), tuple(columns)
        names = tuple(f"{row} ({value})" for row, value in enumerate(labels.tolist()))
        return ExampleTable(_standardised(features), labels, names, groups, used, dropped)
    if embed is None:
        raise InvalidInputError("a text column needs an embedding; give embed=.")
    sentences = frame[text].tolist()
    names = tuple(sentence[:_NAME_LENGTH] for sentence in sentences)
    rest = [column for column in frame.columns if column not in (label, text, group)]
    dropped = dict.fromkeys(rest, f"the features are those of {text!r}")
    embedded = np.asarray(embed(sentences), dtype=float)
    return ExampleTable(embedded, labels, names, groups, (text,), dropped)


def _cells(path: Path) -> pd.DataFrame:
    """Every cell of a CSV file as the text that stands there."""
    import pandas as pd

    options: dict[str, Any] = {
        "dtype": str, "keep_default_na": False, "index_col": False, "encoding": "utf-8-sig",
    }  # fmt: skip
    try:
        header = pd.read_csv(path, header=None, nrows=1, **options)
        frame: pd.DataFrame = pd.read_csv(path, **options)
    except UnicodeDecodeError as error:
        wide = path.read_bytes()[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        raise InvalidInputError(
            f"{path} is not in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8, for "
            f"example with iconv -f {'utf-16' if wide else 'latin1'} -t utf-8."
        ) from error
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise InvalidInputError(f"{path} cannot be read as CSV: {error}.") from error
    names = header.iloc[0].tolist()
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInputError(
            f"{path} has the columns {', '.join(map(repr, twice))} more than once; needed a name "
            "of its own for each. Rename or delete them."
        )
    return frame


def _with_more(frame: pd.DataFrame, path: Path, more: Path) -> pd.DataFrame:
    import pandas as pd

    second = _cells(more)
    if missing := [name for name in frame.columns if name not in second.columns]:
        raise InvalidInputError(
            f"{more} lacks the columns {shown(missing)} of {path}; needed the same columns in both."
        )
    return pd.concat([frame, second[list(frame.columns)]], ignore_index=True)


def _refuse_empty(column: pd.Series[str], path: Path) -> None:
    empty = np.flatnonzero(column.str.strip() == "")
    if len(empty):
        raise InvalidInputError(
            f"{len(empty)} of {len(column)} rows of {path} have an empty cell in column "
            f"{column.name!r}, the first is row {empty[0]}; fill or drop them."
        )


def _as_numbers(column: pd.Series[str]) -> NDArray[np.float64]:
    """Its cells as finite numbers `(N,)`, NaN where one is none."""
    import pandas as pd

    numbers = pd.to_numeric(column.str.strip(), errors="coerce").to_numpy(dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _feature_columns(
    frame: pd.DataFrame, taken: tuple[str | None, ...], drop: tuple[str, ...], path: Path
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """Columns to use, with their numbers, and why each other one is not."""
    used: dict[str, NDArray[np.float64]] = {}
    dropped = dict.fromkeys(drop, "as asked")
    for name in frame.columns:
        if name in taken or name in dropped:
            continue
        column = frame[name]
        numbers = _as_numbers(column)
        other = np.flatnonzero(np.isnan(numbers))
        if not len(other):
            if _numbers_rows(name, numbers):
                dropped[name] = "it numbers the rows"
            else:
                used[name] = numbers
        elif not np.isnan(_as_numbers(column.str.replace(",", ".", regex=False))).any():
            raise InvalidInputError(
                f"column {name!r} of {path} has thousands or decimal commas, the first is "
                f"{column.iloc[other[0]]!r} in row {other[0]}; write decimal commas as points and "
                "thousands without any, or leave the column out (drop, --drop)."
            )
        elif len(other) < len(column) / 2:
            raise InvalidInputError(
                f"column {name!r} of {path} holds numbers but for {len(other)} of {len(column)} "
                f"cells, the first is {column.iloc[other[0]]!r} in row {other[0]}; mend or drop "
                "these rows, or leave the column out (drop, --drop)."
            )
        else:
            dropped[name] = "it is no column of numbers"
    if not used:
        reasons = "".join(f" {name!r}: {reason}." for name, reason in dropped.items())
        raise InvalidInputError(
            f"{path} has no column of numbers besides the label; name a text column instead."
            + reasons
        )
    return used, dropped


def _numbers_rows(name: str, numbers: NDArray[np.float64]) -> bool:
    """Whether a column of numbers is a running number or an identifier, and no measurement."""
    distinct = len(np.unique(numbers)) == len(numbers)
    running = len(numbers) > 2 and bool((np.diff(numbers) == 1).all())
    return distinct and (running or _IDENTIFIER.fullmatch(name.strip().lower()) is not None)


def _standardised(features: NDArray[Any]) -> NDArray[Any]:
    spread = features.std(axis=0)
    scaled: NDArray[Any] = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return scaled
