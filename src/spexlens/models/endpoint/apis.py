"""Ways to ask a model over HTTP: OpenAI's, Anthropic's and Google's, one row each.

All else of the client writes requests and reads answers in OpenAI's form; a row turns them into the
form of its own API and back. The forms are those of Anthropic's Messages API, version 2023-06-01
(docs.anthropic.com/en/api/messages, …/errors), and of Gemini's `models.generateContent`, v1beta
(ai.google.dev/api/generate-content).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError

Json = dict[str, Any]

EMPTY = "…"
"""What stands where an API demands a text and there is none."""


@dataclass(frozen=True)
class Api:
    """A row of the table: how one API is asked.

    Attributes
    ----------
    name, description : str
    hosts : tuple of str
        Ends of host names that speak it; a base URL of these needs no name.
    path : callable
        From the model's name, and whether it is a chat, to the path after the base URL.
    key_header, key_prefix : str
        Which header holds the key, and what stands before it.
    key_variable : str
        The environment variable that usually holds it.
    headers : mapping
        Further headers of every request.
    write : callable
        From the body of a request in OpenAI's form to its own.
    read : callable
        From its own answer to OpenAI's form; LookupError, TypeError or ValueError for another form.
    chats_only : bool
        Whether it takes no plain completions.
    log_probabilities : bool
        Whether it can tell those of next tokens.
    choices : int, optional
        The most answers to one request; None for no limit that is known.
    """

    name: str
    description: str
    hosts: tuple[str, ...]
    path: Callable[[str, bool], str]
    write: Callable[[Json], Json]
    read: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    key_variable: str = "OPENAI_API_KEY"
    headers: Mapping[str, str] = field(default_factory=dict)
    chats_only: bool = True
    log_probabilities: bool = True
    choices: int | None = None


def _to_anthropic(body: Json) -> Json:
    system = [text for message in body["messages"] if (text := _instruction(message))]
    turns: list[Json] = []
    for message in body["messages"]:
        if not _is_instruction(message):
            role, blocks = _anthropic_blocks(message)
            _join(turns, role, "content", blocks)
    if not turns or turns[0]["role"] != "user":  # "first message must use the user role"
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": EMPTY}]})
    made: Json = {
        name: body[name] for name in ("model", "max_tokens", "temperature") if name in body
    }
    made["messages"] = turns
    if system:
        made["system"] = "\n\n".join(system)
    tools = [
        {
            "name": tool["name"],
            "description": tool.get("description", ""),
            "input_schema": tool.get("parameters") or {"type": "object"},
        }
        for tool in _functions(body)
    ]
    if tools:
        made["tools"] = tools
    return made


def _anthropic_blocks(message: Mapping[str, Any]) -> tuple[str, list[Json]]:
    if message["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id", "")}
        return "user", [{**result, "content": _text(message)}]
    text = _text(message)
    blocks: list[Json] = [{"type": "text", "text": text}] if text.strip() else []
    blocks += [
        {
            "type": "tool_use",
            "id": call.get("id", ""),
            "name": call["function"]["name"],
            "input": _arguments(call),
        }
        for call in message.get("tool_calls") or ()
    ]
    role = "assistant" if message["role"] == "assistant" else "user"
    return role, blocks or [{"type": "text", "text": EMPTY}]


_ANTHROPIC_ENDS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def _from_anthropic(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    blocks = answer["content"]
    calls = [
        _call(block.get("id", ""), block["name"], block.get("input"))
        for block in blocks
        if block["type"] == "tool_use"
    ]
    message = {
        "content": "".join(block["text"] for block in blocks if block["type"] == "text"),
        "reasoning_content": "".join(
            block.get("thinking", "") for block in blocks if block["type"] == "thinking"
        ),
        "tool_calls": calls,
    }
    end, usage = str(answer.get("stop_reason") or ""), answer.get("usage") or {}
    read = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return {
        "model": answer.get("model"),
        "choices": [{"message": message, "finish_reason": _ANTHROPIC_ENDS.get(end, end)}],
        "usage": {
            "prompt_tokens": sum(int(usage.get(name) or 0) for name in read),
            "completion_tokens": usage.get("output_tokens"),
        },
    }


def _to_gemini(body: Json) -> Json:
    system = [text for message in body["messages"] if (text := _instruction(message))]
    turns: list[Json] = []
    names: dict[str, str] = {}  # of the function that a call's id belongs to
    for message in body["messages"]:
        if not _is_instruction(message):
            role, parts = _gemini_parts(message, names)
            _join(turns, role, "parts", parts)
    if not turns or turns[0]["role"] != "user":  # a call follows a turn of the user
        turns.insert(0, {"role": "user", "parts": [{"text": EMPTY}]})
    settings = {
        own: body[name]
        for name, own in (
            ("max_tokens", "maxOutputTokens"),
            ("temperature", "temperature"),
            ("n", "candidateCount"),
            ("logprobs", "responseLogprobs"),
            ("top_logprobs", "logprobs"),
        )
        if name in body
    }
    made: Json = {"contents": turns, "generationConfig": settings}
    if system:
        made["systemInstruction"] = {"parts": [{"text": "\n\n".join(system)}]}
    if tools := _functions(body):
        made["tools"] = [{
            "functionDeclarations": [
                {name: tool[name] for name in ("name", "description", "parameters") if name in tool}
                for tool in tools
            ]
        }]  # fmt: skip
    return made


def _gemini_parts(message: Mapping[str, Any], names: dict[str, str]) -> tuple[str, list[Json]]:
    if message["role"] == "tool":
        name = message.get("name") or names.get(str(message.get("tool_call_id")), "")
        response = {"name": name, "response": {"result": _text(message)}}
        return "user", [{"functionResponse": response}]
    text = _text(message)
    parts: list[Json] = [{"text": text}] if text.strip() else []
    for call in message.get("tool_calls") or ():
        name = call["function"]["name"]
        names[str(call.get("id"))] = name
        parts.append({"functionCall": {"name": name, "args": _arguments(call)}})
    role = "model" if message["role"] == "assistant" else "user"
    return role, parts or [{"text": EMPTY}]


_GEMINI_ENDS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), "content_filter"
    ),
}


def _from_gemini(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    candidates = answer.get("candidates") or []
    blocked = (answer.get("promptFeedback") or {}).get("blockReason")
    choices: list[Json] = [_gemini_choice(candidate) for candidate in candidates]
    if not choices:
        if not blocked:
            raise ValueError("no candidates")
        choices = [{"message": {"content": ""}, "finish_reason": "content_filter"}]
    usage = answer.get("usageMetadata") or {}
    written = ("candidatesTokenCount", "thoughtsTokenCount")
    return {
        "model": answer.get("modelVersion"),
        "choices": choices,
        "usage": {
            "prompt_tokens": usage.get("promptTokenCount"),
            "completion_tokens": sum(int(usage.get(name) or 0) for name in written),
        },
    }


def _gemini_choice(candidate: Mapping[str, Any]) -> Json:
    parts = (candidate.get("content") or {}).get("parts") or []
    calls = [
        _call("", part["functionCall"]["name"], part["functionCall"].get("args"))
        for part in parts
        if "functionCall" in part
    ]
    said = {True: "", False: ""}  # what is a thought, and what is none
    for part in parts:
        said[bool(part.get("thought"))] += part.get("text", "")
    message = {"content": said[False], "reasoning_content": said[True], "tool_calls": calls}
    end = str(candidate.get("finishReason") or "")
    return {
        "message": message,
        "finish_reason": _GEMINI_ENDS.get(end, end.lower()),
        "logprobs": _gemini_log_probabilities(candidate.get("logprobsResult") or {}),
    }


def _gemini_log_probabilities(result: Mapping[str, Any]) -> Json | None:
    chosen, top = result.get("chosenCandidates") or (), result.get("topCandidates") or ()
    content = [
        {**_told(token), "top_logprobs": [_told(other) for other in step.get("candidates") or ()]}
        for token, step in zip(chosen, top, strict=False)
    ]
    return {"content": content} if content else None


def _told(candidate: Mapping[str, Any]) -> Json:
    return {"token": candidate["token"], "logprob": candidate.get("logProbability", 0.0)}


APIS: Table[Api] = Table("api", (
    Api(
        "openai", "OpenAI's chat and text completions: vLLM, llama.cpp, most hosted services", (),
        lambda model, chat: "/chat/completions" if chat else "/completions",
        dict, lambda answer: answer, chats_only=False,
    ),
    Api(
        "anthropic", "Anthropic's Messages API, https://api.anthropic.com/v1",
        ("anthropic.com",), lambda model, chat: "/messages", _to_anthropic, _from_anthropic,
        "x-api-key", "", "ANTHROPIC_API_KEY", {"anthropic-version": "2023-06-01"},
        log_probabilities=False, choices=1,
    ),
    Api(
        "gemini", "Gemini's generateContent, https://generativelanguage.googleapis.com/v1beta",
        ("generativelanguage.googleapis.com",),
        lambda model, chat: f"/models/{model.removeprefix('models/')}:generateContent",
        _to_gemini, _from_gemini, "x-goog-api-key", "", "GEMINI_API_KEY", choices=8,
    ),
))  # fmt: skip
"""Every API that the client speaks, by name."""


def api_of(base_url: str, name: str | None) -> Api:
    """Find the API of a name; without one, that of the host, OpenAI's for hosts not known.

    >>> api_of("https://api.anthropic.com/v1", None).name, api_of("http://gpu:8080/v1", None).name
    ('anthropic', 'openai')
    """
    if name is not None:
        return APIS.find(name)
    host = urlsplit(base_url).hostname or ""
    rows = (row for row in APIS.values() if any(_ends_in(host, end) for end in row.hosts))
    return next(rows, APIS["openai"])


def _ends_in(host: str, end: str) -> bool:
    return host == end or host.endswith(f".{end}")


def _join(turns: list[Json], role: str, field_name: str, parts: Sequence[Json]) -> None:
    """Add parts, to the last turn where it is of the same role: turns of both alternate."""
    if turns and turns[-1]["role"] == role:
        turns[-1][field_name] = [*turns[-1][field_name], *parts]
    else:
        turns.append({"role": role, field_name: list(parts)})


def _is_instruction(message: Mapping[str, Any]) -> bool:
    return message["role"] in ("system", "developer")


def _instruction(message: Mapping[str, Any]) -> str:
    return _text(message) if _is_instruction(message) else ""


def _text(message: Mapping[str, Any]) -> str:
    return str(message.get("content") or "")


def _functions(body: Json) -> list[Mapping[str, Any]]:
    """List the functions of the tools, and those that messages call and nothing defines.

    Both APIs refuse calls in messages where no tools are defined.
    """
    defined = [tool.get("function", tool) for tool in body.get("tools") or ()]
    known = {tool["name"] for tool in defined}
    called = (
        call["function"]["name"]
        for message in body["messages"]
        for call in message.get("tool_calls") or ()
    )
    return defined + [{"name": name} for name in dict.fromkeys(called) if name not in known]


def _arguments(call: Mapping[str, Any]) -> Any:
    given = call["function"].get("arguments") or "{}"
    if not isinstance(given, str):
        return given
    try:
        read = json.loads(given)
    except ValueError:
        read = None
    return read if isinstance(read, dict) else {"arguments": given}


def _call(identity: str, name: str, arguments: Any) -> Json:
    written = json.dumps(arguments or {}, ensure_ascii=False)
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": written}}


def check_request(api: Api, *, wants_log_probabilities: bool) -> None:
    """Refuse what an API cannot serve before anything is sent."""
    if wants_log_probabilities and not api.log_probabilities:
        raise InvalidInputError(
            f"log-probabilities were asked for, and {api.description.split(',')[0]} tells none; "
            "use a score of generated answers: similarity, exact, matches, share, judge."
        )
