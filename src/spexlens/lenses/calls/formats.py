"""Reading logged calls: what was asked, what was answered, and under which ids.

Each way of logging is one row: OpenAI-style requests with their responses, OpenInference spans,
Phoenix exports (which hold such spans), Langfuse exports. Files are JSON, or JSON by lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spexlens.core.calls import Call
from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError, shown
from spexlens.lenses.calls.messages import in_one_form
from spexlens.models.endpoint.reasoning import of_message


@dataclass(frozen=True)
class Trace:
    """One logged call.

    Attributes
    ----------
    call : Call
        Messages and tools, in one form.
    answer : str
        What the model said; calls of tools as `name(arguments)`. "" where it was not logged.
    model, trace_id, span_id : str
        As they were logged; "" where they were not.
    documents : tuple of str
        Of the retriever spans of the same trace.
    left_out : tuple of str
        What was logged and cannot be sent again.
    form : str
        The row of `TRACE_FORMATS` that read it.
    """

    call: Call
    answer: str = ""
    model: str = ""
    trace_id: str = ""
    span_id: str = ""
    documents: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    form: str = ""


@dataclass(frozen=True)
class TraceFormat:
    """A row of the table: one way of logging.

    Attributes
    ----------
    name, description : str
    records : callable
        From what a file holds to the records of this way of logging; none for another way.
    read : callable
        From all records to the calls among them.
    """

    name: str
    description: str
    records: Callable[[Any], list[Mapping[str, Any]]]
    read: Callable[[list[Mapping[str, Any]]], Iterator[Trace]]


def read_traces(source: str | Path | Mapping[str, Any] | Sequence[Any]) -> tuple[Trace, ...]:
    """Read the calls of models that a log holds.

    Parameters
    ----------
    source : path, or JSON as Python has it

    Raises
    ------
    InvalidInputError
        For what is no JSON, is read by no row, holds no call of a model, or one that is not whole.
    """
    data = _loaded(Path(source)) if isinstance(source, str | Path) else source
    if isinstance(data, list) and data and all(_role(item) for item in data):
        data = {"messages": data}
    for row in TRACE_FORMATS.values():
        if records := row.records(data):
            traces = tuple(row.read(records))
            if not traces:
                raise InvalidInputError(
                    f"the log was read as {row.name} ({len(records)} records), and none of them is "
                    "the call of a model with its messages; needed one of kind LLM or GENERATION."
                )
            return traces
    found = sorted(data) if isinstance(data, Mapping) else f"a {type(data).__name__}"
    raise InvalidInputError(
        f"no known way of logging has these fields: {found}. Known: {TRACE_FORMATS.in_words()}."
    )


def find_trace(traces: Sequence[Trace], which: str | int | None = None) -> Trace:
    """Choose a call: the only one, or that of a number or an id.

    Raises
    ------
    InvalidInputError
        Where there is none such, or several and nothing was said; it lists them.
    """
    if which is None and len(traces) == 1:
        return traces[0]
    number = which
    if isinstance(which, str) and which.isdecimal() and not _with_id(traces, which):
        number = int(which)
    if isinstance(number, int) and 0 <= number < len(traces):
        return traces[number]
    named = _with_id(traces, which)
    if len(named) == 1:
        return named[0]
    told = [
        f"{i}: {trace.span_id or trace.trace_id or 'no id'}, {len(trace.call.messages)} messages"
        for i, trace in enumerate(traces)
    ]
    given = "no choice was given" if which is None else f"{which!r} was given"
    raise InvalidInputError(
        f"the log holds {len(traces)} calls and {given}; needed the number or id of one (call=…, "
        f"--call …): {shown(told)}."
    )


def _with_id(traces: Sequence[Trace], which: object) -> list[Trace]:
    spans = [trace for trace in traces if trace.span_id and trace.span_id == which]
    return spans or [trace for trace in traces if trace.trace_id and trace.trace_id == which]


def _loaded(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is no text in UTF-8 (byte {error.start}).") from error
    try:
        return json.loads(text)
    except ValueError as whole:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            raise InvalidInputError(
                f"{path} is neither JSON nor JSON by lines ({whole})."
            ) from None


def _listed(data: Any, *names: str) -> list[Mapping[str, Any]]:
    """Give the records of a list, or of a list under one of the names."""
    if isinstance(data, Mapping):
        data = next((data[name] for name in names if isinstance(data.get(name), list)), [data])
    records = data if isinstance(data, list | tuple) else []
    return [record for record in records if isinstance(record, Mapping)]


# -- OpenAI ----------------------------------------------------------------------------------------


def _openai_records(data: Any) -> list[Mapping[str, Any]]:
    records = _listed(data, "data")
    return [record for record in records if "messages" in _asked(record) or "input" in
            _asked(record)]  # fmt: skip


def _asked(record: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("request", "body", "kwargs"):
        if isinstance(record.get(name), Mapping):
            return dict(record[name])
    return record


def _read_openai(records: list[Mapping[str, Any]]) -> Iterator[Trace]:
    for record in records:
        request = _asked(record)
        given = request.get("messages", request.get("input"))
        given = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
        answer = next(
            (record[name] for name in ("response", "output", "completion") if record.get(name)),
            None,
        )
        if isinstance(answer, Mapping) and isinstance(answer.get("body"), Mapping):
            answer = answer["body"]  # of a batch
        if answer is None and given and _role(given[-1]) == "assistant":
            *given, answer = given
        identity = answer.get("id") if isinstance(answer, Mapping) else None
        yield _trace(
            given, answer, request.get("instructions") or request.get("system"),
            request.get("tools") or (), form="openai", model=request.get("model"),
            trace_id=record.get("trace_id"),
            span_id=record.get("span_id") or record.get("custom_id") or record.get("id")
            or identity,
            documents=_documents(request.get("documents")),
        )  # fmt: skip


def _role(message: Any) -> str:
    return str(message.get("role") or "") if isinstance(message, Mapping) else ""


# -- OpenInference and Phoenix ---------------------------------------------------------------------


def _span_records(data: Any) -> list[Mapping[str, Any]]:
    if isinstance(data, Mapping) and "resourceSpans" in data:  # OTLP's JSON
        return [
            span
            for resource in data["resourceSpans"]
            for scope in resource.get("scopeSpans") or ()
            for span in scope.get("spans") or ()
        ]
    records = _listed(data, "spans")
    if len(records) > 1 and all("resourceSpans" in record for record in records):
        return [span for record in records for span in _span_records(record)]
    return [record for record in records if _is_span(record)]


def _phoenix_records(data: Any) -> list[Mapping[str, Any]]:
    if not isinstance(data, Mapping) or not isinstance(data.get("data"), list):
        return []
    return [record for record in _listed(data, "data") if _is_span(record)]


def _is_span(record: Mapping[str, Any]) -> bool:
    return "attributes" in record or any(name.startswith("attributes.") for name in record)


def _read_spans(form: str) -> Callable[[list[Mapping[str, Any]]], Iterator[Trace]]:
    def read(records: list[Mapping[str, Any]]) -> Iterator[Trace]:
        spans = [nested(_otlp(record)) for record in records]
        retrieved: dict[str, list[str]] = {}
        for span in spans:
            found = _at(span, "attributes", "retrieval", "documents") or ()
            texts = [_at(entry, "document", "content") for entry in found]
            retrieved.setdefault(_trace_id(span), []).extend(str(text) for text in texts if text)
        for span in spans:
            if trace := _of_span(span, tuple(dict.fromkeys(retrieved[_trace_id(span)])), form):
                yield trace

    return read


def _otlp(record: Mapping[str, Any]) -> dict[str, Any]:
    """Write OTLP's list of attributes as an object."""
    given = record.get("attributes")
    if not isinstance(given, list):
        return dict(record)
    values = {
        entry["key"]: next(iter((entry.get("value") or {}).values()), None) for entry in given
    }
    return {**record, "attributes": values}


