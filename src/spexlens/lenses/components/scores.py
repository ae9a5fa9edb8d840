"""What is read off a gated language model, one number a prompt; higher is better for all.

A score is prepared once for a model and its questions, which gives the function that reads batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, cast, runtime_checkable

import numpy as np

from spexlens.errors import InvalidInputError, MissingExtraError, UnknownNameError
from spexlens.lenses.components.questions import Question
from spexlens.lenses.text.scores import answer_tokens
from spexlens.models.base import LanguageModel
from spexlens.models.gating.runner import GatedRunner, Readout
from spexlens.models.running.reading import outputs_at

try:
    import torch
except ImportError as error:
    raise MissingExtraError("scores of a gated model", "torch", "llm") from error


@runtime_checkable
class ComponentScore(Protocol):
    """One number a prompt."""

    @property
    def description(self) -> str:
        """For people."""
        ...

    def prepare(
        self, model: Any, runner: GatedRunner, questions: Sequence[Question], players: int, /
    ) -> Readout:
        """The function that reads it, `(b, 1)`; resolves words to tokens, runs what it needs."""
        ...

    def identity(self) -> dict[str, Any]:
        """What it depends on beside the model and the questions."""
        ...


@dataclass(frozen=True)
class AnswerMargin:
    """Logit of the right answer minus that of the best wrong one."""

    name: ClassVar[str] = "margin"
    description: ClassVar[str] = "logit(answer) - logit(best wrong answer)"

    def prepare(
        self, model: Any, runner: GatedRunner, questions: Sequence[Question], players: int, /
    ) -> Readout:
        """See `ComponentScore`."""
        answers = _Answers.of(model, questions)

        def readout(net: Any, ids: torch.Tensor, prompts: Sequence[int]) -> torch.Tensor:
            return answers.margins(_last_logits(net, ids), prompts)[:, None]

        return readout

    def identity(self) -> dict[str, Any]:
        """Its name."""
        return {"score": self.name}


@dataclass(frozen=True)
class AnswerAccuracy:
    """1 where the right answer has a higher logit than every wrong one, else 0."""

    name: ClassVar[str] = "accuracy"
    description: ClassVar[str] = "share of questions answered rightly"

    def prepare(
        self, model: Any, runner: GatedRunner, questions: Sequence[Question], players: int, /
    ) -> Readout:
        """See `ComponentScore`."""
        answers = _Answers.of(model, questions)

        def readout(net: Any, ids: torch.Tensor, prompts: Sequence[int]) -> torch.Tensor:
            return (answers.margins(_last_logits(net, ids), prompts) > 0).float()[:, None]

        return readout

    def identity(self) -> dict[str, Any]:
        """Its name."""
        return {"score": self.name}


@dataclass(frozen=True)
class AnswerLogProbability:
    """Natural logarithm of the probability of the right answer's first token."""

    name: ClassVar[str] = "log-probability"
    description: ClassVar[str] = "log p(answer)"

    def prepare(
        self, model: Any, runner: GatedRunner, questions: Sequence[Question], players: int, /
    ) -> Readout:
        """See `ComponentScore`."""
        answers = _Answers.of(model, questions)

        def readout(net: Any, ids: torch.Tensor, prompts: Sequence[int]) -> torch.Tensor:
            right = answers.right[list(prompts)].to(ids.device)[:, None]
            return _last_logits(net, ids).log_softmax(dim=-1).gather(1, right)

        return readout

    def identity(self) -> dict[str, Any]:
        """Its name."""
        return {"score": self.name}


@dataclass(frozen=True)
class FullModelKL:
    """Minus the KL divergence of the next token's distribution from the full model's, in nats.

    0 for the full model, below for every other. It needs no answers.
    """

    name: ClassVar[str] = "kl"
    description: ClassVar[str] = "- KL(full model || ablated model) of the next token"

    def prepare(
        self, model: Any, runner: GatedRunner, questions: Sequence[Question], players: int, /
    ) -> Readout:
        """See `ComponentScore`; runs the full model."""

        def log_probabilities(net: Any, ids: torch.Tensor, prompts: Sequence[int]) -> torch.Tensor:
            return _last_logits(net, ids).log_softmax(dim=-1)

        full = torch.from_numpy(runner.run(np.ones((1, players)), log_probabilities)[0]).float()

        def readout(net: Any, ids: torch.Tensor, prompts: Sequence[int]) -> torch.Tensor:
            wanted = full[list(prompts)].to(ids.device)
            change = log_probabilities(net, ids, prompts) - wanted
            return (wanted.exp() * change).sum(dim=1, keepdim=True)

        return readout

    def identity(self) -> dict[str, Any]:
        """Its name."""
        return {"score": self.name}


