"""A progress bar of ablations: HTML in a notebook, one line of text in a terminal."""

from __future__ import annotations

import math
import sys
import time
from html import escape
from importlib import import_module
from typing import Any, TextIO

from spexlens._support.notebooks import in_notebook

_PAUSE = 0.1  # seconds between two drawings
_WIDTH = 30  # characters of the bar in a terminal


class ProgressBar:
    """A bar to give as `progress=`: ablations made, how fast, and how long the rest will take.

    `explain(…, progress=True)` makes one.

    In a notebook it needs no widgets and takes the theme's colours. In a terminal it is a line on
    stderr; where stderr is none, nothing is written. Either leaves one line when it is done.

    Parameters
    ----------
    stream : text file, optional
        Where the line is written outside notebooks; stderr by default.

    Examples
    --------
    >>> from spexlens import FunctionGame, explain
    >>> game = FunctionGame(lambda masks: 1.0 * masks[:, 0], 3)
    >>> explain(game, 8, progress=ProgressBar()).calls
    8
    """

    _started: float
    _drawn: float
    _done: int
    _total: int
    _handle: Any  # of a notebook's output, to draw it again
    _fitting: bool  # whether the line, or the output, shows a fit
    _text: str

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._restart()

    def __call__(self, done: int, total: int) -> None:
        """Draw the bar, at most ten times a second; at the end, what it took."""
        if done < self._done:  # the same bar for another run
            self._restart()
        now = time.monotonic()
        if self._done >= self._total:  # a few more, after a fit
            self._started += now - self._drawn
        if done < total and now - self._drawn < _PAUSE:
            return
        text = _text(done, total, now - self._started)
        if self._stream is None and in_notebook():
            self._show_html(_html(done, total, text))
        else:
            self._clear_fit()
            self._show_line(done, total, text)
        self._done, self._total, self._drawn, self._text = done, total, now, text

    def fit(self, share: float, left: float) -> None:
        """Draw how far a fit is, and how long the rest will take; nothing of it in the end.

        Parameters
        ----------
        share : float
            0 to 1.
        left : float
            Seconds, infinite while they are not known.
        """
        text = f"fitting: {round(100 * share)} %"
        if left < math.inf:
            text += f", {duration(left)} left"
        if self._stream is None and in_notebook():
            if share < 1:
                self._show_html(_html(round(100 * share), 100, text))
            elif self._text:
                self._show_html(_html(self._done, self._total, self._text))
            return
        self._clear_fit()
        stream = sys.stderr if self._stream is None else self._stream
        if share < 1 and stream.isatty():
            stream.write(f"\r\x1b[K{text}")
            stream.flush()
            self._fitting = True

    def _clear_fit(self) -> None:
        if self._fitting:
            stream = sys.stderr if self._stream is None else self._stream
            stream.write("\r\x1b[K")
            stream.flush()
            self._fitting = False

    def _restart(self) -> None:
        self._started, self._drawn = time.monotonic(), 0.0
        self._done, self._total = 0, 1
        self._handle = None
        self._fitting, self._text = False, ""

    def _show_html(self, html: str) -> None:
        display: Any = import_module("IPython.display")
        if self._handle is None:
            self._handle = display.display(display.HTML(html), display_id=True)
        else:
            self._handle.update(display.HTML(html))

    def _show_line(self, done: int, total: int, text: str) -> None:
        stream = sys.stderr if self._stream is None else self._stream
        if not stream.isatty():
            return
        ended = done >= total
        line = text if ended else f"{'█' * (_WIDTH * done // total):░<{_WIDTH}} {text}"
        back = "\x1b[A" if self._done >= self._total else ""  # a few more after the end
        stream.write(f"{back}\r\x1b[K{line}" + ("\n" if ended else ""))
        stream.flush()


def _text(done: int, total: int, seconds: float) -> str:
    if done >= total:
        return f"{done:,} ablations in {duration(seconds)}"
    text = f"{done:,} of {total:,} ablations"
    if not done or not seconds:
        return text
    left = (total - done) * seconds / done
    return f"{text}, {done / seconds:.3g} a second, {duration(left)} left"


def _html(done: int, total: int, text: str) -> str:
    bar = ""
    if done < total:
        bar = f"<progress value='{done}' max='{total}' style='width:16em'></progress> "
    return f"<div style='font-variant-numeric:tabular-nums'>{bar}{escape(text)}</div>"


def duration(seconds: float) -> str:
    """
    >>> duration(3.24), duration(75), duration(3700)
    ('3.2 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
