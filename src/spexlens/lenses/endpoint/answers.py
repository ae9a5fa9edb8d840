"""Scores of an endpoint that shows text only, by name: functions of answers, means of samples."""

from __future__ import annotations

from spexlens.lenses.endpoint.samples import Samples
from spexlens.lenses.text.answer_functions import (
    Embed,
    Equals,
    FieldEquals,
    Judged,
    Matches,
    SentenceEmbeddings,
    SimilarTo,
    room_for,
)
from spexlens.models.endpoint.client import Endpoint, Request

SAMPLES = 3
"""Answers to a prompt, unless told otherwise."""
_VERDICT = 64  # tokens of a judge's words


def similarity(
    answer: str,
    count: int = SAMPLES,
    *,
    temperature: float = 1.0,
    max_tokens: int | None = None,
    embed: Embed | None = None,
) -> Samples:
    """Make the score of how like new answers are to a given one: the mean cosine of embeddings.

    Parameters
    ----------
    answer : str
        The logged one, or any.
    count, temperature
        See `Samples`.
    max_tokens : int, optional
        By default twice what the answer takes, about.
    embed : Embed, optional
        `EndpointEmbeddings(base_url, model)`, or by default `SentenceEmbeddings("minilm")`, which
        runs here.

    Examples
    --------
    >>> similarity("It rains.", 2).description
    "similarity to 'It rains.' by minilm, mean of 2 samples at temperature 1"
    """
    function = SimilarTo(answer, embed or SentenceEmbeddings())
    return Samples(function, function.name, count, temperature, max_tokens or room_for(answer))


def exact_match(
    answer: str, count: int = SAMPLES, *, temperature: float = 1.0, max_tokens: int | None = None
) -> Samples:
    """Make the score of the share of answers that are a given one; see `Equals`."""
    function = Equals(answer)
    return Samples(function, function.name, count, temperature, max_tokens or room_for(answer))


def pattern_share(
    pattern: str, count: int = SAMPLES, *, temperature: float = 1.0, max_tokens: int = 64
) -> Samples:
    """Make the score of the share of answers in which a regular expression is found."""
    function = Matches(pattern)
    return Samples(function, function.name, count, temperature, max_tokens)


def field_share(
    path: str,
    value: object,
    count: int = SAMPLES,
    *,
    temperature: float = 1.0,
    max_tokens: int = 256,
) -> Samples:
    """Make the score of the share of answers whose JSON has a value; see `FieldEquals`."""
    function = FieldEquals(path, value)
    return Samples(function, function.name, count, temperature, max_tokens)


def judged(
    template: str,
    judge: Endpoint,
    count: int = SAMPLES,
    *,
    temperature: float = 1.0,
    max_tokens: int = 256,
) -> Samples:
    """Make the score that another model gives answers: the number it says, or 1 for yes, 0 for no.

    Parameters
    ----------
    template : str
        What the judge is asked, with `{answer}` in it.
    judge : Endpoint
        It is asked once a sample, at temperature 0; that is beyond the budget and the costs told.
    count, temperature, max_tokens
        Of the answers; see `Samples`.
    """

    def ask(prompt: str) -> str:
        return judge.ask(Request(prompt, _VERDICT)).texts[0]

    function = Judged(template, ask, judge.model)
    return Samples(function, function.name, count, temperature, max_tokens)
