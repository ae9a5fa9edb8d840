"""Ctrl-C that first lets the batches under way come in, because they are paid for."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from spexlens.errors import SpexlensWarning


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
