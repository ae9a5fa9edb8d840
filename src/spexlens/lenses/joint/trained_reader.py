"""The subject of joint games in which training examples are players: train, then read a text.

The text may be edited and the reading gated, so that training examples, words of the test text and
heads of an encoder meet in one value.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from spexlens._support.cores import held_threads
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import FloatArray, IntArray, unique_masks
from spexlens.errors import InvalidInputError, SpexlensWarning
from spexlens.lenses.base import Sited
from spexlens.lenses.training.scores import ScoredOutputs, find_training_score
from spexlens.lenses.training.subject import Retraining, Tally
from spexlens.trainers.base import Trainer, TrainingData


class TextFeatures(Protocol):
    """Turns texts, each perhaps under gates of its own, into features.

    Features that can be gated say on which components in `sites` (`lenses.base.Sited`).
    """

    def __call__(self, texts: Sequence[str], gates: FloatArray | None, /) -> FloatArray:
        """Compute features `(m, d)` of texts `(m,)` under gates `(m, sites)`."""
        ...

    def identity(self) -> dict[str, Any]:
        """Tell what the features depend on."""
        ...


@dataclass(frozen=True, eq=False)
class TrainedReader:
    """Trains on a subset, then scores a text as it is read through the features.

    Equal subsets are trained on once a call, and equal readings made once: with a split-plot
    design most of the cost is what is cheap. The seed of a random trainer is 0.

    Parameters
    ----------
    trainer : Trainer
        Such as `spexlens.trainers.logistic.Logistic()`.
    data : TrainingData
        The examples; its test points are not used.
    features : TextFeatures
        The same that made `data.features`, all gates open.
    text : str
        What is read where no lens edits it.
    label : str or int
        The class that a larger value speaks for.
    score : str, default "margin"
        A key of `TRAINING_SCORES`.

    Attributes
    ----------
    tally : Tally
        What was trained so far; what deserves doubt is a `SpexlensWarning` when first seen.
    """

    trainer: Trainer
    data: TrainingData
    features: TextFeatures
    text: str
    label: Any
    score: str = "margin"
    tally: Tally = field(init=False, default_factory=Tally, repr=False)

    def __post_init__(self) -> None:
        if self.trainer.output == "predictions":
            raise InvalidInputError(
                f"the trainer {type(self.trainer).__name__} fits a regression; needed a classifier."
            )
        if self.label not in self.data.classes.tolist():
            raise InvalidInputError(
                f"label = {self.label!r} is none of the classes {self.data.classes.tolist()}."
            )
        self._scored(self._testing(self.data.test_features))  # an error for a score unknown

    @property
    def sites(self) -> Sequence[Any] | None:
        """The components that the features gate, where they say so."""
        return self.features.sites if isinstance(self.features, Sited) else None

    @property
    def needs(self) -> Needs:
        """Subsets of the examples; perhaps edited texts, and gates where the features have some."""
        optional: dict[str, tuple[int, ...]] = {"inputs": ()}
        if self.sites is not None:
            optional["gates"] = (len(self.sites),)
        return Needs({"subsets": (self.data.count,)}, optional)

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure every model trained on a subset: the score `(m,)` of its reading of the text."""
        (subsets,) = self.needs.take(interventions, self)
        readings, reading = self._readings(interventions)
        distinct, training = unique_masks(subsets)
        data = self._testing(readings)
        with held_threads(self.data.count):
            trained = self.trainer.prepare(data).train(distinct, 0)
        values = self._scored(data).values(trained.outputs)
        absent = np.sum(self.data.class_counts(distinct) == 0, axis=1)
        empty = np.asarray(~distinct.any(axis=1))
        retraining = Retraining(values, None, trained.converged, absent, empty)
        for message in self.tally.add(retraining, seeds=1):
            warnings.warn(message, SpexlensWarning, stacklevel=2)
        picked: FloatArray = values[training, reading]
        return picked

    def notes(self) -> tuple[str, ...]:
        """Tell what there is to doubt about the trainings so far."""
        return self.tally.notes()

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell trainer, score, and the examples; nothing is run."""
        self.needs.check(interventions, self)
        scored = self._scored(self._testing(self.data.test_features))
        return {
            "model": type(self.trainer).__name__,
            "score": f"{scored.description}, of {self.label!r}",
            "examples": self.data.count,
            "text": self.text,
        }

    def identity(self) -> dict[str, Any]:
        """Tell trainer, data, features, text, label and score."""
        return {
            "trainer": self.trainer.identity(),
            "data": self.data.identity(),
            "features": self.features.identity(),
            "text": self.text,
            "label": str(self.label),
            **self._scored(self._testing(self.data.test_features)).identity(),
        }

    def _readings(self, interventions: Interventions) -> tuple[FloatArray, IntArray]:
        """Features `(k, d)` of the distinct readings, and which of them each ablation has."""
        count = interventions.count
        texts = interventions.inputs or (self.text,) * count
        gates = interventions.gates
        keys = [
            (text, b"" if gates is None else gates[row].tobytes()) for row, text in enumerate(texts)
        ]
        first = {key: row for row, key in reversed(list(enumerate(keys)))}
        number = {key: place for place, key in enumerate(first)}
        rows = list(first.values())
        features = self.features(
            [texts[row] for row in rows], None if gates is None else gates[rows]
        )
        return features, np.array([number[key] for key in keys], dtype=np.int64)

    def _scored(self, data: TrainingData) -> ScoredOutputs:
        score = find_training_score(self.score, self.trainer.output)
        return score.resolve(self.trainer.output, data)

    def _testing(self, readings: FloatArray) -> TrainingData:
        """Replace the test points of the examples by the readings."""
        labels = np.full(len(readings), self.label)
        return replace(self.data, test_features=readings, test_labels=labels)
