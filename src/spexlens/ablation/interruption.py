"""Ctrl-C that first lets the batches under way come in, and no error that loses what was paid."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import AblationError, InterruptedRunError, SpexlensWarning

Paid = Callable[[], tuple[BoolArray, FloatArray]]
"""Gives the masks that have a value, and the values."""


@contextmanager
def first_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C within it call `stop`; a second one raises `KeyboardInterrupt`.

    An exception at any bytecode could fall between a value and its place in the store. Outside the
    main thread, and where a program has a handler of its own, nothing is changed.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()
        warnings.warn(
            "stopping after the batches under way; Ctrl-C again drops them.",
            SpexlensWarning,
            stacklevel=2,
        )

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ignore Ctrl-C within it, where what was paid is brought to safety and all ends anyway."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def values_on_errors(paid: Paid, doing: str) -> Iterator[None]:
    """Put all that was paid on every error and interruption within it, and say that it is there.

    Parameters
    ----------
    paid : callable
    doing : str
        What is interrupted, for the message of a Ctrl-C: "fitting".

    Raises
    ------
    InterruptedRunError
        In place of a `KeyboardInterrupt`. Any other error stays what it is, with `masks` and
        `values`.
    """
    try:
        yield
    except BaseException as error:
        with interrupts_held():
            masks, values = paid()
            if not len(masks):
                raise
            told = (
                f"The {len(masks)} values measured before are on this error as .masks and .values; "
                "spexlens.fit(error.masks, error.values) explains them."
            )
            if isinstance(error, KeyboardInterrupt) and not isinstance(error, AblationError):
                stopped = InterruptedRunError(f"stopped while {doing}. {told}", masks, values)
                raise stopped from error
            missing = len(masks) - len(getattr(error, "masks", ()))
            if missing > 0:
                if isinstance(error, AblationError):  # its message tells of those of one round
                    told = f"{missing} values measured in earlier rounds are on this error as well."
                error.masks, error.values = masks, values  # type: ignore[attr-defined]
                error.add_note(told)
            raise


def joined(parts: list[tuple[BoolArray, FloatArray]]) -> tuple[BoolArray, FloatArray]:
    """Join masks and values of several calls; none where there are none."""
    if not parts:
        return np.zeros((0, 0), dtype=bool), np.zeros(0)
    masks, values = zip(*parts, strict=True)
    return np.concatenate(masks), np.concatenate(values)
