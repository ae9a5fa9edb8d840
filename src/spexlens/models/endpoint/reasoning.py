"""Telling what a model thinks before it answers from the answer, where a server marks it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# As models write them into their text; the second one ends the reasoning. Some chat templates write
# the first one themselves, so that only the second is seen.
_TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
)
# Fields of a message that hold the reasoning, and names of parts of its content that do.
_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")


def of_message(message: Mapping[str, Any]) -> tuple[str | None, str]:
    """Take the reasoning of a chat's message, None where nothing marks any, from its answer.

    Calls of tools are part of the answer, each on a line of its own as `name(arguments)`.

    Examples
    --------
    >>> of_message({"content": None, "reasoning_content": "The user"})
    ('The user', '')
    >>> of_message({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
    ...                         {"type": "text", "text": "Yes"}]})
    ('Hm', 'Yes')
    >>> of_message({"content": "Yes", "reasoning": None, "reasoning_details": [
    ...     {"type": "reasoning.encrypted", "data": "gAAA"}]})
    ('', 'Yes')
    """
    apart = [_plain(message[name]) for name in _FIELDS if message.get(name)]
    content = message.get("content")
    if isinstance(content, list):
        apart += [_plain(part) for part in content if _is_reasoning(part)]
        content = "".join(_plain(part) for part in content if not _is_reasoning(part))
    inside, answer = of_text(str(content or message.get("refusal") or ""))
    if calls := message.get("tool_calls"):
        answer = "\n".join([*([answer] if answer.strip() else []), *map(written_call, calls)])
    return (apart[0] if apart else inside), answer


def written_call(call: Mapping[str, Any]) -> str:
    """Write a call of a tool as `name(arguments)`, the arguments as JSON with sorted keys.

    >>> written_call({"function": {"name": "add", "arguments": '{"b": 2,"a": 1}'}})
    'add({"a": 1, "b": 2})'
    """
    function = call["function"]
    given = function.get("arguments") or "{}"
    try:
        read = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        return f"{function['name']}({given})"
    return f"{function['name']}({json.dumps(read, ensure_ascii=False, sort_keys=True)})"


def of_text(text: str) -> tuple[str | None, str]:
    """Take the reasoning of a text, None where no tag marks any, from its answer.

    Examples
    --------
    >>> of_text("<think>It is praise.</think>\\n\\nPositive")
    ('It is praise.', 'Positive')
    >>> of_text("It is praise.</think>Positive"), of_text("<think>It is")
    (('It is praise.', 'Positive'), ('It is', ''))
    >>> of_text(" Positive")
    (None, ' Positive')
    """
    begun = text.lstrip()
    for opening, closing in _TAGS:
        opened = begun.startswith(opening)
        before, closed, after = text.partition(closing)
        if opened and not closed:
            return begun.removeprefix(opening), ""
        if closed and (opened or opening not in before):
            return before.lstrip().removeprefix(opening), after.lstrip()
    return None, text


def may_begin_a_tag(text: str) -> bool:
    """Tell whether a first token can be the beginning of a tag that opens reasoning.

    >>> may_begin_a_tag(" <"), may_begin_a_tag("Positive"), may_begin_a_tag(" ")
    (True, False, False)
    """
    begun = text.strip()
    return bool(begun) and any(opening.startswith(begun) for opening, _ in _TAGS)


def _is_reasoning(part: Any) -> bool:
    return isinstance(part, Mapping) and str(part.get("type")) in _FIELDS


def _plain(part: Any) -> str:
    """Find the text of a part, however deep it lies."""
    if isinstance(part, Mapping):
        return next((_plain(part[name]) for name in ("text", *_FIELDS) if part.get(name)), "")
    if isinstance(part, Sequence) and not isinstance(part, str):
        return "".join(map(_plain, part))
    return str(part)
