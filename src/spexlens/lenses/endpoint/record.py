"""How well the values of an endpoint are known: counted as its replies come in."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from spexlens.lenses.endpoint.scores import Reading


@dataclass(frozen=True)
class Record:
    """How well the values that a subject has measured so far are known.

    Attributes
    ----------
    values : int
        Distinct prompts measured.
    bounded : int
        Those in which an answer was not among the returned tokens; see `NextTokenLogOdds`.
    noise_variance : float
        Mean variance of the values' sampling noise; 0 where nothing is sampled. Divided by the
        variance of the values, it is the share that no explanation can account for.
    refused : int
        Prompts that brought no value and were left out; see `EndpointSubject`.
    partial : int
        Prompts of which an answer was seen in part; see `NextTokenLogOdds`.
    shift : float
        The most that the spellings not seen can move one of these values, nats.
    unanswered : int
        Samples without an answer, left out of their prompt's value; see `Samples`.
    numberless : int
        Those of the bounded in which the server named an answer without a usable log-probability.
    """

    values: int = 0
    bounded: int = 0
    noise_variance: float = 0.0
    refused: int = 0
    unanswered: int = 0
    partial: int = 0
    shift: float = 0.0
    numberless: int = 0


class Recorder:
    """Counts readings, from several threads, into a `Record`."""

    def __init__(self) -> None:
        self._values = self._bounded = self._refused = self._unanswered = 0
        self._partial = self._numberless = 0
        self._variance = self._shift = 0.0
        self.first_refusal = ""
        self._told = False
        self._lock = threading.Lock()

    def add(self, reading: Reading) -> None:
        """Count one."""
        with self._lock:
            self._values += 1
            self._bounded += reading.bounded > 0
            self._unanswered += reading.unanswered
            self._partial += reading.partial > 0
            self._numberless += reading.numberless > 0
            if reading.partial and not reading.bounded:
                away = max(reading.high - reading.value, reading.value - reading.low)
                self._shift = max(self._shift, away)
            self._variance += reading.standard_error**2

    def refuse(self, told: str) -> None:
        """Count a prompt that was left out, and keep what was told of the first."""
        with self._lock:
            self._refused += 1
            self.first_refusal = self.first_refusal or told

    def first_bound(self) -> bool:
        """Return True once: when the first bounded value has been counted."""
        with self._lock:
            first = self._bounded > 0 and not self._told
            self._told |= first
            return first

    def record(self) -> Record:
        """Give the counts so far."""
        with self._lock:
            mean = self._variance / self._values if self._values else 0.0
            return Record(
                self._values,
                self._bounded,
                mean,
                self._refused,
                self._unanswered,
                self._partial,
                self._shift,
                self._numberless,
            )
