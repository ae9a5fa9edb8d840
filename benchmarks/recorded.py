"""Games with recorded values: those of the tests, and those that live_games.py has recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent.parent / "tests" / "data" / "games"
LIVE = Path(__file__).parent / ".cache" / "games"


def all_games() -> dict[str, Callable[[], dict[str, np.ndarray]]]:
    """Name -> loader of `{"name", "masks", "values"}`."""
    paths = [*sorted(TESTS.glob("*.npz")), *sorted(LIVE.glob("*.npz"))]
    return {path.stem: partial(load, path) for path in paths}


@cache
def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as data:
        return {"name": np.array(path.stem), **{key: data[key] for key in data}}
