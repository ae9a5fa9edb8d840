"""What is read off a trained model at a test point: margin, log-odds, probability, loss.

A larger value speaks for the test point's label (`spexlens.lenses.score` has the one sign); a
larger `prediction` is a larger prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np

from spexlens.core.masks import FloatArray, IntArray
from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.score import NamedScore
from spexlens.trainers.absent_classes import LEAST_PROBABILITY
from spexlens.trainers.base import OutputKind, TrainingData

OfOutputs = Callable[[FloatArray, TrainingData], FloatArray]
"""From a trainer's outputs `(m, q, c)` and the data with the test points to values `(m, q)`."""
OfClasses = Callable[[FloatArray, IntArray], FloatArray]
"""From outputs `(m, q, c)` and the classes `(q,)` of the labels to values `(m, q)`."""


@dataclass(frozen=True)
class TrainingScore:
    """A score of trained models at test points.

    Attributes
    ----------
    name : str
        For instance "margin".
    readings : mapping
        How it is read off each kind of outputs that it can be read off.
    unit : mapping
        Of its values, where that is the trainer's own.
    stored : str, optional
        What a store knows it by; the name by default.
    """

    name: str
    readings: Mapping[OutputKind, OfOutputs]
    unit: Mapping[OutputKind, str] | None = None
    stored: str | None = None

    def resolve(self, output: OutputKind, data: TrainingData, /) -> ScoredOutputs:
        """Make the score of a trainer's outputs, for the labels of the test points; train nothing.

        Raises
        ------
        UnknownNameError
            For a regression, when it is a score of classes, or the other way round.
        InvalidInputError
            When it needs probabilities that the trainer does not give, or the test labels are no
            classes of the data.
        """
        if output not in self.readings:
            if output == "decisions" and "probabilities" in self.readings:
                raise InvalidInputError(
                    f"score {self.name!r} needs probabilities, which this trainer does not give; "
                    "use 'margin'."
                )
            raise _unknown(self.name, output)
        if output == "predictions":
            data.test_targets()
        else:
            data.test_codes()
        told = self.name if self.unit is None else f"{self.name}, in {self.unit[output]}"
        stored = self.stored or self.name
        return ScoredOutputs(self.name, told, stored, data, self.readings[output])


@dataclass(frozen=True, eq=False)
class ScoredOutputs:
    """A score of the outputs of one kind of trainer; `TrainingScore.resolve` makes one.

    Attributes
    ----------
    name, description : str
    stored : str
        What a store knows it by.
    data : TrainingData
        Holds the labels of the test points.
    reading : callable
    """

    name: str
    description: str
    stored: str
    data: TrainingData
    reading: OfOutputs

    def values(self, outputs: FloatArray, /) -> FloatArray:
        """Compute the score `(m, q)` of every subset and test point, of outputs `(m, q, c)`."""
        return self.reading(outputs, self.data)

    def identity(self) -> dict[str, Any]:
        """Tell its name; the test points are the data's."""
        return {"score": self.stored}


def find_training_score(name: str, output: OutputKind) -> TrainingScore:
    """Find a score by its name in `TRAINING_SCORES`; an error that lists those of such outputs."""
    if name not in TRAINING_SCORES:
        raise _unknown(name, output)
    return cast(TrainingScore, TRAINING_SCORES[name].make())


def _unknown(name: str, output: OutputKind) -> UnknownNameError:
    known = [name for name, row in TRAINING_SCORES.items() if output in row.make().readings]
    kind = "score of a regression" if output == "predictions" else "score"
    return UnknownNameError(kind, name, known)


# -- of classes ------------------------------------------------------------------------------------


def margin(outputs: FloatArray, codes: IntArray) -> FloatArray:
    """Subtract the largest other output from that of the label's class."""
    gap: FloatArray = _own(outputs, codes) - _others(outputs, codes).max(axis=2)
    return gap


def log_odds(log_probabilities: FloatArray, codes: IntArray) -> FloatArray:
    """Compute `log p - log (1 - p)` of the label's class, in nats."""
    odds: FloatArray = _own(log_probabilities, codes) - _log_sum(_others(log_probabilities, codes))
    return odds


def probability(log_probabilities: FloatArray, codes: IntArray) -> FloatArray:
    """Read the probability of the label's class."""
    share: FloatArray = np.exp(_own(log_probabilities, codes))
    return share


def _own(outputs: FloatArray, codes: IntArray) -> FloatArray:
    """Minus the cross-entropy, where the outputs are log-probabilities."""
    own: FloatArray = outputs[:, np.arange(len(codes)), codes]
    return own


def _others(outputs: FloatArray, codes: IntArray) -> FloatArray:
    others = outputs.copy()
    others[:, np.arange(len(codes)), codes] = -np.inf
    return others


def _log_sum(logits: FloatArray) -> FloatArray:
    top = logits.max(axis=2, keepdims=True)
    total: FloatArray = (top + np.log(np.exp(logits - top).sum(axis=2, keepdims=True)))[:, :, 0]
    return total


# -- of outputs ------------------------------------------------------------------------------------


def _as_they_are(score: OfClasses, outputs: FloatArray, data: TrainingData) -> FloatArray:
    return score(outputs, data.test_codes())


def _normalised(score: OfClasses, logits: FloatArray, data: TrainingData) -> FloatArray:
    return score(logits - _log_sum(logits)[:, :, None], data.test_codes())


def _logarithms(score: OfClasses, probabilities: FloatArray, data: TrainingData) -> FloatArray:
    clipped = np.maximum(probabilities, LEAST_PROBABILITY)
    return score(np.log(clipped / clipped.sum(axis=2, keepdims=True)), data.test_codes())


def _prediction(outputs: FloatArray, _: TrainingData) -> FloatArray:
    return outputs[:, :, 0]


def _minus_squared_error(outputs: FloatArray, data: TrainingData) -> FloatArray:
    error: FloatArray = -((outputs[:, :, 0] - data.test_targets()) ** 2)
    return error


def _of_logarithms(score: OfClasses) -> dict[OutputKind, OfOutputs]:
    return {"logits": partial(_normalised, score), "probabilities": partial(_logarithms, score)}


_UNITS: dict[OutputKind, str] = {
    "logits": "logits", "decisions": "decision values", "probabilities": "probabilities",
}  # fmt: skip
_MARGINS: dict[OutputKind, OfOutputs] = dict.fromkeys(_UNITS, partial(_as_they_are, margin))
_PROBABILITIES = _of_logarithms(probability) | {"probabilities": partial(_as_they_are, _own)}
_LOSSES: dict[OutputKind, OfOutputs] = {**_of_logarithms(_own), "predictions": _minus_squared_error}

TRAINING_SCORES: Table[NamedScore] = Table("score", (
    NamedScore(
        "margin", "output of the label's class minus the largest other, in the trainer's own unit",
        partial(TrainingScore, "margin", _MARGINS, _UNITS),
    ),
    NamedScore(
        "log_odds", "log p - log (1 - p) of the label",
        partial(TrainingScore, "log_odds", _of_logarithms(log_odds)),
    ),
    NamedScore(
        "probability", "p of the label", partial(TrainingScore, "probability", _PROBABILITIES)
    ),
    NamedScore(
        "prediction", "the prediction of a regression",
        partial(TrainingScore, "prediction", {"predictions": _prediction}),
    ),
    NamedScore(
        "loss", "- cross-entropy of the label, or - squared error of a regression",
        partial(TrainingScore, "loss", _LOSSES, stored="- loss"),
    ),
))  # fmt: skip
"""Scores of trained models by name; which a trainer allows depends on its outputs."""
