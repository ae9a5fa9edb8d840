"""The one table of trainers that are known by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from spexlens.core.tables import Table
from spexlens.trainers.base import Trainer
from spexlens.trainers.kernel_ridge import KernelRidge
from spexlens.trainers.logistic import Logistic
from spexlens.trainers.nearest_neighbours import NearestNeighbours
from spexlens.trainers.network import Network
from spexlens.trainers.ridge import Ridge


@dataclass(frozen=True)
class NamedTrainer:
    """One row of the table.

    Attributes
    ----------
    name : str
    description : str
        How it trains on many subsets at once.
    equals : str
        What it equals on each of them.
    make : callable
        The trainer with its defaults.
    standardises : bool
        Whether features are scaled by the spread of all examples, those left out among them.
    """

    name: str
    description: str
    equals: str
    make: Callable[[], Trainer]
    standardises: bool = False


_GRAM = "masked Gram matrices, one batched solve"
_FACTORS = "one Gram matrix, a Cholesky factor a subset"

TRAINERS: Table[NamedTrainer] = Table("trainer", (
    NamedTrainer(
        "logistic", "conjugate gradients for all subsets, one preconditioner",
        "`LogisticRegression(C)`, at its optimum", Logistic,
    ),
    NamedTrainer("ridge", _GRAM, "`RidgeClassifier`", partial(Ridge, task="classification")),
    NamedTrainer(
        "kernel-ridge", _FACTORS, "`KernelRidge` of +1 and −1",
        partial(KernelRidge, task="classification"),
    ),
    NamedTrainer(
        "neighbours", "one sorting of the distances", "`KNeighborsClassifier`", NearestNeighbours
    ),
    NamedTrainer(
        "network", "stacked parameters, `torch.func.vmap`, Adam", "the network trained alone",
        Network, standardises=True,
    ),
    NamedTrainer("ridge-regression", _GRAM, "`Ridge`", Ridge),
    NamedTrainer("kernel-ridge-regression", _FACTORS, "`KernelRidge`", KernelRidge),
))  # fmt: skip
