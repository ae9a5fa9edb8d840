"""Who calls the game: this process, its threads, or workers on many machines."""

from __future__ import annotations

from collections.abc import Callable

from spexlens.ablation.engines.base import Allow, Batch, Engine, FailedBatchError
from spexlens.ablation.engines.local import Local
from spexlens.ablation.engines.ray import Ray
from spexlens.ablation.engines.threads import Threads
from spexlens.errors import InvalidInputError, UnknownNameError

__all__ = [
    "ENGINES",
    "Allow",
    "Batch",
    "Engine",
    "FailedBatchError",
    "Local",
    "Ray",
    "Threads",
    "find_engine",
]

ENGINES: dict[str, Callable[[], Engine]] = {"local": Local, "threads": Threads}


def find_engine(engine: str | Engine | None) -> Engine:
    """Find an engine by name (any case) with its defaults; `Local` for None.

    >>> find_engine("threads")
    Threads(workers=8, retries=3, wait=1.0)
    """
    if engine is None:
        return Local()
    if not isinstance(engine, str):
        if isinstance(engine, type) or not callable(getattr(engine, "run", None)):
            raise UnknownNameError("engine", engine, ENGINES)
        return engine
    if engine.lower() == "ray":
        raise InvalidInputError(
            "engine = 'ray' given; its workers need to know how to build the game. Pass "
            "spexlens.ablation.engines.Ray(recipe, workers=…), the recipe being a function without "
            "arguments, or a functools.partial, that returns the game."
        )
    if engine.lower() not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    return ENGINES[engine.lower()]()
