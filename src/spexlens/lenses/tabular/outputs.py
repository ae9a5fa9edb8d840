"""Which number is read off a model of tables: a probability, a margin or a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError, UnknownNameError, shown

OUTPUTS = {
    "probability": "probability of a class",
    "margin": "decision function for a class, or the log-odds of its probability",
    "value": "what the function or predict returns",
}
"""What `output=` of `tabular_game` names."""


@runtime_checkable
class GivesProbabilities(Protocol):
    """A classifier with scikit-learn's interface."""

    @property
    def classes_(self) -> Any:
        """The classes, in the order of the columns."""
        ...

    def predict_proba(self, table: Any, /) -> Any:
        """Give probabilities `(k, classes)`."""
        ...


@runtime_checkable
class GivesDecisions(Protocol):
    """A classifier with a decision function."""

    @property
    def classes_(self) -> Any:
        """The classes, in the order of the columns."""
        ...

    def decision_function(self, table: Any, /) -> Any:
        """Give margins `(k,)` for the second of two classes, or `(k, classes)`."""
        ...


@runtime_checkable
class Predicts(Protocol):
    """An estimator that predicts numbers."""

    def predict(self, table: Any, /) -> Any:
        """Give predictions `(k,)`."""
        ...


@dataclass(frozen=True)
class TabularOutput:
    """A function of a table that gives one number a row.

    Attributes
    ----------
    read : callable
        Table of k rows -> array `(k,)`.
    model, description : str
        What is asked, and what a value is, for people.
    """

    read: Callable[[Any], FloatArray]
    model: str
    description: str


def tabular_output(
    model: Any, one: Any, output: str | None = None, label: Any = None
) -> TabularOutput:
    """Find the number to read off a model or function; it is asked once, of one row.

    Parameters
    ----------
    model : estimator or callable
        With scikit-learn's interface, or table -> `(k,)` or `(k, classes)`.
    one : table of one row
        The row to explain.
    output : str, optional
        A key of `OUTPUTS`; by default a probability where there is one.
    label : class or int, optional
        Class of a classifier, or column of a function; by default the likeliest, or largest, for
        this row.

    Raises
    ------
    InvalidInputError
        For what is neither, an output that it has not, or an unknown class; names what it has.
    """
    if output is not None and output not in OUTPUTS:
        raise UnknownNameError("output", output, OUTPUTS)
    name = type(model).__name__
    classifies = isinstance(model, GivesProbabilities | GivesDecisions)
    if output is None:
        output = "value"
        if classifies:
            output = "probability" if isinstance(model, GivesProbabilities) else "margin"
    if output == "value":
        function = model.predict if isinstance(model, Predicts) else model
        if not callable(function) or isinstance(model, type):
            raise InvalidInputError(
                f"model = {model!r} given; needed a fitted estimator with predict, or a function "
                "of a table (k, d) that returns (k,)."
            )
        told = name if function is not model else getattr(model, "__name__", name)
        first = _columns(function(one), 1)
        if first.shape[1] == 1:
            if label is not None:
                raise InvalidInputError(
                    f"label = {label!r} was given, but {told} returns one number a row; leave it "
                    "out."
                )
            return TabularOutput(lambda table: _columns(function(table))[:, 0], told, "output")
        column = int(first[0].argmax()) if label is None else label
        if column not in range(first.shape[1]):
            raise UnknownNameError("column", column, [str(i) for i in range(first.shape[1])])
        return TabularOutput(
            lambda table: _columns(function(table))[:, column], told, f"output {column}"
        )
    if output == "probability" and isinstance(model, GivesProbabilities):
        column, of = _class(model.classes_, model.predict_proba(one), label)
        return TabularOutput(
            lambda table: _columns(model.predict_proba(table))[:, column],
            name,
            f"probability of {of!r}",
        )
    if output == "margin" and isinstance(model, GivesDecisions):
        column, of = _class(model.classes_, _decisions(model, one), label)
        return TabularOutput(
            lambda table: _decisions(model, table)[:, column], name, f"decision function for {of!r}"
        )
    if output == "margin" and isinstance(model, GivesProbabilities):
        column, of = _class(model.classes_, model.predict_proba(one), label)
        return TabularOutput(
            lambda table: _log_odds(_columns(model.predict_proba(table))[:, column]),
            name,
            f"log-odds of {of!r}",
        )
    raise InvalidInputError(
        f"output = {output!r} of {name} was asked for, which has no predict_proba"
        f"{'' if output == 'probability' else ' and no decision_function'}; needed a classifier "
        "with it, or output='value'."
    )


def _class(classes: Any, first: Any, label: Any) -> tuple[int, Any]:
    """Find the column of a class, and its name."""
    known = np.asarray(classes).tolist()
    if label is None:
        column = int(_columns(first)[0].argmax())
    elif label in known:
        column = known.index(label)
    else:
        raise InvalidInputError(
            f"label = {label!r} given; needed one of the model's classes: {shown(known, 12)}."
        )
    return column, known[column]


def _decisions(model: GivesDecisions, table: Any) -> FloatArray:
    """Margins `(k, classes)`; of two classes that of the second, and its negative."""
    found = np.asarray(model.decision_function(table), dtype=np.float64)
    return np.stack([-found, found], axis=1) if found.ndim == 1 else found


def _log_odds(probability: FloatArray) -> FloatArray:
    if (probability <= 0).any() or (probability >= 1).any():
        raise InvalidInputError(
            "a probability is 0 or 1, whose log-odds are infinite; use output='probability'."
        )
    odds: FloatArray = np.log(probability) - np.log1p(-probability)
    return odds


def _columns(found: Any, rows: int | None = None) -> FloatArray:
    """Read what a model returned as `(k, q)`."""
    try:
        array = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the model returned {type(found).__name__}, which is no array of numbers ({error}); "
            "needed one number a row: of a classifier without probabilities, give a function."
        ) from error
    columns = array[:, None] if array.ndim == 1 else array
    if columns.ndim != 2 or (rows is not None and len(columns) != rows):
        raise InvalidInputError(
            f"the model returned shape {array.shape} for {rows or 'several'} row(s); needed (k,) "
            "or (k, q): one result a row."
        )
    return columns
