"""What is read off an endpoint after a prompt, and the log-odds of two answers as its next token.

An endpoint shows neither its tokenizer nor its logits, so a score is first tried out on the full
prompt. `resolve` does so: it asks the endpoint a few times, and returns the score that is then used
for every ablation.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from spexlens.errors import InvalidInputError, SpexlensWarning
from spexlens.lenses.score import ResolvedScore, Score
from spexlens.models.endpoint.client import Endpoint, Request, Usage
from spexlens.models.endpoint.reasoning import may_begin_a_tag
from spexlens.models.endpoint.replies import Reply, Token, check_log_probabilities

REASONING_OFF = (
    "turn the reasoning off by the field that the server has for it, such as "
    "options={'chat_template_kwargs': {'enable_thinking': False}} (--option "
    "chat_template_kwargs='{\"enable_thinking\": false}') or reasoning_effort='none'"
)
_SEEN = 16  # tokens that show whether an answer begins with a tag
_LEAST_MASS = 1e-6  # log-probabilities are sent in single precision: less left over is rounding


@dataclass(frozen=True)
class Reading:
    """The value of one prompt, and how well it is known.

    Attributes
    ----------
    value : float
    standard_error : float
        Of a value that was sampled; 0 for one that was read.
    bounded : int
        How many answers were not among the returned tokens, so that their probability was bounded.
    unanswered : int
        How many samples held no answer (only reasoning, cut off, filtered), and were left out.
    """

    value: float
    standard_error: float = 0.0
    bounded: int = 0
    unanswered: int = 0


class ResolvedEndpointScore(ResolvedScore[[Sequence[Reply]], Reading], Protocol):
    """A score that an endpoint has served: `values` reads the replies to one prompt.

    It raises ValueError where they do not hold the value.
    """

    @property
    def usage(self) -> Usage:
        """What one prompt took: the full one."""
        ...

    def requests(self, prompt: str, /) -> tuple[Request, ...]:
        """Say what to ask about one prompt."""
        ...


EndpointScore = Score[[Endpoint, str], ResolvedEndpointScore]
"""Resolved against an endpoint and the full prompt, by a few requests."""


@dataclass(frozen=True)
class NextTokenLogOdds:
    """Log-probability of a positive answer minus that of a negative one, as the next token.

    The probability of an answer is the sum over the returned tokens that are the answer once white
    space around them and upper case are taken off: " positive", "positive" and "Positive" are one.
    With `exact` it is that of the one token, white space and case included.

    An answer that is not among the returned tokens is given the largest probability that it can
    have: that of the last token returned, or what all of them leave over, if that is less. Such
    values are counted, and told.

    Parameters
    ----------
    positive, negative : str or sequence of str
        An answer, or several ways to say it. Each must be one token of the model: a longer answer
        never appears among the next tokens; give its beginning.
    top : int, default 20
        How many tokens to ask for. Hosted chats return up to 20, llama.cpp any number.
    exact : bool, default False
        Take no other tokens than the answers as they are written: " positive".
    usage : Usage
        What the full prompt took; `resolve` finds it out.
    """

    positive: str | Sequence[str]
    negative: str | Sequence[str]
    top: int = 20
    exact: bool = False
    usage: Usage = field(default=Usage(), compare=False)

    def __post_init__(self) -> None:
        for name in ("positive", "negative"):
            given = getattr(self, name)
            words = (given,) if isinstance(given, str) else tuple(given)
            if not words or not all(isinstance(word, str) and word.strip() for word in words):
                raise InvalidInputError(
                    f"the {name} answer {given!r} was given; needed a word, or several."
                )
            object.__setattr__(self, name, given if isinstance(given, str) else words)
        if common := self._forms(self.positive) & self._forms(self.negative):
            raise InvalidInputError(
                f"the answers {self.positive!r} and {self.negative!r} share {sorted(common)}"
                f"{'' if self.exact else ', case and white space set aside'}; needed answers that "
                "differ."
            )
        if self.top < 2:
            raise InvalidInputError(f"top = {self.top} given; needed at least 2 tokens.")

    @property
    def description(self) -> str:
        """`log p('positive') - log p('negative')`."""
        return f"log p({_said(self.positive)}) - log p({_said(self.negative)})"

    def identity(self) -> dict[str, Any]:
        """Tell answers and number of tokens."""
        return {
            "score": "answer log-odds",
            "positive": sorted(self._forms(self.positive)),
            "negative": sorted(self._forms(self.negative)),
            "top": self.top,
            "exact": self.exact,
        }

    def resolve(self, endpoint: Endpoint, prompt: str, /) -> NextTokenLogOdds:
        """Ask for one answer after `prompt` and check that it can be scored; one request.

        Raises
        ------
        InvalidInputError
            When it returns no log-probabilities, reasons before it answers, or neither answer is
            among the tokens.

        Warns
        -----
        SpexlensWarning
            When one of the answers is not.
        """
        (request,) = self.requests(prompt)
        reply = endpoint.ask(request)
        try:
            if may_begin_a_tag(reply.texts[0]):
                _check_no_reasoning(endpoint.ask(replace(request, max_tokens=_SEEN)))
            reading = self.values([reply])
        except ValueError as error:
            raise InvalidInputError(
                f"the endpoint cannot be scored by the probabilities of answers: {error}. Score "
                "samples instead: answer_share(…)."
            ) from error
        if reading.bounded:
            likely = ", ".join(repr(token.text) for token in reply.alternatives[:8])
            told = (
                f"after the full prompt, {reading.bounded} of the 2 answers {self.positive!r} and "
                f"{self.negative!r} are not among the {len(reply.alternatives)} tokens returned; "
                f"the likeliest are {likely}. Choose answers among them, change the template so "
                "that it asks for the answers, or raise `top` (--top-tokens)"
            )
            if reading.bounded == 2:
                raise InvalidInputError(f"{told}.")
            warnings.warn(f"{told}; until then its probability is bounded.", SpexlensWarning, 2)
        return replace(self, usage=Usage().plus(reply))

    def requests(self, prompt: str, /) -> tuple[Request, ...]:
        """Make one request for one token."""
        return (Request(prompt, max_tokens=1, top=self.top),)

    def values(self, replies: Sequence[Reply], /) -> Reading:
        """Compute the log-odds of one prompt, nats."""
        # A server that adds the token it drew to the most likely ones returns one more than asked.
        _check_no_reasoning(replies[0])
        tokens = replies[0].alternatives[: self.top]
        if not tokens:
            raise ValueError("the reply holds no log-probabilities of next tokens")
        check_log_probabilities(tokens, together=True)
        positive, bounded = self._log_probability(tokens, self.positive)
        negative, bounded_too = self._log_probability(tokens, self.negative)
        return Reading(positive - negative, bounded=bounded + bounded_too)

    def _log_probability(
        self, tokens: Sequence[Token], answer: str | Sequence[str]
    ) -> tuple[float, int]:
        """Log-probability of the answer, and 1 where it is only bounded."""
        forms = self._forms(answer)
        probabilities = [math.exp(token.log_probability or 0.0) for token in tokens]
        found = math.fsum(
            probability
            for token, probability in zip(tokens, probabilities, strict=True)
            if self._form(token.text) in forms
        )
        if found > 0:
            return math.log(found), 0
        left = max(_LEAST_MASS, 1.0 - math.fsum(probabilities))
        smallest = min(probability for probability in probabilities if probability > 0)
        return math.log(min(left, smallest)), 1

    def _forms(self, answer: str | Sequence[str]) -> frozenset[str]:
        return frozenset(map(self._form, [answer] if isinstance(answer, str) else answer))

    def _form(self, text: str) -> str:
        return text if self.exact else text.strip().casefold()


def _check_no_reasoning(reply: Reply) -> None:
    if reply.reasons:
        raise ValueError(
            "the model reasons before it answers, so that its next token is none of the answer; "
            f"{REASONING_OFF}, or let it reason in samples that are long enough"
        )


def _said(answer: str | Sequence[str]) -> str:
    return repr(answer) if isinstance(answer, str) else " or ".join(map(repr, answer))
