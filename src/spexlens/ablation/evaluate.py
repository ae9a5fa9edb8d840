"""The only caller of a game: each distinct mask once, in batches, checked, with progress."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spexlens.core.game import Game, as_values
from spexlens.core.masks import BoolArray, FloatArray, as_masks, unique_masks
from spexlens.errors import AblationError, InvalidInputError, InvalidValuesError

BATCH_SIZE = 64

Progress = Callable[[int, int], None]
"""Called with (masks measured, masks in all) before the first batch and after every one."""


def evaluate(
    game: Game,
    masks: BoolArray,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> FloatArray:
    """Values of a game at masks.

    Parameters
    ----------
    game : Game
        Called with the distinct masks only, at most `batch_size` at a time.
    masks : bool array (m, n)
    batch_size : int
    progress : callable, optional
        `progress(done, total)`.

    Returns
    -------
    float array (m,) or (m, q)

    Raises
    ------
    AblationError
        When the game fails; it carries the masks and values measured until then.
    InvalidValuesError
        When the game returns the wrong number of values, or NaN; it carries them too.
    """
    if batch_size < 1:
        raise InvalidInputError(f"batch_size = {batch_size} given; needed at least 1 mask a call.")
    masks = as_masks(masks, len(game.players))
    distinct, inverse = unique_masks(masks)
    parts: list[FloatArray] = []
    for start in range(0, len(distinct), batch_size):
        if progress is not None:
            progress(start, len(distinct))
        parts.append(_batch(game, distinct, start, batch_size, parts))
    if progress is not None:
        progress(len(distinct), len(distinct))
    return np.concatenate(parts)[inverse] if parts else np.zeros(0)


def _batch(
    game: Game, distinct: BoolArray, start: int, batch_size: int, parts: list[FloatArray]
) -> FloatArray:
    batch = distinct[start : start + batch_size]
    done = np.concatenate(parts) if parts else np.zeros(0)
    try:
        values = game(batch)
    except Exception as error:
        raise AblationError(
            f"the game failed at masks {start} … {start + len(batch) - 1} of {len(distinct)}: "
            f"{type(error).__name__}: {error}. The {start} values measured before are on this "
            "error as .masks and .values; spexlens.fit(error.masks, error.values) explains them.",
            distinct[:start],
            done,
        ) from error
    try:
        checked = as_values(values, batch)
        if parts and checked.shape[1:] != parts[0].shape[1:]:
            raise InvalidInputError(
                f"values have shape {checked.shape} now, {parts[0].shape} before; needed the same "
                "number of outputs for every mask."
            )
    except InvalidInputError as error:
        raise InvalidValuesError(
            f"in the batch that starts at mask {start}: {error}", distinct[:start], done
        ) from error
    return checked
