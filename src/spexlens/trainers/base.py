"""What every trainer is given and returns, and the contract between them.

A trainer is a frozen bag of hyper-parameters. `prepare` does once what all subsets share (a full
fit to start from, a Gram matrix, distances); the `Retrainer` it returns then trains on any subsets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks, read_only
from spexlens.errors import InvalidInputError

OutputKind = Literal["logits", "probabilities", "decisions", "predictions"]
"""What a trainer's outputs mean, which decides what scores can be read off them.

logits: their softmax are probabilities. probabilities: of the classes. decisions: larger is more
likely, without a scale. predictions: one real number, the label of a regression.
"""

Task = Literal["classification", "regression"]

_BLOCK_NUMBERS = 2**23  # of features that are checked at a time


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Examples to train on and test points to explain.

    Parameters
    ----------
    features : float array (N, d)
        May be a `numpy.memmap`: it is then read in blocks and never copied as a whole, first to
        look for NaN.
    labels : sequence (N,)
        Classes (all strings, or all whole numbers, or all bools), or real numbers for a regression.
    test_features : float array (q, d)
    test_labels : sequence (q,)
        Each of the classes must occur among `labels`.

    Attributes
    ----------
    classes : array (c,)
        The distinct labels in ascending order.

    Raises
    ------
    InvalidInputError
        For shapes that do not fit, NaN or infinite features, or labels of mixed types.

    Examples
    --------
    >>> data = TrainingData([[0.0], [1.0], [2.0]], ["no", "no", "yes"], [[1.5]], ["yes"])
    >>> data.classes.tolist(), data.codes().tolist(), data.test_codes().tolist()
    (['no', 'yes'], [0, 0, 1], [1])
    """

    features: NDArray[Any]
    labels: NDArray[Any]
    test_features: FloatArray
    test_labels: NDArray[Any]
    classes: NDArray[Any] = field(init=False)

    def __post_init__(self) -> None:
        features = _as_features(self.features, "features")
        test = _as_features(self.test_features, "test_features").astype(np.float64)
        labels = _as_labels(self.labels, "labels", len(features))
        test_labels = _as_labels(self.test_labels, "test_labels", len(test))
        if test.shape[1] != features.shape[1]:
            raise InvalidInputError(
                f"test_features have {test.shape[1]} columns and features {features.shape[1]}; "
                "needed the same features for both."
            )
        if (labels.dtype.kind == "U") != (test_labels.dtype.kind == "U"):
            raise InvalidInputError(
                f"labels are {labels.dtype} and test_labels {test_labels.dtype}; needed the same "
                "type for both, all strings or all numbers."
            )
        for name, array in (
            ("features", features),
            ("labels", labels),
            ("test_features", test),
            ("test_labels", test_labels),
            ("classes", np.unique(labels)),
        ):
            object.__setattr__(self, name, read_only(array))

    @property
    def count(self) -> int:
        """Number N of training examples."""
        return len(self.features)

    def codes(self) -> IntArray:
        """Read the class number of every example, `(N,)`; an error where labels are no classes."""
        self._check_classes()
        codes: IntArray = np.searchsorted(self.classes, self.labels)
        return codes

    def test_codes(self) -> IntArray:
        """Read the class number of every test point, `(q,)`."""
        self._check_classes()
        known = np.isin(self.test_labels, self.classes)
        if not known.all():
            raise InvalidInputError(
                f"test label {self.test_labels[~known].tolist()[0]!r} occurs in no training "
                f"example; known classes: {', '.join(map(repr, self.classes.tolist()[:10]))}."
            )
        codes: IntArray = np.searchsorted(self.classes, self.test_labels)
        return codes

    def class_counts(self, subsets: BoolArray) -> IntArray:
        """Count how many examples of every class each of the subsets `(m, N)` keeps, `(m, c)`."""
        one_hot = self.codes()[:, None] == np.arange(len(self.classes))
        kept = subsets.astype(np.float32) @ one_hot.astype(np.float32)
        counts: IntArray = np.rint(kept).astype(np.int64)
        return counts

    def targets(self, task: Task) -> FloatArray:
        """Give regression targets `(N, 1)`; for classes +1 and -1, a column each (one for two)."""
        if task == "classification":
            codes = self.codes()
            columns = [1] if len(self.classes) == 2 else range(len(self.classes))
            return np.where(codes[:, None] == np.array(columns), 1.0, -1.0)
        self._check_numbers(self.labels)
        return self.labels.astype(np.float64)[:, None]

    def test_targets(self) -> FloatArray:
        """Give labels of the test points as real numbers, `(q,)`."""
        self._check_numbers(self.test_labels)
        return self.test_labels.astype(np.float64)

    def identity(self) -> dict[str, str]:
        """Hash all features and labels, for a store's key."""
        digest = hashlib.sha256()
        for array in (self.features, self.labels, self.test_features, self.test_labels):
            digest.update(f"{array.dtype}{array.shape}".encode())
            for start in range(0, len(array), 10_000):
                digest.update(np.ascontiguousarray(array[start : start + 10_000]).tobytes())
        return {"data": digest.hexdigest()}

    def _check_classes(self) -> None:
        if self.labels.dtype.kind == "f" and np.any(self.labels != np.rint(self.labels)):
            raise InvalidInputError(
                "the labels are real numbers, not classes; needed whole numbers or strings for a "
                "classifier. Use a trainer with task='regression'."
            )
        if len(self.classes) < 2:
            raise InvalidInputError(
                f"all {self.count} examples have the label {self.classes.tolist()[0]!r}; needed at "
                "least two classes."
            )

    @staticmethod
    def _check_numbers(labels: NDArray[Any]) -> None:
        if labels.dtype.kind == "U":
            raise InvalidInputError(
                "the labels are strings; a regression needs numbers. Use task='classification'."
            )


