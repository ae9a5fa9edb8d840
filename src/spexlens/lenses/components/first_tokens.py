"""The tokens that tell the answers of questions apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spexlens.errors import InvalidInputError
from spexlens.lenses.components.questions import Question
from spexlens.lenses.text.scores import answer_tokens
from spexlens.models.base import LanguageModel


@dataclass(frozen=True)
class FirstTokens:
    """First tokens of the answers to P questions.

    Attributes
    ----------
    right : tuple of int (P,)
    wrong : tuple of tuple of int (P,)
        An empty one stands for all other tokens.
    """

    right: tuple[int, ...]
    wrong: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(model: LanguageModel, questions: Sequence[Question]) -> FirstTokens:
        """Find those of questions with answers.

        Raises
        ------
        InvalidInputError
            When the right answer begins as a wrong one does.
        """
        right, wrong = [], []
        for question in questions:
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
        return FirstTokens(tuple(right), tuple(wrong))
