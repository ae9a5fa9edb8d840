"""One call of an agent, as each way of logging writes it."""

import json

SYSTEM = "You help travellers. Answer in one line."
DOCUMENT = "Oslo lies by a fjord."
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [
    {"type": "function", "function": {
        "name": "weather", "description": "Tell the weather.", "parameters": WEATHER,
    }},
    {"type": "function", "function": {"name": "hotels", "parameters": WEATHER}},
]  # fmt: skip
ARGUMENTS = '{"city": "Oslo"}'
MESSAGES = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": f"What about Oslo?\n\n{DOCUMENT}"},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}},
        {"id": "c2", "type": "function", "function": {"name": "hotels", "arguments": ARGUMENTS}},
    ]},
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    {"role": "tool", "tool_call_id": "c2", "content": "the Grand, the Plaza"},
    {"role": "assistant", "content": "It rains; hotels are there."},
    {"role": "user", "content": "Shall I go?"},
]  # fmt: skip
ANSWER = "Take an umbrella."


def openai():
    message = {"role": "assistant", "content": ANSWER}
    return {
        "trace_id": "t1", "span_id": "s1",
        "request": {"model": "some-model", "messages": MESSAGES, "tools": TOOLS},
        "response": {"id": "chatcmpl-1", "choices": [{"index": 0, "message": message}]},
    }  # fmt: skip


def openai_responses():
    """The request and response of OpenAI's newer API."""
    given = [
        MESSAGES[1],
        *({"type": "function_call", "call_id": i, "name": name, "arguments": ARGUMENTS}
          for i, name in (("c1", "weather"), ("c2", "hotels"))),
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {"type": "function_call_output", "call_id": "c2", "output": "the Grand, the Plaza"},
        *MESSAGES[5:],
    ]  # fmt: skip
    tools = [{"type": "function", **tool["function"]} for tool in TOOLS]
    said = {"type": "message", "content": [{"type": "output_text", "text": ANSWER}]}
    return {
        "trace_id": "t1", "span_id": "s1",
        "request": {"model": "some-model", "instructions": SYSTEM, "input": given, "tools": tools},
        "response": {"id": "resp_1", "output": [said]},
    }  # fmt: skip


def anthropic():
    """A request and response of Anthropic's, as they are logged beside OpenAI's."""
    given = [
        {"role": "user", "content": [{"type": "text", "text": MESSAGES[1]["content"]}]},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": i, "name": name, "input": json.loads(ARGUMENTS)}
            for i, name in (("c1", "weather"), ("c2", "hotels"))
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1",
             "content": [{"type": "text", "text": "rain"}]},
            {"type": "tool_result", "tool_use_id": "c2", "content": "the Grand, the Plaza"},
        ]},
        *MESSAGES[5:],
    ]  # fmt: skip
    tools = [
        {"name": own["name"], "description": own.get("description", ""),
         "input_schema": own["parameters"]}
        for own in (tool["function"] for tool in TOOLS)
    ]  # fmt: skip
    return {
        "trace_id": "t1", "span_id": "s1",
        "request": {"model": "some-model", "system": SYSTEM, "messages": given, "tools": tools},
        "response": {"type": "message", "content": [{"type": "text", "text": ANSWER}]},
    }  # fmt: skip


def fine_tuning():
    return {
        "trace_id": "t1", "span_id": "s1", "model": "some-model", "tools": TOOLS,
        "messages": [*MESSAGES, {"role": "assistant", "content": ANSWER}],
    }  # fmt: skip


def _wrapped(message):
    """A message of OpenAI's as one of OpenInference; its ids are not always logged."""
    made = {"message.role": message["role"], "message.content": message["content"]}
    if calls := message.get("tool_calls"):
        made["message.tool_calls"] = [
            {"tool_call.function.name": call["function"]["name"],
             "tool_call.function.arguments": call["function"]["arguments"]}
            for call in calls
        ]  # fmt: skip
    if message["role"] == "tool":
        made["message.name"] = {"c1": "weather", "c2": "hotels"}[message["tool_call_id"]]
    return made


def _attributes():
    return {
        "openinference.span.kind": "LLM",
        "llm.model_name": "some-model",
        "llm.input_messages": [_wrapped(message) for message in MESSAGES],
        "llm.output_messages": [{"message.role": "assistant", "message.content": ANSWER}],
        "llm.tools": [{"tool.json_schema": json.dumps(tool)} for tool in TOOLS],
    }


def _span(attributes, span="s1", kind="LLM"):
    return {
        "name": "llm", "context": {"trace_id": "t1", "span_id": span}, "span_kind": kind,
        "parent_id": None, "attributes": attributes,
    }  # fmt: skip


def _retrieved(flat=False):
    found = {"retrieval.documents": [{"document.content": DOCUMENT, "document.score": 0.9}]}
    return _flat(found) if flat else found


def _flat(value, path=""):
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = ((str(i), item) for i, item in enumerate(value))
    else:
        return {path: value}
    made = {}
    for name, item in items:
        made |= _flat(item, f"{path}.{name}" if path else name)
    return made


def spans():
    """As the specification writes them."""
    return [_span(_retrieved(), "s0", "RETRIEVER"), _span(_attributes())]


def phoenix():
    """As Phoenix's API gives them, each attribute by its whole path."""
    listed = [_span(_retrieved(True), "s0", "RETRIEVER"), _span(_flat(_attributes()))]
    return {"data": [{"id": f"U3Bhbjo{i}", **span} for i, span in enumerate(listed)],
            "next_cursor": None}  # fmt: skip


def frame():
    """As a data frame of Phoenix is written to JSON, a column an attribute."""
    return [
        {"name": span["name"], "span_kind": span["span_kind"], "context.trace_id": "t1",
         "context.span_id": span["context"]["span_id"],
         **{f"attributes.{name}": item for name, item in span["attributes"].items()}}
        for span in spans()
    ]  # fmt: skip


def otlp():
    def listed(attributes):
        return [{"key": key, "value": {"stringValue": item}} for key, item in attributes.items()
                if item is not None]  # fmt: skip

    made = [
        {"traceId": "t1", "spanId": span, "name": "llm", "attributes": listed(attributes)}
        for span, attributes in (("s0", _retrieved(True)), ("s1", _flat(_attributes())))
    ]
    return {"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}


def _observation(**more):
    return {
        "id": "s1", "traceId": "t1", "type": "GENERATION", "name": "answer",
        "model": "some-model", "input": {"messages": MESSAGES, "tools": TOOLS},
        "output": {"role": "assistant", "content": ANSWER}, **more,
    }  # fmt: skip


def langfuse_trace():
    """As the page of a trace is downloaded."""
    span = {"id": "s0", "traceId": "t1", "type": "SPAN", "input": {"question": "Oslo"}}
    return {"id": "t1", "name": "agent", "observations": [span, _observation()], "scores": []}


def langfuse_api():
    """As the API gives observations; inputs can be JSON in a text."""
    whole = _observation()
    written = {name: json.dumps(whole[name]) for name in ("input", "output")}
    return {"data": [{**whole, **written}], "meta": {"page": 1}}


LOGS = {
    "openai": openai,
    "openai responses": openai_responses,
    "anthropic": anthropic,
    "fine tuning": fine_tuning,
    "openinference": spans,
    "openinference frame": frame,
    "openinference otlp": otlp,
    "phoenix": phoenix,
    "langfuse trace": langfuse_trace,
    "langfuse api": langfuse_api,
}
FORMS = {"fine": "openai", "anthropic": "openai"}  # others are the first word of their name


def form_of(name):
    first = name.split()[0]
    return FORMS.get(first, first)
