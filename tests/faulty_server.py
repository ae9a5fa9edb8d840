"""Servers on loopback that answer as no server should: slowly, endlessly, in parts, in nonsense."""

import json
import socket
import threading
import time
import zlib

_DRIP = 0.05  # seconds between two bytes
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def _drip(send, data):
    for byte in data:
        send(bytes([byte]))
        time.sleep(_DRIP)


def _for_ever(send, part):
    while True:
        send(part)


def _with_length(content, *headers):
    told = "".join(f"{header}\r\n" for header in headers).encode()
    return _HEAD + told + f"Content-Length: {len(content)}\r\n\r\n".encode() + content


def _choices(inside):
    return b'{"choices": [{"text": " good", "logprobs": ' + inside + b"}]}"


def _big(unit, size):
    return b'{"choices": [' + unit * (size // len(unit)) + b"{}]}"


FAULTS = {
    "silent": lambda send: time.sleep(3600),
    "drips the head": lambda send: _drip(send, _HEAD * 1000),
    "drips the body": lambda send: _drip(send, _with_length(b" " * 100_000)),
    "drips chunks": lambda send: (
        send(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
        _drip(send, b"1\r\n \r\n" * 10_000),
    ),
    "endless head": lambda send: (send(b"HTTP/1.1 200 OK\r\n"), _for_ever(send, b"a: b\r\n" * 999)),
    "endless body": lambda send: (send(_HEAD + b"\r\n"), _for_ever(send, b" " * 65536)),
    "endless chunks": lambda send: (
        send(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
        _for_ever(send, b"10000\r\n" + b" " * 65536 + b"\r\n"),
    ),
    "200 MB": lambda send: (
        send(_HEAD + b"Content-Length: 200000000\r\n\r\n"), _for_ever(send, b"0" * 65536)
    ),
    "packed 200 MB": lambda send: send(
        _with_length(zlib.compress(b" " * 200_000_000, 9), "Content-Encoding: deflate")
    ),
    "packed otherwise": lambda send: send(_with_length(b"\x00" * 99, "Content-Encoding: br")),
    "packed wrongly": lambda send: send(_with_length(b"\x00" * 99, "Content-Encoding: gzip")),
    "many objects": lambda send: send(_with_length(_big(b"{},", 3_900_000))),
    "many numbers": lambda send: send(_with_length(_big(b"1e9,", 3_900_000))),
    "deep": lambda send: send(_with_length(b"[" * 3_000_000)),
    "long number": lambda send: send(_with_length(b'{"choices": ' + b"9" * 1_000_000 + b"}")),
    "no HTTP": lambda send: send(b"\x16\x03\x01 hello\r\n\r\n"),
    "1.2 GB": lambda send: (
        send(_HEAD + b"Content-Length: 1200000000\r\n\r\n"), _for_ever(send, b"0" * 65536)
    ),
    "no JSON": lambda send: send(_with_length(b'{"choices": [{"text": ')),
    "a list": lambda send: send(_with_length(b'[{"text": "good"}]')),
    "choices of no kind": lambda send: send(_with_length(b'{"choices": {"0": {"text": 7}}}')),
    "half": lambda send: send(_with_length(b" " * 5000)[:200]),
    "cut": lambda send: None,
    "503": lambda send: send(
        b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    ),
    "Retry-After 500": lambda send: send(
        b"HTTP/1.1 503 Busy\r\nRetry-After: 500\r\nContent-Length: 0\r\n\r\n"
    ),
    "Retry-After 1e308": lambda send: send(
        b"HTTP/1.1 429 Slow\r\nRetry-After: 1e308\r\nContent-Length: 0\r\n\r\n"
    ),
    "429": lambda send: send(
        b"HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    ),
    "redirects": lambda send: send(
        b"HTTP/1.1 307 Away\r\nLocation: /v1/completions\r\nContent-Length: 0\r\n\r\n"
    ),
    "always temperature": lambda send: send(
        b'HTTP/1.1 400 Bad\r\nContent-Length: 30\r\n\r\n{"error": "temperature is no."}'
    ),
    "numbers of no kind": lambda send: send(
        _with_length(_choices(b'{"tokens": [" good"], "token_logprobs": [NaN], '
                              b'"top_logprobs": [{" good": NaN, " bad": -Infinity}]}'))
    ),
    "probabilities": lambda send: send(
        _with_length(_choices(b'{"tokens": [" good"], "token_logprobs": [0.7], '
                              b'"top_logprobs": [{" good": 0.7, " bad": 0.2}]}'))
    ),
    "infinite usage": lambda send: send(
        _with_length(b'{"choices": [{"text": "a"}], "usage": {"prompt_tokens": 1e999}}')
    ),
    "escapes": lambda send: send(
        b"HTTP/1.1 500 \x1b[2J\r\nContent-Length: 9\r\n\r\n\x1b]0;x\x07\xc2\x9b1m"
    ),
}  # fmt: skip
"""What a connection gets after its request; each ends the connection unless it goes on for ever."""


def right_answer(send):
    logs = {"tokens": [" good"], "token_logprobs": [-0.7],
            "top_logprobs": [{" good": -0.7, " bad": -1.1}]}  # fmt: skip
    answer = {"model": "m", "choices": [{"text": " good", "logprobs": logs}]}
    send(_with_length(json.dumps(answer).encode()))


class FaultyServer:
    """Answers right `first` times, then with a fault; counts its requests.

    It takes one request, or so many, a connection, and ends with its block, whatever is under way.
    """

    def __init__(self, fault, first=0, a_connection=1):
        self._fault = FAULTS[fault] if isinstance(fault, str) else fault
        self._first = first
        self._a_connection = a_connection
        self.requests = 0
        self.open = 0
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self):
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._socket.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with self._lock:
            self.open += 1
        try:
            self._talk(connection)
        except OSError:
            pass
        finally:
            with self._lock:
                self.open -= 1

    def _talk(self, connection):
        with connection:
            for _ in range(self._a_connection):
                if not self._heard(connection):
                    return
                with self._lock:
                    number = self.requests
                    self.requests += 1
                answer = right_answer if number < self._first else self._fault
                told = []
                answer(lambda part, told=told: (told.append(part), connection.sendall(part)))
                if not told:
                    break
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)

    def _heard(self, connection):
        """Read a request to its end; False where none came."""
        head = b""
        while b"\r\n\r\n" not in head:
            if not (part := connection.recv(65536)):
                return False
            head += part
        head, _, body = head.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        return True
