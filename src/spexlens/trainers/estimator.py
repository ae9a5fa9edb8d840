"""Any scikit-learn estimator as a trainer: cloned and fitted for each subset, in processes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError
from spexlens.trainers.absent_classes import LEAST_PROBABILITY, fill_absent
from spexlens.trainers.base import OutputKind, Trained, TrainingData, as_subsets

_METHODS: dict[OutputKind, str] = {
    "logits": "predict_proba",
    "probabilities": "predict_proba",
    "decisions": "decision_function",
    "predictions": "predict",
}


_LINKED = ("predict_proba", "decision_function")


@runtime_checkable
class SklearnEstimator(Protocol):
    """What is asked of an estimator besides its method for the outputs."""

    def fit(self, X: Any, y: Any, /) -> Any:
        """Fit."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Give the hyper-parameters by name."""
        ...


@dataclass(frozen=True)
class Estimator:
    """A classifier or regressor with scikit-learn's interface; pipelines too.

    Every `random_state` that is None is set to the seed, so a fit can be repeated; averaging over
    seeds is the lens's. A class that a subset does not hold gets its probability from Laplace's
    rule (`trainers.absent_classes`) or the decision -1. A subset of a single class is not fitted,
    nor an empty one, whose predictions are 0.

    Parameters
    ----------
    estimator : scikit-learn estimator
        Never fitted itself.
    output : {"logits", "probabilities", "decisions", "predictions"}, optional
        By default predictions for a regressor, logits for a classifier with a decision function
        besides its probabilities, else probabilities. Logits are that function where it is the
        logit of the probabilities, as in `LogisticRegression`, else their logarithms.
    jobs : int, default 1
        Processes; -1 uses all cores.

    Raises
    ------
    InvalidInputError
        Where the estimator lacks the method for `output`.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> data = TrainingData([[0.0], [1.0], [2.0]], [0, 0, 1], [[2.0]], [1])
    >>> retrainer = Estimator(DecisionTreeClassifier()).prepare(data)
    >>> retrainer.train(np.array([[True, True, True]]), 0).outputs.tolist()
    [[[0.0, 1.0]]]
    """

    estimator: SklearnEstimator
    output: OutputKind
    jobs: int

    def __init__(
        self, estimator: SklearnEstimator, output: OutputKind | None = None, jobs: int = 1
    ) -> None:
        from sklearn.base import is_regressor

        if isinstance(estimator, type) or not isinstance(estimator, SklearnEstimator):
            raise InvalidInputError(
                f"estimator = {estimator!r} given; needed an instance with scikit-learn's "
                "interface, such as LogisticRegression()."
            )
        if output is None:
            output = "predictions" if is_regressor(estimator) else "probabilities"
            if all(callable(getattr(estimator, name, None)) for name in _LINKED):
                output = "logits"
        if output not in _METHODS:
            raise InvalidInputError(
                f"output = {output!r} given; needed one of {', '.join(_METHODS)}."
            )
        if not callable(getattr(estimator, _METHODS[output], None)):
            raise InvalidInputError(
                f"{type(estimator).__name__} has no {_METHODS[output]}(), which output={output!r} "
                f"needs; choose another of {', '.join(map(repr, _METHODS))}."
            )
        object.__setattr__(self, "estimator", estimator)
        object.__setattr__(self, "output", output)
        object.__setattr__(self, "jobs", jobs)

    @property
    def random(self) -> bool:
        """Whether some `random_state` is left open."""
        return bool(self._open_states())

    def prepare(self, data: TrainingData) -> EstimatorRetrainer:
        """Check the labels; a loop of fits shares nothing else."""
        labels = data.targets("regression")[:, 0] if self.output == "predictions" else data.codes()
        return EstimatorRetrainer(self, data, labels)

    def identity(self) -> dict[str, Any]:
        """Tell the class and hyper-parameters, nested ones too."""
        kind = type(self.estimator)
        parameters = {
            name: value if isinstance(value, bool | int | float | str | None) else repr(value)
            for name, value in sorted(self.estimator.get_params().items())
        }
        name = f"{kind.__module__}.{kind.__qualname__}"
        return {"trainer": "estimator", "class": name, "output": self.output, **parameters}

    def _open_states(self) -> list[str]:
        parameters = self.estimator.get_params()
        return [
            name
            for name, value in parameters.items()
            if name.rpartition("__")[2] == "random_state" and value is None
        ]

    def fit_one(
        self, features: NDArray[Any], labels: NDArray[Any], test: FloatArray, seed: int
    ) -> tuple[NDArray[Any], bool]:
        """Fit one clone to the given examples: its outputs, and whether it converged."""
        from sklearn.base import clone
        from sklearn.exceptions import ConvergenceWarning

        model: Any = clone(self.estimator)
        model.set_params(**dict.fromkeys(self._open_states(), seed))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(features, labels)
            outputs = np.asarray(getattr(model, _METHODS[self.output])(test), dtype=np.float64)
            if self.output == "logits":
                outputs = _logits(outputs, model, test)
        converged = True
        for warning in caught:
            if issubclass(warning.category, ConvergenceWarning):
                converged = False
            else:
                warnings.warn(warning.message, warning.category, stacklevel=2)
        return outputs, converged


