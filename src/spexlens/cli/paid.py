"""What a command has paid for is written, whatever ends it: an error, Ctrl-C, SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from spexlens._support.files import written
from spexlens.ablation.engines.base import Allow, Batch, Engine, everything
from spexlens.ablation.interruption import interrupts_held, joined
from spexlens.core.sensitivities import SensitivityGame
from spexlens.errors import InterruptedRunError

if TYPE_CHECKING:
    from spexlens.core.game import Game
    from spexlens.core.masks import BoolArray, FloatArray
    from spexlens.explanation.result import Explanation

_GRACE = 2.0  # seconds that a second Ctrl-C leaves to an orderly end


@dataclass
class Paid:
    """The values that a command has measured so far, and where they go if it ends early.

    Attributes
    ----------
    folder : Path, optional
        That of the results.
    players : tuple of str
    run : Path, optional
        Where the run is saved already.
    """

    folder: Path | None = None
    players: tuple[str, ...] = ()
    run: Path | None = None
    saved: Path | None = None
    _parts: list[tuple[BoolArray, Any]] = field(default_factory=list)

    def add(self, masks: BoolArray, values: Any) -> None:
        """Note what the game returned, unchecked."""
        self._parts.append((masks, values))

    def noted(self) -> tuple[BoolArray, FloatArray]:
        """Return the masks that have a value, and the values `(k,)` or `(k, q)`."""
        parts = []
        for masks, given in self._parts:
            with suppress(TypeError, ValueError):  # what is no value was told as an error
                values = np.asarray(given, dtype=np.float64)
                known = np.isfinite(values.reshape(len(masks), -1)).all(axis=1)
                parts.append((masks[known], values[known]))
        outputs = {values.shape[1:] for masks, values in parts if len(masks)}
        return joined([part for part in parts if len(outputs) == 1 and len(part[0])])

    def write(self, masks: BoolArray, values: FloatArray) -> Path:
        """Write masks and values to where there is room.

        Raises
        ------
        OSError
            Where no place could be written.
        """
        failure: OSError | None = None
        for path in self._places():
            try:
                with written(path) as temporary:
                    np.savez_compressed(
                        temporary, masks=masks, values=values,
                        players=np.array(self.players, dtype=np.str_),
                    )  # fmt: skip
            except OSError as error:
                failure = failure or error
            else:
                self.saved = path
                return path
        assert failure is not None
        raise failure

    def _places(self) -> Iterator[Path]:
        if self.folder is not None:
            yield self.folder / "partial.npz"
        name = f"spexlens-partial-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.npz"
        yield Path(name)
        yield Path(tempfile.gettempdir()) / name


@dataclass(frozen=True)
class Noting:
    """An engine that notes what another one brings."""

    engine: Engine
    paid: Paid

    def run(
        self, game: Game, masks: BoolArray, batch_size: int, allow: Allow = everything, /
    ) -> Generator[Batch, None, None]:
        """See `Engine.run`."""
        run = self.engine.run(game, masks, batch_size, allow)
        try:
            for batch in run:
                if not isinstance(game, SensitivityGame):  # derivatives are no values to fit
                    self.paid.add(masks[batch.rows], batch.values)
                yield batch
        finally:
            run.close()


_open: list[Paid] = []  # what a second Ctrl-C writes before it ends the process


@contextmanager
def values_kept(
    folder: Path | None, game: Game, explanation: Explanation | None = None
) -> Iterator[Paid]:
    """Write what was paid for where a run ends early, and say where it is.

    Parameters
    ----------
    folder : Path, optional
        Where `partial.npz` goes; by default a file named after the time in the working folder.
    game : Game
    explanation : Explanation, optional
        One that was made before: its values are those that were paid for.
    """
    paid = Paid(folder, tuple(map(str, game.players)))
    if explanation is not None:
        paid.add(explanation.masks, explanation.values)
    _open.append(paid)
    try:
        yield paid
    except BaseException as error:
        with interrupts_held():
            held = len(getattr(error, "masks", ()))
            if held and explanation is not None:  # of a removal curve, beside those of the run
                paid.add(error.masks, error.values)  # type: ignore[attr-defined]
            masks, values = paid.noted()
            if held and held >= len(masks):  # those of the store are among them
                masks, values = error.masks, error.values  # type: ignore[attr-defined]
            if not len(masks):
                raise
            if isinstance(error, KeyboardInterrupt) and not isinstance(error, InterruptedRunError):
                stopped = InterruptedRunError("stopped.", masks, values)
                stopped.add_note(_told(paid, masks, values))
                raise stopped from error
            error.add_note(_told(paid, masks, values))
            raise
    finally:
        _open.remove(paid)


def _told(paid: Paid, masks: BoolArray, values: FloatArray) -> str:
    try:
        path = paid.write(masks, values)
    except OSError as error:
        return f"They could not be written: {error}."
    told = f"The values are in {path}; explain them with: spexlens fit {path}"
    if paid.run is None:
        return told
    return f"The run is saved: spexlens show {paid.run}. {told}"


class Signals:
    """Ctrl-C and SIGTERM within it: the first ends the run in order, the second at once.

    SIGTERM does what Ctrl-C does. Python sees either only between two of its own steps; a thread
    that the second one wakes writes what was paid for and ends the process, should that take
    longer than two seconds.

    Attributes
    ----------
    last : int, optional
        The signal that came last.
    count : int
        How many came.
    """

    def __init__(self) -> None:
        self.last: int | None = None
        self.count = 0
        self._done = threading.Event()
        self._in_main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Signals:
        if self._in_main:
            self._read, self._write = os.pipe()
            os.set_blocking(self._write, False)
            self._fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            self._before = signal.signal(signal.SIGTERM, self._terminate)
            threading.Thread(target=self._watch, args=(self._read,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._in_main:
            signal.set_wakeup_fd(self._fd)
            signal.signal(signal.SIGTERM, self._before)
            os.close(self._write)  # ends the thread

    @property
    def code(self) -> int:
        """The exit code: 130, or 143 after SIGTERM."""
        return 128 + (self.last or signal.SIGINT)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self.last = number
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            handler(signal.SIGINT, frame)
        else:  # a shell that started this in the background has it ignore Ctrl-C
            raise KeyboardInterrupt

    def _watch(self, pipe: int) -> None:
        while numbers := os.read(pipe, 1):
            if numbers[0] not in (signal.SIGINT, signal.SIGTERM):
                continue
            self.last = int(numbers[0])
            self.count += 1
            if self.count == 2:
                threading.Thread(target=self._end_soon, daemon=True).start()
        os.close(pipe)

    def _end_soon(self) -> None:
        if self._done.wait(_GRACE):
            return
        for paid in _open[-1:]:
            masks, values = paid.noted()
            if len(masks) and paid.saved is None:
                sys.stderr.write(f"stopped. {_told(paid, masks, values)}\n")
        self.end_now()

    def end_now(self) -> None:
        """End the process, without waiting for its threads."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.code)
