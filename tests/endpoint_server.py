"""Two servers on loopback: llama.cpp with SmolLM2, and a small one whose faults can be chosen."""

import hashlib
import json
import math
import random
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, pairwise

from spexlens.models.pretrained import weights

WORDS = (" good", " bad", " film", " a", " the", " positive", " negative", " Positive", " yes")


@contextmanager
def llama_server():
    """Base URL of llama.cpp's own server, one slot on one thread, serving SmolLM2."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(
        weights._packaged_gguf(weights._SMOLLM2_PACKAGE, weights._SMOLLM2_VERSION)
    )
    parameters.hostnames = ["127.0.0.1"]
    parameters.n_ctx = 1024
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.verbosity = 0
    server = xllamacpp.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server  # its end joins its threads


_UNNUMBERED = count()


def next_word_log_probabilities(before):
    """Of WORDS after the token `before`: fixed, and different after every token."""
    scores = [hashlib.sha256((before + word).encode()).digest()[0] / 50 for word in WORDS]
    total = math.log(math.fsum(map(math.exp, scores)))
    return {word: score - total for word, score in zip(WORDS, scores, strict=True)}


def tokens_of(text):
    return re.findall(r"\s*\S+|\s+$", text)


def word_model(body, echo="right", prompt_logprobs="refused"):
    """What a completion server answers for a model that looks at the last word only.

    `echo` and `prompt_logprobs` say how it serves these fields: "right", "shifted" by one token,
    "ignored" or "refused".
    """
    for field, served in (("echo", echo), ("prompt_logprobs", prompt_logprobs)):
        if field in body and served == "refused":
            return 400, {"error": {"message": f"unknown field {field}"}}
    prompt = tokens_of(body["prompt"])
    choices = [_choice(body, prompt, number) for number in range(body.get("n", 1))]
    written = sum(len(choice["logprobs"]["tokens"]) for choice in choices)
    first = choices[0]
    told = [None, *(_told(before, token) for before, token in pairwise(prompt))][: len(prompt)]
    shifted = [*told[1:], *first["logprobs"]["token_logprobs"][:1]]
    if body.get("echo") and echo != "ignored":
        logs = first["logprobs"]
        logs["tokens"] = prompt + logs["tokens"]
        logs["token_logprobs"] = (told if echo == "right" else shifted) + logs["token_logprobs"]
        logs["top_logprobs"] = [None] * len(prompt) + logs["top_logprobs"]
    if "prompt_logprobs" in body and prompt_logprobs != "ignored":
        first["prompt_logprobs"] = [
            None if log is None else {"17": {"logprob": log, "rank": 1, "decoded_token": token}}
            for token, log in zip(
                prompt, told if prompt_logprobs == "right" else shifted, strict=True
            )
        ]
    usage = {"prompt_tokens": len(prompt), "completion_tokens": written}
    return 200, {"choices": choices, "usage": usage}


def _told(before, token):
    return next_word_log_probabilities(before).get(token, -9.0)


def _choice(body, prompt, number):
    tokens, logs, tops = [], [], []
    before = prompt[-1] if prompt else ""
    request = body.get("request", next(_UNNUMBERED))  # the same draws in every run
    draw = random.Random(f"{body['prompt']} {number} {request}")
    for _ in range(body["max_tokens"]):
        table = next_word_log_probabilities(before)
        ranked = sorted(table, key=table.get, reverse=True)
        if body["temperature"] > 0:
            before = draw.choices(ranked, [math.exp(table[word]) for word in ranked])[0]
        else:
            before = ranked[0]
        tokens.append(before)
        logs.append(table[before])
        tops.append({word: table[word] for word in ranked[: body.get("logprobs") or 0]})
    return {
        "text": "".join(tokens),
        "logprobs": {"tokens": tokens, "token_logprobs": logs, "top_logprobs": tops},
    }


def error(message, **more):
    return {"error": {"message": message, **more}}


REFUSALS = {
    "Azure": (400, error(
        "The response was filtered due to the prompt triggering Azure OpenAI's content management "
        "policy.", type=None, param="prompt", code="content_filter", status=400,
        innererror={"code": "ResponsibleAIPolicyViolation"},
    )),
    "OpenAI": (400, error(
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
        type="invalid_request_error", param=None, code="invalid_prompt",
    )),
    "OpenRouter": (403, error(
        "Your input was flagged", code=403, metadata={"reasons": ["violence"]},
    )),
    "too long": (400, error(
        "This model's maximum context length is 4096 tokens.", code="context_length_exceeded",
    )),
    "empty": (422, {"detail": [{"loc": ["body", "prompt"], "msg": "must not be empty"}]}),
    "large": (413, "Payload Too Large"),
    "legal": (451, ""),
}  # fmt: skip
"""How vendors refuse one prompt for good."""


def _parts(reasoning, answer):
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": reasoning}]}
    return [thinking, *([{"type": "text", "text": answer}] if answer else [])]


REASONERS = {
    "reasoning_content": lambda told, answer: {
        "content": answer or None, "reasoning_content": told
    },
    "reasoning": lambda told, answer: {"content": answer, "reasoning": told, "refusal": None},
    "no content": lambda told, answer: {
        "reasoning_content": told, **({"content": answer} if answer else {})
    },
    "hidden": lambda told, answer: {"content": answer},
    "hidden null": lambda told, answer: {"content": answer or None},
    "parts": lambda told, answer: {"content": _parts(told, answer)},
    "think": lambda told, answer: {
        "content": f"<think>\n{told}" + (f"\n</think>\n\n{answer}" if answer else "")
    },
    "prefilled": lambda told, answer: {
        "content": told + (f"</think>\n\n{answer}" if answer else "")
    },
    "brackets": lambda told, answer: {
        "content": f"[THINK]{told}" + (f"[/THINK]{answer}" if answer else "")
    },
    "channels": lambda told, answer: {
        "content": f"<|channel|>analysis<|message|>{told}" + (
            f"<|end|><|start|>assistant<|channel|>final<|message|>{answer}" if answer else ""
        )
    },
}  # fmt: skip
"""The message of a chat as vendors give it: what the model thought, and its answer or ""."""


def reasoner(body, shape, thoughts=20, answer="Positive"):
    """A chat that thinks so many words of one token before it answers with one.

    Its log-probabilities are those of all tokens, the thoughts' first, as vLLM gives them.
    """
    words = ["Okay,", *(["so"] * (thoughts - 1))]
    length = body.get("max_tokens") or body["max_completion_tokens"]
    cut = length <= thoughts
    told = " ".join(words[:length])
    message = {"role": "assistant", **REASONERS[shape](told, "" if cut else answer)}
    first = str(message["content"] or "") if isinstance(message.get("content"), str) else ""
    first = "<think>" if first.startswith("<think>") else words[0]
    top = [{"token": word, "logprob": -2.0 - rank} for rank, word in enumerate(("Positive", "No"))]
    top = [{"token": first, "logprob": -0.2}, *top]
    logs = {"content": [{"token": first, "logprob": -0.2, "top_logprobs": top}]}
    choice = {
        "message": message, "finish_reason": "length" if cut else "stop",
        "logprobs": logs if body.get("logprobs") else None,
    }  # fmt: skip
    return 200, {"choices": [choice] * body.get("n", 1), "usage": {"completion_tokens": length}}


class ChosenServer:
    """A real HTTP server in a thread; `answer(number, body)` says what request 0, 1, … gets.

    It returns (status, JSON or text, headers), the last of which can be left out; "cut" closes the
    connection without an answer. What came in is kept in `bodies`, `headers` and `times`.
    """

    def __init__(self, answer=lambda number, body: word_model({**body, "request": number})):
        self.bodies, self.headers, self.times = [], [], []
        lock = threading.Lock()
        chosen = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    number = len(chosen.bodies)
                    chosen.bodies.append(body)
                    chosen.headers.append((self.path, dict(self.headers)))
                    chosen.times.append(time.monotonic())
                given = answer(number, body)
                if given == "cut":
                    return
                status, content, *headers = given
                data = content if isinstance(content, str) else json.dumps(content)
                self.send_response(status)
                for name, value in (headers[0] if headers else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data.encode())))
                self.end_headers()
                self.wfile.write(data.encode())

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
