"""Interactions: a ranked, read-only mapping from player sets to effects, with intervals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from spexlens._support.visible import visible
from spexlens.core.arguments import whole
from spexlens.core.masks import BoolArray, FloatArray, IntArray, read_only
from spexlens.core.supports import Supports, terms_from_dict
from spexlens.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

Z90 = 1.6448536269514722  # a 90 % normal interval reaches this many standard errors each way
_SHOWN_TEXT, _SHOWN_HTML = 10, 20
_LABEL_LENGTH = 120
_POSITIVE, _NEGATIVE = "#2f88c8", "#d55e00"  # bars stand out from light and dark notebooks


@dataclass(frozen=True, eq=False, repr=False)
class Interactions(Mapping[tuple[int, ...], float]):
    """Effects of sets of players under one index, iterated from the strongest to the weakest.

    A key is a sorted tuple of player indices; a missing key is *absent* (nothing was recovered
    there), which differs from an effect of zero. The empty set, where an index defines it, comes
    last in the ranking and never among `top`.

    Attributes
    ----------
    supports : Supports
        The K sets, in canonical order.
    effects : float array (K,)
        Aligned with `supports`; in the units of the game's values (squared for Influence).
    index : str
        Name of the index, as in `spexlens.INDICES`.
    players : tuple of str
        Names of the n players.
    std_err : float array (K,), optional
        Standard errors of the effects.
    note : str
        What to doubt of all of them; "" where nothing is.

    Examples
    --------
    >>> effects = Interactions.from_dict({(0,): 1.0, (0, 1): -2.0}, "Moebius", ["not", "good"])
    >>> effects.top(1).to_dict()
    {(0, 1): -2.0}
    """

    supports: Supports
    effects: FloatArray
    index: str
    players: tuple[str, ...]
    std_err: FloatArray | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("effects", "std_err"):
            given = getattr(self, name)
            if given is None:
                continue
            array = np.asarray(given, dtype=np.float64)
            if array.shape != (len(self.supports),):
                raise InvalidInputError(
                    f"{name} has shape {array.shape}; needed one for each of "
                    f"{len(self.supports)} sets."
                )
            object.__setattr__(self, name, read_only(array))
        if len(self.players) != self.supports.n:
            raise InvalidInputError(
                f"{len(self.players)} player names given; needed {self.supports.n}."
            )

    @staticmethod
    def from_dict(
        effects: Mapping[tuple[int, ...], float], index: str, players: Sequence[str]
    ) -> Interactions:
        """Make interactions from `{sorted tuple of players: effect}`."""
        return Interactions(
            *terms_from_dict(effects, len(players)), index=index, players=tuple(players)
        )

    # -- the mapping ---------------------------------------------------------------------------

    def __getitem__(self, players: tuple[int, ...]) -> float:
        return float(self.effects[self._number[tuple(players)]])

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        sets = self._sets
        return (sets[i] for i in self.ranking())

    def __len__(self) -> int:
        return len(self.supports)

    @cached_property
    def _sets(self) -> list[tuple[int, ...]]:
        return self.supports.sets()

    @cached_property
    def _number(self) -> dict[tuple[int, ...], int]:
        return {players: i for i, players in enumerate(self._sets)}

    # -- ranking and selection -------------------------------------------------------------------

    def ranking(self) -> IntArray:
        """Rank terms by falling magnitude; ties go to the lower order; the empty set is last."""
        magnitude = np.where(self.supports.orders() == 0, -1.0, np.abs(self.effects))
        return np.argsort(-magnitude, kind="stable")

    def top(self, k: int = 10, order: int | None = None) -> Interactions:
        """Return the k strongest sets (of exactly `order` players, if given), never the empty set.

        The result is a smaller `Interactions`, itself ranked.
        """
        k = whole("k", k, least=0)
        order = None if order is None else whole("order", order)
        orders = self.supports.orders()
        wanted = orders > 0 if order is None else (orders == order) & (orders > 0)
        ranking = self.ranking()
        keep = np.zeros(len(self), dtype=bool)
        keep[ranking[wanted[ranking]][:k]] = True
        return self.select(keep)

    def select(self, keep: BoolArray) -> Interactions:
        """Keep the sets where the bool array `keep` `(K,)`, aligned with `supports`, is True."""
        std_err = None if self.std_err is None else self.std_err[keep]
        return Interactions(
            self.supports.select(keep),
            self.effects[keep],
            self.index,
            self.players,
            std_err,
            self.note,
        )

    def scale(self, factor: float) -> Interactions:
        """Multiply all effects by `factor`; `1 / values.std()` normalises them by the outputs."""
        std_err = None if self.std_err is None else self.std_err * abs(factor)
        return replace(self, effects=self.effects * factor, std_err=std_err)

    # -- intervals -------------------------------------------------------------------------------

    @property
    def lower(self) -> FloatArray | None:
        """Lower ends of the 90 % intervals, `(K,)`; None without standard errors."""
        return None if self.std_err is None else self.effects - Z90 * self.std_err

    @property
    def upper(self) -> FloatArray | None:
        """Upper ends of the 90 % intervals, `(K,)`; None without standard errors."""
        return None if self.std_err is None else self.effects + Z90 * self.std_err

    @property
    def holds_zero(self) -> BoolArray | None:
        """Where the 90 % interval holds zero, `(K,)`; None without standard errors."""
        if self.std_err is None:
            return None
        return np.asarray(np.abs(self.effects) <= Z90 * self.std_err)

    # -- names and export ------------------------------------------------------------------------

    def labels(self) -> tuple[str, ...]:
        """Return a distinct label a player: its name, with its index where that occurs twice."""
        count = Counter(self.players)
        return tuple(
            name if count[name] == 1 else f"{name}[{i}]" for i, name in enumerate(self.players)
        )

    def label(self, players: tuple[int, ...]) -> str:
        """Return a set as text, for example `never × fails`; `∅` for the empty set.

        Control characters in names are written as codes.
        """
        labels = self.labels()
        return " × ".join(visible(labels[i]) for i in players) or "∅"

    def to_dict(self) -> dict[tuple[int, ...], float]:
        """Return `{sorted tuple of players: effect}`, strongest first."""
        return dict(self.items())

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas table, strongest first.

        Columns: `players` (index tuples), `names` (tuples), `order`, `effect`, and with standard
        errors `std_err`, `lower`, `upper` (90 %) and `holds_zero`.
        """
        import pandas as pd

        ranking = self.ranking()
        labels = self.labels()
        sets = [self._sets[i] for i in ranking]
        columns: dict[str, Any] = {
            "players": sets,
            "names": [tuple(labels[i] for i in players) for players in sets],
            "order": self.supports.orders()[ranking],
            "effect": self.effects[ranking],
        }
        for name in ("std_err", "lower", "upper", "holds_zero"):
            if (column := getattr(self, name)) is not None:
                columns[name] = column[ranking]
        return pd.DataFrame(columns)

    def to_json(self) -> str:
        """Return JSON text that `from_json` reads back without loss."""
        return json.dumps(
            {
                "index": self.index,
                "players": list(self.players),
                "sets": self._sets,
                "effects": self.effects.tolist(),
                "std_err": None if self.std_err is None else self.std_err.tolist(),
                "note": self.note,
            },
            ensure_ascii=False,
        )

    @staticmethod
    def from_json(text: str) -> Interactions:
        """Invert `to_json`.

        Raises
        ------
        InvalidInputError
            For other JSON, or text that is none.
        """
        try:
            return Interactions._from_data(json.loads(text))
        except InvalidInputError:
            raise
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            raise InvalidInputError(
                f"this text is no JSON of interactions ({type(error).__name__}: {error}); needed "
                "that of Interactions.to_json."
            ) from error

    @staticmethod
    def _from_data(data: Any) -> Interactions:
        supports = Supports.from_sets(data["sets"], len(data["players"]))
        if supports.sets() != [tuple(players) for players in data["sets"]]:
            raise InvalidInputError(
                "the sets in this JSON are not distinct and in canonical order (by order, then "
                "lexicographic); write it with Interactions.to_json."
            )
        std_err = None if data["std_err"] is None else np.array(data["std_err"])
        return Interactions(
            supports,
            np.array(data["effects"]),
            data["index"],
            tuple(data["players"]),
            std_err,
            data.get("note", ""),
        )

    def __repr__(self) -> str:
        index, n = visible(self.index), len(self.players)
        head = f"Interactions({index}, {len(self)} sets over {n} players)"
        rows = [f"{effect:+12.5g}  {name}" for name, effect in self._rows(_SHOWN_TEXT)]
        rest = len(self) - len(rows)
        more = [f"… and {rest} more"] if rest > 0 else []
        return "\n".join([head, *rows, *more, *([visible(self.note)] if self.note else [])])

    def _repr_html_(self) -> str:
        strongest = self.top(_SHOWN_HTML)
        rows = "".join(
            _html_row(strongest, int(row), players)
            for row, players in zip(strongest.ranking(), strongest, strict=False)
        )
        interval = "" if self.std_err is None else "<th>90 % interval</th>"
        index, note = escape(visible(self.index)), escape(visible(self.note))
        legend = "" if self.std_err is None else "; ○ the 90 % interval holds zero"
        return (
            f"<table><caption>{index}: {len(strongest)} of {len(self)} sets{legend}"
            f"</caption><thead><tr><th>players</th><th>effect</th>{interval}<th></th></tr></thead>"
            f"<tbody>{rows}</tbody></table>" + (f"<p>{note}</p>" if note else "")
        )

    def _rows(self, limit: int) -> list[tuple[str, float]]:
        strongest = self.top(limit)
        return [(strongest.label(players), effect) for players, effect in strongest.items()]


