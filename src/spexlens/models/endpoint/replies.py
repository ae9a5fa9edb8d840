"""Reading what OpenAI-compatible servers answer, in the forms that are about.

Log-probabilities come in two: parallel lists (`tokens`, `token_logprobs`, `top_logprobs`), as
completions had them first, and one `content` list, as chats have them and llama.cpp has both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from spexlens.models.endpoint.reasoning import of_message, of_text

_ROUNDING, _EXCESS = 1e-3, 0.1  # what numbers in half precision, or cut to a digit, may be off by
_NAME = 200  # characters of a model's name
_SMALLEST = -745.0  # below it, exp is 0; -9999 and the least of floats stand for that of 0
_WRITTEN_BYTES = re.compile(r"bytes:((?:\\x[0-9a-f]{2})+)")  # OpenAI's completions: "bytes:\xe2"
_TOKEN_NUMBER = re.compile(r"token_id:\d+")


@dataclass(frozen=True)
class Token:
    """One token of a reply.

    Attributes
    ----------
    text : str
        As the server shows it; a part of a character has no text of its own.
    log_probability : float, optional
        Natural; None where the server gave none, or NaN.
    given_bytes : bytes, optional
        What it stands for, where the server says so beside the text.
    """

    text: str
    log_probability: float | None
    given_bytes: bytes | None = None

    @property
    def content(self) -> bytes:
        r"""The bytes of the token, by which parts of one character can be joined.

        >>> b"".join(Token(text, -1.0).content for text in ("caf", r"bytes:\xc3", r"bytes:\xa9"))
        b'caf\xc3\xa9'
        """
        if self.given_bytes is not None:
            return self.given_bytes
        if written := _WRITTEN_BYTES.fullmatch(self.text):
            return bytes.fromhex(written[1].replace("\\x", ""))
        return self.text.encode("utf-8", "replace")


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
    by_text : bool
        Whether the alternatives came as a table by text, in which tokens that look alike have one
        entry: how likely the others of them are, is not told.
    thought_tokens : int
        Tokens of reasoning that the server counted, shown or not.
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
    by_text: bool = False
    thought_tokens: int = 0

    @property
    def reasons(self) -> bool:
        """Whether the first choice begins with reasoning, as far as its first token shows."""
        if self.thought_tokens or any(text is not None for text in self.reasoning[:1]):
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
    ReplyError
        Where it says what cannot be read, with what to do.
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
    if (own := _own_form(answer)) is not None:
        raise ReplyError(own)
    choices = answer["choices"]
    if choices == []:
        raise ReplyError(_NO_CHOICE)
    first = choices[0]
    tokens, alternatives, by_text = _log_probabilities(first.get("logprobs") or {})
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
        by_text=by_text,
        thought_tokens=_count(
            (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
        ),
    )


class ReplyError(ValueError):
    """An answer of a known form that does not hold what is needed; it says what to do."""


_NO_CHOICE = (
    "its list of choices is empty, which is not OpenAI's form, as from servers whose filter took "
    "the answer"
)
_OPENAI_FORM = "base_url must be that of the OpenAI-compatible routes, which usually end in '/v1'"
_SAMPLED = (
    "its numbers are probabilities after its sampler (post_sampling_probs), in which tokens that "
    "top_k, top_p, min_p or temperature 0 cut off have none; take that option out"
)
# Fields by which a server's own form is told from OpenAI's.
_OWN_FORMS = (
    ("llama.cpp's own /completion", {"content", "tokens_predicted"}),
    ("llama.cpp's own /completion", {"content", "completion_probabilities"}),
    ("Ollama's own /api/generate", {"response", "done"}),
    ("Ollama's own /api/chat", {"message", "done"}),
    ("TGI's own /generate", {"generated_text"}),
    ("SGLang's own /generate", {"text", "meta_info"}),
)


def _own_form(answer: Mapping[str, Any]) -> str | None:
    """Tell of which server's own form an answer is; None for what may be OpenAI's.

    >>> _own_form({"generated_text": " good", "details": {"tokens": []}})
    "it has a form that is not OpenAI's, but TGI's own /generate; base_url must be that of the \
OpenAI-compatible routes, which usually end in '/v1'"
    """
    if "choices" in answer:
        return None
    owner = next((name for name, fields in _OWN_FORMS if fields <= answer.keys()), None)
    return (
        None
        if owner is None
        else f"it has a form that is not OpenAI's, but {owner}; {_OPENAI_FORM}"
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
) -> tuple[tuple[Token, ...], tuple[Token, ...], bool]:
    """All tokens, the alternatives to the first, and whether these came as a table by text."""
    if content := given.get("content"):
        if any(name in content[0] for name in ("top_probs", "prob")):
            raise ReplyError(_SAMPLED)
        return _tokens(content), _tokens(content[0].get("top_logprobs") or []), False
    texts, numbers = given.get("tokens") or [], given.get("token_logprobs") or []
    tokens = tuple(_token(text, number) for text, number in zip(texts, numbers, strict=True))
    top = (given.get("top_logprobs") or [None])[0] or {}
    if isinstance(top, Mapping):
        return tokens, tuple(_token(text, number) for text, number in top.items()), True
    return tokens, _tokens(top), False


def _tokens(entries: Sequence[Mapping[str, Any]]) -> tuple[Token, ...]:
    return tuple(
        _token(entry["token"], entry.get("logprob"), entry.get("bytes")) for entry in entries
    )


def _prompt_tokens(entries: Sequence[Mapping[str, Any] | None]) -> tuple[Token, ...]:
    """vLLM's: for every token a table by token id in which the prompt's own stands first."""
    own = [next(iter(entry.values())) if entry else {} for entry in entries]
    return tuple(_token(entry.get("decoded_token"), entry.get("logprob")) for entry in own)


def _token(text: Any, number: Any, given_bytes: Any = None) -> Token:
    if isinstance(text, int) or _TOKEN_NUMBER.fullmatch(text or ""):
        raise ReplyError(
            f"it gives tokens as numbers ({text!r}) and not as texts; let the server write texts "
            "(return_tokens_as_token_ids of vLLM must be off)"
        )
    value = math.nan if number is None else float(number)
    return Token(
        text or "",
        None if math.isnan(value) else value,
        bytes(given_bytes) if given_bytes else None,
    )


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
    if not together and any(number <= _SMALLEST for number in numbers):
        raise ValueError(
            "the server gives a token that the response holds the probability 0 "
            f"({min(numbers):.4g}, by which it says that it does not know it)"
        )
    if together and math.fsum(map(math.exp, numbers)) > 1 + _EXCESS:
        raise ValueError(
            f"the {len(numbers)} next tokens have probabilities of "
            f"{math.fsum(map(math.exp, numbers)):.3g} together by the server's numbers, which are "
            "then no log-probabilities"
        )
