"""k nearest neighbours on many subsets: one sorting serves all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.trainers.base import (
    OutputKind,
    Task,
    Trained,
    TrainingData,
    as_subsets,
    check_positive,
)

_CHUNK_NUMBERS = 2**23  # subsets x examples looked at at a time
_BLOCK_NUMBERS = 2**23  # numbers of a block of features


@dataclass(frozen=True)
class NearestNeighbours:
    """The vote, or mean label, of the k nearest kept examples in Euclidean distance.

    Equals `sklearn.neighbors.KNeighborsClassifier(neighbours)` (`KNeighborsRegressor`) where no
    distances tie; ties go to the earlier example. A subset of fewer examples lets all of them vote;
    an empty one gives every class the same probability, and predicts 0 in a regression.

    Parameters
    ----------
    neighbours : int, default 5
    task : {"classification", "regression"}

    Examples
    --------
    >>> data = TrainingData([[0.0], [1.0], [5.0]], ["a", "b", "b"], [[0.2]], ["a"])
    >>> trainer = NearestNeighbours(neighbours=1)
    >>> subsets = np.array([[True, True, True], [False, True, True]])
    >>> trainer.prepare(data).train(subsets, 0).outputs[:, 0].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    neighbours: int = 5
    task: Task = "classification"

    random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive(neighbours=self.neighbours)

    @property
    def output(self) -> OutputKind:
        """Probabilities (shares of the votes), or predictions."""
        return "predictions" if self.task == "regression" else "probabilities"

    def prepare(self, data: TrainingData) -> NearestNeighboursRetrainer:
        """Sort the examples by their distance to every test point."""
        order = np.stack([np.argsort(row, kind="stable") for row in _squared_distances(data)])
        if self.task == "regression":
            votes = data.targets("regression")
        else:
            votes = (data.codes()[:, None] == np.arange(len(data.classes))).astype(np.float64)
        return NearestNeighboursRetrainer(self, order, votes)

    def identity(self) -> dict[str, Any]:
        """Tell name and hyper-parameters."""
        return {"trainer": "nearest_neighbours", **asdict(self)}


@dataclass(frozen=True, eq=False)
class NearestNeighboursRetrainer:
    """Neighbours with their data: examples by distance `(q, N)`, and what each votes `(N, c)`."""

    trainer: NearestNeighbours
    order: IntArray
    votes: FloatArray

    def train(self, subsets: BoolArray, seed: int = 0) -> Trained:
        """Count the votes on all test points for all subsets `(m, N)`. The seed is not used."""
        subsets = as_subsets(subsets, len(self.votes))
        outputs = np.empty((len(subsets), len(self.order), self.votes.shape[1]))
        size = max(1, _CHUNK_NUMBERS // len(self.votes))
        for start in range(0, len(subsets), size):
            rows = slice(start, start + size)
            for point, order in enumerate(self.order):
                outputs[rows, point] = self._vote(subsets[rows][:, order], self.votes[order])
        return Trained(outputs, np.ones(len(subsets), dtype=bool))

    def _vote(self, kept: BoolArray, votes: FloatArray) -> FloatArray:
        rank = np.cumsum(kept, axis=1, dtype=np.int32)
        voting = kept & (rank <= self.trainer.neighbours)
        count = voting.sum(axis=1)
        shares: FloatArray = voting.astype(np.float64) @ votes / np.maximum(count, 1)[:, None]
        if self.trainer.task == "classification":
            shares[count == 0] = 1 / votes.shape[1]
        return shares


def _squared_distances(data: TrainingData) -> FloatArray:
    """Squared distances `(q, N)` up to a constant a test point, in blocks of examples."""
    distances = np.empty((len(data.test_features), data.count))
    size = max(1, _BLOCK_NUMBERS // data.features.shape[1])
    centre = data.test_features.mean(axis=0)
    test = data.test_features - centre
    for start in range(0, data.count, size):
        block = data.features[start : start + size] - centre
        distances[:, start : start + size] = (block**2).sum(axis=1) - 2 * test @ block.T
    return distances
