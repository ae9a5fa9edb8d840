"""Messages of a chat as they come, put into one form: plain texts, known roles, calls with outputs.

Logs hold them in the forms of several vendors; what has no place in a text is left out and told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from spexlens.errors import InvalidInputError, UnknownNameError

ROLES = ("system", "developer", "user", "assistant", "tool")
"""Roles of messages, in OpenAI's words."""
_OTHER_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool"}
_TEXTS = ("text", "input_text", "output_text")
_BASE64 = re.compile(r"(?:data:[\w/+.-]+;base64,)?[A-Za-z0-9+/=\s]{400,}\Z")
_DATA_URL = re.compile(r"data:[\w/+.-]+;base64,")


def in_one_form(
    given: Sequence[Any], instructions: Any = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Write messages in OpenAI's form, their contents as texts.

    Parameters
    ----------
    given : sequence of mapping
        Messages in the form of OpenAI's chats or responses, or of Anthropic's.
    instructions : optional
        A system prompt that stands apart from them.

    Returns
    -------
    messages : list of dict
        Every call of a tool has an id, and every output names its call.
    left_out : list of str
        What was in them that no text holds: pictures, sound, binary outputs.

    Raises
    ------
    InvalidInputError
        For what is no message, an unknown role, an output without its call, a call without output.

    Examples
    --------
    >>> in_one_form([{"role": "human", "content": [{"type": "text", "text": "Hi"}]}])
    ([{'role': 'user', 'content': 'Hi'}], [])
    """
    left_out: list[str] = []
    messages: list[dict[str, Any]] = []
    if instructions:
        messages.append({"role": "system", "content": _plain(instructions, 0, left_out)})
    for number, message in enumerate(given, start=len(messages)):
        for read in _read(message, number, left_out):
            # OpenAI's responses log each of the calls made at once as an item of its own.
            bare = "tool_calls" in read and not read["content"]
            if bare and messages and messages[-1].get("tool_calls"):
                messages[-1]["tool_calls"] += read["tool_calls"]
            else:
                messages.append(read)
    _link(messages)
    return messages, left_out


def _read(message: Any, number: int, left_out: list[str]) -> list[dict[str, Any]]:
    if not isinstance(message, Mapping):
        raise InvalidInputError(
            f"message {number} is {message!r:.60}; needed an object with a role and a content."
        )
    kind = message.get("type")
    if kind == "function_call":  # of OpenAI's responses
        call = _called(message.get("call_id"), message.get("name"), message.get("arguments"))
        return [{"role": "assistant", "content": "", "tool_calls": [call]}]
    if kind == "function_call_output":
        text = _plain(message.get("output"), number, left_out)
        return [{"role": "tool", "content": text, "tool_call_id": message.get("call_id")}]
    if kind == "reasoning":
        return []
    role = str(message.get("role") or "")
    role = _OTHER_ROLES.get(role, role)
    if role not in ROLES:
        raise UnknownNameError(f"role of message {number}", role, [*ROLES, *_OTHER_ROLES])
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    outputs = [block for block in blocks if _is(block, "tool_result")]
    calls = [
        _called(block.get("id"), block.get("name"), block.get("input"))
        for block in blocks
        if _is(block, "tool_use")
    ]
    calls += [_of_openai(call) for call in message.get("tool_calls") or ()]
    if isinstance(legacy := message.get("function_call"), Mapping):
        calls.append(_called(None, legacy.get("name"), legacy.get("arguments")))
    read: list[dict[str, Any]] = [
        {
            "role": "tool",
            "content": _plain(block.get("content"), number, left_out),
            "tool_call_id": block.get("tool_use_id"),
        }
        for block in outputs
    ]
    text = _plain(content, number, left_out)
    if outputs and not text.strip():
        return read
    own: dict[str, Any] = {"role": role, "content": text}
    if calls:
        own["tool_calls"] = calls
    for name in ("tool_call_id", "name"):
        if message.get(name):
            own[name] = message[name]
    return [*read, own]


def _is(block: Any, kind: str) -> bool:
    return isinstance(block, Mapping) and block.get("type") == kind


def _of_openai(call: Any) -> dict[str, Any]:
    function = call.get("function") or call if isinstance(call, Mapping) else {}
    given = function.get("arguments", function.get("args"))
    return _called(call.get("id"), function.get("name"), given)


def _called(identity: Any, name: Any, arguments: Any) -> dict[str, Any]:
    if not isinstance(name, str) or not name:
        raise InvalidInputError("a call of a tool has no name; the log is not whole.")
    written = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    function = {"name": name, "arguments": written}
    return {"id": identity, "type": "function", "function": function}


def _plain(content: Any, number: int, left_out: list[str]) -> str:
    """Join the texts of a content; what is none is told in `left_out`."""
    if content is None:
        return ""
    if isinstance(content, bytes):
        left_out.append(f"message {number}: {len(content)} bytes that are no text")
        return ""
    if isinstance(content, str):
        if "\0" in content or _DATA_URL.match(content) or _BASE64.match(content):
            left_out.append(f"message {number}: {len(content)} characters of binary data")
            return "[binary data]"
        return content
    if not isinstance(content, list):
        return json.dumps(content, ensure_ascii=False)
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(_plain(part, number, left_out))
        elif not isinstance(part, Mapping):
            texts.append(json.dumps(part, ensure_ascii=False))
        elif part.get("type") in _TEXTS or (part.get("type") is None and "text" in part):
            texts.append(_plain(part.get("text"), number, left_out))
        elif part.get("type") in ("tool_use", "tool_result"):
            continue
        elif part.get("type") in ("thinking", "redacted_thinking", "reasoning"):
            left_out.append(f"message {number}: reasoning, which is not sent back")
        else:
            kind = part.get("type") or f"object with {sorted(part)}"
            left_out.append(f"message {number}: a part of type {kind}")
    return "\n".join(text for text in texts if text)


def _link(messages: list[dict[str, Any]]) -> None:
    """Give calls ids, and outputs the id of their call, where a log has none; check that all match.

    An output without an id is that of the first open call of its name, or of the first open one.
    """
    open_calls: dict[str, tuple[str, str]] = {}  # id in the log -> name, id that is sent
    sent: set[str] = set()
    for number, message in enumerate(messages):
        if message["role"] == "tool":
            name, given = message.get("name"), message.get("tool_call_id")
            if given is None:
                named = (i for i, (known, _) in open_calls.items() if known == name or name is None)
                given = next(named, None)
            if given not in open_calls:
                raise InvalidInputError(
                    f"message {number} is the output of a tool (tool_call_id = {given!r}) that no "
                    "message before it calls; the log is not whole. Log the call with it, or take "
                    "the output out."
                )
            message["tool_call_id"] = open_calls.pop(given)[1]
            continue
        _check_closed(open_calls, number)
        for place, call in enumerate(message.get("tool_calls") or ()):
            given = str(call["id"] or f"call_{number}_{place}")
            call["id"] = given if given not in sent else f"{given}_{number}_{place}"
            sent.add(call["id"])
            open_calls[given] = (call["function"]["name"], call["id"])
    _check_closed(open_calls, len(messages))


def _check_closed(open_calls: Mapping[str, tuple[str, str]], number: int) -> None:
    if open_calls:
        names = ", ".join(name for name, _ in open_calls.values())
        raise InvalidInputError(
            f"the tools {names} are called before message {number}, and no message holds their "
            "outputs; models refuse such a call. Log the outputs with it."
        )
