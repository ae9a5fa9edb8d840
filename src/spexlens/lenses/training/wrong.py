"""Which rows of a table a trainer gets wrong when it has not seen them."""

from __future__ import annotations

import numpy as np

from spexlens.core.masks import IntArray
from spexlens.errors import InvalidInputError
from spexlens.lenses.training.files import ExampleTable
from spexlens.trainers.base import Trainer, both_columns

_FOLDS = 5


def wrong_rows(table: ExampleTable, trainer: Trainer, count: int, seed: int = 0) -> IntArray:
    """Find rows whose prediction is wrong, the surest of them first.

    Each fifth of the rows is predicted by a model of the others.

    Parameters
    ----------
    table : ExampleTable
    trainer : Trainer
        Of classes.
    count : int
        At most so many rows.
    seed : int
        Of the folds, and of the trainer.

    Raises
    ------
    InvalidInputError
        For a regression, and where no prediction is wrong.
    """
    if trainer.output == "predictions":
        raise InvalidInputError(
            "wrong predictions were asked for of a regression, whose predictions are never just "
            "right; name rows with --test."
        )
    order = np.random.default_rng(seed).permutation(len(table.labels))
    found: list[tuple[float, int]] = []
    for rows in np.array_split(order, _FOLDS):
        data, _ = table.split(rows.tolist())
        everything = np.ones((1, data.count), dtype=bool)
        (outputs,) = both_columns(trainer.prepare(data).train(everything, seed).outputs)
        for row, label, output in zip(rows.tolist(), data.test_labels, outputs, strict=True):
            said = int(output.argmax())
            if data.classes[said] != label:
                own = output[data.classes == label]
                found.append((float(output[said] - own.max(initial=-np.inf)), row))
    if not found:
        raise InvalidInputError(
            f"none of {len(table.labels)} predictions is wrong, each by a model of the other "
            "folds; name rows with --test."
        )
    return np.array([row for _, row in sorted(found, reverse=True)[:count]], dtype=np.int64)
