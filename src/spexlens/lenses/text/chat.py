"""The chat lens: messages are put together by the model's own chat template after the ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spexlens.core.interventions import Interventions
from spexlens.core.masks import BoolArray, FloatArray, as_masks
from spexlens.core.slopes import Slopes
from spexlens.errors import InvalidInputError
from spexlens.lenses.base import LensGame
from spexlens.lenses.text.ablations import fillers_for, find_edit
from spexlens.lenses.text.owners import added_up, marked
from spexlens.lenses.text.prompt import free_pieces
from spexlens.lenses.text.scores import ScoredLM, TextScore
from spexlens.lenses.text.segmenters import Segmenter, segment
from spexlens.lenses.text.sequence_scores import chosen_score
from spexlens.lenses.text.spans import Span, as_text
from spexlens.models.base import LanguageModel

Message = Mapping[str, str]
Pieces = tuple[Span, ...]


@runtime_checkable
class ChatModel(LanguageModel, Protocol):
    """A language model that shows its tokenizer, which holds the chat template."""

    @property
    def tokenizer(self) -> Any:
        """A transformers tokenizer with `apply_chat_template`."""
        ...

    def as_written(self) -> LanguageModel:
        """Give the same model, its prompts read as they are: it adds no special tokens to them."""
        ...


@dataclass(frozen=True)
class ChatLens:
    """Takes turns out of a chat, or pieces out of some of its messages.

    The texts hold the special tokens that the template writes, and want no others: they are for
    `model.as_written()`, as `chat_game` uses it.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        With a chat template.
    messages : sequence of {"role": …, "content": …}
    segmenter : str, callable, or "turns", default "turns"
        "turns" takes whole messages out; anything else cuts the contents, see `PromptLens`.
    within : sequence of int, optional
        Numbers of the messages that are ablated; the others are always present. By default all but
        the last for "turns", and the last one for anything else.
    absent, fillers
        See `PromptLens`; they apply to pieces of messages. Turns are removed.
    pinned : sequence of int or str
        Players that are always present after all, by number or text.

    Attributes
    ----------
    places : tuple of (message, start, end)
        Where every player stands; a turn is all of its message.
    """

    tokenizer: Any
    messages: Sequence[Message]
    segmenter: str | Segmenter = "turns"
    within: Sequence[int] | None = None
    absent: str = "remove"
    fillers: str | None = None
    pinned: Sequence[int | str] = ()
    places: tuple[tuple[int, int, int], ...] = field(init=False, repr=False)
    _cut: tuple[tuple[int, Pieces], ...] = field(init=False, repr=False)
    _free: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        contents = [_content(message) for message in self.messages]
        if not contents:
            raise InvalidInputError("no messages were given; needed at least one.")
        if not getattr(self.tokenizer, "chat_template", None):
            raise InvalidInputError(
                f"the tokenizer {type(self.tokenizer).__name__} has no chat template; use "
                "prompt_game with a template of your own, or a model tuned for chats."
            )
        find_edit(self.absent)
        cut = tuple((i, self._pieces(contents[i])) for i in self._chosen(len(contents)))
        places = [(i, *span) for i, spans in cut for span in spans]
        free = free_pieces([contents[i][start:end] for i, start, end in places], self.pinned)
        object.__setattr__(self, "places", tuple(places[i] for i in free))
        object.__setattr__(self, "_cut", cut)
        object.__setattr__(self, "_free", free)
        self._rendered(list(self.messages))  # an error of the template comes now

    @property
    def players(self) -> tuple[str, ...]:
        """The pieces as they stand in the chat; turns begin with their role."""
        return tuple(
            f"{self.messages[i]['role']}: {self.messages[i]['content']}"
            if self.segmenter == "turns"
            else self.messages[i]["content"][start:end]
            for i, start, end in self.places
        )

    @property
    def prompt(self) -> str:
        """The full chat as the model reads it, up to where it is to answer."""
        return self._rendered(list(self.messages))

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """Write the chats without the absent pieces, one for each of the masks `(m, n)`."""
        return Interventions(inputs=self._texts(self.messages, masks))

    def by_players(self, masks: BoolArray, slopes: Slopes) -> FloatArray:
        """Add derivatives by tokens up to those by players `(m, n)`; 0 for who is not there."""
        messages = [dict(message) for message in self.messages]
        for i in dict.fromkeys(place[0] for place in self.places):
            spans = [(k, place[1:]) for k, place in enumerate(self.places) if place[0] == i]
            messages[i]["content"] = marked(messages[i]["content"], spans)
        texts, marks = (self._texts(one, masks) for one in (self.messages, messages))
        return added_up(len(self.places), texts, marks, slopes.take("inputs", self))

    def _texts(self, messages: Sequence[Message], masks: BoolArray) -> tuple[str, ...]:
        masks = as_masks(masks, len(self.places))
        keep = np.ones((len(masks), sum(len(spans) for _, spans in self._cut)), dtype=bool)
        keep[:, list(self._free)] = masks
        return tuple(self._ablated(messages, row) for row in keep)

    def notes(self) -> tuple[str, ...]:
        """Find what the template writes itself where a message is absent, or has nothing left."""
        notes = []
        for i in dict.fromkeys(place[0] for place in self.places):
            without, empty = (
                None if messages is None else self._if_taken(messages)
                for messages in (self._without(i), _replaced(self.messages, i, ""))
            )
            if without is None or not (own := _written(without, self.prompt)).strip():
                continue
            remedy = ""
            if empty is not None:
                own = _written(without, empty) or own
                if self.segmenter == "turns" and not _written(empty, self.prompt).strip():
                    remedy = f" Cut its content, by within=[{i}] and a segmenter, to send it empty."
            notes.append(
                f"Where message {i} ({self.messages[i]['role']}) is absent, the chat template "
                f"writes {own.strip()!r} of its own: effects are differences to that, not to "
                f"nothing.{remedy}"
            )
        return tuple(notes)

    def identity(self) -> dict[str, Any]:
        """Tell messages, pieces, and how they are ablated; the template is the tokenizer's."""
        return {
            "lens": "chat",
            "messages": [dict(message) for message in self.messages],
            "places": [list(place) for place in self.places],
            "cut": [[i, [list(span) for span in spans]] for i, spans in self._cut],
            "turns": self.segmenter == "turns",
            "ablation": self.absent,
            "fillers": self.fillers,
        }

    def _chosen(self, count: int) -> Sequence[int]:
        turns = self.segmenter == "turns"
        if self.within is None:
            chosen: Sequence[int] = range(count - 1) if turns and count > 1 else [count - 1]
        else:
            chosen = sorted(set(self.within))
        if not chosen or min(chosen) < 0 or max(chosen) >= count:
            raise InvalidInputError(
                f"within = {list(chosen)} given for {count} messages; needed numbers from 0 to "
                f"{count - 1}, at least one."
            )
        return chosen

    def _pieces(self, content: str) -> Pieces:
        if self.segmenter == "turns":
            return ((0, len(content)),)
        return segment(content, self.segmenter)

    def _without(self, i: int) -> list[Message] | None:
        """Leave out the i-th of the messages; None where it leaves something in its place."""
        if self.segmenter == "turns":
            return [message for j, message in enumerate(self.messages) if j != i]
        spans, content = dict(self._cut)[i], self.messages[i]["content"]
        keep = [(i, *span) not in self.places for span in spans]
        fillers = fillers_for(self.absent, content, spans, self.fillers)
        left = find_edit(self.absent)(content, spans, keep, fillers)
        return None if left.strip() else _replaced(self.messages, i, left)

    def _ablated(self, given: Sequence[Message], keep: BoolArray) -> str:
        messages = [dict(message) for message in given]
        gone, done = set(), 0
        for i, spans in self._cut:
            row = keep[done : done + len(spans)]
            done += len(spans)
            if self.segmenter == "turns":
                gone |= set() if row[0] else {i}
                continue
            content = messages[i]["content"]
            own = self.messages[i]["content"]
            fillers = fillers_for(self.absent, own, spans, self.fillers)
            messages[i]["content"] = find_edit(self.absent)(content, spans, row, fillers)
        return self._rendered([message for i, message in enumerate(messages) if i not in gone])

    def _if_taken(self, messages: Sequence[Message]) -> str | None:
        try:
            return self._rendered(messages)
        except InvalidInputError:
            return None

    def _rendered(self, messages: Sequence[Message]) -> str:
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    list(messages), tokenize=False, add_generation_prompt=True
                )
            )
        except Exception as error:  # templates raise what they like, by jinja2
            if list(messages) == list(self.messages):
                remedy = (
                    "Give messages that it takes (many want user and assistant in turns, the user "
                    "first, and some no system message), or do without the chat template."
                )
            elif self.segmenter == "turns":
                remedy = (
                    "Choose with `within` which messages may be absent, or cut their contents "
                    "instead of whole turns."
                )
            else:
                remedy = "It may want some text in every message: choose absent='replace'."
            raise InvalidInputError(
                "the model's chat template refuses the messages with roles "
                f"{[message['role'] for message in messages]}: {error}. {remedy}"
            ) from error


