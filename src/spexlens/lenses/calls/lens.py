"""The call lens: parts of a chat model's call are the players, and what is left is a valid call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from spexlens.core.calls import Call
from spexlens.core.interventions import Interventions
from spexlens.core.masks import BoolArray, as_masks
from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError
from spexlens.lenses.calls.messages import in_one_form
from spexlens.lenses.text.ablations import fillers_for, find_edit
from spexlens.lenses.text.segmenters import SEGMENTERS, Segmenter, segment
from spexlens.lenses.text.spans import Span, trimmed

NOTHING = "…"
"""The user's turn that stands where no turn is left."""
_SHOWN = 60  # characters of a part in its name

Cut = Mapping[str, str | Segmenter]


@dataclass(frozen=True)
class PartKind:
    """A row of the table: a kind of part."""

    name: str
    description: str


PART_KINDS: Table[PartKind] = Table("part of a call", (
    PartKind("system", "system and developer messages"),
    PartKind("user", "the user's turns"),
    PartKind("assistant", "what the assistant said before"),
    PartKind("tool_call", "a call of a tool with its output"),
    PartKind("tool", "a tool's definition"),
    PartKind("document", "a retrieved document, wherever its text stands"),
))  # fmt: skip
"""The kinds of parts that a call is cut into, each as finely as is chosen."""
_OF_ROLE = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True)
class Part:
    """One player of a call.

    Attributes
    ----------
    kind : str
        A key of `PART_KINDS`.
    name : str
        For people: its kind and how it begins.
    places : tuple of (message, start, end)
        The texts that go with it.
    call : str, optional
        The id of the call that goes, with its output.
    tool : int, optional
        The number of the definition that goes.
    """

    kind: str
    name: str
    places: tuple[tuple[int, int, int], ...] = ()
    call: str | None = None
    tool: int | None = None


