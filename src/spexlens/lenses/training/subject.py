"""The subject of the training-data lens: retrains, scores, and counts what went wrong."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spexlens._support.cores import held_threads
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.core.slopes import Slopes, cotangent
from spexlens.errors import NoDerivativeError, SpexlensWarning
from spexlens.lenses.training.scores import ScoredOutputs
from spexlens.trainers.base import DifferentiableRetrainer, Retrainer, Trainer, TrainingData


@dataclass(frozen=True, eq=False)
class Retraining:
    """Scores of m subsets, and what to doubt about each.

    Attributes
    ----------
    values : float array (m, q)
        Averaged over seeds.
    variance : float array (m, q), optional
        Sample variance over seeds, where there are several.
    converged : bool array (m,)
        For every seed.
    absent : int array (m,)
        Number of classes that no kept example has; 0 in a regression.
    empty : bool array (m,)
    """

    values: FloatArray
    variance: FloatArray | None
    converged: BoolArray
    absent: IntArray
    empty: BoolArray


@dataclass
class Tally:
    """Counts over all subsets that a subject has trained; the one thing here that changes.

    Attributes
    ----------
    subsets, empty, class_absent, not_converged : int
    noise : float
        Standard deviation of a value (an average over the seeds) due to the seeds; NaN when there
        is only one seed.
    """

    subsets: int = 0
    empty: int = 0
    class_absent: int = 0
    not_converged: int = 0
    _variance: float = 0.0
    _variances: int = 0
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    @property
    def noise(self) -> float:
        """See the class."""
        return float(np.sqrt(self._variance / self._variances)) if self._variances else np.nan

    def add(self, retraining: Retraining, seeds: int) -> list[str]:
        """Count; what is seen for the first time is returned, for a warning."""
        news = {
            "empty": int(retraining.empty.sum()),
            "class_absent": int(np.sum((retraining.absent > 0) & ~retraining.empty)),
            "not_converged": int(np.sum(~retraining.converged)),
        }
        with self._lock:
            first = [
                name
                for name, count in news.items()
                if getattr(self, name) <= _TOLERATED[name] < getattr(self, name) + count
            ]
            self.subsets += len(retraining.values)
            self.empty += news["empty"]
            self.class_absent += news["class_absent"]
            self.not_converged += news["not_converged"]
            if retraining.variance is not None:
                self._variance += float(retraining.variance.sum()) / seeds
                self._variances += retraining.variance.size
        return [_TOLD[name].format(count=news[name], of=len(retraining.values)) for name in first]

    def notes(self) -> tuple[str, ...]:
        """Tell the counts as a sentence, where one of them gives reason to doubt values."""
        counts = {name: getattr(self, name) for name in _TOLERATED}
        told = any(count > _TOLERATED[name] for name, count in counts.items())
        return (f"{self}.",) if told or self._variances else ()

    def __str__(self) -> str:
        parts = [f"{self.subsets} subsets trained"]
        parts += [f"{self.empty} empty"] if self.empty else []
        parts += [f"{self.class_absent} lacked a class"] if self.class_absent else []
        parts += [f"{self.not_converged} did not converge"] if self.not_converged else []
        parts += [f"training noise {self.noise:.3g} (sd of a value)"] if self._variances else []
        return ", ".join(parts)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


_TOLERATED = {"empty": 1, "class_absent": 0, "not_converged": 0}  # one empty mask is asked for
_TOLD = {
    "empty": (
        "{count} of {of} subsets keep no training example: every class then has the same "
        "probability, and a regression predicts 0."
    ),
    "class_absent": (
        "in {count} of {of} subsets a class has no example left. A fitted classifier gives it "
        "Laplace's probability 1 / (examples + classes), neighbours and networks what they learn "
        "without it. Such values are far from the others: keep more players (p), pin some examples "
        "of each class, or group them."
    ),
    "not_converged": (
        "{count} of {of} trainings did not converge; their values are used as they are. Raise the "
        "trainer's number of steps or its penalty."
    ),
}


@dataclass(frozen=True, eq=False)
class TrainingSubject:
    """Trains on subsets and scores the test points.

    Attributes
    ----------
    trainer : Trainer
    data : TrainingData
    retrainer : Retrainer
        What `trainer.prepare(data)` returned.
    score : ScoredOutputs
        For the test points of the data.
    seeds : tuple of int
        Trained once for each, scores averaged.
    tally : Tally
        Counts of empty subsets, vanished classes and failed convergence so far. The first of each
        kind (the second empty one: the empty mask is a common baseline) is a `SpexlensWarning`.
    """

    trainer: Trainer
    data: TrainingData
    retrainer: Retrainer
    score: ScoredOutputs
    seeds: tuple[int, ...] = (0,)
    tally: Tally = field(default_factory=Tally)

    def retrain(self, subsets: BoolArray) -> Retraining:
        """Train on the subsets `(m, N)` and score; counts and warns of nothing."""
        values, converged = [], np.ones(len(subsets), dtype=bool)
        for seed in self.seeds:
            with held_threads(self.data.count):
                trained = self.retrainer.train(subsets, seed)
            converged &= trained.converged
            values.append(self.score.values(trained.outputs))
        several = np.stack(values)
        absent = np.zeros(len(subsets), dtype=np.int64)
        if self.trainer.output != "predictions":
            absent = np.sum(self.data.class_counts(subsets) == 0, axis=1)
        return Retraining(
            several.mean(axis=0),
            several.var(axis=0, ddof=1) if len(self.seeds) > 1 else None,
            converged,
            absent,
            np.asarray(~subsets.any(axis=1)),
        )

    @property
    def needs(self) -> Needs:
        """Subsets of the examples."""
        return Needs({"subsets": (self.data.count,)})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure values `(m,)` for one test point, else `(m, q)`."""
        (subsets,) = self.needs.take(interventions, self)
        retraining = self.retrain(subsets)
        for message in self.tally.add(retraining, len(self.seeds)):
            warnings.warn(message, SpexlensWarning, stacklevel=2)
        values = retraining.values
        return values[:, 0] if values.shape[1] == 1 else values

    @property
    def sensitivity_cost(self) -> int:
        """Retrainings that the derivatives at one subset count as; 0 of trainers without."""
        retrainer = self.retrainer
        return retrainer.slope_cost if isinstance(retrainer, DifferentiableRetrainer) else 0

    def sensitivities(self, interventions: Interventions, /) -> Slopes:
        """Differentiate the first test point's score by every example's weight: influence.

        Raises
        ------
        NoDerivativeError
            For a trainer whose fits change by jumps, or that does not tell.
        """
        (subsets,) = self.needs.take(interventions, self)
        if not isinstance(self.retrainer, DifferentiableRetrainer):
            raise NoDerivativeError(
                f"the trainer {type(self.trainer).__name__} tells no derivatives by the weights "
                "of examples; KernelRidge, Ridge, Logistic and Network do. Leave gradients out, "
                "or give 0."
            )
        found = np.zeros(subsets.shape)
        for seed in self.seeds:
            outputs = self.retrainer.train(subsets, seed).outputs

            def score(read: FloatArray, outputs: FloatArray = outputs) -> FloatArray:
                moved = outputs.copy()
                moved[:, 0] = read
                return self.score.values(moved)

            asked = np.zeros(outputs.shape)
            asked[:, 0] = cotangent(score, outputs[:, 0])
            found += self.retrainer.pulled(subsets, asked, seed)
        return Slopes(subsets=found / len(self.seeds))

    def notes(self) -> tuple[str, ...]:
        """Tell what the tally gives reason to doubt."""
        return self.tally.notes()

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell trainer, score and sizes of the data."""
        (subsets,) = self.needs.take(interventions, self)
        return {
            "model": str(self.trainer.identity()["trainer"]),
            "score": self.score.description,
            "examples": self.data.count,
            "features": int(self.data.features.shape[1]),
            "test points": len(self.data.test_labels),
            "fits an ablation": len(self.seeds),
            "trained on": int(subsets.sum(axis=1).max()),
        }

    def identity(self) -> dict[str, Any]:
        """Give JSON-able facts that decide the values, for a store's key."""
        return {
            **self.trainer.identity(),
            **self.data.identity(),
            **self.score.identity(),
            "seeds": list(self.seeds) if self.trainer.random else [],
        }
