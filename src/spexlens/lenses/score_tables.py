"""The tables of scores that are chosen by name, one for each kind of game."""

from __future__ import annotations

from spexlens.core.tables import Table
from spexlens.lenses.components.scores import COMPONENT_SCORES
from spexlens.lenses.endpoint.response import EchoedLogProbability
from spexlens.lenses.endpoint.samples import Samples, answer_share
from spexlens.lenses.endpoint.scores import NextTokenLogOdds
from spexlens.lenses.score import NamedScore
from spexlens.lenses.text.response_scores import FullPromptKL, Perplexity, ResponseLogProbability
from spexlens.lenses.text.sequence_scores import AnswerLogOdds, AnswerScore
from spexlens.lenses.training.scores import TRAINING_SCORES

_ANSWERS, _RESPONSE = "answers", "response"


def _next_token(positive: str, negative: str, *, top_tokens: int | None = None) -> NextTokenLogOdds:
    return NextTokenLogOdds(positive, negative, top_tokens)


def _share(positive: str, negative: str, *, samples: int = 10, answer_tokens: int = 8) -> Samples:
    return answer_share(positive, samples, max_tokens=answer_tokens)


PROMPT_SCORES: Table[NamedScore] = Table("score", (
    NamedScore("answers", "difference of the answers' logits", AnswerScore, _ANSWERS),
    NamedScore("log-odds", "log-odds of the whole answers", AnswerLogOdds, _ANSWERS),
    NamedScore("response", "log-probability of the response", ResponseLogProbability, _RESPONSE),
    NamedScore("perplexity", "- perplexity of the response", Perplexity, _RESPONSE),
    NamedScore("kl", "- KL from the full prompt's next token", FullPromptKL),
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
        ("samples", "answer_tokens"),
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
