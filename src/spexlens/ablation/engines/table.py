"""The one table of engines by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spexlens.ablation.engines.base import Engine
from spexlens.ablation.engines.local import Local
from spexlens.ablation.engines.ray import Ray
from spexlens.ablation.engines.threads import Threads
from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError, UnknownNameError


@dataclass(frozen=True)
class NamedEngine:
    """One row of the table.

    Attributes
    ----------
    name, description : str
    make : class
        Without arguments it is what the name stands for.
    needs : str, optional
        What it cannot be made without, and how to give it: such an engine is no name's default.
    """

    name: str
    description: str
    make: Callable[..., Engine]
    needs: str | None = None


ENGINES: Table[NamedEngine] = Table("engine", (
    NamedEngine(
        "local", "one model here, the default; it uses all cores or GPUs by itself", Local
    ),
    NamedEngine("threads", "games that wait: endpoints, services", Threads),
    NamedEngine(
        "ray", "several processes or machines, from Python; `pip install 'spexlens[ray]'`", Ray,
        "its workers need to know how to build the game. Pass "
        "spexlens.ablation.engines.Ray(recipe, workers=…), the recipe being a function without "
        "arguments, or a functools.partial, that returns the game",
    ),
))  # fmt: skip


def find_engine(engine: str | Engine | None) -> Engine:
    """Find an engine by name (any case) with its defaults; `Local` for None.

    >>> find_engine("threads")
    Threads(workers=8, retries=3, wait=1.0)
    """
    if engine is None:
        return Local()
    if not isinstance(engine, str):
        if isinstance(engine, type) or not isinstance(engine, Engine):
            raise UnknownNameError("engine", engine, ENGINES)
        return engine
    row = ENGINES.find(engine.lower())
    if row.needs is not None:
        raise InvalidInputError(f"engine = {engine!r} given; {row.needs}.")
    return row.make()