@dataclass(frozen=True, eq=False)
class Trained:
    """Outputs on the test points of the models trained on m subsets.

    Attributes
    ----------
    outputs : float array (m, q, c)
        One number a class, as the trainer's `output` says; c = 1 for a regression.
    converged : bool array (m,)
        Whether the optimisation reached its tolerance; closed forms always do.
    """

    outputs: FloatArray
    converged: BoolArray


class Retrainer(Protocol):
    """A trainer with its data: trains on subsets."""

    def train(self, subsets: BoolArray, seed: int, /) -> Trained:
        """Train models on each of the subsets `(m, N)`; `seed` is for trainers that need one."""
        ...


@runtime_checkable
class DifferentiableRetrainer(Retrainer, Protocol):
    """A retrainer that knows how its outputs change with every example's weight in the loss.

    A weight is 1 where the example is kept and 0 elsewhere: influence functions at any subset.
    """

    @property
    def slope_cost(self) -> int:
        """Retrainings that the derivatives at one subset count as, at most."""
        ...

    def pulled(self, subsets: BoolArray, cotangents: FloatArray, seed: int, /) -> FloatArray:
        """Differentiate what is read off the outputs by every example's weight, `(m, N)`.

        Parameters
        ----------
        subsets : bool array (m, N)
        cotangents : float array (m, q, c)
            Derivatives of what is read by the outputs of `train(subsets, seed)`.
        seed : int

        Returns
        -------
        float array (m, N)
            NaN for a subset without a unique optimum.
        """
        ...


class Trainer(Protocol):
    """A frozen dataclass of hyper-parameters of one learning algorithm."""

    @property
    def output(self) -> OutputKind:
        """What the outputs mean."""
        ...

    @property
    def random(self) -> bool:
        """Whether a fit depends on its seed."""
        ...

    def prepare(self, data: TrainingData, /) -> Retrainer:
        """Do what all subsets share, and check that the data suit the trainer."""
        ...

    def identity(self) -> dict[str, Any]:
        """Give JSON-able facts that decide a fit, for a store's key."""
        ...


def as_subsets(subsets: Any, count: int) -> BoolArray:
    """Check subsets `(m, N)` of N training examples, as masks are checked."""
    return as_masks(subsets, count)


def check_positive(**values: float) -> None:
    """Raise an error that names the first hyper-parameter that is not a positive number."""
    for name, value in values.items():
        if not value > 0:
            raise InvalidInputError(f"{name} = {value} given; needed a number above 0.")


def both_columns(decisions: FloatArray) -> FloatArray:
    """Write a column `(m, q, 1)` for the second of two classes as two columns `(m, q, 2)`."""
    if decisions.shape[2] > 1:
        return decisions
    return np.concatenate([-decisions, decisions], axis=2)


def one_column(cotangents: FloatArray, columns: int) -> FloatArray:
    """Take derivatives `(m, q, c)` back through `both_columns` to those by its argument."""
    if columns > 1 or cotangents.shape[2] == 1:
        return cotangents
    return cotangents[:, :, 1:] - cotangents[:, :, :1]


def _as_features(features: Any, name: str) -> NDArray[Any]:
    array = features if isinstance(features, np.memmap) else np.asarray(features)
    if array.ndim != 2 or array.dtype.kind not in "fiub" or 0 in array.shape:
        raise InvalidInputError(
            f"{name} have shape {array.shape} and dtype {array.dtype}; needed real numbers "
            "(examples, features), at least one of each."
        )
    if not isinstance(array, np.memmap):
        array = np.ascontiguousarray(array, dtype=np.float64)
    bad = _not_finite(array)
    if len(bad):
        raise InvalidInputError(
            f"{len(bad)} rows of {name} hold NaN or infinite numbers, the first is row {bad[0]}; "
            "drop or impute them."
        )
    return array


def _not_finite(array: NDArray[Any]) -> IntArray:
    """Rows with a NaN or infinite number; read in blocks."""
    size = max(1, _BLOCK_NUMBERS // array.shape[1])
    starts = range(0, len(array), size)
    finite = [np.isfinite(array[start : start + size]).all(axis=1) for start in starts]
    return np.flatnonzero(~np.concatenate(finite))


def _as_labels(labels: Sequence[Any] | NDArray[Any], name: str, count: int) -> NDArray[Any]:
    given = list(labels.tolist() if isinstance(labels, np.ndarray) else labels)
    kinds = {"string" if isinstance(x, str) else type(x).__name__ for x in given if x is not None}
    kinds = {"number" if kind in ("int", "float") else kind for kind in kinds}
    array = np.asarray(given) if len(kinds) == 1 else np.zeros(0, dtype=object)
    if len(kinds) != 1 or None in given or array.dtype.kind not in "Uifub" or array.ndim != 1:
        raise InvalidInputError(
            f"{name} hold values of types {sorted(kinds)}{' and None' if None in given else ''}; "
            "needed all strings, all numbers or all bools: mixed ones would be sorted by chance."
        )
    if len(array) != count:
        raise InvalidInputError(f"{len(array)} {name} given for {count} rows of features.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidInputError(f"{name} hold NaN or infinite numbers; drop these examples.")
    return array