def as_interactions(given: object) -> Interactions:
    """Check that interactions were given; an explanation has them under an index.

    Raises
    ------
    InvalidInputError
        For anything else.
    """
    if not isinstance(given, Interactions):
        raise InvalidInputError(
            f"{type(given).__name__} given; needed Interactions, such as "
            "explanation.interactions('FBII')."
        )
    return given


def _html_row(interactions: Interactions, row: int, players: tuple[int, ...]) -> str:
    """Return a notebook's table row: names, effect, interval, and a bar from the middle."""
    effect = float(interactions.effects[row])
    largest = float(np.abs(interactions.effects).max()) or 1.0
    width = 60 * abs(effect) / largest
    lower, upper, doubtful = interactions.lower, interactions.upper, interactions.holds_zero
    interval, faint = "", ""
    if lower is not None and upper is not None and doubtful is not None:
        mark, faint = (" ○", ";opacity:.4") if doubtful[row] else ("", "")
        interval = f"<td>{lower[row]:+.3g} … {upper[row]:+.3g}{mark}</td>"
    colour = _NEGATIVE if effect < 0 else _POSITIVE
    left = 60 - width if effect < 0 else 60
    name = interactions.label(players)
    name = name if len(name) <= _LABEL_LENGTH else f"{name[:_LABEL_LENGTH]}…"
    return (
        f"<tr><td style='text-align:left'><bdi>{escape(name)}</bdi></td><td>{effect:+.5g}</td>"
        f"{interval}<td><div style='width:120px'><div style='height:.8em;background:{colour};"
        f"margin-left:{left:.0f}px;width:{width:.0f}px{faint}'></div></div></td></tr>"
    )
