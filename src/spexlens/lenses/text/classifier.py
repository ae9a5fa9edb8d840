"""The subject that reads texts with a classifier: class margins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.game import identity_of
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import FloatArray, IntArray
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.models.base import Classifier


@dataclass(frozen=True)
class ClassMargin:
    """Logit of one class minus that of another, or minus log-sum-exp of all others.

    The second is the log-odds of the class, which has no ceiling and, with two classes, equals the
    first.

    Parameters
    ----------
    label : str
    against : str, optional
        All other classes by default.
    """

    label: str
    against: str | None = None

    @property
    def description(self) -> str:
        """For people."""
        other = "the others" if self.against is None else repr(self.against)
        return f"logit({self.label!r}) - logit of {other}"

    def values(self, logits: FloatArray, labels: Sequence[str]) -> FloatArray:
        """Margins `(m,)` of logits `(m, k)`.

        Raises
        ------
        UnknownNameError
            For a class that the model does not have.

        Examples
        --------
        >>> ClassMargin("b", "a").values(np.array([[1.0, 3.0, 0.0]]), ["a", "b", "c"]).tolist()
        [2.0]
        """
        own = self._column(self.label, labels)
        if self.against is not None:
            difference: FloatArray = logits[:, own] - logits[:, self._column(self.against, labels)]
            return difference
        others = np.delete(logits, own, axis=1)
        top = others.max(axis=1)
        rest = top + np.log(np.exp(others - top[:, None]).sum(axis=1))
        margin: FloatArray = logits[:, own] - rest
        return margin

    def check(self, labels: Sequence[str]) -> None:
        """An error unless the classes exist and differ."""
        own = self._column(self.label, labels)
        if self.against is not None and self._column(self.against, labels) == own:
            raise InvalidInputError(f"the class {self.label!r} was compared with itself.")
        if len(labels) < 2:
            raise InvalidInputError(f"the model has the one class {self.label!r}; needed two.")

    def _column(self, label: str, labels: Sequence[str]) -> int:
        if label not in labels:
            raise UnknownNameError("class", label, list(labels))
        return list(labels).index(label)


@dataclass(frozen=True, eq=False)
class ScoredClassifier:
    """The subject made of a classifier and a margin."""

    model: Classifier
    score: ClassMargin

    @property
    def needs(self) -> Needs:
        """Edited texts."""
        return Needs({"inputs": ()})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """The margin `(m,)` of every edited input."""
        (inputs,) = self.needs.take(interventions, "ScoredClassifier")
        return self.score.values(self.model.class_logits(inputs), self.model.labels)

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Model, score and tokens; nothing is run."""
        return {
            "model": self.model.name,
            "score": self.score.description,
            "tokens": int(self.tokens(interventions).sum()),
        }

    def tokens(self, interventions: Interventions, /) -> IntArray:
        """Tokens `(m,)` of every edited input."""
        (inputs,) = self.needs.take(interventions, "ScoredClassifier")
        return self.model.count_tokens(inputs)

    def identity(self) -> dict[str, Any]:
        """What the model and the score say of themselves."""
        return {"model": identity_of(self.model), "score": self.score.description}
