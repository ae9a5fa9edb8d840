"""One call of a chat model: its messages and tools, as one text of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, final

from spexlens.errors import InvalidInputError


@final
class Call(str):
    """Messages and tools of a chat model in OpenAI's form, written as JSON with sorted keys.

    A text, so that equal calls are equal, and each is asked once. Made by `Call.of`.

    Examples
    --------
    >>> call = Call.of([{"role": "user", "content": "Hello"}])
    >>> call.messages, call.tools
    ([{'content': 'Hello', 'role': 'user'}], [])
    """

    __slots__ = ()

    @classmethod
    def of(
        cls, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Call:
        """Write a call.

        Parameters
        ----------
        messages : sequence of {"role": …, "content": …}
        tools : sequence of {"type": "function", "function": {"name": …, …}}

        Raises
        ------
        InvalidInputError
            For what cannot be sent as JSON.
        """
        whole = {"messages": list(messages), "tools": list(tools)}
        try:
            return cls(json.dumps(whole, ensure_ascii=False, sort_keys=True, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"the call cannot be sent as JSON ({error}).") from error

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages, in order."""
        return list(json.loads(self)["messages"])

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The definitions of tools."""
        return list(json.loads(self)["tools"])