def _trace_id(span: Mapping[str, Any]) -> str:
    found = _at(span, "context", "trace_id") or span.get("traceId") or span.get("trace_id")
    return str(found or "")


def _of_span(span: Mapping[str, Any], documents: tuple[str, ...], form: str) -> Trace | None:
    attributes = span.get("attributes")
    if not isinstance(attributes, Mapping):
        return None
    kind = str(_at(attributes, "openinference", "span", "kind") or span.get("span_kind") or "")
    asked = _at(attributes, "llm", "input_messages")
    if asked is None:
        if kind.upper() != "LLM":
            return None
        asked, tools = _of_value(_at(attributes, "input", "value"))
    else:
        asked, tools = [_unwrapped(entry) for entry in asked], ()
    said = _at(attributes, "llm", "output_messages")
    answer = (
        _parsed(_at(attributes, "output", "value"))
        if said is None
        else {"choices": [{"message": _unwrapped(entry)} for entry in said]}
    )
    defined = _at(attributes, "llm", "tools") or ()
    return _trace(
        asked, answer, None, [_tool(entry) for entry in defined] or tools, form=form,
        model=_at(attributes, "llm", "model_name"), trace_id=_trace_id(span),
        span_id=_at(span, "context", "span_id") or span.get("spanId") or span.get("span_id")
        or span.get("id"),
        documents=documents,
    )  # fmt: skip


