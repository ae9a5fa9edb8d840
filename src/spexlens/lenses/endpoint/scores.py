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

from spexlens.errors import EndpointError, InvalidInputError, SpexlensWarning
from spexlens.lenses.score import ResolvedScore, Score
from spexlens.lenses.text.spans import as_text
from spexlens.models.endpoint.client import Endpoint, Request, Usage, refuses_top
from spexlens.models.endpoint.reasoning import may_begin_a_tag
from spexlens.models.endpoint.replies import Reply, Token, check_log_probabilities

REASONING_OFF = (
    "turn the reasoning off by the field that the server has for it, such as "
    "options={'chat_template_kwargs': {'enable_thinking': False}} (--option "
    "chat_template_kwargs='{\"enable_thinking\": false}') or reasoning_effort='none'"
)
_SEEN = 16  # tokens that show whether an answer begins with a tag
_TOPS = (500, 20, 5)  # tokens to ask for, until a server gives so many
_LEAST_SHIFT = 0.05  # nats that unseen spellings must be able to add before they are told
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
    partial : int
        How many were, but so that spellings not returned could add more than 0.05 nats.
    low, high : float
        Between them lies a value that was read, as far as unseen answers and spellings go; infinite
        where an answer was not seen at all. NaN for one that was sampled.
    unanswered : int
        How many samples held no answer (only reasoning, cut off, filtered), and were left out.
    numberless : int
        How many answers were among the returned tokens, but without a log-probability that can be
        used: NaN, null, -inf. They are bounded too, for what the server gave, not for `top`.
    """

    value: float
    standard_error: float = 0.0
    bounded: int = 0
    unanswered: int = 0
    partial: int = 0
    low: float = math.nan
    high: float = math.nan
    numberless: int = 0


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

    An answer that is not among the returned tokens is given the largest probability that a token
    can have there: that of the last one returned, or what all of them leave over, if that is less.
    One of which only some usual spellings (with and without a space, in lower case, capitals or a
    capital) are among them is given what was seen; each of the others could add as much. Both are
    counted, and told; `Reading.low` and `high` are the bounds. Where the server gives a table by
    text, in which tokens that look alike have one entry, the others of them can have all that is
    left over.

    Parameters
    ----------
    positive, negative : str or sequence of str
        An answer, or several ways to say it. Each must be one token of the model: a longer answer
        never appears among the next tokens; give its beginning.
    top : int, optional
        How many tokens to ask for. By default `resolve` asks for 500, and for 20 or 5 where the
        server refuses: hosted chats return up to 20, llama.cpp any number.
    exact : bool, default False
        Take no other tokens than the answers as they are written: " positive".
    usage : Usage
        What the full prompt took; `resolve` finds it out.
    """

    positive: str | Sequence[str]
    negative: str | Sequence[str]
    top: int | None = None
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
            for word in words:
                as_text(word, f"{name} answer")
            object.__setattr__(self, name, given if isinstance(given, str) else words)
        if common := self._forms(self.positive) & self._forms(self.negative):
            raise InvalidInputError(
                f"the answers {self.positive!r} and {self.negative!r} share {sorted(common)}"
                f"{'' if self.exact else ', case and white space set aside'}; needed answers that "
                "differ."
            )
        if self.top is not None and self.top < 2:
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
        """Ask for one answer after `prompt` and check that it can be scored; 1 to 4 requests.

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
        chosen, reply = self._asked(endpoint, prompt)
        (request,) = chosen.requests(prompt)
        try:
            if may_begin_a_tag(reply.texts[0]):
                _check_no_reasoning(endpoint.ask(replace(request, max_tokens=_SEEN)))
            reading = chosen.values([reply])
        except ValueError as error:
            chats = "" if endpoint.chat or reply.alternatives else (
                "; of some servers (Ollama, TGI) only chats hold any: chat=True (--chat)"
            )  # fmt: skip
            raise InvalidInputError(
                f"the endpoint cannot be scored by the probabilities of answers: {error}{chats}. "
                "Score samples instead: answer_share(…)."
            ) from error
        if reading.bounded:
            likely = ", ".join(repr(token.text) for token in reply.alternatives[:8])
            told = (
                f"after the full prompt, {reading.bounded} of the 2 answers {self.positive!r} and "
                f"{self.negative!r} are not among the {len(reply.alternatives)} tokens returned; "
                f"the likeliest are {likely}. Choose answers among them, change the template so "
                "that it asks for the answers, or raise `top` (--top-tokens)"
                f"{_cut_off(reply, chosen.top)}"
            )
            if reading.bounded == 2:
                raise InvalidInputError(f"{told}.")
            warnings.warn(f"{told}; until then its probability is bounded.", SpexlensWarning, 2)
        return replace(chosen, usage=Usage().plus(reply))

    def _asked(self, endpoint: Endpoint, prompt: str) -> tuple[NextTokenLogOdds, Reply]:
        """Ask for as many tokens as the server gives, or as were chosen; return which, and them."""
        for top in _TOPS if self.top is None else (self.top,):
            chosen = replace(self, top=top)
            try:
                return chosen, endpoint.ask(*chosen.requests(prompt))
            except EndpointError as error:
                fewer = refuses_top(error.status, str(error))
                if top in (self.top, _TOPS[-1]) or not fewer:
                    raise
        raise AssertionError("the last number returns or raises")

    def requests(self, prompt: str, /) -> tuple[Request, ...]:
        """Make one request for one token."""
        return (Request(prompt, max_tokens=1, top=self.top or _TOPS[0]),)

    def values(self, replies: Sequence[Reply], /) -> Reading:
        """Compute the log-odds of one prompt, nats."""
        # A server that adds the token it drew to the most likely ones returns one more than asked.
        _check_no_reasoning(replies[0])
        tokens = replies[0].alternatives[: self.top]
        if not tokens:
            raise ValueError(
                f"the reply holds no log-probabilities of next tokens{_instead(replies[0])}"
            )
        check_log_probabilities(tokens, together=True)
        merged = replies[0].by_text and len(tokens) + len(replies[0].numberless) < (self.top or 0)
        positive, negative = (
            self._seen(tokens, one, merged) for one in (self.positive, self.negative)
        )
        return Reading(
            positive.value - negative.value,
            bounded=(positive.low == -math.inf) + (negative.low == -math.inf),
            partial=positive.is_partial + negative.is_partial,
            low=positive.low - negative.high,
            high=positive.high - negative.low,
            numberless=sum(
                seen.low == -math.inf
                and any(self._form(text) in self._forms(answer) for text in replies[0].numberless)
                for seen, answer in ((positive, self.positive), (negative, self.negative))
            ),
        )

    def _seen(self, tokens: Sequence[Token], answer: str | Sequence[str], merged: bool) -> _Seen:
        """Read the log-probability of an answer, and its bounds, off the tokens returned.

        With `merged` others may have the texts of those returned, and be likelier than the last.
        """
        forms = self._forms(answer)
        probabilities = [math.exp(token.log_probability or 0.0) for token in tokens]
        found = math.fsum(
            probability
            for token, probability in zip(tokens, probabilities, strict=True)
            if self._form(token.text) in forms
        )
        left = max(_LEAST_MASS, 1.0 - math.fsum(probabilities))
        smallest = min(probability for probability in probabilities if probability > 0)
        unseen = self._spellings(answer) - {token.text for token in tokens}
        most = found + (left if merged and found else min(left, len(unseen) * smallest))
        low = math.log(found) if found else -math.inf
        value = low if found else math.log(min(left, smallest))
        return _Seen(value, low, math.log(most) if most else low)

    def _spellings(self, answer: str | Sequence[str]) -> set[str]:
        """List the tokens that the answer usually is, those of which one can be unseen."""
        words = [answer] if isinstance(answer, str) else answer
        if self.exact:
            return set(words)
        bare = [word.strip() for word in words]
        cases = {
            case for word in bare for case in (word, word.lower(), word.capitalize(), word.upper())
        }
        return {space + word for word in cases for space in ("", " ")}

    def _forms(self, answer: str | Sequence[str]) -> frozenset[str]:
        return frozenset(map(self._form, [answer] if isinstance(answer, str) else answer))

    def _form(self, text: str) -> str:
        return text if self.exact else text.strip().casefold()


@dataclass(frozen=True)
class _Seen:
    """An answer's log-probability and its bounds; the lower one is -inf where it was not seen."""

    value: float
    low: float
    high: float

    @property
    def is_partial(self) -> bool:
        return _LEAST_SHIFT < self.high - self.low < math.inf


