"""Embeddings of texts that a server computes, by OpenAI's `/embeddings`."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.errors import EndpointError, EndpointUnavailableError
from spexlens.models.endpoint.api_key import Key, check_url
from spexlens.models.endpoint.line import Line
from spexlens.models.endpoint.retry import Ask, Failure, Pace, RetryPolicy, Tries, post_json

_MOST = 64_000_000  # bytes of an answer


@dataclass(frozen=True, eq=False)
class EndpointEmbeddings:
    """Embeds texts by a server: `embed(texts)` gives `(m, d)`, each of length 1.

    Parameters
    ----------
    base_url : str
        Up to and with the version, as in "http://localhost:8080/v1".
    model : str
    key_variable : str or None, default "OPENAI_API_KEY"
        See `Endpoint`.
    timeout : float, default 60
        Seconds.
    retries : RetryPolicy
    """

    base_url: str
    model: str
    key_variable: str | None = "OPENAI_API_KEY"
    timeout: float = 60.0
    retries: RetryPolicy = field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        check_url(self.base_url)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """Embed m texts, one request.

        Raises
        ------
        EndpointError
            When the server fails, refuses, or answers in another form.
        """
        url = self.base_url.rstrip("/")
        line = Line(url, Key(self.key_variable, url))
        ask = Ask(self.retries, Pace(), self.timeout, _MOST, threading.Event())
        body = {"model": self.model, "input": list(texts)}
        try:
            answer = post_json(line, "/embeddings", body, _vectors, ask, Tries())
        except (LookupError, TypeError, ValueError) as error:
            raise EndpointError(
                f"{url} answered a request for embeddings in another form than OpenAI's "
                f"/embeddings ({error}). Does {self.model!r} embed texts?"
            ) from error
        finally:
            line.close()
        if isinstance(answer, Failure):
            kind = EndpointUnavailableError if answer.passing else EndpointError
            told = f"{url} brought no embeddings of {self.model!r}: {answer.reason}"
            raise kind(told, status=answer.status)
        if len(answer) != len(texts):
            raise EndpointError(f"{url} gave {len(answer)} embeddings of {len(texts)} texts.")
        return answer


def _vectors(answer: Mapping[str, Any]) -> FloatArray:
    rows = sorted(answer["data"], key=lambda row: int(row["index"]))
    vectors = np.array([row["embedding"] for row in rows], dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if vectors.ndim != 2 or not np.isfinite(vectors).all() or not (lengths > 0).all():
        raise ValueError("no vectors of a length above 0")
    unit: FloatArray = vectors / lengths
    return unit
