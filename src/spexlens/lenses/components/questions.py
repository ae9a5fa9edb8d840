"""Questions: prompts with a right answer and wrong ones, and the file they are read from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spexlens.errors import InvalidInputError
from spexlens.lenses.text.spans import as_text

_KEYS = {"prompt", "answer", "wrong", "reference"}


@dataclass(frozen=True)
class Question:
    """One prompt of a set over which a model is scored.

    Parameters
    ----------
    prompt : str
        Best ending where the answer follows, without a space.
    answer : str, default ""
        The right answer; its first token is scored. Scores of the text itself need none.
    wrong : tuple of str
        Wrong answers to compare with; none stands for the whole vocabulary.
    reference : str, optional
        For absent="resample": a prompt with as many tokens.

    Examples
    --------
    >>> Question("The capital of France is", "Paris", ("Rome",)).wrong
    ('Rome',)
    """

    prompt: str
    answer: str = ""
    wrong: tuple[str, ...] = ()
    reference: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise InvalidInputError(f"the prompt {self.prompt!r} is empty; needed some text.")
        wrong = (self.wrong,) if isinstance(self.wrong, str) else tuple(self.wrong)
        for name, text in (("prompt", self.prompt), ("answer", self.answer)):
            as_text(text, name)
        for text in (*wrong, *([] if self.reference is None else [self.reference])):
            as_text(text, "wrong answer or reference")
        object.__setattr__(self, "wrong", wrong)


def read_questions(path: str | Path) -> tuple[Question, ...]:
    """Read the questions of a file with one JSON object a line.

    Parameters
    ----------
    path : path
        Lines such as `{"prompt": "France's capital is", "answer": "Paris", "wrong": ["Rome"]}`.
        Only `prompt` is needed by every score; `wrong` may be one string; `reference` is that of
        `Question`.

    Returns
    -------
    tuple of Question

    Raises
    ------
    InvalidInputError
        Naming the line that cannot be read, or for a file without questions.
    """
    questions = []
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as text: {error}") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                questions.append(_question(json.loads(line)))
            except (ValueError, TypeError, RecursionError) as error:
                raise InvalidInputError(f"{path}, line {number}: {error}") from error
    if not questions:
        raise InvalidInputError(f"{path} has no lines; needed one JSON object a line.")
    return tuple(questions)


def _question(entry: Any) -> Question:
    if not isinstance(entry, dict) or "prompt" not in entry or set(entry) - _KEYS:
        raise InvalidInputError(
            f"{json.dumps(entry)[:80]} given; needed an object with the key prompt, and no others "
            f"than {', '.join(sorted(_KEYS))}."
        )
    given = {key: value for key, value in entry.items() if value is not None}  # null: not given
    answer, wrong, reference = (
        given.get("answer", ""),
        given.get("wrong", ()),
        given.get("reference"),
    )
    wrong = [wrong] if isinstance(wrong, str) else wrong
    texts = [given.get("prompt"), answer, *wrong, *([] if reference is None else [reference])]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidInputError("prompt, answer, wrong and reference must be text.")
    return Question(given["prompt"], answer, tuple(wrong), reference)


def as_questions(questions: Sequence[Question | str]) -> tuple[Question, ...]:
    """Take questions, or bare prompts, as a tuple of at least one question."""
    if isinstance(questions, str) or not len(questions):
        raise InvalidInputError(
            f"questions = {questions!r} given; needed a list of at least one Question or prompt."
        )
    return tuple(q if isinstance(q, Question) else Question(q) for q in questions)