def _instead(reply: Reply) -> str:
    """Tell what a reply without alternatives holds."""
    if reply.numberless:
        return ", but NaN, null or -inf for them"
    if reply.ends[:1] == ("content_filter",):
        return ", as the server's filter took its answer"
    if reply.tokens:
        return ", but of the token alone that was drawn"
    return ""


def _cut_off(reply: Reply, top: int | None) -> str:
    """Tell where the tokens returned leave nothing over, fewer though they are than asked for."""
    mass = math.fsum(math.exp(token.log_probability or 0.0) for token in reply.alternatives)
    if top is None or len(reply.alternatives) >= top or mass < 1 - _LEAST_MASS:
        return ""
    return (
        f"; these {len(reply.alternatives)} have a probability of 1 together, so the server gives "
        "probabilities after its sampler has cut off the others: turn that off, with "
        "options={'top_k': 0, 'top_p': 1, 'min_p': 0} or what the server has for it"
    )


def _check_no_reasoning(reply: Reply) -> None:
    if reply.reasons:
        raise ValueError(
            "the model reasons before it answers, so that its next token is none of the answer; "
            f"{REASONING_OFF}, or let it reason in samples that are long enough"
        )


def _said(answer: str | Sequence[str]) -> str:
    return repr(answer) if isinstance(answer, str) else " or ".join(map(repr, answer))