def _unwrapped(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Write a message of OpenInference as one of OpenAI's."""
    given = entry.get("message", entry)
    message = {"role": given.get("role", "assistant"), "content": given.get("content")}
    if contents := given.get("contents"):
        parts = (part.get("message_content", part) for part in contents)
        message["content"] = list(parts)
    if calls := given.get("tool_calls"):
        message["tool_calls"] = [call.get("tool_call", call) for call in calls]
    for name in ("tool_call_id", "name"):
        if given.get(name):
            message[name] = given[name]
    return message


def _tool(entry: Mapping[str, Any]) -> Any:
    own = entry.get("tool", entry)
    return _parsed(own.get("json_schema", own))


def _of_value(value: Any) -> tuple[list[Any], Any]:
    """Find messages and tools in an input that was logged whole."""
    read = _parsed(value)
    if isinstance(read, Mapping) and "messages" in read:
        return list(read["messages"]), read.get("tools") or ()
    if isinstance(read, list) and all(isinstance(item, Mapping) for item in read):
        return read, ()
    if isinstance(read, Mapping) and {"role", "content"} <= set(read):
        return [read], ()
    if isinstance(read, Mapping) and isinstance(read.get("prompt"), str):
        return [{"role": "user", "content": read["prompt"]}], ()
    if isinstance(read, str) and read.strip():
        return [{"role": "user", "content": read}], ()
    raise InvalidInputError(
        f"the logged input {value!r:.80} holds no messages; the log is not whole."
    )


def nested(value: Any) -> Any:
    """Write keys with dots as objects within objects, and keys that count as lists.

    >>> nested({"llm.input_messages.0.message.role": "user", "llm.model_name": "m"})
    {'llm': {'input_messages': [{'message': {'role': 'user'}}], 'model_name': 'm'}}
    """
    if isinstance(value, list | tuple):
        return [nested(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    made: dict[str, Any] = {}
    for key, item in value.items():
        at, names = made, str(key).split(".")
        for name in names[:-1]:
            if not isinstance(at.get(name), dict):
                at[name] = {}
            at = at[name]
        read = nested(item)
        before = at.get(names[-1])
        if isinstance(before, dict) and isinstance(read, dict):
            read = {**before, **read}
        at[names[-1]] = read
    return _counted(made)


def _counted(made: Any) -> Any:
    if not isinstance(made, dict):
        return made
    inner = {name: _counted(item) for name, item in made.items()}
    if inner and all(name.isdecimal() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


# -- Langfuse --------------------------------------------------------------------------------------

_OBSERVATIONS = ("GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EMBEDDING")


def _langfuse_records(data: Any) -> list[Mapping[str, Any]]:
    if isinstance(data, Mapping) and isinstance(data.get("traces"), list):
        data = data["traces"]  # a session
    records = _listed(data, "observations", "data")
    if any(isinstance(record.get("observations"), list) for record in records):
        records = [item for record in records for item in _listed(record, "observations")]
    return [record for record in records if str(record.get("type")).upper() in _OBSERVATIONS]


def _read_langfuse(records: list[Mapping[str, Any]]) -> Iterator[Trace]:
    for record in records:
        if str(record["type"]).upper() != "GENERATION":
            continue
        asked, tools = _of_value(record.get("input"))
        system = _parsed(record.get("input"))
        yield _trace(
            asked, _parsed(record.get("output")),
            system.get("system") if isinstance(system, Mapping) else None, tools,
            form="langfuse", model=record.get("model") or record.get("providedModelName"),
            trace_id=record.get("traceId") or record.get("trace_id"), span_id=record.get("id"),
        )  # fmt: skip


TRACE_FORMATS: Table[TraceFormat] = Table("way of logging", (
    TraceFormat(
        "langfuse", "a trace, session or observations of Langfuse: JSON of the page or the API",
        _langfuse_records, _read_langfuse,
    ),
    TraceFormat(
        "phoenix", "spans of Phoenix's API, GET /v1/projects/…/spans",
        _phoenix_records, _read_spans("phoenix"),
    ),
    TraceFormat(
        "openinference", "OpenInference spans as JSON, rows of a data frame, or OTLP",
        _span_records, _read_spans("openinference"),
    ),
    TraceFormat(
        "openai", "an OpenAI-style request and response, or messages that end with the answer",
        _openai_records, _read_openai,
    ),
))  # fmt: skip
"""Every way of logging that is read, the most telling first."""


# -- what all share --------------------------------------------------------------------------------


def _trace(
    given: Sequence[Any],
    answer: Any,
    instructions: Any,
    tools: Sequence[Any],
    *,
    form: str,
    model: Any = None,
    trace_id: Any = None,
    span_id: Any = None,
    documents: tuple[str, ...] = (),
) -> Trace:
    messages, left_out = in_one_form(given, instructions)
    if not messages:
        raise InvalidInputError(f"a call was read as {form}, and it has no messages.")
    return Trace(
        Call.of(messages, [_defined(tool, left_out) for tool in tools]), _said(answer),
        str(model or ""), str(trace_id or ""), str(span_id or ""), documents, tuple(left_out), form,
    )  # fmt: skip


def _defined(tool: Any, left_out: list[str]) -> dict[str, Any]:
    """Write the definition of a tool in OpenAI's form."""
    if not isinstance(tool, Mapping):
        raise InvalidInputError(f"a tool is defined as {tool!r:.60}; needed an object.")
    own = tool.get("function", tool)
    if not isinstance(own.get("name"), str):
        raise InvalidInputError(
            f"a tool is defined by the fields {sorted(own)}, without a name; tools that a service "
            "runs by itself cannot be sent again."
        )
    schema = own.get("parameters") or own.get("input_schema") or {"type": "object"}
    function = {"name": own["name"], "parameters": schema}
    if own.get("description"):
        function["description"] = own["description"]
    return {"type": "function", "function": function}


def _said(answer: Any) -> str:
    """Read the text of a logged answer, in whichever form it came."""
    if answer is None or isinstance(answer, str):
        return answer or ""
    if isinstance(answer, list):
        if answer and all(isinstance(item, Mapping) and "type" in item for item in answer):
            return "\n".join(filter(None, (_of_item(item) for item in answer)))
        return _said(answer[-1]) if answer else ""
    if not isinstance(answer, Mapping):
        return json.dumps(answer, ensure_ascii=False)
    if isinstance(choices := answer.get("choices"), list) and choices:
        first = choices[0]
        return _said(first.get("message") or first.get("text"))
    if isinstance(answer.get("output"), list):
        return _said(answer["output"])
    if isinstance(answer.get("content"), list):
        return _said(answer["content"])
    if {"content", "tool_calls", "refusal"} & set(answer):
        calls = [call for call in answer.get("tool_calls") or () if _name_of(call)]
        whole = [call if "function" in call else {"function": call} for call in calls]
        return of_message({**answer, "tool_calls": whole})[1]
    if isinstance(answer.get("message"), Mapping):
        return _said(answer["message"])
    return json.dumps(answer, ensure_ascii=False)


def _name_of(call: Any) -> Any:
    return _at(call, "function", "name") or _at(call, "name")


def _of_item(item: Mapping[str, Any]) -> str:
    """Read a part of an answer: a text, a message, or a call of a tool."""
    kind = item["type"]
    if kind == "message":
        return _said(item.get("content"))
    if kind in ("tool_use", "function_call"):
        given = item.get("input", item.get("arguments"))
        function = {"name": item.get("name"), "arguments": given}
        return of_message({"tool_calls": [{"function": function}]})[1]
    return str(item.get("text") or "")


def _parsed(value: Any) -> Any:
    """Read JSON that was logged as a text; any other text stays one."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _documents(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list):
        return ()
    texts = (
        item if isinstance(item, str) else _at(item, "content") or _at(item, "text") or ""
        for item in given
    )
    return tuple(str(text) for text in texts if text)
