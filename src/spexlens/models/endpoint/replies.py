"""Reading what OpenAI-compatible servers answer, in the forms that are about.

Log-probabilities come in two: parallel lists (`tokens`, `token_logprobs`, `top_logprobs`), as
completions had them first, and one `content` list, as chats have them and llama.cpp has both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from spexlens.models.endpoint.reasoning import of_message, of_text

_ROUNDING, _EXCESS = 1e-3, 0.1  # what numbers in half precision, or cut to a digit, may be off by
_NAME = 200  # characters of a model's name
_SMALLEST = -745.0  # below it, exp is 0


@dataclass(frozen=True)
class Token:
    """The text of a token, and its natural-log probability where the server gave one."""

    text: str
    log_probability: float | None


@dataclass(frozen=True)
class Reply:
    """One answer of an endpoint.

    Attributes
    ----------
    texts : tuple of str
        The answer of every choice, the reasoning before it taken off.
    tokens : tuple of Token
        Of the first choice, where log-probabilities were asked for; the prompt's own, where they
        were asked for, come first.
    alternatives : tuple of Token
        The most likely first tokens of the first choice, the likeliest first; those without a
        log-probability, or of probability 0, are left out.
    numberless : tuple of str
        The texts of those that are left out: their number was NaN, null, or that of 0.
    prompt_tokens, answer_tokens : int
        As the server counts them; 0 where it does not.
    reasoning : tuple of (str or None)
        What every choice holds before its answer, None where the server marks nothing so.
    ends : tuple of str
        Why every choice ended, in the server's words: "stop", "length", "content_filter"; "" where
        it does not say.
    model : str
        What the server calls the model that answered; "" where it does not say.
    """

    texts: tuple[str, ...]
    tokens: tuple[Token, ...] = ()
    alternatives: tuple[Token, ...] = ()
    prompt_tokens: int = 0
    answer_tokens: int = 0
    reasoning: tuple[str | None, ...] = ()
    ends: tuple[str, ...] = ()
    numberless: tuple[str, ...] = ()
    model: str = ""

    @property
    def reasons(self) -> bool:
        """Whether the first choice begins with reasoning, as far as its first token shows."""
        if any(text is not None for text in self.reasoning[:1]):
            return True
        # A server that takes reasoning off may say nothing of it, and shows a token of no text.
        shown = any(token.text.strip() for token in self.tokens[:1])
        return shown and self.ends[:1] == ("length",) and not self.texts[0].strip()

    def unanswered(self) -> tuple[str, ...]:
        """Tell why choices have no answer: one reason for each that has none."""
        told = zip_longest(self.texts, self.reasoning, self.ends)
        reasons = (_no_answer(text or "", reasoning, end or "") for text, reasoning, end in told)
        return tuple(reason for reason in reasons if reason)

    def answers(self) -> tuple[str, ...]:
        """List the texts of the other choices."""
        told = zip_longest(self.texts, self.reasoning, self.ends)
        return tuple(
            text for text, reasoning, end in told if not _no_answer(text, reasoning, end or "")
        )


def read_reply(answer: Mapping[str, Any]) -> Reply:
    """Read the reply in the JSON of a completion or chat completion.

    Raises
    ------
    LookupError, TypeError, ValueError, AttributeError
        Where the JSON has another form.

    Examples
    --------
    >>> top = [{"token": " yes", "logprob": -0.1}, {"token": " no", "logprob": -2.5}]
    >>> reply = read_reply({"choices": [{
    ...     "message": {"content": " yes"},
    ...     "logprobs": {"content": [{"token": " yes", "logprob": -0.1, "top_logprobs": top}]},
    ... }]})
    >>> reply.texts, [token.text for token in reply.alternatives]
    ((' yes',), [' yes', ' no'])
    """
    choices = answer["choices"]
    first = choices[0]
    tokens, alternatives = _log_probabilities(first.get("logprobs") or {})
    # vLLM puts them beside the choices of a chat, and into those of a completion.
    prompt = first.get("prompt_logprobs") or answer.get("prompt_logprobs")
    usage = answer.get("usage") or {}
    told = [_told(choice) for choice in choices]
    return Reply(
        texts=tuple(text for _, text in told),
        tokens=_prompt_tokens(prompt or ()) + tokens,
        alternatives=tuple(
            sorted(filter(_is_possible, alternatives), key=_log_probability, reverse=True)
        ),
        numberless=tuple(token.text for token in alternatives if not _is_possible(token)),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        answer_tokens=_count(usage.get("completion_tokens")),
        reasoning=tuple(reasoning for reasoning, _ in told),
        ends=tuple(str(choice.get("finish_reason") or "") for choice in choices),
        model=str(answer.get("model") or "")[:_NAME],
    )


def _count(told: Any) -> int:
    return max(0, int(told or 0))


def _told(choice: Mapping[str, Any]) -> tuple[str | None, str]:
    """Read the reasoning and the answer of a choice."""
    if "message" in choice:
        return of_message(choice["message"])
    return of_text(str(choice["text"] or ""))


def _no_answer(text: str, reasoning: str | None, end: str) -> str:
    """Tell why a choice holds no answer; "" where it holds one, which may be empty."""
    if end == "content_filter":
        return "filtered by the server"
    if text.strip():
        return ""
    if reasoning is not None:
        return "cut off while it reasoned" if end in ("length", "") else "reasoning only"
    return "cut off before any text" if end == "length" else ""


def _log_probabilities(
    given: Mapping[str, Any],
) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
    """All tokens, and the alternatives to the first."""
    if content := given.get("content"):
        return _tokens(content), _tokens(content[0].get("top_logprobs") or [])
    texts, numbers = given.get("tokens") or [], given.get("token_logprobs") or []
    tokens = tuple(_token(text, number) for text, number in zip(texts, numbers, strict=True))
    top = (given.get("top_logprobs") or [None])[0] or {}
    if isinstance(top, Mapping):
        return tokens, tuple(_token(text, number) for text, number in top.items())
    return tokens, _tokens(top)


def _tokens(entries: Sequence[Mapping[str, Any]]) -> tuple[Token, ...]:
    return tuple(_token(entry["token"], entry.get("logprob")) for entry in entries)


def _prompt_tokens(entries: Sequence[Mapping[str, Any] | None]) -> tuple[Token, ...]:
    """vLLM's: for every token a table by token id in which the prompt's own stands first."""
    own = [next(iter(entry.values())) if entry else {} for entry in entries]
    return tuple(_token(entry.get("decoded_token") or "", entry.get("logprob")) for entry in own)


def _token(text: Any, number: Any) -> Token:
    value = math.nan if number is None else float(number)
    return Token(str(text), None if math.isnan(value) else value)


def _is_possible(token: Token) -> bool:
    return _log_probability(token) > _SMALLEST


def _log_probability(token: Token) -> float:
    return -math.inf if token.log_probability is None else token.log_probability


def check_log_probabilities(tokens: Sequence[Token], *, together: bool) -> None:
    """Raise ValueError for numbers that are no log-probabilities, such as probabilities.

    Parameters
    ----------
    tokens : sequence of Token
    together : bool
        Whether they exclude each other, so that their probabilities add up to 1 at most.
    """
    numbers = [token.log_probability for token in tokens if token.log_probability is not None]
    if any(number > _ROUNDING for number in numbers):
        raise ValueError(
            f"the server gives {max(numbers):.4g} as a log-probability, and none is above 0; are "
            "these probabilities?"
        )
    if not together and any(number == -math.inf for number in numbers):
        raise ValueError("the server gives a token the probability 0 that the response holds")
    if together and math.fsum(map(math.exp, numbers)) > 1 + _EXCESS:
        raise ValueError(
            f"the {len(numbers)} next tokens have probabilities of "
            f"{math.fsum(map(math.exp, numbers)):.3g} together by the server's numbers, which are "
            "then no log-probabilities"
        )
