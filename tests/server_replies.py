"""How servers answer with log-probabilities: replies of their shapes, written for these tests.

Each row says where its shape stands, what the server does with the number of tokens that it is
asked for, and what a game of ("good", "bad") must read off it: a value, or an error.
"""

import json
import math
from dataclasses import dataclass

TABLE = {" good": -0.4, " bad": -1.6, " film": -3.0, " a": -4.2}
VALUE = 1.2
LEAST = -3.4028234663852886e38  # of float32, which llama.cpp writes for the logarithm of 0


@dataclass(frozen=True)
class Row:
    """One way in which one server answers."""

    server: str
    case: str
    source: str
    route: str  # "chat/completions" or "completions"
    reply: dict
    value: float | None = VALUE
    error: str = ""
    limit: int | None = None  # tokens at most
    refusal: tuple = ()  # (status, JSON) of more
    bounded: int = 0

    def answer(self, body):
        """What the server sends back; a request that it refuses gets its own words."""
        asked = body["top_logprobs"] if self.route == "chat/completions" else body["logprobs"]
        if self.limit is not None and asked > self.limit:
            status, content = self.refusal
            return status, json.loads(json.dumps(content).replace("ASKED", str(asked)))
        return 200, self.reply


def entries(table, **more):
    return [
        {"token": text, "logprob": number, "bytes": list(text.encode()), **more}
        for text, number in table.items()
    ]


def content_of(table, drawn=" good", **more):
    """OpenAI's chat form."""
    return {
        "content": [
            {
                "token": drawn, "logprob": table[drawn], "bytes": list(drawn.encode()),
                "top_logprobs": entries(table), **more,
            }
        ]
    }  # fmt: skip


def parallel(table, drawn=" good", **more):
    """OpenAI's completion form."""
    return {
        "tokens": [drawn], "token_logprobs": [table[drawn]], "top_logprobs": [table],
        "text_offset": [6], **more,
    }  # fmt: skip


def chat(logs, end="length", message=None, usage=None, **more):
    told = {"role": "assistant", "content": " good"} if message is None else message
    choice = {"index": 0, "message": told, "logprobs": logs, "finish_reason": end}
    counted = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, **(usage or {})}
    return {
        "object": "chat.completion",
        "model": "m",
        "choices": [choice],
        "usage": counted,
        **more,
    }


