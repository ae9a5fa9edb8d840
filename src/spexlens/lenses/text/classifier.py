"""The subject that reads texts with a classifier: class margins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.game import identity_of
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import FloatArray, IntArray
from spexlens.core.slopes import Slopes, TokenSlopes, cotangent
from spexlens.errors import InvalidInputError, NoDerivativeError, UnknownNameError
from spexlens.lenses.text.scores import spans_of_tokens
from spexlens.models.base import Classifier, DifferentiableClassifier


@dataclass(frozen=True)
class ClassMargin:
    """Logit of one class minus that of another, or minus log-sum-exp of all others.

    The second is the log-odds of the class, which has no ceiling and, with two classes, equals the
    first. Where outputs are no alternatives (the one of a reward or regression model; those of a
    classifier that gives several classes at once, whose logit is its log-odds), it is the output.

    Parameters
    ----------
    label : str
    against : str, optional
        All other classes by default.
    """

    label: str
    against: str | None = None

    def resolve(self, labels: Sequence[str], independent: bool = False, /) -> LabelOdds:
        """Find the columns of the classes among `labels` (k,), alternatives unless `independent`.

        Raises
        ------
        UnknownNameError
            For a class that the model does not have.
        InvalidInputError
            For a class compared with itself.

        Examples
        --------
        >>> margin = ClassMargin("b", "a").resolve(["a", "b", "c"])
        >>> margin.values(np.array([[1.0, 3.0, 0.0]])).tolist()
        [2.0]
        """
        for label in (self.label, self.against):
            if label is not None and label not in labels:
                raise UnknownNameError("class", label, list(labels))
        if self.against == self.label:
            raise InvalidInputError(f"the class {self.label!r} was compared with itself.")
        own = list(labels).index(self.label)
        if self.against is None and (independent or len(labels) == 1):
            return LabelOdds(own, (), f"output {self.label!r}")
        if self.against is None:
            others, told = tuple(i for i in range(len(labels)) if i != own), "the others"
        else:
            others, told = (list(labels).index(self.against),), repr(self.against)
        return LabelOdds(own, others, f"logit({self.label!r}) - logit of {told}")


@dataclass(frozen=True)
class LabelOdds:
    """Logit of one class minus log-sum-exp of the logits of some others.

    Attributes
    ----------
    column : int
    others : tuple of int
        Nothing is subtracted where there are none.
    description : str
    """

    column: int
    others: tuple[int, ...]
    description: str

    def values(self, logits: FloatArray, /) -> FloatArray:
        """Compute margins `(m,)` of class logits `(m, k)`."""
        if not self.others:
            return logits[:, self.column]
        others = logits[:, list(self.others)]
        top = others.max(axis=1)
        rest = top + np.log(np.exp(others - top[:, None]).sum(axis=1))
        margin: FloatArray = logits[:, self.column] - rest
        return margin

    def identity(self) -> dict[str, Any]:
        """Tell the classes; which columns they are is the model's."""
        return {"score": self.description}


@dataclass(frozen=True, eq=False)
class ScoredClassifier:
    """The subject made of a classifier and a margin."""

    model: Classifier
    score: LabelOdds

    @property
    def needs(self) -> Needs:
        """Edited texts."""
        return Needs({"inputs": ()})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure the margin `(m,)` of every edited input."""
        (inputs,) = self.needs.take(interventions, self)
        return self.score.values(self.model.class_logits(inputs))

    @property
    def sensitivity_cost(self) -> int:
        """Three ablations: a pass forward and one back; 0 for a model that tells no derivatives."""
        return 3 if isinstance(self.model, DifferentiableClassifier) else 0

    def sensitivities(self, interventions: Interventions, /) -> Slopes:
        """Differentiate by a factor 1 on the embedding of every token.

        Raises
        ------
        NoDerivativeError
            For a model without derivatives, or that autograd cannot pass through.
        """
        (inputs,) = self.needs.take(interventions, self)
        if not isinstance(self.model, DifferentiableClassifier):
            raise NoDerivativeError(
                f"{self.model.name} is a {type(self.model).__name__}, which tells logits and no "
                "derivatives; needed a classifier that runs here. Leave gradients out, or give 0."
            )
        model, score = self.model, self.score
        found = model.slopes(inputs, lambda logits: cotangent(score.values, logits))
        return Slopes(
            inputs=tuple(
                TokenSlopes(spans_of_tokens(model, text, len(row)), row)
                for text, row in zip(inputs, found, strict=True)
            )
        )

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell model and score; nothing is run."""
        return {"model": self.model.name, "score": self.score.description}

    def tokens(self, interventions: Interventions, /) -> IntArray:
        """Count the tokens `(m,)` of every edited input."""
        (inputs,) = self.needs.take(interventions, self)
        return self.model.count_tokens(inputs)

    def identity(self) -> dict[str, Any]:
        """Gather what the model and the score say of themselves."""
        return {"model": identity_of(self.model), **self.score.identity()}
