"""What scores of components read off one pass of a gated model, as tensors `(b, k)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spexlens.core.masks import FloatArray
from spexlens.errors import MissingExtraError
from spexlens.lenses.components.first_tokens import FirstTokens
from spexlens.models.gating.runner import Readout
from spexlens.models.running.reading import outputs_at

try:
    import torch
except ImportError as error:
    raise MissingExtraError("scores of a gated model", "torch", "llm") from error


def answer_margins(answers: FirstTokens) -> Readout:
    """Read the logit of the right answer minus that of the best wrong one."""

    def readout(net: Any, ids: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
        return _margins(answers, _last_logits(net, ids), numbers)[:, None]

    return readout


def answer_accuracy(answers: FirstTokens) -> Readout:
    """Read whether the margin is positive: 1, else 0."""

    def readout(net: Any, ids: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
        return (_margins(answers, _last_logits(net, ids), numbers) > 0).float()[:, None]

    return readout


def answer_log_probabilities(answers: FirstTokens) -> Readout:
    """Read the log-probability of the right answer, nats."""
    tokens = torch.tensor(answers.right)

    def readout(net: Any, ids: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
        right = tokens[list(numbers)].to(ids.device)[:, None]
        return _last_logits(net, ids).log_softmax(dim=-1).gather(1, right)

    return readout


def next_token_log_probabilities(
    net: Any, ids: torch.Tensor, numbers: Sequence[int]
) -> torch.Tensor:
    """Read the log-probabilities of all next tokens, nats."""
    return _last_logits(net, ids).log_softmax(dim=-1)


def minus_divergence(full: FloatArray) -> Readout:
    """Make the readout of minus KL(full || read), nats, from log-probabilities `full` `(P, V)`."""
    wanted = torch.from_numpy(full).float()

    def readout(net: Any, ids: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
        own = wanted[list(numbers)].to(ids.device)
        change = next_token_log_probabilities(net, ids, numbers) - own
        return (own.exp() * change).sum(dim=1, keepdim=True)

    return readout


def text_log_probability(net: Any, ids: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
    """Read the mean log-probability of the tokens after the first, nats."""
    before = torch.arange(ids.shape[1] - 1, device=ids.device).expand(len(ids), -1)
    scores = outputs_at(net, ids, before).logits.log_softmax(dim=-1)
    return scores.gather(2, ids[:, 1:, None])[:, :, 0].mean(dim=1, keepdim=True)


def _margins(answers: FirstTokens, logits: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
    """Right minus best wrong logit `(b,)` of next-token logits `(b, vocabulary)`."""
    margins = []
    for row, number in zip(logits, numbers, strict=True):
        right, wrong = answers.right[number], answers.wrong[number]
        others = row[list(wrong)] if wrong else torch.cat([row[:right], row[right + 1 :]])
        margins.append(row[right] - others.max())
    return torch.stack(margins)


def _last_logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    last = torch.full((len(ids), 1), ids.shape[1] - 1, device=ids.device)
    return outputs_at(model, ids, last).logits[:, 0]
