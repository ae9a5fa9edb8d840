"""The subject that runs edited inputs through an endpoint: values, their noise, their cost."""

from __future__ import annotations

import math
import threading
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import FloatArray, IntArray
from spexlens.errors import EndpointError, InvalidInputError, SpexlensWarning
from spexlens.lenses.endpoint.scores import EndpointScore, Reading, ResolvedEndpointScore
from spexlens.models.endpoint.client import Endpoint, Usage
from spexlens.models.endpoint.replies import Reply


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
    """

    values: int = 0
    bounded: int = 0
    noise_variance: float = 0.0


@dataclass(frozen=True, eq=False)
class EndpointSubject:
    """The subject made of an endpoint and a score; made by `EndpointSubject.prepare`.

    When one prompt of a batch fails, the values of the others are kept for the next attempt at the
    batch, so that they are not paid twice.

    Parameters
    ----------
    endpoint : Endpoint
    score : ResolvedEndpointScore
        Its `usage` is the measure of all estimates.
    full_prompt : str
        The prompt it was resolved on.
    prices : (float, float), optional
        Money for a million tokens of the prompt, and of the answer.
    details : bool, default False
        Give values `(m, 2)`: the score, and behind it its standard error for a score of samples, or
        else how many answers were bounded.
    """

    endpoint: Endpoint
    score: ResolvedEndpointScore
    full_prompt: str
    prices: tuple[float, float] | None = None
    details: bool = False
    _kept: dict[str, Reading] = field(init=False, repr=False, default_factory=dict)
    _tally: _Tally = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.prices is not None and not (
            len(self.prices) == 2 and all(0 <= price < math.inf for price in self.prices)
        ):
            raise InvalidInputError(
                f"prices = {self.prices!r} given; needed two, money for a million tokens of the "
                "prompt and of the answer, such as (0.15, 0.6)."
            )
        object.__setattr__(self, "_tally", _Tally())

    @staticmethod
    def prepare(
        endpoint: Endpoint,
        score: EndpointScore,
        full_prompt: str,
        *,
        prices: tuple[float, float] | None = None,
        details: bool = False,
    ) -> EndpointSubject:
        """Make the subject, once the endpoint has served the score on the full prompt.

        It takes a few requests (one for `NextTokenLogOdds`), which are no part of a later budget.
        """
        resolved = score.resolve(endpoint, full_prompt)
        return EndpointSubject(endpoint, resolved, full_prompt, prices, details)

    @property
    def needs(self) -> Needs:
        """Edited texts."""
        return Needs({"inputs": ()})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure the score `(m,)` after every edited input, or `(m, 2)` with `details`.

        Raises
        ------
        EndpointError
            When a prompt fails for good; see `Endpoint.run`.

        Warns
        -----
        SpexlensWarning
            The first time that an answer is bounded; `record()` counts them.
        """
        (prompts,) = self.needs.take(interventions, self)
        readings = {prompt: self._kept[prompt] for prompt in prompts if prompt in self._kept}
        try:
            self._measure([p for p in dict.fromkeys(prompts) if p not in readings], readings)
            self._warn_of_bounds()
        except BaseException:
            self._kept.update(readings)
            raise
        values = np.array([readings[prompt].value for prompt in prompts])
        if not self.details:
            return values
        return np.stack([values, [_detail(readings[prompt]) for prompt in prompts]], axis=1)

    def _measure(self, prompts: Sequence[str], readings: dict[str, Reading]) -> None:
        """Add a reading of every prompt to `readings`, one by one as replies come in."""
        asked = [(prompt, request) for prompt in prompts for request in self.score.requests(prompt)]
        needed = len(asked) // max(1, len(prompts))
        replies: dict[str, list[Reply]] = defaultdict(list)
        unreadable: EndpointError | None = None
        for number, reply in self.endpoint.run([request for _, request in asked]):
            prompt = asked[number][0]
            replies[prompt].append(reply)
            if len(replies[prompt]) < needed:
                continue
            try:
                readings[prompt] = self.score.values(replies.pop(prompt))
            except ValueError as error:
                unreadable = unreadable or EndpointError(
                    f"the reply of {self.endpoint.model!r} to the prompt {prompt!r} cannot be "
                    f"scored: {error}.",
                    prompt,
                )
            else:
                self._tally.add(readings[prompt])
        if unreadable is not None:
            raise unreadable

    def _warn_of_bounds(self) -> None:
        if self._tally.first_bound():
            warnings.warn(
                "an answer was not among the tokens that the endpoint returned, so that its "
                "probability is bounded by the last one's; this is told once, and counted in "
                "record() of the game's subject. Raise `top` (--top-tokens), or change the "
                "template so that the answers are likely.",
                SpexlensWarning,
                stacklevel=3,
            )

    def record(self) -> Record:
        """Tell how many values were measured and bounded so far, and their mean noise."""
        return self._tally.record()

    def identity(self) -> dict[str, Any]:
        """Tell endpoint and score, as JSON, for the key of stored values; without credentials."""
        return {
            "subject": "endpoint",
            **self.endpoint.identity(),
            "score": self.score.identity(),
            "details": self.details,
        }

    # -- cost ------------------------------------------------------------------------------------

    def tokens(self, interventions: Interventions, /) -> IntArray:
        """Estimate tokens `(m,)` of prompts and answers; 0 where the server counts none.

        The full prompt's were counted by the endpoint; a shorter one has its share by length.
        """
        (prompts,) = self.needs.take(interventions, self)
        lengths = [len(prompt) for prompt in prompts]
        shares = np.array(lengths) / max(1, len(self.full_prompt))
        tokens = self.score.usage.prompt_tokens * shares + self.score.usage.answer_tokens
        return np.ceil(tokens).astype(np.int64)

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell endpoint, model, score, and estimates of requests and cost; send nothing."""
        tokens = int(self.tokens(interventions).sum())
        cost = {} if self.prices is None else {"cost": self._estimated_cost(tokens)}
        return {
            "endpoint": self.endpoint.base_url,
            "model": self.endpoint.model,
            "score": self.score.description,
            "requests": interventions.count * self.score.usage.requests,
            **cost,
        }

    def price(self, tokens: int, /) -> str:
        """Tell what so many tokens cost at the full prompt's share of answers; "" if unpriced."""
        return "" if self.prices is None else f"{self._estimated_cost(tokens):.4g}"

    def spent(self) -> str:
        """Tell what was paid so far, at the tokens the endpoint counted; "" without prices."""
        if self.prices is None:
            return ""
        return f"{_cost(self.endpoint.usage, self.prices):.4g}"

    def _estimated_cost(self, tokens: int) -> float:
        counted = self.score.usage.prompt_tokens + self.score.usage.answer_tokens
        prices = self.prices or (0.0, 0.0)
        return _cost(self.score.usage, prices) * tokens / counted if counted else 0.0


class _Tally:
    """Counts readings, from several threads."""

    def __init__(self) -> None:
        self._values = self._bounded = 0
        self._variance = 0.0
        self._told = False
        self._lock = threading.Lock()

    def add(self, reading: Reading) -> None:
        with self._lock:
            self._values += 1
            self._bounded += reading.bounded > 0
            self._variance += reading.standard_error**2

    def first_bound(self) -> bool:
        """Return True once: when the first bounded value has been counted."""
        with self._lock:
            first = self._bounded > 0 and not self._told
            self._told |= first
            return first

    def record(self) -> Record:
        with self._lock:
            mean = self._variance / self._values if self._values else 0.0
            return Record(self._values, self._bounded, mean)


def _detail(reading: Reading) -> float:
    return reading.standard_error or float(reading.bounded)


def _cost(usage: Usage, prices: tuple[float, float]) -> float:
    return (usage.prompt_tokens * prices[0] + usage.answer_tokens * prices[1]) / 1e6
