"""The game of a call of a chat model, one that was logged or one that is written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spexlens.core.calls import Call
from spexlens.errors import InvalidInputError
from spexlens.lenses.base import LensGame
from spexlens.lenses.calls.formats import Trace, find_trace, read_traces
from spexlens.lenses.calls.lens import CallLens, Cut
from spexlens.lenses.endpoint.answers import similarity
from spexlens.lenses.endpoint.scores import EndpointScore, NextTokenLogOdds
from spexlens.lenses.endpoint.subject import EndpointSubject, OnRefusal
from spexlens.lenses.text.chat import ChatModel
from spexlens.lenses.text.response_scores import ResponseLogProbability
from spexlens.lenses.text.scores import ScoredLM, TextScore
from spexlens.lenses.text.sequence_scores import chosen_score
from spexlens.models.endpoint.client import Endpoint


def call_game(
    model: ChatModel | Endpoint,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    answers: tuple[str, str] | None = None,
    score: TextScore | EndpointScore | None = None,
    cut: Cut | None = None,
    documents: Sequence[str] = (),
    fixed: Sequence[int] | None = None,
    absent: str = "remove",
    fillers: str | None = None,
    prices: tuple[float, float] | None = None,
    on_refusal: OnRefusal = "raise",
    left_out: Sequence[str] = (),
) -> LensGame:
    """Make the game of leaving parts out of a call: turns, tools, calls of tools, documents.

    Parameters
    ----------
    model : CausalLM or Endpoint
        One that runs here, whose tokenizer has a chat template, or an endpoint of chats.
    messages : sequence of {"role": …, "content": …}
    tools : sequence of definitions, optional
    answers : (positive, negative), optional
        Score how far the first is ahead as the next turn's beginning.
    score : optional
        Any score of texts for a model here, of endpoints for an endpoint.
    cut, documents, fixed, absent, fillers
        See `CallLens`.
    prices, on_refusal
        Of endpoints; see `EndpointSubject`.
    left_out : sequence of str, optional
        What is to be told as not sent.

    Returns
    -------
    LensGame

    Raises
    ------
    InvalidInputError
        For messages that cannot be sent, a template that refuses what is left of them, or a score
        that cannot be read.
    EndpointError
        When the endpoint cannot be reached, or refuses.
    """
    local = not isinstance(model, Endpoint)
    if local and not isinstance(model, ChatModel):
        raise InvalidInputError(
            f"{type(model).__name__} was given as the model; needed a CausalLM, whose tokenizer "
            "has a chat template, or an Endpoint(…, chat=True)."
        )
    lens = CallLens(
        Call.of(messages, tools), cut or {}, documents, fixed, absent, fillers,
        None if isinstance(model, Endpoint) else model.tokenizer, left_out,
    )  # fmt: skip
    if isinstance(model, Endpoint):
        if (answers is None) == (score is None):
            raise InvalidInputError(
                "needed either answers=(positive, negative) or a score, and not both."
            )
        chosen: Any = NextTokenLogOdds(*answers) if answers is not None else score
        subject = EndpointSubject.prepare(
            model, chosen, lens.prompt, prices=prices, on_refusal=on_refusal
        )
        return LensGame(lens, subject)
    reading = model.as_written()
    n = len(lens.parts)
    one = np.eye(n, dtype=bool)
    tried = np.vstack([np.ones((1, n), dtype=bool), np.zeros((1, n), dtype=bool), one, ~one])
    reading.count_tokens(list(lens.intervene(tried).inputs or ()))  # errors come now
    text_score: Any = score
    return LensGame(
        lens, ScoredLM(reading, chosen_score(answers, text_score).resolve(reading, lens.prompt))
    )


def trace_game(
    source: str | Path | Mapping[str, Any] | Sequence[Any] | Trace,
    model: ChatModel | Endpoint,
    *,
    call: str | int | None = None,
    score: TextScore | EndpointScore | None = None,
    answers: tuple[str, str] | None = None,
    cut: Cut | None = None,
    documents: Sequence[str] = (),
    fixed: Sequence[int] | None = None,
    absent: str = "remove",
    fillers: str | None = None,
    prices: tuple[float, float] | None = None,
    on_refusal: OnRefusal = "raise",
) -> LensGame:
    """Make the game of a call that was logged: which of its parts brought the answer about.

    Parameters
    ----------
    source : path, JSON as Python has it, or Trace
        A request with its response, spans, or an export: a row of `TRACE_FORMATS` reads it.
    model : CausalLM or Endpoint
        That is asked again; it need not be the one that answered.
    call : str or int, optional
        Which of several: the id of its span or trace, or its number.
    score, answers : optional
        By default, of the logged answer: its log-probability where the model runs here, and the
        similarity of new answers to it (`similarity`) on an endpoint.
    documents : sequence of str, optional
        Beside those that the trace's retriever spans hold.
    cut, fixed, absent, fillers, prices, on_refusal
        See `call_game`.

    Returns
    -------
    LensGame
        Its notes tell what of the call could not be sent again.

    Raises
    ------
    InvalidInputError
        For a log that no row reads, or of which a part is missing, and as `call_game`.
    """
    trace = source if isinstance(source, Trace) else find_trace(read_traces(source), call)
    if score is None and answers is None:
        if not trace.answer.strip():
            raise InvalidInputError(
                "the log holds no answer of the call, and no score was given; needed one of both."
            )
        score = (
            similarity(trace.answer)
            if isinstance(model, Endpoint)
            else ResponseLogProbability(trace.answer, separator="")
        )
    return call_game(
        model, trace.call.messages, trace.call.tools, answers=answers, score=score, cut=cut,
        documents=(*trace.documents, *documents), fixed=fixed, absent=absent, fillers=fillers,
        prices=prices, on_refusal=on_refusal, left_out=trace.left_out,
    )  # fmt: skip
