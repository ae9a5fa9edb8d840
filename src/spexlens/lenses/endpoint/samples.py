"""Scores of an endpoint that shows text only: functions of sampled answers, with their noise."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spexlens.errors import EndpointError, InvalidInputError, shown
from spexlens.lenses.endpoint.scores import REASONING_OFF, Reading
from spexlens.lenses.text.spans import as_text
from spexlens.models.endpoint.client import UNKNOWN_FIELD, Endpoint, Request, Usage
from spexlens.models.endpoint.replies import Reply


@dataclass(frozen=True)
class Samples:
    """The mean of a function over sampled answers, with its standard error.

    A sample without an answer (its reasoning was cut off, a filter took it) is left out and
    counted; a prompt of which fewer than half the samples hold one has no value.

    Parameters
    ----------
    function : callable
        The text of an answer -> a number; reasoning that the server or tags mark is taken off.
    name : str
        Says what the function computes; the key under which values are stored, so that another
        function needs another name.
    count : int, default 10
        Answers to a prompt, at least 2.
    temperature : float, default 1
    max_tokens : int, default 8
        The longest answer, the reasoning before it counted.
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
            When a seed is among the endpoint's options (all samples would be the same), or when
            samples of the full prompt hold no answer, or are cut off before they tell the score
            anything.
        """
        if endpoint.options.get("seed") is not None:
            raise InvalidInputError(
                "the endpoint's options hold a seed, with which servers give the same sample every "
                "time, and the noise cannot be estimated; leave it out."
            )
        most = endpoint.most_choices or self.count
        for choices in dict.fromkeys((min(self.count, most), 1)):
            chosen = replace(self, choices=choices)
            try:
                replies = [reply for _, reply in endpoint.run(chosen.requests(prompt))]
            except EndpointError as error:
                if choices == 1 or error.status not in UNKNOWN_FIELD:
                    raise
            else:
                if sum(len(reply.texts) for reply in replies) == self.count:
                    break
        try:
            self._check_answers(replies)
            reading = self.values(replies)
        except ValueError as error:
            raise InvalidInputError(f"the samples cannot be scored: {error}.") from error
        if endpoint.chat:
            self._check_seen(replies, reading.value)
        usage = Usage()
        for reply in replies:
            usage = usage.plus(reply)
        return replace(chosen, usage=usage)

    def _check_answers(self, replies: Sequence[Reply]) -> None:
        """Raise where samples of the full prompt hold no answer: others would not either."""
        if all(not text.strip() for reply in replies for text in reply.texts):
            raise ValueError(f"all samples of the full prompt are empty{self._why(replies)}")
        if any(reply.unanswered() for reply in replies):
            raise ValueError(f"samples of the full prompt hold no answer{self._why(replies)}")

    def _check_seen(self, replies: Sequence[Reply], value: float) -> None:
        """Raise where the score sees nothing in texts that were all cut off."""
        ends = {end for reply in replies for end in reply.ends}
        texts = [text for reply in replies for text in reply.texts]
        try:
            nothing = float(self.function(""))
        except Exception:  # the user's own function need not take an empty text
            return
        if ends == {"length"} and all(float(self.function(text)) == nothing for text in texts):
            raise InvalidInputError(
                f"all {self.count} samples of the full prompt were cut off after {self.max_tokens} "
                f"tokens, and the score is {value:g} as for an empty text; they begin "
                f"{shown(sorted(set(texts)), 3)}. Raise max_tokens (--answer-tokens), or ask for "
                "the answer alone in the prompt."
            )

    def _why(self, replies: Sequence[Reply]) -> str:
        """Tell what kept samples from an answer, and what to do."""
        reasons = Counter(reason for reply in replies for reason in reply.unanswered())
        if not reasons:
            return "; word the prompt so that the model says something after it"
        told = ", ".join(f"{count} of {self.count} {reason}" for reason, count in reasons.items())
        return (
            f" ({told}); at most {self.max_tokens} tokens were asked for: raise max_tokens "
            f"(--answer-tokens), or {REASONING_OFF}"
        )

    def requests(self, prompt: str, /) -> tuple[Request, ...]:
        """Make as many requests as `count` answers take."""
        request = Request(prompt, self.max_tokens, self.temperature, choices=self.choices)
        full, rest = divmod(self.count, self.choices)
        return (request,) * full + ((replace(request, choices=rest),) if rest else ())

    def values(self, replies: Sequence[Reply], /) -> Reading:
        """Compute the mean, and its noise: the samples' standard deviation over sqrt(number)."""
        count = sum(len(reply.texts) for reply in replies)
        if count != self.count:
            raise ValueError(f"{self.count} answers were asked for, {count} came")
        texts = [text for reply in replies for text in reply.answers()]
        if len(texts) < max(2, self.count / 2):
            raise ValueError(f"too few samples hold an answer{self._why(replies)}")
        values = [float(self.function(text)) for text in texts]
        error = statistics.stdev(values) / math.sqrt(len(values))
        return Reading(
            statistics.fmean(values), standard_error=error, unanswered=count - len(texts)
        )


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
    >>> share.values([Reply((" Positive!", "It is positive"))]).value
    0.5
    """
    if not as_text(answer, "answer").strip():
        raise InvalidInputError(f"the answer {answer!r} was given; needed a word.")
    begins = re.compile(rf"[\W_]*{re.escape(answer.strip())}(?!\w)", re.IGNORECASE)
    name = f"share of answers that begin with {answer.strip()!r}"
    return Samples(lambda text: bool(begins.match(text)), name, count, temperature, max_tokens)