@dataclass(frozen=True)
class TextLoss:
    """Minus the mean cross-entropy of the prompt's own tokens, in nats a token.

    It needs prompts of at least two tokens, and no answers.
    """

    name: ClassVar[str] = "loss"
    description: ClassVar[str] = "- mean cross-entropy of the prompt's tokens"

    def prepare(
        self, model: Any, runner: GatedRunner, questions: Sequence[Question], players: int, /
    ) -> Readout:
        """See `ComponentScore`."""
        for question, ids in zip(questions, runner.sequences, strict=True):
            if len(ids) < 2:
                raise InvalidInputError(
                    f"the prompt {question.prompt!r} has one token; a loss needed two at least."
                )

        def readout(net: Any, ids: torch.Tensor, prompts: Sequence[int]) -> torch.Tensor:
            before = torch.arange(ids.shape[1] - 1, device=ids.device).expand(len(ids), -1)
            scores = outputs_at(net, ids, before).logits.log_softmax(dim=-1)
            return scores.gather(2, ids[:, 1:, None])[:, :, 0].mean(dim=1, keepdim=True)

        return readout

    def identity(self) -> dict[str, Any]:
        """Its name."""
        return {"score": self.name}


_Score = AnswerMargin | AnswerAccuracy | AnswerLogProbability | FullModelKL | TextLoss
COMPONENT_SCORES: dict[str, type[_Score]] = {
    cls.name: cls
    for cls in (AnswerMargin, AnswerLogProbability, AnswerAccuracy, FullModelKL, TextLoss)
}


def find_score(score: str | ComponentScore) -> ComponentScore:
    """A score by its name in `COMPONENT_SCORES`, or the given one.

    >>> find_score("kl").description
    '- KL(full model || ablated model) of the next token'
    """
    if isinstance(score, ComponentScore) and not isinstance(score, type):
        return score
    if score not in COMPONENT_SCORES:
        raise UnknownNameError("score", score, COMPONENT_SCORES)
    return cast(ComponentScore, COMPONENT_SCORES[score]())


@dataclass(frozen=True, eq=False)
class _Answers:
    """First tokens of the answers: right ones `(P,)`, wrong ones, of all other tokens if empty."""

    right: torch.Tensor
    wrong: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(model: LanguageModel, questions: Sequence[Question]) -> _Answers:
        right, wrong = [], []
        for question in questions:
            if not question.answer.strip():
                raise InvalidInputError(
                    f"the question {question.prompt!r} has no answer; the score needed one. Add "
                    "it, or take score 'kl' or 'loss', which need none."
                )
            first = answer_tokens(model, question.prompt, question.answer)[0]
            others = tuple(
                answer_tokens(model, question.prompt, answer)[0] for answer in question.wrong
            )
            if first in others:
                raise InvalidInputError(
                    f"the answers of {question.prompt!r} begin with the same token "
                    f"{model.token_text(first)!r}; needed answers that their first tokens tell "
                    "apart."
                )
            right.append(first)
            wrong.append(others)
        return _Answers(torch.tensor(right), tuple(wrong))

    def margins(self, logits: torch.Tensor, prompts: Sequence[int]) -> torch.Tensor:
        """Right minus best wrong logit `(b,)` of next-token logits `(b, vocabulary)`."""
        margins = []
        for row, prompt in zip(logits, prompts, strict=True):
            right, wrong = int(self.right[prompt]), self.wrong[prompt]
            if wrong:
                best = row[list(wrong)].max()
            else:
                best = torch.cat([row[:right], row[right + 1 :]]).max()
            margins.append(row[right] - best)
        return torch.stack(margins)


def _last_logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    last = torch.full((len(ids), 1), ids.shape[1] - 1, device=ids.device)
    return outputs_at(model, ids, last).logits[:, 0]