def completion(logs, **more):
    choice = {"index": 0, "text": " good", "logprobs": logs, "finish_reason": "length"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return {"object": "text_completion", "model": "m", "choices": [choice], "usage": usage, **more}


def without(table, *texts):
    return {text: number for text, number in table.items() if text not in texts}


_LLAMA = (
    "ggml-org/llama.cpp, tools/server/server-task.cpp and README.md; run with xllamacpp 2026.10"
)
_VLLM = "vllm-project/vllm, entrypoints/openai/completion/serving.py, config/model.py (2026)"
_OLLAMA = (
    "ollama/ollama fb30760 (Aug 2026), openai/openai.go, llm/llama_server.go, server/routes.go"
)
_SGLANG = "sgl-project/sglang, srt/entrypoints/openai/utils.py, serving_completions.py (2026)"
_TGI = "huggingface/text-generation-inference db931fc (3.3.6), router/src/lib.rs, validation.rs"
_OPENAI = "openai/openai-openapi f85dbe2 (Aug 2026), openapi.yaml"
_AZURE = "learn.microsoft.com: Azure OpenAI content filtering; API version v1"

_VLLM_LIMIT = {
    "limit": 20,
    "refusal": (
        400,
        {"error": {"message": "Requested sample logprobs of ASKED, which is greater than max "
         "allowed: 20", "type": "BadRequestError", "param": "logprobs", "code": 400}},
    ),
}  # fmt: skip
_OLLAMA_LIMIT = {
    "limit": 20,
    "refusal": (400, {"error": {"message": "top_logprobs must be between 0 and 20"}}),
}
_TGI_LIMIT = {
    "limit": 5,
    "refusal": (
        422,
        {"error": "Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: ASKED",
         "error_type": "validation"},
    ),
}  # fmt: skip
_OPENAI_LIMIT = {
    "limit": 20,
    "refusal": (
        400,
        {"error": {"message": "Invalid value for 'top_logprobs': must be less than or equal to 20.",
         "type": "invalid_request_error", "param": "top_logprobs", "code": None}},
    ),
}  # fmt: skip
_LEGACY_LIMIT = {
    "limit": 5,
    "refusal": (
        400,
        {"error": {"message": "Invalid value for 'logprobs': must be less than or equal to 5.",
         "type": "invalid_request_error", "param": "logprobs", "code": None}},
    ),
}  # fmt: skip
_SAFE = {"hate": {"filtered": False, "severity": "safe"}}
_HARM = {"violence": {"filtered": True, "severity": "medium"}}

ROWS = (
    # -- llama.cpp
    Row("llama.cpp", "completion", _LLAMA, "completions",
        completion(content_of(TABLE, id=253), timings={"prompt_n": 3})),
    Row("llama.cpp", "chat", _LLAMA, "chat/completions", chat(content_of(TABLE, id=253))),
    Row("llama.cpp", "the logarithm of 0", _LLAMA, "completions",
        completion(content_of({**TABLE, " the": LEAST}))),
    Row("llama.cpp", "after the sampler", _LLAMA, "completions",
        completion({"content": [{"id": 253, "token": " good", "bytes": [32], "prob": 1.0,
            "top_probs": [{"id": 253, "token": " good", "bytes": [32], "prob": 1.0}]}]}),
        value=None, error="after its sampler .post_sampling_probs"),
    Row("llama.cpp", "a base_url without /v1", _LLAMA, "completions",
        {"index": 0, "content": " good", "tokens": [], "stop": True, "tokens_predicted": 1,
         "tokens_evaluated": 3, "completion_probabilities": content_of(TABLE)["content"]},
        value=None, error="llama.cpp's own /completion; base_url .*/v1"),
    Row("llama.cpp", "before December 2024", _LLAMA, "completions",
        {"content": " good", "completion_probabilities": [
            {"content": " good", "probs": [{"tok_str": " good", "prob": 0.67}]}]},
        value=None, error="llama.cpp's own /completion; base_url .*/v1"),
    # -- vLLM
    Row("vLLM", "completion", _VLLM, "completions",
        completion(parallel(TABLE), prompt_logprobs=None), **_VLLM_LIMIT),
    Row("vLLM", "chat", _VLLM, "chat/completions",
        chat(content_of(TABLE), prompt_logprobs=None), **_VLLM_LIMIT),
    Row("vLLM", "-inf written as -9999", _VLLM, "completions",
        completion(parallel({**TABLE, " the": -9999.0})), **_VLLM_LIMIT),
    Row("vLLM", "an answer of -9999", _VLLM, "completions",
        completion(parallel({**TABLE, " bad": -9999.0})), bounded=1, value=-0.4 + 4.2,
        **_VLLM_LIMIT),
    Row("vLLM", "the drawn token beyond those asked for", _VLLM, "completions",
        completion(parallel({" the": -9.0, **TABLE}, drawn=" the")), **_VLLM_LIMIT),
    Row("vLLM", "logits for log-probabilities (--logprobs-mode raw_logits)", _VLLM, "completions",
        completion(parallel({text: number + 21.5 for text, number in TABLE.items()})),
        value=None, error="gives 21.1 as a log-probability", **_VLLM_LIMIT),
    Row("vLLM", "logits below 0", _VLLM, "completions",
        completion(parallel({text: number - 33.0 for text, number in TABLE.items()})),
        **_VLLM_LIMIT),
    Row("vLLM", "token ids (return_tokens_as_token_ids)", _VLLM, "completions",
        completion(parallel({"token_id:17": -0.4, "token_id:3": -1.6}, drawn="token_id:17")),
        value=None, error="tokens as numbers .'token_id:17'.*return_tokens_as_token_ids"),
    # -- Ollama
    Row("Ollama", "chat", _OLLAMA, "chat/completions",
        chat({"content": [{"token": " good", "logprob": -0.4, "top_logprobs": [
            {"token": text, "logprob": number} for text, number in TABLE.items()]}]},
            system_fingerprint="fp_ollama"), **_OLLAMA_LIMIT),
    Row("Ollama", "completion: none, without a word", _OLLAMA, "completions",
        {"object": "text_completion", "model": "m", "system_fingerprint": "fp_ollama",
         "choices": [{"text": " good", "index": 0, "finish_reason": "length"}], "usage": {}},
        value=None, error="holds no log-probabilities .*Ollama, TGI.*chat=True", **_OLLAMA_LIMIT),
    Row("Ollama", "before 0.12.11", _OLLAMA, "chat/completions",
        {"model": "m", "choices": [{"index": 0, "message": {"role": "assistant",
         "content": " good"}, "finish_reason": "length"}]},
        value=None, error="holds no log-probabilities of next tokens"),
    Row("Ollama", "top_logprobs left out", _OLLAMA, "chat/completions",
        chat({"content": [{"token": " good", "logprob": -0.4}]}),
        value=None, error="of the token alone that was drawn"),
    Row("Ollama", "probabilities for log-probabilities", _OLLAMA, "chat/completions",
        chat(content_of({text: math.exp(number) for text, number in TABLE.items()})),
        value=None, error="are these probabilities", **_OLLAMA_LIMIT),
    Row("Ollama", "its own /api/generate", _OLLAMA, "completions",
        {"model": "m", "response": " good", "done": True, "done_reason": "length",
         "logprobs": content_of(TABLE)["content"]},
        value=None, error="Ollama's own /api/generate; base_url .*/v1"),
    Row("Ollama", "its own /api/chat", _OLLAMA, "chat/completions",
        {"model": "m", "message": {"role": "assistant", "content": " good"}, "done": True,
         "logprobs": content_of(TABLE)["content"]},
        value=None, error="Ollama's own /api/chat; base_url .*/v1"),
    # -- SGLang
    Row("SGLang", "completion", _SGLANG, "completions",
        completion(parallel(TABLE, text_offset=[-1]))),
    Row("SGLang", "chat", _SGLANG, "chat/completions", chat(content_of(TABLE))),
    Row("SGLang", "its own /generate", _SGLANG, "completions",
        {"text": " good", "meta_info": {"prompt_tokens": 3, "completion_tokens": 1,
         "output_token_logprobs": [[-0.4, 17, None]],
         "output_top_logprobs": [[[-0.4, 17, None], [-1.6, 3, None]]]}},
        value=None, error="SGLang's own /generate; base_url .*/v1"),
    # -- TGI
    Row("TGI", "chat", _TGI, "chat/completions",
        chat({"content": [{"token": " good", "logprob": -0.4, "top_logprobs": [
            {"token": text, "logprob": number} for text, number in TABLE.items()]}]}),
        **_TGI_LIMIT),
    Row("TGI", "-inf written as null", _TGI, "chat/completions",
        chat({"content": [{"token": " good", "logprob": -0.4, "top_logprobs": [
            {"token": text, "logprob": number}
            for text, number in {**TABLE, " the": None}.items()]}]}),
        **_TGI_LIMIT),
    Row("TGI", "completion: always null", _TGI, "completions", completion(None),
        value=None, error="holds no log-probabilities .*Ollama, TGI.*chat=True"),
    Row("TGI", "its own /generate", _TGI, "completions",
        {"generated_text": " good", "details": {"finish_reason": "length", "generated_tokens": 1,
         "prefill": [{"id": 5, "text": "a", "logprob": None}],
         "tokens": [{"id": 17, "text": " good", "logprob": -0.4, "special": False}],
         "top_tokens": [[{"id": 17, "text": " good", "logprob": -0.4, "special": False}]]}},
        value=None, error="TGI's own /generate; base_url .*/v1"),
    # -- OpenAI
    Row("OpenAI", "chat", _OPENAI, "chat/completions",
        chat({**content_of(TABLE), "refusal": None}, usage={
            "completion_tokens_details": {"reasoning_tokens": 0}}), **_OPENAI_LIMIT),
    Row("OpenAI", "bytes null", _OPENAI, "chat/completions",
        chat({"content": [{"token": " good", "logprob": -0.4, "bytes": None, "top_logprobs": [
            {**entry, "bytes": None} for entry in entries(TABLE)]}]}), **_OPENAI_LIMIT),
    Row("OpenAI", "-9999 for very unlikely", _OPENAI, "chat/completions",
        chat(content_of({**TABLE, " the": -9999.0})), **_OPENAI_LIMIT),
    Row("OpenAI", "fewer than asked for", _OPENAI, "chat/completions",
        chat(content_of(without(TABLE, " film", " a"))), **_OPENAI_LIMIT),
    Row("OpenAI", "completion", _OPENAI, "completions", completion(parallel(TABLE)),
        **_LEGACY_LIMIT),
    Row("OpenAI", "a part of a character", _OPENAI, "completions",
        completion(parallel({**without(TABLE, " a"), r"bytes:\xf0\x9f": -4.2})), **_LEGACY_LIMIT),
    Row("OpenAI", "a token without a text", _OPENAI, "chat/completions",
        chat({"content": [{"token": " good", "logprob": -0.4, "bytes": None, "top_logprobs": [
            *entries(TABLE), {"token": None, "logprob": -5.0, "bytes": None}]}]}),
        **_OPENAI_LIMIT),
    Row("OpenAI", "a model that gives none", _OPENAI, "chat/completions", {}, value=None,
        error="not supported with this model.*gives none, use a score of samples", limit=0,
        refusal=(400, {"error": {"message": "Unsupported parameter: 'logprobs' is not supported "
            "with this model.", "type": "invalid_request_error", "param": "logprobs",
            "code": "unsupported_parameter"}})),
    Row("OpenAI", "reasoning that is not shown", _OPENAI, "chat/completions",
        chat(content_of(TABLE), usage={"completion_tokens_details": {"reasoning_tokens": 64}}),
        value=None, error="reasons before it answers", **_OPENAI_LIMIT),
    # -- Azure
    Row("Azure", "chat with filter results", _AZURE, "chat/completions",
        {**chat(content_of(TABLE), message={"role": "assistant", "content": " good"}),
         "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _SAFE}]},
        **_OPENAI_LIMIT),
    Row("Azure", "a filtered answer", _AZURE, "chat/completions",
        chat(None, end="content_filter", message={"role": "assistant"},
             prompt_filter_results=[{"prompt_index": 0, "content_filter_results": _HARM}]),
        value=None, error="filter took its answer"),
    Row("Azure", "no choice", _AZURE, "chat/completions",
        {"object": "", "model": "", "choices": [],
         "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _HARM}]},
        value=None, error="list of choices is empty"),
    Row("Azure", "a filtered prompt", _AZURE, "chat/completions", {}, value=None, limit=0,
        error="content management policy",
        refusal=(400, {"error": {"message": "The response was filtered due to the prompt "
            "triggering Azure OpenAI's content management policy.", "type": None,
            "param": "prompt", "code": "content_filter", "status": 400, "innererror": {
                "code": "ResponsibleAIPolicyViolation", "content_filter_result": _HARM}}})),
)  # fmt: skip
"""Every shape, with what is right for it."""

SERVERS = tuple(dict.fromkeys(row.server for row in ROWS))
