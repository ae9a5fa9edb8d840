"""One connection to a server: every answer on it has a deadline and a greatest size."""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from spexlens.errors import MissingExtraError
from spexlens.models.endpoint.api_key import Key, is_loopback

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("an endpoint", "httpx", "api") from error

_CONNECT = 10.0  # seconds


class LateError(Exception):
    """The answer was not in within its time."""


class LargeError(Exception):
    """The answer has more bytes than were allowed."""


class _LeftError(Exception):
    """The server closed a connection between two requests."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a server sent: status, its reason in words, headers, and the whole body.

    `key` is what was sent to it, "" for none: some servers repeat it.
    """

    status: int
    phrase: str
    headers: Mapping[str, str]
    content: bytes
    key: str = field(default="", repr=False)


class Line:
    """A connection, made again where it broke, for one request at a time.

    A read that a server feeds a byte at a time never times out by itself. So the time of an answer
    counts from its request to its last byte, and another thread ends it: `cut_if_late`, `close`.

    Parameters
    ----------
    base_url : str
        A proxy that the environment names is used unless this machine itself is meant.
    key : Key
    headers : mapping, optional
        Further ones of every request.
    """

    def __init__(self, base_url: str, key: Key, headers: Mapping[str, str] | None = None) -> None:
        self._key = key
        self._client = httpx.Client(
            base_url=base_url,
            auth=key,
            verify=_certificates(),
            trust_env=not is_loopback(base_url),
            limits=httpx.Limits(max_connections=1),
            headers={"Accept-Encoding": "identity", **(headers or {})},
        )
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None  # a second handle of the connection
        self._ends = math.inf
        self._cut = self._closed = self._new = False

    def post(self, path: str, content: bytes, seconds: float, most: int) -> Answer:
        """Send JSON and return the whole answer.

        Parameters
        ----------
        path : str
        content : bytes
            The JSON.
        seconds : float
            From now to the last byte of the answer.
        most : int
            Bytes of the answer, unpacked.

        Raises
        ------
        LateError, LargeError, httpx.TransportError
        """
        with self._lock:
            self._ends = time.monotonic() + seconds
            self._cut = self._closed
        try:
            try:
                return self._post_once(path, content, seconds, most)
            except _LeftError:  # as servers close an idle connection, which shows when it is used
                left = max(self._ends - time.monotonic(), 0.001)
                return self._post_once(path, content, left, most)
        except httpx.TimeoutException as error:
            raise LateError(type(error).__name__) from error
        except httpx.TransportError as error:
            if self._cut:
                raise LateError("the connection was closed") from error
            raise
        finally:
            with self._lock:
                self._ends = math.inf

    @property
    def closed(self) -> bool:
        """Whether it was hung up for good."""
        return self._closed

    def cut_if_late(self, now: float) -> None:
        """Close the connection where its answer should be in by `now` (`time.monotonic`)."""
        with self._lock:
            if now >= self._ends:
                self._shut()

    def hang_up(self) -> None:
        """Close the connection now, and every later one at once."""
        with self._lock:
            self._closed = True
            self._shut()

    def close(self) -> None:
        """Free what it holds; to be called once no request is under way."""
        self._client.close()
        with self._lock:
            self._forget()

    def _post_once(self, path: str, content: bytes, seconds: float, most: int) -> Answer:
        """Send it; `_LeftError` where a connection of before was left by the server meanwhile."""
        self._new = answered = False
        timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT), pool=None)
        try:
            with self._client.stream(
                "POST", path, content=content, headers={"Content-Type": "application/json"},
                timeout=timeout, extensions={"trace": self._note},
            ) as response:  # fmt: skip
                answered = True
                body = self._read(response, most)
                key = self._key.sent(response.request)
                return Answer(
                    response.status_code, response.reason_phrase, response.headers, body, key
                )
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            if answered or self._new or self._cut:
                raise
            raise _LeftError from error

    def _read(self, response: httpx.Response, most: int) -> bytes:
        whole = bytearray()
        for part in _unpacked(response, most + 1):
            whole += part
            if len(whole) > most:
                raise LargeError
            if time.monotonic() >= self._ends:
                raise LateError("the answer came too slowly")
        if self._cut:  # a body without a length ends where the connection does
            raise LateError("the connection was closed")
        return bytes(whole)

    def _note(self, event: str, told: Mapping[str, Any]) -> None:
        """Keep a handle of a connection that was just made (the trace of httpcore)."""
        self._new |= "connect_tcp" in event
        if not event.endswith("connect_tcp.complete"):
            return
        made = told["return_value"].get_extra_info("socket")
        with self._lock:
            self._forget()
            # A second handle, as the first one goes over to TLS.
            self._socket = made.dup()
            if self._cut:
                self._shut()

    def _shut(self) -> None:
        self._cut = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes a thread that reads from it

    def _forget(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _unpacked(response: httpx.Response, most: int) -> Iterator[bytes]:
    """Yield the body, gzip and deflate undone as far as `most` bytes: servers may pack unasked."""
    packing = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packing in ("", "identity"):
        yield from response.iter_raw()
        return
    if packing not in ("gzip", "deflate"):
        raise httpx.DecodingError(f"the answer is packed as {packing!r}, which was not asked for")
    unpack = zlib.decompressobj(32 + zlib.MAX_WBITS)
    for part in response.iter_raw():
        try:
            yield unpack.decompress(part, most)
        except zlib.error as error:
            raise httpx.RemoteProtocolError(f"the answer cannot be unpacked ({error})") from error
        if unpack.unconsumed_tail:
            raise LargeError


@cache
def _certificates() -> ssl.SSLContext:
    """Read the machine's certificates, once: that takes longer than many a request."""
    return httpx.create_ssl_context()