def chat_game(
    model: LanguageModel,
    messages: Sequence[Message],
    *,
    answers: tuple[str, str] | None = None,
    score: TextScore | None = None,
    segmenter: str | Segmenter = "turns",
    within: Sequence[int] | None = None,
    absent: str = "remove",
    fillers: str | None = None,
    pinned: Sequence[int | str] = (),
) -> LensGame:
    """Make the game of leaving turns out of a chat, or pieces out of its messages.

    Parameters
    ----------
    model : CausalLM
        Whose tokenizer has a chat template.
    messages : sequence of {"role": …, "content": …}
    answers, score
        See `prompt_game`; the answer is the assistant's next turn.
    segmenter, within, absent, fillers, pinned
        See `ChatLens`.

    Raises
    ------
    InvalidInputError
        Before anything is run: for messages that the template refuses, with all of them, without
        any of the players, or with one turn present or absent, and as `prompt_game`.
    """
    if not isinstance(model, ChatModel):
        raise InvalidInputError(
            f"{type(model).__name__} shows no tokenizer, or cannot read prompts as they are "
            "written; needed a CausalLM, whose tokenizer has a chat template."
        )
    lens = ChatLens(model.tokenizer, messages, segmenter, within, absent, fillers, pinned)
    reading = model.as_written()
    n = len(lens.places)
    one = np.eye(n, dtype=bool)
    tried = np.vstack(
        [np.zeros((1, n), dtype=bool), *([one, ~one] if segmenter == "turns" else [])]
    )
    reading.count_tokens([lens.prompt, *(lens.intervene(tried).inputs or ())])  # errors come now
    resolved = chosen_score(answers, score).resolve(reading, lens.prompt)
    return LensGame(lens, ScoredLM(reading, resolved))


def _content(message: Message) -> str:
    if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
        raise InvalidInputError(
            f'the message {message!r} was given; needed {{"role": …, "content": …}}.'
        )
    return as_text(message["content"], "content of a message")


def _replaced(messages: Sequence[Message], i: int, content: str) -> list[Message]:
    return [
        {**message, "content": content} if j == i else message for j, message in enumerate(messages)
    ]


def _written(shorter: str, longer: str) -> str:
    """Find what stands in one text and not in another that should hold all else of it."""
    start = _shared(shorter, longer)
    rest, other = shorter[start:], longer[start:]
    return rest[: len(rest) - _shared(rest[::-1], other[::-1])]


def _shared(one: str, other: str) -> int:
    """Count the characters that both begin with."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
