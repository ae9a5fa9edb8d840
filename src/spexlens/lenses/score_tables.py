"""The tables of scores that are chosen by name, one for each kind of game."""

from __future__ import annotations

from typing import Any

from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError
from spexlens.lenses.components.scores import COMPONENT_SCORES
from spexlens.lenses.endpoint.answers import (
    SAMPLES,
    exact_match,
    field_share,
    judged,
    pattern_share,
    similarity,
)
from spexlens.lenses.endpoint.response import EchoedLogProbability
from spexlens.lenses.endpoint.samples import Samples, answer_share
from spexlens.lenses.endpoint.scores import NextTokenLogOdds
from spexlens.lenses.score import NamedScore
from spexlens.lenses.text.answer_functions import (
    Embed,
    Equals,
    FieldEquals,
    Matches,
    SentenceEmbeddings,
    SimilarTo,
    room_for,
)
from spexlens.lenses.text.response_scores import (
    FullPromptKL,
    Perplexity,
    ResponseLogProbability,
    TextFunction,
)
from spexlens.lenses.text.sequence_scores import AnswerLogOdds, AnswerScore
from spexlens.lenses.training.scores import TRAINING_SCORES

_ANSWERS, _RESPONSE = "answers", "response"


def _next_token(positive: str, negative: str, *, top_tokens: int | None = None) -> NextTokenLogOdds:
    return NextTokenLogOdds(positive, negative, top_tokens)


def _share(positive: str, negative: str, *, samples: int = 10, answer_tokens: int = 8) -> Samples:
    return answer_share(positive, samples, max_tokens=answer_tokens)


def _similarity(
    response: str,
    *,
    samples: int = SAMPLES,
    answer_tokens: int | None = None,
    embed: Embed | None = None,
) -> Samples:
    return similarity(response, samples, max_tokens=answer_tokens, embed=embed)


def _exact(response: str, *, samples: int = SAMPLES, answer_tokens: int | None = None) -> Samples:
    return exact_match(response, samples, max_tokens=answer_tokens)


def _matches(*, pattern: str = "", samples: int = SAMPLES, answer_tokens: int = 64) -> Samples:
    return pattern_share(pattern, samples, max_tokens=answer_tokens)


def _field(*, field: str = "", samples: int = SAMPLES, answer_tokens: int = 256) -> Samples:
    wanted = FieldEquals.of(field)
    return field_share(wanted.path, wanted.value, samples, max_tokens=answer_tokens)


def _judge(
    *, judge: str = "", judge_model: Any = None, samples: int = SAMPLES, answer_tokens: int = 256
) -> Samples:
    if judge_model is None:
        raise InvalidInputError(
            "no judge was given; needed the name of a model on the endpoint (--judge-model)."
        )
    return judged(judge, judge_model, samples, max_tokens=answer_tokens)


def _on_text(function: Any, tokens: int) -> TextFunction:
    return TextFunction(lambda texts: [function(text) for text in texts], function.name, tokens)


def _similar_text(
    response: str, *, answer_tokens: int | None = None, embed: Embed | None = None
) -> TextFunction:
    function = SimilarTo(response, embed or SentenceEmbeddings())
    return _on_text(function, answer_tokens or room_for(response))


def _exact_text(response: str, *, answer_tokens: int | None = None) -> TextFunction:
    return _on_text(Equals(response), answer_tokens or room_for(response))


def _matching_text(*, pattern: str = "", answer_tokens: int = 64) -> TextFunction:
    return _on_text(Matches(pattern), answer_tokens)


def _field_text(*, field: str = "", answer_tokens: int = 256) -> TextFunction:
    return _on_text(FieldEquals.of(field), answer_tokens)


_WRITTEN, _SAMPLED = ("answer_tokens",), ("samples", "answer_tokens")

PROMPT_SCORES: Table[NamedScore] = Table("score", (
    NamedScore("answers", "difference of the answers' logits", AnswerScore, _ANSWERS),
    NamedScore("log-odds", "log-odds of the whole answers", AnswerLogOdds, _ANSWERS),
    NamedScore("response", "log-probability of the response", ResponseLogProbability, _RESPONSE),
    NamedScore("perplexity", "- perplexity of the response", Perplexity, _RESPONSE),
    NamedScore("kl", "- KL from the full prompt's next token", FullPromptKL),
    NamedScore(
        "similarity", "similarity of the text written to the response", _similar_text, _RESPONSE,
        (*_WRITTEN, "embed"),
    ),
    NamedScore(
        "exact", "1 where the text written is the response", _exact_text, _RESPONSE, _WRITTEN
    ),
    NamedScore(
        "matches", "1 where the text written matches --pattern", _matching_text, None,
        (*_WRITTEN, "pattern"),
    ),
    NamedScore(
        "field", "1 where the JSON written has --field path=value", _field_text, None,
        (*_WRITTEN, "field"),
    ),
))  # fmt: skip
"""Of a text that a language model reads here; made of two answers, a response, or nothing."""

ENDPOINT_SCORES: Table[NamedScore] = Table("score", (
    NamedScore(
        "answers", "log-odds of the answers as the next token", _next_token, _ANSWERS,
        ("top_tokens",),
    ),
    NamedScore(
        "response", "log-probability of the response as the server echoes it",
        EchoedLogProbability, _RESPONSE,
    ),
    NamedScore(
        "share", "share of samples that begin with the first answer", _share, _ANSWERS,
        _SAMPLED,
    ),
    NamedScore(
        "similarity", "similarity of sampled answers to the response", _similarity, _RESPONSE,
        (*_SAMPLED, "embed"),
    ),
    NamedScore("exact", "share of samples that are the response", _exact, _RESPONSE, _SAMPLED),
    NamedScore(
        "matches", "share of samples that match --pattern", _matches, None,
        (*_SAMPLED, "pattern"),
    ),
    NamedScore(
        "field", "share of samples whose JSON has --field path=value", _field, None,
        (*_SAMPLED, "field"),
    ),
    NamedScore(
        "judge", "what another model says to --judge, a number or yes or no", _judge, None,
        (*_SAMPLED, "judge", "judge_model"),
    ),
))  # fmt: skip
"""Of a text that a model behind an endpoint reads."""

SCORES: dict[str, Table[NamedScore]] = {
    "prompt": PROMPT_SCORES,
    "endpoint": ENDPOINT_SCORES,
    "component": COMPONENT_SCORES,
    "training": TRAINING_SCORES,
}
"""Every table, by the kind of game."""
