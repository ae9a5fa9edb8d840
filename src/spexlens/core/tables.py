"""A table names the things of one kind; whatever goes through them goes through its rows.

Lookups, errors, the command line's help, `spexlens bench`, the contract tests and the documentation
read the same rows, so that a row is all that a thing needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar, final

from spexlens.errors import InvalidInputError, UnknownNameError


class Row(Protocol):
    """What every row has, whatever else its kind of thing needs."""

    @property
    def name(self) -> str:
        """What it is chosen by."""
        ...

    @property
    def description(self) -> str:
        """What it is, for people, in one line."""
        ...


SomeRow = TypeVar("SomeRow", bound=Row)


@final
class Table(Mapping[str, SomeRow]):
    """Rows by name, in the order in which they were added.

    Parameters
    ----------
    kind : str
        What a row is, for errors: "algorithm".
    rows : iterable of rows
        Each has a `name` of its own and a `description`.

    Raises
    ------
    InvalidInputError
        For a name that stands in the table already.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> pets = Table("pet", [SimpleNamespace(name="dog", description="barks")])
    >>> pets.add(SimpleNamespace(name="cat", description="purrs"))
    >>> pets.find("cat").description, pets.in_words()
    ('purrs', 'dog: barks; cat: purrs')
    >>> pets.find("cow")
    Traceback (most recent call last):
    ...
    spexlens.errors.UnknownNameError: unknown pet 'cow'; known: dog, cat.
    """

    def __init__(self, kind: str, rows: Iterable[SomeRow] = ()) -> None:
        self.kind = kind
        self._rows: dict[str, SomeRow] = {}
        for row in rows:
            self.add(row)

    def add(self, row: SomeRow) -> None:
        """Add a row at the end; from now on its name is known everywhere."""
        if row.name in self._rows:
            raise InvalidInputError(
                f"{self.kind} {row.name!r} stands in the table already; needed another name."
            )
        self._rows[row.name] = row

    def remove(self, name: str) -> None:
        """Take a row out again."""
        del self._rows[self.find(name).name]

    def find(self, name: object) -> SomeRow:
        """Find the row of a name.

        Raises
        ------
        UnknownNameError
            Where no row has it; the message lists those that there are.
        """
        if not isinstance(name, str) or name not in self._rows:
            raise UnknownNameError(self.kind, name, self)
        return self._rows[name]

    def names(self) -> str:
        """Write the names in one line: "local, threads"."""
        return ", ".join(self)

    def in_words(self) -> str:
        """Write names and descriptions in one line: "local: one batch after another; …"."""
        return "; ".join(f"{row.name}: {row.description}" for row in self.values())

    def __getitem__(self, name: str) -> SomeRow:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<{len(self)} rows of the kind {self.kind}: {self.names()}>"
