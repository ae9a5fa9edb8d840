"""The key of an endpoint: read from the environment when a request is sent, and kept nowhere."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Generator

from spexlens.errors import InvalidInputError, MissingExtraError

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("an endpoint", "httpx", "api") from error


class Key(httpx.Auth):
    """Puts the key of an environment variable on every request, and holds only its name.

    Parameters
    ----------
    variable : str or None
        Where it is None, or not set, no key is sent.
    base_url : str
        Where the requests go.
    header, prefix : str
        The header that holds it, and what stands before it there.
    """

    def __init__(
        self,
        variable: str | None,
        base_url: str,
        header: str = "Authorization",
        prefix: str = "Bearer ",
    ) -> None:
        self._variable = variable
        self._url = httpx.URL(base_url)
        self._header, self._prefix = header, prefix

    def sent(self, request: httpx.Request) -> str:
        """Read the key off a request; "" for none."""
        return str(request.headers.get(self._header, "")).removeprefix(self._prefix)

    def value(self) -> str:
        """Read the key; "" for none.

        Raises
        ------
        InvalidInputError
            Without showing the key, where it must not be sent.
        """
        key = os.environ.get(self._variable, "").strip() if self._variable else ""
        if not (key.isascii() and key.isprintable()):
            raise InvalidInputError(
                f"the environment variable {self._variable} holds characters that no key has "
                "(a line break, or letters beyond ASCII); set it again."
            )
        if key and self._url.scheme == "http" and not is_loopback(str(self._url)):
            raise InvalidInputError(
                f"the key in {self._variable} would go to {self._url.host} unencrypted; use an "
                "https:// URL or a tunnel to localhost, or pass key_variable=None to send no key."
            )
        return key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Put the key on the request; httpx calls this for every one."""
        if key := self.value():
            request.headers[self._header] = f"{self._prefix}{key}"
        yield request


def check_url(base_url: str) -> None:
    """Refuse a URL that cannot be used, or that holds what belongs into the environment."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidInputError(f"base_url cannot be read as a URL ({error}).") from None
    # Not shown in the message: it may hold a password.
    if url.userinfo or url.query or url.fragment:
        raise InvalidInputError(
            f"the base_url of {url.host!r} holds a user name, password or query; needed one "
            "without. A key belongs into an environment variable, named by key_variable."
        )
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidInputError(
            f"base_url = {base_url!r} given; needed one such as 'http://localhost:8080/v1'."
        )


def is_loopback(base_url: str) -> bool:
    """Tell whether a URL means this machine itself: no proxy is asked then, no wire is crossed.

    >>> is_loopback("http://127.0.0.5:8080/v1"), is_loopback("http://gpu.example/v1")
    (True, False)
    """
    host = httpx.URL(base_url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
