"""The game of a text that a model behind an OpenAI-compatible endpoint reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spexlens.errors import InvalidInputError
from spexlens.lenses.base import LensGame
from spexlens.lenses.endpoint.scores import EndpointScore, NextTokenLogOdds
from spexlens.lenses.endpoint.subject import EndpointSubject, OnRefusal
from spexlens.lenses.text.prompt import SLOT, PromptLens
from spexlens.lenses.text.spans import as_text
from spexlens.models.endpoint.client import Endpoint


def endpoint_game(
    base_url: str,
    model: str,
    text: str,
    template: str = SLOT,
    *,
    answers: tuple[str | Sequence[str], str | Sequence[str]] | None = None,
    score: EndpointScore | None = None,
    chat: bool = False,
    system: str | None = None,
    segmenter: str = "words",
    absent: str = "remove",
    fillers: str | Sequence[str] | None = None,
    key_variable: str | None = "OPENAI_API_KEY",
    prices: tuple[float, float] | None = None,
    concurrency: int = 8,
    on_refusal: OnRefusal = "raise",
    options: Mapping[str, Any] | None = None,
) -> LensGame:
    """Make the game of removing words from a text that a model behind an endpoint reads.

    A first request, on the full prompt, shows whether the score can be had and what it costs;
    `describe()` of the game then estimates without further ones. For other settings compose the
    parts: `LensGame(lens, EndpointSubject.prepare(Endpoint(…), score, lens.prompt))`.

    Parameters
    ----------
    base_url : str
        For instance "http://localhost:8080/v1".
    model : str
        The name the server knows it by.
    text : str
        What is explained; its pieces are the players.
    template : str, default "{text}"
        The prompt, or in a chat the user's message, around it.
    answers : (positive, negative), optional
        Score the log-odds of two answers as the next token; see `NextTokenLogOdds`.
    score : EndpointScore, optional
        Another score: `EchoedLogProbability`, `Samples`, `answer_share(…)`.
    chat, system, key_variable, concurrency, options
        See `Endpoint`.
    segmenter, absent, fillers
        See `PromptLens`.
    prices : (float, float), optional
        Money for a million tokens of the prompt, and of the answer.
    on_refusal : "raise" or "skip", default "raise"
        What becomes of a prompt that is refused for good; see `EndpointSubject`.

    Returns
    -------
    LensGame

    Raises
    ------
    InvalidInputError
        For arguments that do not fit, or a score that this endpoint cannot serve.
    EndpointError
        When the endpoint cannot be reached, or refuses.
    """
    lens = PromptLens(text, template, segmenter, absent, fillers)
    if (answers is None) == (score is None):
        raise InvalidInputError(
            "needed either answers=(positive, negative) or a score, and not both."
        )
    if answers is not None:
        if isinstance(answers, str) or len(answers) != 2:
            raise InvalidInputError(
                f"answers = {answers!r} given; needed two, (positive, negative), such as "
                "('positive', 'negative')."
            )
        score = NextTokenLogOdds(answers[0], answers[1])
    assert score is not None
    if system is not None:
        as_text(system, "system message")
    endpoint = Endpoint(
        base_url, model, chat, system, key_variable=key_variable, concurrency=concurrency,
        options=options or {},
    )  # fmt: skip
    subject = EndpointSubject.prepare(
        endpoint, score, lens.prompt, prices=prices, on_refusal=on_refusal
    )
    return LensGame(lens, subject)
