"""The chat lens: messages are put together by the model's own chat template after the ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from spexlens.core.interventions import Interventions
from spexlens.core.masks import BoolArray, as_masks
from spexlens.errors import InvalidInputError
from spexlens.lenses.base import LensGame
from spexlens.lenses.text.ablations import fillers_for, find_edit
from spexlens.lenses.text.prompt import free_pieces
from spexlens.lenses.text.scores import ScoredLM, TextScore
from spexlens.lenses.text.segmenters import Segmenter, segment
from spexlens.lenses.text.sequence_scores import chosen_score
from spexlens.lenses.text.spans import Span, as_text
from spexlens.models.base import LanguageModel

Message = Mapping[str, str]
Pieces = tuple[Span, ...]


class ChatModel(LanguageModel, Protocol):
    """A language model that shows its tokenizer, which holds the chat template."""

    @property
    def tokenizer(self) -> Any:
        """A transformers tokenizer with `apply_chat_template`."""
        ...


@dataclass(frozen=True)
class ChatLens:
    """Takes turns out of a chat, or pieces out of some of its messages.

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
        masks = as_masks(masks, len(self.places))
        keep = np.ones((len(masks), sum(len(spans) for _, spans in self._cut)), dtype=bool)
        keep[:, list(self._free)] = masks
        return Interventions(inputs=tuple(self._ablated(row) for row in keep))

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

    def _ablated(self, keep: BoolArray) -> str:
        messages = [dict(message) for message in self.messages]
        gone, done = set(), 0
        for i, spans in self._cut:
            row = keep[done : done + len(spans)]
            done += len(spans)
            if self.segmenter == "turns":
                gone |= set() if row[0] else {i}
                continue
            content = messages[i]["content"]
            fillers = fillers_for(self.absent, content, spans, self.fillers)
            messages[i]["content"] = find_edit(self.absent)(content, spans, row, fillers)
        return self._rendered([message for i, message in enumerate(messages) if i not in gone])

    def _rendered(self, messages: list[Message]) -> str:
        try:
            text = str(
                self.tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True
                )
            )
        except Exception as error:  # templates raise what they like, by jinja2
            raise InvalidInputError(
                f"the model's chat template refuses the messages with roles "
                f"{[message['role'] for message in messages]}: {error}. Choose with `within` which "
                "messages may be absent, or cut their contents instead of whole turns."
            ) from error
        # The tokenizer would put a second beginning-of-text token before the template's.
        bos = getattr(self.tokenizer, "bos_token", None)
        if bos and text.startswith(bos):
            added = self.tokenizer("a")["input_ids"][:1] == [self.tokenizer.bos_token_id]
            return text.removeprefix(bos) if added else text
        return text


def chat_game(
    model: ChatModel,
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
        Before anything is run: for messages that the template refuses, with all of them or without
        any of the players, and as `prompt_game`.
    """
    lens = ChatLens(model.tokenizer, messages, segmenter, within, absent, fillers, pinned)
    nothing = lens.intervene(np.zeros((1, len(lens.places)), dtype=bool)).inputs or ()
    model.count_tokens([lens.prompt, *nothing])  # an error for one that cannot be run
    resolved = chosen_score(answers, score).resolve(model, lens.prompt)
    return LensGame(lens, ScoredLM(model, resolved))


def _content(message: Message) -> str:
    if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
        raise InvalidInputError(
            f'the message {message!r} was given; needed {{"role": …, "content": …}}.'
        )
    return as_text(message["content"], "content of a message")
