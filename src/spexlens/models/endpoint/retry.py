"""Posting JSON to a server that may be busy or broken: when to try again, how long to wait."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from spexlens.errors import EndpointError, InvalidInputError, MissingExtraError
from spexlens.models.endpoint.line import Answer, LargeError, LateError, Line

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("an endpoint", "httpx", "api") from error

_SHOWN_BYTES, _SHOWN = 4096, 300
# Statuses that a later, equal request can be free of: timeouts, conflicts, rate limits, overload.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True)
class RetryPolicy:
    """How often a prompt is tried, how long is waited in between, and when it is given up.

    The wait before attempt k + 1 is drawn between half and all of `first_wait * 2^(k - 1)` seconds,
    so that requests that failed together do not come back together.

    Parameters
    ----------
    attempts : int, default 8
        In all, the first one included.
    first_wait : float, default 0.5
        Seconds.
    longest_wait : float, default 120
        Seconds. A server that asks for more (`Retry-After`) is given up at once.
    total : float, default 600
        Seconds for all attempts at one prompt and the waits between them.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 120.0
    total: float = 600.0

    def __post_init__(self) -> None:
        waits = (self.first_wait, self.longest_wait)
        if self.attempts < 1 or not all(wait >= 0 for wait in waits) or not self.total > 0:
            raise InvalidInputError(
                f"{self} given; needed at least 1 attempt, waits of 0 seconds or more, and some "
                "time in total."
            )

    def wait(self, attempt: int) -> float:
        """Choose the seconds to wait after the failure of attempt 1, 2, …"""
        longest = min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1))
        return random.uniform(longest / 2, longest)


class Pace:
    """When the next request may start; shared by all threads that talk to one server.

    Parameters
    ----------
    per_minute : float, optional
        Requests started in a minute, evenly spaced; no limit by default.
    """

    def __init__(self, per_minute: float | None = None) -> None:
        self._interval = 0.0 if per_minute is None else 60.0 / per_minute
        self._next = 0.0
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Take the next place in the queue; seconds until it comes."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._interval
            return start - now

    def pause(self, seconds: float) -> None:
        """Let no request that is not yet in the queue start within the next `seconds`."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


@dataclass(frozen=True)
class Failure:
    """Why a request brought nothing.

    Attributes
    ----------
    reason : str
        For people; holds nothing of the request's headers.
    status : int, optional
        The HTTP status, if there was an answer.
    passing : bool
        Whether the same request may succeed later.
    """

    reason: str
    status: int | None = None
    passing: bool = False


@dataclass(frozen=True)
class Ask:
    """How one request is sent.

    Attributes
    ----------
    policy : RetryPolicy
    pace : Pace
        A server's `Retry-After` makes everyone who shares it wait.
    timeout : float
        Seconds for one whole answer.
    most : int
        Bytes of an answer.
    stopped : threading.Event
        Ends all waiting once it is set.
    """

    policy: RetryPolicy
    pace: Pace
    timeout: float
    most: int
    stopped: threading.Event


class Tries:
    """What one prompt has used up of its policy, over all bodies that it was sent with."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0


_Read = TypeVar("_Read")
_READING = threading.Lock()  # an answer as objects takes many times its bytes: one at a time


def post_json(
    line: Line,
    path: str,
    body: Mapping[str, Any],
    read: Callable[[dict[str, Any]], _Read],
    ask: Ask,
    tries: Tries,
) -> _Read | Failure:
    """Ask a server for a JSON object and read it, again while the failure may pass.

    Parameters
    ----------
    line : Line
    path : str
        Relative to the line's base URL.
    body : mapping
        Sent as JSON.
    read : callable
        From the object to what is wanted; called in one thread at a time.
    ask : Ask
    tries : Tries
        Counted up; shared by all requests that are made for one prompt.

    Returns
    -------
    what `read` returns, or Failure
    """
    policy = ask.policy
    while True:
        if ask.stopped.wait(ask.pace.reserve()):
            return Failure("it was given up, as the run had to end", passing=True)
        start = time.monotonic()
        seconds = min(ask.timeout, max(policy.total - tries.seconds, 0.001))
        answer, asked = _post_once(line, path, body, read, seconds, ask.most)
        tries.count += 1
        tries.seconds += time.monotonic() - start
        if not isinstance(answer, Failure) or not answer.passing:
            return answer
        if asked > policy.longest_wait:
            told = f"It asks to wait {asked:.0f} s; at most {policy.longest_wait:.0f} s are waited."
            return replace(answer, reason=f"{answer.reason} {told}")
        if tries.count >= policy.attempts:
            return replace(answer, reason=f"{answer.reason} Tried {tries.count} times.")
        wait = asked + policy.wait(tries.count)
        if tries.seconds + wait >= policy.total:
            told = f"Tried {tries.count} times; one prompt may take {policy.total:.0f} s in all."
            return replace(answer, reason=f"{answer.reason} {told}")
        ask.pace.pause(asked)
        tries.seconds += wait
        ask.stopped.wait(wait)