@dataclass(frozen=True, eq=False)
class EstimatorRetrainer:
    """An estimator with its data; labels `(N,)` are class numbers or real numbers."""

    trainer: Estimator
    data: TrainingData
    labels: NDArray[Any]

    def train(self, subsets: BoolArray, seed: int) -> Trained:
        """Fit once for each of the subsets `(m, N)` that holds two classes."""
        from sklearn.utils.parallel import Parallel, delayed

        subsets = as_subsets(subsets, self.data.count)
        regression = self.trainer.output == "predictions"
        if regression:
            fitted = subsets.any(axis=1)
            outputs = np.zeros((len(subsets), len(self.data.test_features), 1))
        else:
            counts = self.data.class_counts(subsets)
            fitted = (counts > 0).sum(axis=1) > 1
            absent = -1.0 if self.trainer.output == "decisions" else 0.0
            present = np.where(counts > 0, 1.0, absent)
            outputs = np.repeat(present[:, None, :], len(self.data.test_features), axis=1)
            outputs[~subsets.any(axis=1)] = 0
        rows = np.flatnonzero(fitted)
        results = Parallel(n_jobs=self.trainer.jobs)(
            delayed(self.trainer.fit_one)(
                self.data.features[subsets[row]],
                self.labels[subsets[row]],
                self.data.test_features,
                seed,
            )
            for row in rows
        )
        converged = np.ones(len(subsets), dtype=bool)
        for row, (part, done) in zip(rows, results, strict=True):
            converged[row] = done
            columns = [0] if regression else np.flatnonzero(counts[row])
            outputs[row][:, columns] = _columns(part, len(columns))
        if self.trainer.output == "logits":
            outputs = fill_absent(outputs, counts)
        elif self.trainer.output == "probabilities":
            with np.errstate(divide="ignore"):
                logits = fill_absent(np.log(outputs), counts)
            outputs = np.exp(logits)
            outputs /= outputs.sum(axis=2, keepdims=True)
        return Trained(outputs, converged)


def _logits(probabilities: FloatArray, model: Any, test: FloatArray) -> FloatArray:
    """Write probabilities `(q, c)` as logits: by the decision function where these are its."""
    if callable(getattr(model, "decision_function", None)):
        decisions = np.asarray(model.decision_function(test), dtype=np.float64)
        if decisions.ndim == 1:
            decisions = np.stack([np.zeros(len(decisions)), decisions], axis=1)
        shifted = np.exp(decisions - decisions.max(axis=1, keepdims=True))
        softmax = shifted / shifted.sum(axis=1, keepdims=True)
        if decisions.shape == probabilities.shape and np.allclose(softmax, probabilities):
            return decisions
    return np.log(np.maximum(probabilities, LEAST_PROBABILITY))


def _columns(part: NDArray[Any], classes: int) -> FloatArray:
    """Give the outputs of one fit a column a class; a two-class decision `(q,)` becomes two."""
    if part.ndim == 2:
        return part
    return part[:, None] if classes == 1 else np.column_stack([-part, part])
