"""The subject that runs edited inputs through an endpoint: values, their noise, their cost."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from spexlens.core.calls import Call
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import FloatArray, IntArray
from spexlens.errors import (
    InvalidInputError,
    RefusedPromptError,
    SpexlensWarning,
    UnknownNameError,
    shown,
)
from spexlens.lenses.endpoint.record import Record, Recorder
from spexlens.lenses.endpoint.scores import EndpointScore, Reading, ResolvedEndpointScore
from spexlens.models.endpoint.client import Endpoint, Usage
from spexlens.models.endpoint.replies import Reply

OnRefusal = Literal["raise", "skip"]
"""What becomes of a prompt that brings no value: it ends the run, or is left out."""
ON_REFUSAL: tuple[OnRefusal, ...] = ("raise", "skip")

_ADVICE = (
    "on_refusal='skip' (--on-refusal skip) leaves such masks out, counts them, and fits the others."
)


@dataclass(frozen=True, eq=False)
class EndpointSubject:
    """The subject made of an endpoint and a score; made by `EndpointSubject.prepare`.

    When one prompt of a batch fails, the others have been given out by `stream`, and are kept for
    the next attempt of `evaluate`, so that they are not paid twice.

    Parameters
    ----------
    endpoint : Endpoint
    score : ResolvedEndpointScore
        Its `usage` is the measure of all estimates.
    full_prompt : str or Call
        The prompt it was resolved on.
    prices : (float, float), optional
        Money for a million tokens of the prompt, and of the answer.
    details : bool, default False
        Give values `(m, 2)`: the score, and behind it its standard error for a score of samples, or
        else how many answers were bounded.
    on_refusal : "raise" or "skip", default "raise"
        What becomes of a prompt that the server refuses for good (by a content filter, for its
        length), or answers without what the score reads: an error, or the value NaN, which
        `spexlens.explain` leaves out, counts and tells.
    """

    endpoint: Endpoint
    score: ResolvedEndpointScore
    full_prompt: str
    prices: tuple[float, float] | None = None
    details: bool = False
    on_refusal: OnRefusal = "raise"
    _kept: dict[str, Reading] = field(init=False, repr=False, default_factory=dict)
    _recorder: Recorder = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.prices is not None and not (
            len(self.prices) == 2 and all(0 <= price < math.inf for price in self.prices)
        ):
            raise InvalidInputError(
                f"prices = {self.prices!r} given; needed two, money for a million tokens of the "
                "prompt and of the answer, such as (0.15, 0.6)."
            )
        find_on_refusal(self.on_refusal)
        object.__setattr__(self, "_recorder", Recorder())

    @staticmethod
    def prepare(
        endpoint: Endpoint,
        score: EndpointScore,
        full_prompt: str,
        *,
        prices: tuple[float, float] | None = None,
        details: bool = False,
        on_refusal: OnRefusal = "raise",
    ) -> EndpointSubject:
        """Make the subject, once the endpoint has served the score on the full prompt.

        It takes a few requests (one for `NextTokenLogOdds`), which are no part of a later budget.
        """
        find_on_refusal(on_refusal)
        if isinstance(full_prompt, Call) and not endpoint.chat:
            raise InvalidInputError(
                "messages were given for an endpoint of completions, which takes one text; pass "
                "chat=True (--chat)."
            )
        resolved = score.resolve(endpoint, full_prompt)
        return EndpointSubject(endpoint, resolved, full_prompt, prices, details, on_refusal)

    @property
    def needs(self) -> Needs:
        """Edited texts, or edited calls where the full prompt is one."""
        return Needs({"calls" if isinstance(self.full_prompt, Call) else "inputs": ()})

    @property
    def skips_refused(self) -> bool:
        """Whether NaN is the value of a prompt to leave out."""
        return self.on_refusal == "skip"

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure the score `(m,)` after every edited input, or `(m, 2)` with `details`.

        NaN where a prompt was refused, with `on_refusal="skip"`.

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
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in readings]
        try:
            for prompt, reading in self._measured(missing):
                readings[prompt] = reading  # noqa: PERF403 those before an error are kept
            self._warn_of_bounds()
        except BaseException:
            self._kept.update(readings)
            raise
        return self._values([readings[prompt] for prompt in prompts])

    def stream(self, interventions: Interventions, /) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield row numbers and values of the edited inputs, as replies come in; see `evaluate`."""
        (prompts,) = self.needs.take(interventions, self)
        rows: dict[str, list[int]] = defaultdict(list)
        for row, prompt in enumerate(prompts):
            rows[prompt].append(row)
        for prompt, reading in self._measured(list(rows)):
            yield np.array(rows[prompt]), self._values([reading] * len(rows[prompt]))
        self._warn_of_bounds()

    def _values(self, readings: Sequence[Reading]) -> FloatArray:
        values = np.array([reading.value for reading in readings], dtype=np.float64)
        if not self.details:
            return values
        return np.stack([values, [_detail(reading) for reading in readings]], axis=1)

    def _measured(self, prompts: Sequence[str]) -> Iterator[tuple[str, Reading]]:
        """Yield a reading of every prompt as its replies come in, errors once all are out."""
        asked = [(prompt, request) for prompt in prompts for request in self.score.requests(prompt)]
        needed = len(asked) // max(1, len(prompts))
        replies: dict[str, list[Reply]] = defaultdict(list)
        refused: dict[str, str] = {}  # what was told of it
        failed: RefusedPromptError | None = None

        def skip(number: int, error: RefusedPromptError) -> None:
            refused.setdefault(asked[number][0], str(error))

        requests = [request for _, request in asked]
        try:
            for number, reply in self.endpoint.run(requests, skip if self.skips_refused else None):
                prompt = asked[number][0]
                replies[prompt].append(reply)
                if len(replies[prompt]) < needed:
                    continue
                try:
                    reading = self.score.values(replies.pop(prompt))
                except ValueError as error:
                    told = (
                        f"the reply of {self.endpoint.model!r} to the prompt {prompt!r} cannot be "
                        f"scored: {error}."
                    )
                    if self.skips_refused:
                        refused[prompt] = told
                    else:
                        failed = failed or RefusedPromptError(f"{told} {_ADVICE}", prompt)
                else:
                    self._recorder.add(reading)
                    yield prompt, reading
        except RefusedPromptError as error:
            raise RefusedPromptError(f"{error} {_ADVICE}", error.prompt, error.status) from error
        if failed is not None:
            raise failed
        for prompt, told in refused.items():
            self._recorder.refuse(told)
            yield prompt, _REFUSED

    def _warn_of_bounds(self) -> None:
        if self._recorder.first_bound():
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
        return self._recorder.record()

    def notes(self) -> tuple[str, ...]:
        """Tell what was left out: prompts, with what was told of the first, and samples."""
        record, told = self.record(), self._recorder.first_refusal
        notes: tuple[str, ...] = ()
        if record.refused:
            notes += (f"{record.refused} prompts brought no value, the first: {told}",)
        if record.unanswered:
            notes += (
                f"{record.unanswered} samples held no answer and were left out of the means; "
                "raise max_tokens (--answer-tokens) if they were cut off.",
            )
        if record.bounded > record.numberless:
            notes += (
                f"in {record.bounded - record.numberless} of {record.values} prompts an answer was "
                "not among the tokens returned: these values are bounds.",
            )
        if record.numberless:
            notes += (
                f"in {record.numberless} of {record.values} prompts the server gave an answer NaN, "
                "null or -inf as its log-probability: these values are bounds, whatever `top` is.",
            )
        if len(models := self.endpoint.answered_as) > 1:
            notes += (
                f"the server answered as several models ({shown(models)}): values that do not "
                "belong together.",
            )
        if record.partial:
            notes += (
                f"in {record.partial} of {record.values} prompts spellings of an answer may not be "
                f"among the tokens returned, which can move a value by up to {record.shift:.2g}.",
            )
        return notes

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


_REFUSED = Reading(math.nan, math.nan)


def find_on_refusal(given: str) -> OnRefusal:
    """Find a way to treat a refused prompt; raise for what is none."""
    for known in ON_REFUSAL:
        if given == known:
            return known
    raise UnknownNameError("on_refusal", given, ON_REFUSAL)


def _detail(reading: Reading) -> float:
    return reading.standard_error or float(reading.bounded)


def _cost(usage: Usage, prices: tuple[float, float]) -> float:
    return (usage.prompt_tokens * prices[0] + usage.answer_tokens * prices[1]) / 1e6
