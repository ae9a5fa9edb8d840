"""The log-probability of a whole response, from servers that tell it of the prompt's own tokens.

Many servers take the field for it and ignore it, or return the log-probabilities of the wrong
tokens. So a server is believed only after it was seen to agree with its own generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from spexlens.errors import EndpointError, EndpointUnavailableError, InvalidInputError
from spexlens.lenses.endpoint.scores import Reading
from spexlens.lenses.text.spans import as_text
from spexlens.models.endpoint.client import ECHOES, UNKNOWN_FIELD, Echo, Endpoint, Request, Usage
from spexlens.models.endpoint.replies import Reply, Token, check_log_probabilities

_OPENINGS = ("The", "Once upon a time there was a", "1, 2, 3, 5, 8,")
_LENGTH = 8  # tokens generated after each
_ATTEMPTS = 2  # at a field, while the server is known to answer without it
# Nats. Servers in bfloat16 differ from themselves by about 0.1; a token and its neighbour, by far
# more somewhere in a few dozen tokens.
_TOLERANCE, _DISTINCT = 0.25, 1.0


@dataclass(frozen=True)
class EchoedLogProbability:
    """Natural-log probability of a fixed response after the prompt, as the server tells it.

    Parameters
    ----------
    response : str
        Follows the prompt directly: begin it with a space where one is needed.
    echo : "echo" or "prompt_logprobs", optional
        The field that the server is asked through. `resolve` finds out which it serves rightly.
    usage : Usage
        What the full prompt took; `resolve` finds it out.
    """

    response: str
    echo: Echo | None = None
    usage: Usage = field(default=Usage(), compare=False)

    def __post_init__(self) -> None:
        if not as_text(self.response, "response").strip():
            raise InvalidInputError(
                f"the response {self.response!r} was given; needed a text of one word or more."
            )

    @property
    def description(self) -> str:
        """`log p('…')`."""
        return f"log p({self.response!r})"

    def identity(self) -> dict[str, Any]:
        """Tell the response."""
        return {"score": "response log-probability", "response": self.response}

    def resolve(self, endpoint: Endpoint, prompt: str, /) -> EchoedLogProbability:
        """Choose the first field that the endpoint serves rightly; 6 to 10 requests.

        Raises
        ------
        InvalidInputError
            When there is none, with what was wrong with each.
        """
        if endpoint.chat:
            raise InvalidInputError(
                "a chat does not tell log-probabilities of a given response; use chat=False with "
                "the model's chat template written out, or another score."
            )
        echo = right_echo(endpoint)
        chosen = replace(self, echo=echo)
        reply = endpoint.ask(*chosen.requests(prompt))
        try:
            chosen.values([reply])
        except ValueError as error:
            raise InvalidInputError(f"the response cannot be scored: {error}.") from error
        return replace(chosen, usage=Usage().plus(reply))

    def requests(self, prompt: str, /) -> tuple[Request, ...]:
        """Make one request for the prompt and the response together."""
        return (Request(prompt + self.response, max_tokens=1, top=1, echo=self.echo),)

    def values(self, replies: Sequence[Reply], /) -> Reading:
        """Compute the log-probability of the response, nats."""
        tokens = last_tokens(replies[0], self.response)
        return Reading(sum(token.log_probability or 0.0 for token in tokens))


def last_tokens(reply: Reply, text: str) -> tuple[Token, ...]:
    """Find the echoed tokens that make up `text`, the end of what was sent.

    Counted from the end, because servers differ in what they put before the prompt. A server that
    does not count its tokens has generated one more, or none.

    Raises
    ------
    ValueError
        When there are none, `text` begins inside a token, or they have no log-probabilities.

    Examples
    --------
    >>> echoed = [Token("a", None), Token(" b", -1.0), Token(" c", -2.0), Token(" d", -0.5)]
    >>> reply = Reply((" d",), tuple(echoed), answer_tokens=1)
    >>> [token.text for token in last_tokens(reply, " b c")]
    [' b', ' c']
    """
    ends = [
        _end(reply.tokens[: len(reply.tokens) - generated], text)
        for generated in dict.fromkeys((reply.answer_tokens, 1, 0))
    ]
    found = next((end for end in ends if _content(end) == text.encode()), None)
    if found is None:
        joined = _content(ends[0]).decode("utf-8", "replace")
        raise ValueError(
            f"the reply's last tokens make {joined!r}, not {text!r}: the server does not echo, or "
            "the first word is joined with the prompt's end, which a space at the response's "
            "beginning, and none at the template's end, prevents"
        )
    if any(token.log_probability is None for token in found):
        raise ValueError("the reply has no log-probability for some of the tokens")
    check_log_probabilities(found, together=False)
    return found


def _content(tokens: Sequence[Token]) -> bytes:
    return b"".join(token.content for token in tokens)


def _end(tokens: tuple[Token, ...], text: str) -> tuple[Token, ...]:
    """Take the last tokens that are together as long as `text`, or longer."""
    wanted = len(text.encode())
    length = count = 0
    while length < wanted and count < len(tokens):
        count += 1
        length += len(tokens[-count].content)
    return tokens[len(tokens) - count :]


def right_echo(endpoint: Endpoint) -> Echo:
    """Find the field through which an endpoint tells log-probabilities of a prompt's own tokens.

    A few tokens are drawn after several openings, with their log-probabilities, and then sent
    as part of the prompt: the echoed log-probabilities must be the same.

    Raises
    ------
    InvalidInputError
        When no field passes, with what was wrong with each.
    EndpointUnavailableError
        When the server failed at one, which is no verdict, and no other passes.
    """
    # The likeliest tokens are often all about as likely, and a shift would not show; drawn ones are
    # not, and at temperature 1 every server means the same by their probability.
    openings = [Request(text, max_tokens=_LENGTH, temperature=1.0, top=1) for text in _OPENINGS]
    generated = [_written(reply.tokens) for reply in _in_order(endpoint, openings)]
    texts = [_content(tokens).decode() for tokens in generated]
    problems = []
    failed: EndpointUnavailableError | None = None
    for echo in ECHOES:
        sent = [
            Request(opening + text, max_tokens=1, top=1, echo=echo, attempts=_ATTEMPTS)
            for opening, text in zip(_OPENINGS, texts, strict=True)
        ]
        try:
            replies = zip(_in_order(endpoint, sent), texts, strict=True)
            _check_echo(generated, [last_tokens(reply, text) for reply, text in replies])
        except EndpointUnavailableError as error:  # also how servers fail at a field
            failed = failed or error
            problems.append(f"{echo}: failed with status {error.status}")
        except EndpointError as error:
            if error.status not in UNKNOWN_FIELD:
                raise
            problems.append(f"{echo}: refused with status {error.status}")
        except ValueError as error:
            problems.append(f"{echo}: {error}")
        else:
            return echo
    if failed is not None:
        failed.add_note(f"No field tells the log-probabilities of a response: {problems}")
        raise failed
    raise InvalidInputError(
        f"the endpoint {endpoint.base_url} does not tell the log-probabilities of a given response "
        f"rightly ({'; '.join(problems)}). Score the next token instead, NextTokenLogOdds(…), or "
        "samples, answer_share(…)."
    )


def _in_order(endpoint: Endpoint, requests: Sequence[Request]) -> list[Reply]:
    return [reply for _, reply in sorted(endpoint.run(requests), key=lambda pair: pair[0])]


def _written(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Keep the tokens that can be sent again: before an end-of-text token, which has no text."""
    shown = tuple(token for token in tokens if token.text)
    for count in range(len(shown), 0, -1):  # the last one may be a part of a character
        with suppress(UnicodeDecodeError):
            _content(shown[:count]).decode()
            return shown[:count]
    return ()


def _check_echo(generated: Sequence[Sequence[Token]], echoed: Sequence[Sequence[Token]]) -> None:
    """ValueError unless tokens have the log-probabilities with which they were generated."""
    apart = neighbours = 0.0
    for own, again in zip(generated, echoed, strict=True):
        if [token.text for token in own] != [token.text for token in again]:
            continue  # a text that is cut into other tokens than those generated
        told = [token.log_probability or 0.0 for token in own]
        repeated = [token.log_probability or 0.0 for token in again]
        apart = max([apart, *(abs(a - b) for a, b in zip(told, repeated, strict=True))])
        neighbours = max([neighbours, *(abs(a - b) for a, b in pairwise(told))])
    if neighbours < _DISTINCT:
        raise ValueError("too little was generated, or too surely, to tell right from wrong")
    if apart > _TOLERANCE:
        raise ValueError(
            f"the log-probabilities of a token differ by up to {apart:.1f} nats between the echo "
            "and the generation"
        )
