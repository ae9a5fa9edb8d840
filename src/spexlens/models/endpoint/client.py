"""Language models behind an endpoint: vLLM, llama.cpp, hosted ones; see `APIS` for the forms.

The key is read from the environment at the moment a request is sent, and is kept nowhere.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any, Literal

from spexlens.core.arguments import whole
from spexlens.core.calls import Call
from spexlens.core.time_limit import time_limit
from spexlens.errors import (
    EndpointError,
    EndpointUnavailableError,
    InvalidInputError,
    MissingExtraError,
    RefusedPromptError,
    SpexlensWarning,
    shown,
)
from spexlens.models.endpoint.api_key import Key, check_url
from spexlens.models.endpoint.apis import Api, api_of, check_request
from spexlens.models.endpoint.dialect import Dialect
from spexlens.models.endpoint.line import Line
from spexlens.models.endpoint.replies import Reply, ReplyError, read_reply
from spexlens.models.endpoint.retry import Ask, Failure, Pace, RetryPolicy, Tries, post_json

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("an endpoint", "httpx", "api") from error

Echo = Literal["echo", "prompt_logprobs"]
"""The field by which a server is asked for the log-probabilities of the prompt's own tokens."""
ECHOES: tuple[Echo, ...] = ("echo", "prompt_logprobs")

UNKNOWN_FIELD = (400, 404, 422, 501)
"""Statuses by which servers refuse a request with a field that they do not support."""

# By which servers refuse a prompt for what it says or how long it is. Those of filters that answer
# "forbidden" say so; otherwise that is about the key.
_REFUSED = (400, 413, 422, 451)
_FILTER_WORDS = ("content", "flag", "moderat", "policy", "safety")

# How servers call the log-probabilities that they refuse to give so many of (TGI: the second).
_ABOUT_TOP = ("logprob", "top_n_tokens")

_FIRST_ATTEMPTS = 4  # until a server has answered once: a wrong address is told within seconds
_TICK = 0.1  # seconds between two looks at what is late
_PARTING = 2.0  # seconds that threads whose connections were closed have to end
_MODELS = 5  # names of models that are kept
_TOKEN_BYTES = 256  # that one token with its log-probability may take in an answer


@dataclass(frozen=True)
class Request:
    """One prompt, and what is wanted after it.

    Attributes
    ----------
    prompt : str or Call
        The prompt of a completion, or the user's message of a chat; a `Call` holds all messages
        and tools of a chat.
    max_tokens : int
        The longest answer; 0 for none.
    temperature : float
    top : int, optional
        How many log-probabilities are wanted for each token; none by default.
    choices : int
        How many answers.
    echo : "echo" or "prompt_logprobs", optional
        Asks for the prompt's own log-probabilities too.
    attempts : int, optional
        Fewer than the endpoint's policy has: where another request would do as well.
    """

    prompt: str
    max_tokens: int = 1
    temperature: float = 0.0
    top: int | None = None
    choices: int = 1
    echo: Echo | None = None
    attempts: int | None = None


@dataclass(frozen=True)
class Usage:
    """What an endpoint has been asked for so far, as it counted itself."""

    requests: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0

    def plus(self, reply: Reply) -> Usage:
        """Add one more reply."""
        return Usage(
            self.requests + 1,
            self.prompt_tokens + reply.prompt_tokens,
            self.answer_tokens + reply.answer_tokens,
        )


