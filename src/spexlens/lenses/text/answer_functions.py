"""What can be read off an answer that was written: how like it is to another, what it holds.

Each is a small frozen object that is called with the text of an answer and gives a number, and has
a `name` that says all that the number depends on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError
from spexlens.lenses.text.spans import as_text

_SHOWN = 40  # characters of an answer in a name


class Embed(Protocol):
    """Turns m texts into embeddings `(m, d)` of length 1."""

    @property
    def name(self) -> str:
        """Which model it is."""
        ...

    def __call__(self, texts: Sequence[str], /) -> FloatArray:
        """Embed the texts."""
        ...


@dataclass(frozen=True)
class SentenceEmbeddings:
    """Embeds texts by an encoder that runs here, loaded when it is first needed.

    Parameters
    ----------
    name : str, default "minilm"
        What `Encoder.load` takes.
    """

    name: str = "minilm"

    def __call__(self, texts: Sequence[str], /) -> FloatArray:
        """Embed m texts `(m, d)`."""
        from spexlens.models.pretrained.encoder import embeddings

        return embeddings(_encoder(self.name), texts)


@cache
def _encoder(name: str) -> Any:
    from spexlens.models.pretrained.encoder import Encoder

    return Encoder.load(name)


@dataclass(frozen=True)
class SimilarTo:
    """Cosine of an answer's embedding with that of another; 0 for an answer without a word."""

    answer: str
    embed: Embed = field(default_factory=SentenceEmbeddings)
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _some(self.answer)

    @property
    def name(self) -> str:
        """What is compared with which, and by which model."""
        return f"similarity to {short(self.answer)} by {self.embed.name}"

    def __call__(self, text: str) -> float:
        """Compute the cosine, -1 … 1."""
        if not text.strip():
            return 0.0
        for one in (self.answer, text):
            if one not in self._known:
                (self._known[one],) = self.embed([one])
        return float(self._known[self.answer] @ self._known[text])


@dataclass(frozen=True)
class Equals:
    """1 where an answer is another, case, white space and marks at its ends aside; else 0."""

    answer: str

    def __post_init__(self) -> None:
        _some(self.answer)

    @property
    def name(self) -> str:
        """What it equals."""
        return f"answer is {short(self.answer)}"

    def __call__(self, text: str) -> float:
        """Compare."""
        return float(_bare(text) == _bare(self.answer))


@dataclass(frozen=True)
class Matches:
    """1 where a regular expression is found in an answer; else 0."""

    pattern: str

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str) or not self.pattern:
            raise InvalidInputError(
                f"the pattern {self.pattern!r} was given; needed a regular expression (--pattern)."
            )
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise InvalidInputError(
                f"{self.pattern!r} is no regular expression: {error}."
            ) from error

    @property
    def name(self) -> str:
        """Which one."""
        return f"answer matches {self.pattern!r}"

    def __call__(self, text: str) -> float:
        """Search."""
        return float(re.search(self.pattern, text) is not None)


@dataclass(frozen=True)
class FieldEquals:
    """1 where the JSON in an answer has a value at a path; else 0, for no JSON too.

    Parameters
    ----------
    path : str
        Names and numbers with dots between them, such as "items.0.name".
    value : any JSON
    """

    path: str
    value: Any

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path.strip():
            raise InvalidInputError(
                f"the path {self.path!r} was given; needed names with dots between them (--field "
                "path=value)."
            )

    @property
    def name(self) -> str:
        """Which field, and its value."""
        return f"answer has {self.path} = {json.dumps(self.value, ensure_ascii=False)}"

    def __call__(self, text: str) -> float:
        """Read the first JSON object or array of the text, and compare."""
        found = _first_json(text)
        for name in self.path.split("."):
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return 0.0
        return float(found == self.value)

    @classmethod
    def of(cls, given: str | None) -> FieldEquals:
        """Read `path=value`, the value being JSON or else text.

        >>> FieldEquals.of("label=yes")('{"label": "yes"}'), FieldEquals.of("n=2")('{"n": 3}')
        (1.0, 0.0)
        """
        path, equals, value = (given or "").partition("=")
        if not equals:
            raise InvalidInputError(f"{given!r} given; needed path=value (--field path=value).")
        try:
            return cls(path.strip(), json.loads(value))
        except json.JSONDecodeError:
            return cls(path.strip(), value)


@dataclass(frozen=True)
class Judged:
    """The number that a judge gives an answer.

    Parameters
    ----------
    template : str
        What the judge is asked, with `{answer}` where the answer goes.
    ask : callable
        From a prompt to the judge's words.
    judge : str
        Who that is, for the name.

    Examples
    --------
    >>> Judged("Is it kind? {answer}", lambda prompt: "Yes.", "a model")("Thank you")
    1.0
    """

    template: str
    ask: Callable[[str], str]
    judge: str

    def __post_init__(self) -> None:
        if "{answer}" not in as_text(self.template or "", "judge's prompt"):
            raise InvalidInputError(
                f"the judge's prompt {self.template!r} holds no {{answer}}; needed a text with it, "
                "that asks for a number or for yes or no (--judge)."
            )

    @property
    def name(self) -> str:
        """What is asked of whom."""
        return f"judged by {self.judge}: {short(self.template)}"

    def __call__(self, text: str) -> float:
        """Ask, and read the first number, or yes as 1 and no as 0.

        Raises
        ------
        ValueError
            Where the judge says neither.
        """
        said = self.ask(self.template.replace("{answer}", text))
        if number := re.search(r"-?\d+(?:\.\d+)?", said):
            return float(number.group())
        if word := re.search(r"\b(yes|no)\b", said, re.IGNORECASE):
            return float(word.group().lower() == "yes")
        raise ValueError(f"the judge says neither a number nor yes or no: {said!r:.80}")


def short(text: str) -> str:
    """Write a text short enough for a name, and so that two texts never look the same.

    >>> short("Fine."), len(short("word " * 50)) < 70
    ("'Fine.'", True)
    """
    if len(text) <= _SHOWN:
        return repr(text)
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[:_SHOWN]!r}… ({mark})"


def room_for(answer: str) -> int:
    """Estimate generously how many tokens an answer like this one takes."""
    return 32 + len(answer) // 2


def _some(answer: str) -> None:
    if not as_text(answer, "answer").strip():
        raise InvalidInputError(f"the answer {answer!r} was given; needed a text of one word.")


def _bare(text: str) -> str:
    return re.sub(r"\A[\W_]+|[\W_]+\Z", "", " ".join(text.split())).casefold()


def _first_json(text: str) -> Any:
    decoder = json.JSONDecoder()
    for match in re.finditer(r"[{\[]", text):
        try:
            return decoder.raw_decode(text, match.start())[0]
        except ValueError:
            continue
    return None
