"""Posting JSON to a server that may be busy or broken: when to try again, how long to wait."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from spexlens.errors import InvalidInputError, MissingExtraError

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("an endpoint", "httpx", "api") from error

# Statuses that a later, equal request can be free of: timeouts, conflicts, rate limits, overload.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is tried, and how long is waited in between.

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
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 120.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_wait < 0 or self.longest_wait < 0:
            raise InvalidInputError(
                f"{self} given; needed at least 1 attempt, and waits of 0 seconds or more."
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


def post_json(
    client: httpx.Client,
    path: str,
    body: Mapping[str, Any],
    *,
    policy: RetryPolicy,
    pace: Pace,
    stopped: threading.Event,
) -> dict[str, Any] | Failure:
    """Ask a server for a JSON object, again while the failure may pass.

    Parameters
    ----------
    client : httpx.Client
    path : str
        Relative to the client's base URL.
    body : mapping
        Sent as JSON.
    policy : RetryPolicy
    pace : Pace
        A server's `Retry-After` makes everyone who shares it wait.
    stopped : threading.Event
        Ends all waiting once it is set.

    Returns
    -------
    dict or Failure
    """
    for attempt in range(1, policy.attempts + 1):
        if stopped.wait(pace.reserve()):
            return Failure("it was given up because another one failed", passing=True)
        answer, asked = _post_once(client, path, body)
        if isinstance(answer, dict) or not answer.passing:
            return answer
        if asked > policy.longest_wait:
            told = f"It asks to wait {asked:.0f} s; at most {policy.longest_wait:.0f} s are waited."
            return replace(answer, reason=f"{answer.reason} {told}")
        if attempt == policy.attempts:
            return replace(answer, reason=f"{answer.reason} Tried {attempt} times.")
        pace.pause(asked)
        stopped.wait(asked + policy.wait(attempt))
    raise AssertionError("the last attempt returns")


def _post_once(
    client: httpx.Client, path: str, body: Mapping[str, Any]
) -> tuple[dict[str, Any] | Failure, float]:
    """Try once: the answer or failure, and the seconds that the server asks to wait."""
    try:
        response = client.post(path, json=body)
    except httpx.TimeoutException as error:
        return Failure(f"no answer came in time ({type(error).__name__}).", passing=True), 0.0
    except httpx.TransportError as error:
        text = (
            f"the connection failed ({type(error).__name__}: {error}). Does the server run there?"
        )
        return Failure(text, passing=True), 0.0
    asked = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    status = response.status_code
    if status != httpx.codes.OK:
        reason = f"the server answered {status} {response.reason_phrase}"
        # A refused key is often repeated in part.
        reason += "." if status == httpx.codes.UNAUTHORIZED else f": {_beginning(response)}."
        return Failure(reason, status, passing=status in _PASSING), asked
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        reason = f"the server answered no JSON object: {_beginning(response)}."
        return Failure(reason, status, passing=True), asked
    return _told_error(answer, response) or answer, asked


# What errors without a number call themselves: of every prompt, and of this one.
_OF_ALL = ("auth", "api_key", "permission", "quota", "billing", "not_found", "notfound")
_OF_THIS = ("invalid", "bad", "content", "context", "filter", "unsupported", "too_l", "unprocess")


def _told_error(answer: Mapping[str, Any], response: httpx.Response) -> Failure | None:
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
    reason += "." if status == httpx.codes.UNAUTHORIZED else f": {_beginning(response)}."
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


def _beginning(response: httpx.Response) -> str:
    text = " ".join(response.text.split())
    # Some servers repeat the key they were sent.
    if key := response.request.headers.get("Authorization", "").removeprefix("Bearer "):
        text = text.replace(key, "[key]")
    return repr(text if len(text) <= 300 else f"{text[:300]}…")