@dataclass(frozen=True, eq=False)
class Endpoint:
    """A model behind an endpoint.

    Parameters
    ----------
    base_url : str
        Up to and with the version, as in "http://localhost:8080/v1".
    model : str
        The name the server knows it by.
    chat : bool, default False
        Send prompts as the user's message to `/chat/completions`, not to `/completions`.
    system : str, optional
        A system message before it; chat only.
    key_variable : str or None, default "OPENAI_API_KEY"
        The environment variable that holds the key. Where it is not set, or None, no key is sent.
        Where another API is spoken, the default is that API's own, such as "ANTHROPIC_API_KEY".
    concurrency : int, default 8
        Requests under way at the same time.
    requests_per_minute : float, optional
        Requests started in a minute, evenly spaced. A server's `Retry-After` is heeded anyway.
    timeout : float, default 60
        Seconds from a request to the last byte of its answer, after which it is given up and tried
        again. Raise it for long answers.
    max_answer_bytes : int, default 4,000,000
        A larger answer is not read to its end, and is an error; log-probabilities that were asked
        for come on top, 256 bytes each.
    retries : RetryPolicy
        Its attempts and its total time are those of one prompt, whatever is between.
    options : mapping, optional
        Further fields of every request, such as `{"top_p": 0.9}`; None takes a field out. Not
        needed for `max_completion_tokens` or a fixed temperature: a server that refuses a request
        for these is asked again as it wants to be.
    api : str, optional
        A key of `APIS`; by default what the host is known to speak, or OpenAI's.

    Examples
    --------
    >>> endpoint = Endpoint("http://localhost:8080/v1", "smollm2", chat=True, system="Be brief.")
    >>> endpoint.body(Request("Hello"))["messages"][1]
    {'role': 'user', 'content': 'Hello'}
    """

    base_url: str
    model: str
    chat: bool = False
    system: str | None = None
    key_variable: str | None = "OPENAI_API_KEY"
    concurrency: int = 8
    requests_per_minute: float | None = None
    timeout: float = 60.0
    max_answer_bytes: int = 4_000_000
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    options: Mapping[str, Any] = field(default_factory=dict)
    api: str | None = None
    _pace: Pace = field(init=False, repr=False)
    _meter: _Meter = field(init=False, repr=False)
    _dialect: Dialect = field(init=False, repr=False)
    _api: Api = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_url(self.base_url)
        whole("concurrency", self.concurrency)
        whole("max_answer_bytes", self.max_answer_bytes)
        if not self.timeout > 0 or not (self.requests_per_minute or 1) > 0:
            raise InvalidInputError(
                f"timeout = {self.timeout}, requests_per_minute = {self.requests_per_minute} "
                "given; needed positive times and rates."
            )
        api = api_of(self.base_url, self.api)
        if api.chats_only and not self.chat:
            raise InvalidInputError(
                f"chat=False given for {self.base_url!r}: the API {api.name!r} knows chats only; "
                "pass chat=True (--chat)."
            )
        if self.key_variable == "OPENAI_API_KEY":  # the default; no key goes to another company
            object.__setattr__(self, "key_variable", api.key_variable)
        if self.system is not None and not self.chat:
            raise InvalidInputError(
                "a system message was given for completions, which have none; pass chat=True, or "
                "write it into the template."
            )
        try:
            json.dumps(dict(self.options))
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"options = {self.options!r} cannot be sent as JSON ({error})."
            ) from error
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        object.__setattr__(self, "options", dict(self.options))
        object.__setattr__(self, "_pace", Pace(self.requests_per_minute))
        object.__setattr__(self, "_meter", _Meter())
        object.__setattr__(self, "_dialect", Dialect(self.options))
        object.__setattr__(self, "_api", api)

    @property
    def most_choices(self) -> int | None:
        """The most answers that one request can ask for; None where no limit is known."""
        return self._api.choices

    @property
    def name(self) -> str:
        """The model's name, for reports."""
        return self.model

    @property
    def usage(self) -> Usage:
        """Requests and tokens so far, those of failed attempts left out."""
        return self._meter.total

    def identity(self) -> dict[str, Any]:
        """Tell what makes values of two endpoints comparable, as JSON; the key plays no part."""
        facts = {
            "endpoint": self.base_url,
            "model": self.model,
            "chat": self.chat,
            "system": self.system,
            "options": dict(self.options),
        }
        return facts if self._api.name == "openai" else {**facts, "api": self._api.name}

    def body(self, request: Request, /) -> dict[str, Any]:
        """Write the JSON that is sent for a request, in the fields that the server wants.

        Raises
        ------
        InvalidInputError
            For what the API cannot be asked: log-probabilities, or a call where no chat is spoken.
        """
        check_request(self._api, wants_log_probabilities=request.top is not None)
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
        }
        if self.chat:
            body["messages"] = self._messages(request.prompt)
            if isinstance(request.prompt, Call) and (tools := request.prompt.tools):
                body["tools"] = tools
        elif isinstance(request.prompt, Call):
            raise InvalidInputError(
                "messages were given for completions, which take one text; pass chat=True (--chat)."
            )
        else:
            body["prompt"] = request.prompt
        if request.top is not None and self.chat:
            body |= {"logprobs": True, "top_logprobs": request.top}
        elif request.top is not None:
            body["logprobs"] = request.top
        if request.choices > 1:
            body["n"] = request.choices
        if request.echo == "echo":
            body["echo"] = True
        elif request.echo == "prompt_logprobs":
            body["prompt_logprobs"] = 0  # of the prompt's own tokens, no others
        if "max_completion_tokens" in self.options:
            del body["max_tokens"]  # both together are refused
        if self._api.name == "openai":
            body |= self.options
            return self._dialect.spoken(
                {name: value for name, value in body.items() if value is not None}
            )
        return _merged(self._api.write(self._dialect.spoken(body)), self.options)

    def _messages(self, prompt: str) -> list[dict[str, Any]]:
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        if isinstance(prompt, Call):
            return [*system, *prompt.messages]
        return [*system, {"role": "user", "content": prompt}]

    def ask(self, request: Request, /) -> Reply:
        """Ask for the reply to one request; see `run`."""
        [(_, reply)] = self.run([request])
        return reply

    def run(
        self,
        requests: Sequence[Request],
        /,
        on_refusal: Callable[[int, RefusedPromptError], object] | None = None,
    ) -> Iterator[tuple[int, Reply]]:
        """Yield replies with their position, as they come in, several requests under way at a time.

        When one fails for good, no further one is started, and the error is raised once those under
        way have been given out. With `on_refusal`, one that was refused is handed to it with its
        position, and the others go on.

        Raises
        ------
        RefusedPromptError
            When the server refuses a prompt, by a status that a filter or a limit of length has.
        EndpointError
            It names the prompt, and says what to do where that is known.
        EndpointUnavailableError
            When it failed in a way that may pass, and all attempts are spent.
        """
        api = self._api
        key = Key(self.key_variable, self.base_url, api.key_header, api.key_prefix)
        key.value()  # a key that cannot be sent is an error before the first request
        limit, stopped = time_limit(), threading.Event()
        waiting: SimpleQueue[tuple[int, Request]] = SimpleQueue()
        for pair in enumerate(requests):
            waiting.put(pair)
        came: SimpleQueue[tuple[int, Reply | BaseException] | None] = SimpleQueue()

        def work(line: Line) -> None:
            """Ask what is waiting, one after another, then put None: this thread has ended."""
            try:
                while not stopped.is_set():
                    number, request = waiting.get_nowait()
                    try:
                        came.put((number, self._reply(line, request, stopped)))
                    except BaseException as error:
                        came.put((number, error))
            except Empty:
                pass
            finally:
                came.put(None)

        lines = [
            Line(self.base_url, key, api.headers)
            for _ in range(min(self.concurrency, len(requests)))
        ]
        threads = [
            threading.Thread(target=work, args=(line,), name="spexlens endpoint", daemon=True)
            for line in lines
        ]
        failed: BaseException | None = None
        left, running = len(requests), len(threads)
        try:
            for thread in threads:
                thread.start()
            while running:
                try:
                    item = came.get(timeout=_TICK)
                except Empty:
                    pass
                else:
                    if item is None:
                        running -= 1
                    else:
                        left -= 1
                        number, outcome = item
                        if isinstance(outcome, Reply):
                            yield number, outcome
                            self._tell_a_change()
                        elif on_refusal is not None and isinstance(outcome, RefusedPromptError):
                            on_refusal(number, outcome)
                        else:
                            failed = failed or outcome
                            stopped.set()
                if limit.stopped:
                    stopped.set()
                for line in lines:
                    if limit.left() > 0:
                        line.cut_if_late(time.monotonic())
                    else:
                        line.hang_up()
        finally:
            stopped.set()
            for line in lines if running else ():
                line.hang_up()
            until = time.monotonic() + _PARTING
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, until - time.monotonic()))
            for line in lines:
                line.close()
        if failed is None and left:
            failed = EndpointUnavailableError(
                f"{left} of {len(requests)} prompts were not asked, as the run had to end."
            )
        if failed is not None:
            raise failed

    def _reply(self, line: Line, request: Request, stopped: threading.Event) -> Reply:
        policy = self.retries
        most = _FIRST_ATTEMPTS if not self.usage.requests else policy.attempts
        policy = replace(policy, attempts=min(policy.attempts, request.attempts or most, most))
        path = self._api.path(self.model, self.chat)
        asked_for = _TOKEN_BYTES * (request.top or 0) * max(1, request.max_tokens)
        ask = Ask(policy, self._pace, self.timeout, self.max_answer_bytes + asked_for, stopped)
        tries = Tries()

        def read(answer: Mapping[str, Any]) -> Reply:
            return self._read(answer, request)

        body = self.body(request)
        while True:
            answer = post_json(line, path, body, read, ask, tries)
            learnt = (
                isinstance(answer, Failure)
                and answer.status in UNKNOWN_FIELD
                and self._dialect.learn(answer.reason, body)
            )
            refused, body = body, self.body(request)
            if not learnt or body == refused:
                break
        if isinstance(answer, Failure):
            message = (
                f"the endpoint {self.base_url} brought no answer of {self.model!r} to the prompt "
                f"{_beginning(request.prompt)}: {answer.reason}{self._advice(answer, request)}"
            )
            raise _kind(answer)(message, request.prompt, answer.status)
        self._meter.add(answer)
        return answer

    def _read(self, answer: Mapping[str, Any], request: Request) -> Reply:
        told, kind = answer, EndpointError
        try:
            told = self._api.read(answer)
            return read_reply(told)
        except ReplyError as error:
            kind = RefusedPromptError if told.get("choices") == [] else EndpointError
            message = (
                f"the answer of {self.base_url} to the prompt {_beginning(request.prompt)} cannot "
                f"be read: {error}."
            )
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            message = (
                f"the endpoint {self.base_url} answered the prompt {_beginning(request.prompt)} in "
                f"a form that is not {_OWNERS[self._api.name]}, with the fields "
                f"{shown(sorted(answer))}. Does the server speak that API? base_url usually ends "
                "in '/v1'; name another by api= (--api)."
            )
        # Here, as the frames of the error before would keep the answer, which may be large.
        raise kind(message, request.prompt)

    @property
    def answered_as(self) -> tuple[str, ...]:
        """The names by which the server called its model so far; more than one is a change."""
        return self._meter.models

    def _tell_a_change(self) -> None:
        if self._meter.first_change():
            warnings.warn(
                f"the server {self.base_url} answers as another model now "
                f"({shown(self.answered_as)}), asked for {self.model!r}; this is told once. "
                "Values of several models do not belong together.",
                SpexlensWarning,
                stacklevel=3,
            )

    def _advice(self, failure: Failure, request: Request) -> str:
        status = failure.status
        if request.top is not None and refuses_top(status, failure.reason):
            return f" {_fewer(failure.reason, request.top)}"
        if status in (401, 403):
            if self.key_variable is None:
                return " It may need a key: pass key_variable, an environment variable's name."
            state = "holds" if os.environ.get(self.key_variable) else "does not hold"
            return (
                f" The environment variable {self.key_variable} {state} a key; put one into it "
                "that this server accepts, or pass the name of another as key_variable."
            )
        if status in (404, 405) or (status is not None and 300 <= status < 400):
            return " base_url usually ends in '/v1', and the model must be one that is served."
        return ""


