"""Scores of an endpoint that shows text only: functions of sampled answers, with their noise."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spexlens.errors import EndpointError, InvalidInputError
from spexlens.lenses.endpoint.scores import Reading
from spexlens.models.endpoint.client import UNKNOWN_FIELD, Endpoint, Request, Usage
from spexlens.models.endpoint.replies import Reply


@dataclass(frozen=True)
class Samples:
    """The mean of a function over sampled answers, with its standard error.

    Parameters
    ----------
    function : callable
        The text of an answer -> a number.
    name : str
        Says what the function computes; the key under which values are stored, so that another
        function needs another name.
    count : int, default 10
        Answers to a prompt, at least 2.
    temperature : float, default 1
    max_tokens : int, default 8
        The longest answer.
    choices : int, default 1
        Answers asked for in one request. `resolve` asks for all at once where the server allows it,
        so that the prompt is paid once.
    usage : Usage
        What the full prompt took; `resolve` finds it out.
    """

    function: Callable[[str], float]
    name: str
    count: int = 10
    temperature: float = 1.0
    max_tokens: int = 8
    choices: int = 1
    usage: Usage = field(default=Usage(), compare=False)

    def __post_init__(self) -> None:
        if self.count < 2 or self.max_tokens < 1 or not self.temperature > 0:
            raise InvalidInputError(
                f"count = {self.count}, max_tokens = {self.max_tokens}, temperature = "
                f"{self.temperature} given; needed at least 2 samples, whose spread tells their "
                "noise, of at least 1 token, at a temperature above 0."
            )
        if not self.name.strip():
            raise InvalidInputError("a name is needed that says what the function computes.")

    @property
    def description(self) -> str:
        """The name and the number of samples."""
        return f"{self.name}, mean of {self.count} samples at temperature {self.temperature:g}"

    def identity(self) -> dict[str, Any]:
        """Tell name and settings of the sampling."""
        return {
            "score": "samples",
            "function": self.name,
            "count": self.count,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def resolve(self, endpoint: Endpoint, prompt: str, /) -> Samples:
        """Find how many `choices` a request the server gives; one set of samples.

        Raises
        ------
        InvalidInputError
            When a seed is among the endpoint's options: all samples would be the same.
        """
        if endpoint.options.get("seed") is not None:
            raise InvalidInputError(
                "the endpoint's options hold a seed, with which servers give the same sample every "
                "time, and the noise cannot be estimated; leave it out."
            )
        for choices in (self.count, 1):
            chosen = replace(self, choices=choices)
            try:
                replies = [reply for _, reply in endpoint.run(chosen.requests(prompt))]
                chosen.values(replies)
            except ValueError as error:  # fewer choices than asked for, or the function's own
                if choices == 1:
                    raise InvalidInputError(f"the samples cannot be scored: {error}") from error
            except EndpointError as error:
                if choices == 1 or error.status not in UNKNOWN_FIELD:
                    raise
            else:
                break
        usage = Usage()
        for reply in replies:
            usage = usage.plus(reply)
        return replace(chosen, usage=usage)

    def requests(self, prompt: str, /) -> tuple[Request, ...]:
        """Make as many requests as `count` answers take."""
        request = Request(prompt, self.max_tokens, self.temperature, choices=self.choices)
        full, rest = divmod(self.count, self.choices)
        return (request,) * full + ((replace(request, choices=rest),) if rest else ())

    def values(self, replies: Sequence[Reply], /) -> Reading:
        """Compute the mean, and its noise: the samples' standard deviation over sqrt(number)."""
        texts = [text for reply in replies for text in reply.texts]
        if len(texts) != self.count:
            raise ValueError(f"{self.count} answers were asked for, {len(texts)} came")
        values = [float(self.function(text)) for text in texts]
        error = statistics.stdev(values) / math.sqrt(self.count)
        return Reading(statistics.fmean(values), standard_error=error)


def answer_share(
    answer: str, count: int = 10, *, temperature: float = 1.0, max_tokens: int = 8
) -> Samples:
    """Compute the share of sampled texts that begin with an answer.

    A text begins with it when, after white space and punctuation, and case set aside, its first
    word or words are the answer: "**Positive**." begins with "positive", "positively" does not.

    Parameters
    ----------
    answer : str
    count, temperature, max_tokens
        See `Samples`.

    Examples
    --------
    >>> share = answer_share("positive", count=2)
    >>> share.values([Reply((" Positive!", "It is positive"))])
    Reading(value=0.5, standard_error=0.5, bounded=0)
    """
    if not answer.strip():
        raise InvalidInputError(f"the answer {answer!r} was given; needed a word.")
    begins = re.compile(rf"[\W_]*{re.escape(answer.strip())}(?!\w)", re.IGNORECASE)
    name = f"share of answers that begin with {answer.strip()!r}"
    return Samples(lambda text: bool(begins.match(text)), name, count, temperature, max_tokens)