@dataclass(frozen=True)
class CallLens:
    """Takes parts out of a call: turns, system prompt, tools, calls of tools, documents, or pieces.

    What is left is a call that a model takes. A call of a tool goes with its output, and neither is
    ever sent alone. A message with nothing left is not sent; where no turn is left, the user says
    "…".

    Parameters
    ----------
    call : Call
    cut : mapping of str to (str or callable), optional
        How each kind of `PART_KINDS` is cut: "whole" (the default), "fixed" (always present), or a
        segmenter, whose pieces are the players; of a `tool_call` the pieces of its output.
    documents : sequence of str, optional
        Texts of retrieved documents; where one stands in a message it is a player of its own.
    fixed : sequence of int, optional
        Numbers of messages that are always present. By default the user's last one, unless `cut`
        says how the user's turns are cut.
    absent, fillers
        See `PromptLens`; they apply to texts.
    tokenizer : optional
        Whose chat template writes the calls as prompts for a model that runs here; without it the
        calls are for an endpoint.

    Attributes
    ----------
    parts : tuple of Part
        One a player.

    Examples
    --------
    >>> messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    >>> lens = CallLens(Call.of(messages))
    >>> lens.players
    ('system: Be brief.',)
    >>> lens.intervene(np.array([[False]])).calls[0].messages
    [{'content': 'Hi', 'role': 'user'}]
    """

    call: Call
    cut: Cut = field(default_factory=dict)
    documents: Sequence[str] = ()
    fixed: Sequence[int] | None = None
    absent: str = "remove"
    fillers: str | None = None
    tokenizer: Any = None
    left_out: Sequence[str] = ()
    parts: tuple[Part, ...] = field(init=False, repr=False)
    _messages: tuple[dict[str, Any], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for kind, how in self.cut.items():
            PART_KINDS.find(kind)
            if isinstance(how, str) and how not in ("whole", "fixed"):
                SEGMENTERS.find(how)
                if kind == "tool":
                    raise InvalidInputError(
                        f"cut = {{'tool': {how!r}}} given; a definition is present or not: needed "
                        "'whole' or 'fixed'."
                    )
        find_edit(self.absent)
        messages, left_out = in_one_form(self.call.messages)
        if not messages:
            raise InvalidInputError("the call has no messages; needed at least one.")
        if self.fixed is not None and not set(self.fixed) <= set(range(len(messages))):
            raise InvalidInputError(
                f"fixed = {list(self.fixed)} given for {len(messages)} messages; needed numbers "
                f"from 0 to {len(messages) - 1}."
            )
        if self.tokenizer is not None and not getattr(self.tokenizer, "chat_template", None):
            raise InvalidInputError(
                f"the tokenizer {type(self.tokenizer).__name__} has no chat template; needed a "
                "model tuned for chats, or an endpoint."
            )
        object.__setattr__(self, "_messages", tuple(messages))
        object.__setattr__(self, "left_out", (*self.left_out, *left_out))
        object.__setattr__(self, "parts", tuple(self._cut_up()))
        if not self.parts:
            raise InvalidInputError(
                "the call has no part that can be absent: everything is fixed, and its last turn "
                "is unless told otherwise. Cut it into pieces, such as cut={'user': 'sentences'} "
                "(--cut user=sentences)."
            )

    @property
    def players(self) -> tuple[str, ...]:
        """Names of the parts."""
        return tuple(part.name for part in self.parts)

    @property
    def prompt(self) -> str:
        """The full call, or what the template makes of it."""
        return self._edited(np.ones(len(self.parts), dtype=bool))

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """Write the calls without the absent parts, one for each of the masks `(m, n)`."""
        rows = as_masks(masks, len(self.parts))
        edited = tuple(self._edited(row) for row in rows)
        if self.tokenizer is not None:
            return Interventions(inputs=tuple(map(str, edited)))
        return Interventions(calls=tuple(map(Call, edited)))

    def notes(self) -> tuple[str, ...]:
        """Tell what of the call is not sent."""
        if not self.left_out:
            return ()
        return (f"not part of what the model was asked again: {'; '.join(self.left_out)}.",)

    def identity(self) -> dict[str, Any]:
        """Tell call, parts, and how they are ablated; the template is the tokenizer's."""
        return {
            "lens": "call",
            "messages": list(self._messages),
            "tools": self.call.tools,
            "parts": [
                [part.kind, [list(place) for place in part.places], part.call, part.tool]
                for part in self.parts
            ],
            "ablation": self.absent,
            "fillers": self.fillers,
            "rendered": self.tokenizer is not None,
        }

    # -- cutting ---------------------------------------------------------------------------------

    def _cut_up(self) -> list[Part]:
        parts: list[Part] = []
        for number, tool in enumerate(self.call.tools):
            if self._how("tool") == "whole":
                name = str(tool.get("function", tool).get("name", number))
                parts.append(Part("tool", f"tool: {name}", tool=number))
        fixed = self._fixed()
        outputs = {
            message["tool_call_id"]: i
            for i, message in enumerate(self._messages)
            if message["role"] == "tool"
        }
        for i, message in enumerate(self._messages):
            if message["role"] == "tool":
                continue
            parts += self._of_text(i, _OF_ROLE[message["role"]], i in fixed)
            for call in message.get("tool_calls") or ():
                parts += self._of_call(call, outputs[call["id"]], i in fixed)
        return parts

    def _fixed(self) -> set[int]:
        if self.fixed is not None:
            return set(self.fixed)
        last = [i for i, message in enumerate(self._messages) if message["role"] == "user"][-1:]
        return set(last) if "user" not in self.cut else set()

    def _how(self, kind: str) -> str | Segmenter:
        return self.cut.get(kind, "whole")

    def _of_text(self, i: int, kind: str, fixed: bool) -> list[Part]:
        """Cut a message's text; documents in it are parts of their own."""
        content, how = self._messages[i]["content"], self._how(kind)
        found = self._documents_in(i)
        gaps = _gaps(content, found)
        own: list[Part] = []
        if gaps and not fixed and how == "whole":
            places = tuple((i, *gap) for gap in gaps)
            own = [Part(kind, _named(kind, content), places)]
        elif gaps and not fixed and how != "fixed":
            for start, end in gaps:
                own += [
                    Part(
                        kind,
                        _named(kind, content[start + a : start + b]),
                        ((i, start + a, start + b),),
                    )
                    for a, b in segment(content[start:end], how)
                ]
        return [*own, *self._of_documents(i, found)]

    def _of_call(self, call: Mapping[str, Any], output: int, fixed: bool) -> list[Part]:
        """Cut a call of a tool and its output."""
        how, content = self._how("tool_call"), self._messages[output]["content"]
        function = call["function"]
        head = f"{function['name']}({function['arguments']})"
        if how == "whole" and not fixed:
            own = [Part("tool_call", _named("tool", f"{head} → {content}"), call=call["id"])]
        elif how in ("whole", "fixed") or fixed or not content.strip():
            own = []
        else:
            own = [
                Part(
                    "tool_call",
                    _named(f"output of {function['name']}", content[start + a : start + b]),
                    ((output, start + a, start + b),),
                )
                for start, end in _gaps(content, self._documents_in(output))
                for a, b in segment(content[start:end], how)
            ]
        return [*own, *self._of_documents(output, self._documents_in(output))]

    def _documents_in(self, i: int) -> list[tuple[Span, int]]:
        """Find where documents stand in a message, and which they are; overlaps are the first's."""
        if self._how("document") == "fixed":
            return []
        content = self._messages[i]["content"]
        found: list[tuple[Span, int]] = []
        for number, document in enumerate(self.documents):
            text = document.strip()
            start = content.find(text) if text else -1
            span = (start, start + len(text))
            if start >= 0 and all(span[1] <= a or b <= span[0] for (a, b), _ in found):
                found.append((span, number))
        return sorted(found)

    def _of_documents(self, i: int, found: Sequence[tuple[Span, int]]) -> list[Part]:
        content, how = self._messages[i]["content"], self._how("document")
        parts = []
        for (start, end), number in found:
            text = content[start:end]
            cuts = [(0, len(text))] if how == "whole" else segment(text, how)
            parts += [
                Part("document", _named(f"document {number}", text[a:b]),
                     ((i, start + a, start + b),))
                for a, b in cuts
            ]  # fmt: skip
        return parts

    # -- editing ---------------------------------------------------------------------------------

    def _edited(self, row: BoolArray) -> str:
        spans: dict[int, list[tuple[Span, bool]]] = defaultdict(list)
        calls, tools = set(), set()
        for part, kept in zip(self.parts, row.tolist(), strict=True):
            for i, start, end in part.places:
                spans[i].append(((start, end), kept))
            if not kept and part.call is not None:
                calls.add(part.call)
            if not kept and part.tool is not None:
                tools.add(part.tool)
        messages = []
        for i, message in enumerate(self._messages):
            if message.get("tool_call_id") in calls:
                continue
            left = dict(message)
            if i in spans:
                left["content"] = self._text(message["content"], sorted(spans[i]))
            called = [call for call in message.get("tool_calls") or () if call["id"] not in calls]
            left.pop("tool_calls", None)
            if called:
                left["tool_calls"] = called
            if called or message["role"] == "tool" or left["content"].strip():
                messages.append(left)
        if all(_OF_ROLE.get(message["role"]) == "system" for message in messages):
            messages.append({"role": "user", "content": NOTHING})
        kept_tools = [tool for j, tool in enumerate(self.call.tools) if j not in tools]
        if self.tokenizer is None:
            return Call.of(messages, kept_tools)
        return self._rendered(messages, kept_tools)

    def _text(self, content: str, cuts: Sequence[tuple[Span, bool]]) -> str:
        spans, keep = [span for span, _ in cuts], [kept for _, kept in cuts]
        fillers = fillers_for(self.absent, content, spans, self.fillers)
        return find_edit(self.absent)(content, spans, keep, fillers)

    def _rendered(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str:
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    messages, tools=tools or None, tokenize=False, add_generation_prompt=True
                )
            )
        except Exception as error:  # templates raise what they like, by jinja2
            raise InvalidInputError(
                "the model's chat template refuses the messages with roles "
                f"{[message['role'] for message in messages]}: {error}. Keep those that it wants "
                "by fixed=[…] (--fixed), cut texts into pieces instead of whole turns, or ask an "
                "endpoint."
            ) from error


def _gaps(content: str, found: Sequence[tuple[Span, int]]) -> list[Span]:
    """Give the trimmed stretches of a text between the documents that were found in it."""
    ends = [0, *(edge for span, _ in found for edge in span), len(content)]
    pairs = list(pairwise(ends))[::2]
    return [gap for start, end in pairs if (gap := trimmed(content, start, end)) is not None]


def _named(kind: str, text: str) -> str:
    told = " ".join(text.split())
    return f"{kind}: {told if len(told) <= _SHOWN else told[:_SHOWN] + '…'}"