def _post_once(
    line: Line,
    path: str,
    body: Mapping[str, Any],
    read: Callable[[dict[str, Any]], _Read],
    seconds: float,
    most: int,
) -> tuple[_Read | Failure, float]:
    """Try once: what was read or why not, and the seconds that the server asks to wait."""
    try:
        answer = line.post(path, json.dumps(body).encode("ascii"), seconds, most)
    except LateError as error:
        told = f"no answer came in time: it was not whole after {seconds:.3g} s ({error})."
        return Failure(told, passing=True), 0.0
    except LargeError:
        told = (
            f"the answer has more than {most:,} bytes and was not read on; where such answers are "
            "right, raise max_answer_bytes of the Endpoint."
        )
        return Failure(told), 0.0
    except httpx.DecodingError as error:
        return Failure(f"{error}."), 0.0
    except httpx.TransportError as error:
        text = (
            f"the connection failed ({type(error).__name__}: {error}). Does the server run there?"
        )
        return Failure(text, passing=True), 0.0
    asked = retry_after(answer.headers.get("Retry-After"), datetime.now(UTC))
    key = answer.key
    if answer.status != httpx.codes.OK:
        reason = f"the server answered {answer.status} {answer.phrase}"
        # A refused key is often repeated in part.
        unauthorized = answer.status == httpx.codes.UNAUTHORIZED
        reason += "." if unauthorized else f": {_beginning(answer, key)}."
        return Failure(reason, answer.status, passing=answer.status in _PASSING), asked
    with _READING:
        if line.closed:  # another answer has ended the run: to read this one takes time
            return Failure("the run has ended.", passing=True), 0.0
        try:
            told_object = json.loads(answer.content)
        except (ValueError, RecursionError):
            told_object = None
        if not isinstance(told_object, dict):
            reason = f"the server answered no JSON object: {_beginning(answer, key)}."
            return Failure(reason, answer.status, passing=True), asked
        try:
            return _told_error(told_object, answer, key) or read(told_object), asked
        except EndpointError as error:
            told_object = None  # which the error's frames would keep, and may be large
            raise error.with_traceback(None) from None


# What errors without a number call themselves: of every prompt, and of this one.
_OF_ALL = ("auth", "api_key", "permission", "quota", "billing", "not_found", "notfound")
_OF_THIS = ("invalid", "bad", "content", "context", "filter", "unsupported", "too_l", "unprocess")


def _told_error(answer: Mapping[str, Any], sent: Answer, key: str) -> Failure | None:
    """Find the error that some servers send as the body of a 200; None where there is none."""
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, Mapping):
        error = first.get("error")
    else:
        said = (answer.get(name) for name in ("detail", "message"))
        error = answer.get("error") or next((text for text in said if isinstance(text, str)), None)
    if not error:
        return None
    told = {**answer, **(error if isinstance(error, Mapping) else {})}
    names = f"{told.get('type')} {told.get('code')}".lower()
    numbers = [str(told.get(name)) for name in ("code", "status", "status_code")]
    status = next((int(number) for number in numbers if re.fullmatch("[45]\\d\\d", number)), None)
    passing = status in _PASSING
    if status is None and not any(name in names for name in _OF_ALL):
        status = httpx.codes.BAD_REQUEST if any(name in names for name in _OF_THIS) else None
        passing = status is None
    reason = "the server answered 200 OK with an error in it"
    reason += "." if status == httpx.codes.UNAUTHORIZED else f": {_beginning(sent, key)}."
    return Failure(reason, status, passing=passing)


def retry_after(header: str | None, now: datetime) -> float:
    """Read the seconds that a `Retry-After` header asks to wait; 0 where it says nothing.

    Parameters
    ----------
    header : str or None
        Seconds, or a date (RFC 9110, section 10.2.3).
    now : datetime
        With a time zone.

    Examples
    --------
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> retry_after("1.5", noon), retry_after("Thu, 01 Jan 2026 12:00:30 GMT", noon)
    (1.5, 30.0)
    >>> retry_after("soon", noon), retry_after("Thu, 01 Jan 2026 11:00:00 GMT", noon)
    (0.0, 0.0)
    """
    if header is None:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return 0.0
        if moment.tzinfo is None:  # "-0000": a time in UTC of unknown origin
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    return max(0.0, seconds) if seconds == seconds else 0.0  # not a number


def _beginning(answer: Answer, key: str) -> str:
    """Write the beginning of an answer for people; some servers repeat the key they were sent."""
    text = answer.content[:_SHOWN_BYTES].decode("utf-8", "replace")
    text = text.replace(key, "[key]") if key else text
    text = " ".join(text.split())
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
