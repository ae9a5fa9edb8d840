"""What an endpoint can serve: every kind of score tried out once, with what it takes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from spexlens.errors import (
    EndpointError,
    EndpointUnavailableError,
    InvalidInputError,
    RefusedPromptError,
    SpexlensWarning,
)
from spexlens.lenses.endpoint.response import EchoedLogProbability
from spexlens.lenses.endpoint.samples import answer_share
from spexlens.lenses.endpoint.scores import NextTokenLogOdds
from spexlens.models.endpoint.client import UNKNOWN_FIELD, Endpoint, Request, Usage

_PROMPT = "Is snow white? Answer with yes or no.\nAnswer:"
_TEXT = " yes, it is"
_SAMPLES, _ROOM = 2, 256  # room for a model that reasons first


@dataclass(frozen=True)
class ServedScore:
    """Whether an endpoint serves a kind of score.

    Attributes
    ----------
    names : str
        Rows of `ENDPOINT_SCORES` that need it.
    served : bool
    told : str
        How it is served, or why not.
    usage : Usage
        What one prompt takes; nothing where it is not served.
    seconds : float
        That trying it took, setting up included.
    """

    names: str
    served: bool
    told: str
    usage: Usage = field(default=Usage())
    seconds: float = 0.0


@dataclass(frozen=True)
class EndpointCheck:
    """How an endpoint answers, and which scores it serves.

    Attributes
    ----------
    model : str
        As the server calls it; "" where it does not.
    answer : str
        What it said to a short question.
    reasons : bool
        Whether it thinks before it answers.
    counts_tokens : bool
        Whether it tells what it took.
    scores : tuple of ServedScore
    usage : Usage
        What the check took in all.
    """

    model: str
    answer: str
    reasons: bool
    counts_tokens: bool
    scores: tuple[ServedScore, ...]
    usage: Usage


def check_endpoint(endpoint: Endpoint) -> EndpointCheck:
    """Ask an endpoint a short question in every way that a score needs; about 15 requests.

    Raises
    ------
    EndpointError
        When it cannot be reached, or refuses everyone: a wrong URL, model or key.
    """
    reply = endpoint.ask(Request(_PROMPT, max_tokens=_ROOM))
    scores = tuple(
        _tried(endpoint, names, make)
        for names, make in (
            ("answers", lambda: _log_odds(endpoint)),
            ("response", lambda: _echo(endpoint)),
            ("share, similarity, exact, matches, field, judge", lambda: _samples(endpoint)),
        )
    )
    usage = endpoint.usage
    return EndpointCheck(
        reply.model, reply.texts[0].strip(), any(text is not None for text in reply.reasoning),
        usage.prompt_tokens > 0, scores, usage,
    )  # fmt: skip


def _tried(endpoint: Endpoint, names: str, make: Callable[[], tuple[str, Usage]]) -> ServedScore:
    start = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpexlensWarning)
            told, usage = make()
    except (EndpointUnavailableError, InvalidInputError, RefusedPromptError) as error:
        return ServedScore(names, False, str(error), seconds=time.monotonic() - start)
    except EndpointError as error:
        if error.status not in UNKNOWN_FIELD:
            raise
        return ServedScore(names, False, str(error), seconds=time.monotonic() - start)
    return ServedScore(names, True, told, usage, time.monotonic() - start)


def _log_odds(endpoint: Endpoint) -> tuple[str, Usage]:
    score: Any = NextTokenLogOdds("yes", "no").resolve(endpoint, _PROMPT)
    (request,) = score.requests(_PROMPT)
    seen = len(endpoint.ask(request).alternatives)
    return f"{seen} next tokens with their log-probabilities", score.usage


def _echo(endpoint: Endpoint) -> tuple[str, Usage]:
    score = EchoedLogProbability(_TEXT).resolve(endpoint, _PROMPT)
    return f"log-probabilities of a given response, by the field {score.echo}", score.usage


def _samples(endpoint: Endpoint) -> tuple[str, Usage]:
    score = answer_share("yes", _SAMPLES, max_tokens=_ROOM).resolve(endpoint, _PROMPT)
    several = "several answers" if score.choices > 1 else "one answer"
    return f"{several} a request", score.usage
