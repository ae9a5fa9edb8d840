"""A row to explain beside the rows that stand for what is absent, as numbers and back again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray, read_only
from spexlens.errors import InvalidInputError, shown

if TYPE_CHECKING:
    import pandas as pd

_NAME_LENGTH = 30


@dataclass(frozen=True, eq=False)
class Background:
    """One row and b rows of the same d columns, all coded as numbers.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns.
    row : float array (d,)
    rows : float array (b, d)
    categorical : bool array (d,)
        Columns whose numbers are codes, of which only equality means something.
    cells : tuple of str
        The row's cells in words.
    decode : callable
        Codes `(k, d)` -> a table as the model takes it: an array, or a data frame with the columns'
        own types.
    """

    columns: tuple[str, ...]
    row: FloatArray
    rows: FloatArray
    categorical: BoolArray
    cells: tuple[str, ...]
    decode: Callable[[FloatArray], Any]

    @classmethod
    def of(cls, row: Any, table: Any, columns: Sequence[str] | None = None) -> Background:
        """Read a row and a table of other rows.

        Parameters
        ----------
        row : array (d,) or (1, d), pandas Series, data frame of one row, or mapping by column
        table : array (b, d) of numbers, or pandas data frame (b, d)
            Missing cells are allowed: the model sees them as they are.
        columns : sequence of str, optional
            Names of the columns of an array.

        Raises
        ------
        InvalidInputError
            Where row and table have other columns, nothing can be read as numbers, or no row is
            there.
        """
        import pandas as pd

        if isinstance(table, pd.DataFrame):
            if columns is not None:
                raise InvalidInputError(
                    "columns were named for a data frame; its own names are used. Leave them out."
                )
            return cls._of_frame(_one_row(row, table), table)
        numbers, one = _numbers(table, "background"), _numbers(row, "row")
        one = one[0] if one.ndim == 2 and len(one) == 1 else one
        if numbers.ndim != 2 or not len(numbers) or one.shape != numbers.shape[1:] or not one.size:
            raise InvalidInputError(
                f"a row of shape {one.shape} and a background of shape {numbers.shape} were given; "
                "needed (d,) and (b, d): one row, and at least one other row of the same columns."
            )
        names = tuple(map(str, columns)) if columns else tuple(f"x{i}" for i in range(len(one)))
        if len(names) != len(one):
            raise InvalidInputError(
                f"{len(names)} names were given for {len(one)} columns; needed one a column."
            )
        cells = tuple(f"{cell:.4g}" for cell in one)
        nothing = np.zeros(len(one), dtype=bool)
        dtype = np.asarray(table).dtype
        kept = dtype if dtype.kind == "f" else np.dtype(np.float64)
        return cls(names, one, numbers, nothing, cells, lambda codes: codes.astype(kept))

    @classmethod
    def _of_frame(cls, row: pd.DataFrame, table: pd.DataFrame) -> Background:
        import pandas as pd

        if not len(table) or not table.shape[1]:
            raise InvalidInputError(
                f"a background of {len(table)} rows and {table.shape[1]} columns was given; needed "
                "at least one of each."
            )
        coded, kinds, back = [], [], []
        for name in table.columns:
            both = pd.concat([row[name].astype(object), table[name].astype(object)])
            codes, number, decode = _coded(_typed(both, table[name], name))
            coded.append(codes)
            kinds.append(not number)
            back.append(decode)
        codes = np.stack(coded, axis=1)

        def decode_all(codes: FloatArray) -> pd.DataFrame:
            return pd.DataFrame(
                {i: put(codes[:, i]) for i, put in enumerate(back)}, copy=False
            ).set_axis(table.columns, axis=1)

        cells = tuple(_in_words(cell) for cell in row.iloc[0])
        columns = tuple(map(str, table.columns))
        return cls(columns, codes[0], codes[1:], np.array(kinds), cells, decode_all)

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", read_only(self.row))
        object.__setattr__(self, "rows", read_only(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    def sampled(self, most: int, rng: np.random.Generator) -> Background:
        """Draw `most` of the rows, all where there are no more."""
        if len(self) <= most:
            return self
        chosen = np.sort(rng.choice(len(self), most, replace=False))
        return self._with_rows(self.rows[chosen])

    def averaged(self) -> Background:
        """Give the one row of every column's mean, or commonest category; missing ones not counted.

        A column of whole numbers becomes one of fractions.
        """
        middle = np.empty((1, len(self.columns)))
        for i, column in enumerate(self.rows.T):
            there = column[~np.isnan(column)]
            if not len(there):
                middle[0, i] = np.nan
            elif self.categorical[i]:
                codes, counts = np.unique(there, return_counts=True)
                middle[0, i] = codes[counts.argmax()]
            else:
                middle[0, i] = there.mean()
        return self._with_rows(middle)

    def squared_distances(self) -> FloatArray:
        """How far each row is from the one, by column: `(b, d)`.

        Numbers by the variance of the background, categories 0 or 1, as a missing cell beside one
        that is there.
        """
        spread = np.nanstd(self.rows, axis=0)
        with np.errstate(invalid="ignore"):
            away = ((self.rows - self.row) / np.where(spread > 0, spread, 1)) ** 2
        other = (self.rows != self.row) & ~(np.isnan(self.rows) & np.isnan(self.row))
        found: FloatArray = np.where(self.categorical | np.isnan(away), other, away)
        return found

    def identity(self) -> dict[str, Any]:
        """Tell the columns; hash the row and the rows as the model gets them."""
        content = hashlib.sha256()
        for part in (self.row[None], self.rows):
            content.update(repr(part.shape).encode() + part.astype("<f8").tobytes())
            if self.categorical.any():
                content.update(self.decode(part).to_csv(index=False).encode())
        return {"columns": list(self.columns), "content": content.hexdigest()}

    def _with_rows(self, rows: FloatArray) -> Background:
        return Background(self.columns, self.row, rows, self.categorical, self.cells, self.decode)


def _one_row(row: Any, table: pd.DataFrame) -> pd.DataFrame:
    """Make a frame of one row with the columns of the table, in their order."""
    import pandas as pd

    if isinstance(row, Mapping):
        row = pd.Series(dict(row), dtype=object)
    frame = row.to_frame().T if isinstance(row, pd.Series) else row
    if not isinstance(frame, pd.DataFrame) or len(frame) != 1:
        given = f"{len(frame)} rows" if isinstance(frame, pd.DataFrame) else type(row).__name__
        raise InvalidInputError(
            f"the row was given as {given}, the background as a data frame; needed a Series, a "
            "data frame of one row, or a mapping by column, such as background.iloc[0]."
        )
    missing = [name for name in table.columns if name not in frame.columns]
    extra = [name for name in frame.columns if name not in table.columns]
    if missing or extra or not table.columns.is_unique:
        raise InvalidInputError(
            f"the row lacks the columns [{shown(missing)}] of the background and has "
            f"[{shown(extra)}] beside them; needed the same columns, each once."
        )
    return frame[list(table.columns)]


def _typed(both: pd.Series[Any], column: pd.Series[Any], name: object) -> pd.Series[Any]:
    """Give the row's cell and the column below it the column's type."""
    import pandas as pd

    known = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else None
    if known is not None and not pd.isna(both.iloc[0]) and both.iloc[0] not in known:
        raise InvalidInputError(
            f"the row's cell in column {name!r} is {both.iloc[0]!r}, which is none of the "
            "categories of the background's column; add it with cat.add_categories."
        )
    try:
        return both.astype(column.dtype)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the row's cell in column {name!r} is {both.iloc[0]!r}, which is no {column.dtype} as "
            f"in the background ({error}); needed a value of the same type."
        ) from error


def _coded(
    column: pd.Series[Any],
) -> tuple[FloatArray, bool, Callable[[FloatArray], Any]]:
    """Code a column as numbers; tell whether these mean amounts, and give the way back."""
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        numbers = column.to_numpy(dtype=np.float64)

        def as_before(codes: FloatArray) -> Any:
            whole = dtype.kind == "f" or bool((codes % 1 == 0).all())
            return codes.astype(dtype) if whole else codes

        return numbers, True, as_before
    codes, categories = pd.factorize(column, use_na_sentinel=False)
    found: IntArray = codes.astype(np.int64)
    return found.astype(np.float64), False, lambda codes: categories.take(codes.astype(np.int64))


def _numbers(table: Any, told: str) -> FloatArray:
    try:
        array = np.asarray(table)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"their dtype is {array.dtype}")
        return array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(
            f"the {told} of type {type(table).__name__} cannot be read as numbers ({error}); "
            "needed an array of numbers, or row and background from one pandas data frame."
        ) from error


def _in_words(cell: object) -> str:
    if isinstance(cell, float | np.floating):
        return f"{cell:.4g}"
    text = str(cell)
    return text if len(text) <= _NAME_LENGTH else f"{text[: _NAME_LENGTH - 1]}…"