class _Meter:
    """Counts replies and keeps their models' names, from several threads."""

    def __init__(self) -> None:
        self.total = Usage()
        self.models: tuple[str, ...] = ()
        self._told = False
        self._lock = threading.Lock()

    def add(self, reply: Reply) -> None:
        with self._lock:
            self.total = self.total.plus(reply)
            if reply.model and reply.model not in self.models and len(self.models) < _MODELS:
                self.models += (reply.model,)

    def first_change(self) -> bool:
        """Return True once: when a second name has come."""
        with self._lock:
            first = len(self.models) > 1 and not self._told
            self._told |= first
            return first


def refuses_top(status: int | None, reason: str) -> bool:
    """Tell whether a refusal is about how many log-probabilities were asked for.

    >>> refuses_top(422, "`top_n_tokens` must be >= 0 and <= 5. Given: 20")
    True
    """
    return status in UNKNOWN_FIELD and any(name in reason.lower() for name in _ABOUT_TOP)


def _fewer(reason: str, top: int) -> str:
    """Tell what to do where so many log-probabilities are refused; the reason may hold a limit."""
    told = (int(number) for number in re.findall(r"\d+", reason.partition(":")[2]))
    limit = max((number for number in told if 1 < number < top), default=None)
    if limit is None and "support" in reason.lower():
        return "Where a model gives none, use a score of samples: answer_share(…), --score share."
    wanted = "fewer" if limit is None else f"{limit}"
    return (
        f"{top} log-probabilities a token were asked for: ask for {wanted}, top={limit or '…'} "
        f"(--top-tokens {limit or '…'}); a server that gives none needs a score of samples."
    )


def _kind(failure: Failure) -> type[EndpointError]:
    if failure.passing:
        return EndpointUnavailableError
    filtered = any(word in failure.reason.lower() for word in _FILTER_WORDS)
    if failure.status in _REFUSED or (failure.status == httpx.codes.FORBIDDEN and filtered):
        return RefusedPromptError
    return EndpointError


_OWNERS = {"openai": "OpenAI's", "anthropic": "Anthropic's", "gemini": "Gemini's"}


def _merged(body: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Put chosen fields into a body, those of an object into the object; None takes one out."""
    merged = dict(body)
    for name, value in options.items():
        inner = merged.get(name)
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            merged[name] = _merged(dict(inner), value)
        else:
            merged[name] = value
    return {name: value for name, value in merged.items() if value is not None}


def _beginning(prompt: str) -> str:
    if isinstance(prompt, Call):
        told = [str(message.get("content") or "") for message in prompt.messages]
        return f"of {len(told)} messages, the last {_beginning(told[-1] if told else '')}"
    return repr(prompt if len(prompt) <= 60 else f"{prompt[:60]}…")
