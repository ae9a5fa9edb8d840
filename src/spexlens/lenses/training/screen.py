"""Finding the candidates: of many training examples, those that can matter for the test points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.training.groups import unit_rows
from spexlens.trainers.base import TrainingData
from spexlens.trainers.influence import Influence
from spexlens.trainers.logistic import Logistic

CRITERIA = ("influence", "similarity")
_BLOCK = 10_000


@dataclass(frozen=True, eq=False)
class Screening:
    """The examples chosen as players; the others are pinned.

    Attributes
    ----------
    chosen : int array (k,)
        The most relevant examples, ascending.
    relevance : float array (N,)
        By which they were chosen, from 0 on.
    criterion : str
    """

    chosen: IntArray
    relevance: FloatArray
    criterion: str

    @property
    def pinned(self) -> BoolArray:
        """Examples that are no players `(N,)`; pass it to `training_game`."""
        mask = np.ones(len(self.relevance), dtype=bool)
        mask[self.chosen] = False
        return mask

    @property
    def share(self) -> float:
        """Share of all examples' summed relevance that the chosen ones have."""
        total = float(self.relevance.sum())
        return float(self.relevance[self.chosen].sum()) / total if total > 0 else 0.0

    def __str__(self) -> str:
        return (
            f"{len(self.chosen)} of {len(self.relevance)} examples are players, chosen by "
            f"{self.criterion}; they have {self.share:.0%} of the summed {self.criterion}. The "
            "others are always trained on: what depends on them is not explained."
        )


def screen(
    data: TrainingData, count: int, by: str = "influence", trainer: Logistic | None = None
) -> Screening:
    """Choose the examples most relevant for any of the test points.

    Parameters
    ----------
    data : TrainingData
    count : int
        How many to choose.
    by : {"influence", "similarity"}
        influence: the largest change of a test point's logits when the example is left out, to
        first order, under a logistic regression on the features (needs classes). similarity: the
        largest cosine similarity to a test point, for embeddings.
    trainer : Logistic, optional
        Whose influence is taken.

    Returns
    -------
    Screening

    Examples
    --------
    >>> data = TrainingData([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]], [0, 1, 0], [[1.0, 0.0]], [0])
    >>> screen(data, 2, by="similarity").chosen.tolist()
    [0, 2]
    """
    if by not in CRITERIA:
        raise UnknownNameError("criterion", by, CRITERIA)
    if not 1 <= count <= data.count:
        raise InvalidInputError(
            f"{count} players asked for, of {data.count} examples; needed from 1 to that many."
        )
    relevance = _similarity(data) if by == "similarity" else _influence(data, trainer)
    chosen = np.sort(np.argsort(-relevance, kind="stable")[:count])
    return Screening(chosen, relevance, by)


def _influence(data: TrainingData, trainer: Logistic | None) -> FloatArray:
    prepared = Influence(Logistic() if trainer is None else trainer, "first").prepare(data)
    assert prepared.effects is not None
    relevance: FloatArray = np.linalg.norm(prepared.effects, axis=2).max(axis=1)
    return relevance


def _similarity(data: TrainingData) -> FloatArray:
    test = unit_rows(data.test_features)
    blocks = range(0, data.count, _BLOCK)
    similarity = [
        (unit_rows(data.features[start : start + _BLOCK]) @ test.T).max(axis=1) for start in blocks
    ]
    relevance: FloatArray = np.maximum(np.concatenate(similarity), 0.0)
    return relevance
