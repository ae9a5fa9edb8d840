"""The one table of algorithms."""

from __future__ import annotations

from dataclasses import dataclass

from spexlens.algorithms.auto import Auto
from spexlens.algorithms.base import Algorithm
from spexlens.algorithms.exact import Exact
from spexlens.algorithms.kernelspex import KernelSPEX
from spexlens.algorithms.proxyspex import ProxySPEX
from spexlens.algorithms.regression import Lasso, Pairwise
from spexlens.algorithms.spex import SPEX
from spexlens.core.tables import Table
from spexlens.errors import UnknownNameError
from spexlens.proxies.boosted_trees import TreeGrid


@dataclass(frozen=True)
class NamedAlgorithm:
    """One row of the table.

    Attributes
    ----------
    make : class
        Its name is the row's; without arguments it is what the name stands for.
    finds, needs, unfit : str
        What it finds, what that takes, and what it is not for.
    highest : int, optional
        Order above which it finds nothing; None where there is none.
    quick : Algorithm, optional
        A setting that fits fast and drops no term of a sparse game, if the default does not: that
        of the contract tests.
    """

    make: type[Algorithm]
    finds: str
    needs: str
    unfit: str
    highest: int | None = None
    quick: Algorithm | None = None

    @property
    def name(self) -> str:
        """That of the class."""
        return self.make.name

    @property
    def description(self) -> str:
        """What it finds."""
        return self.finds


# The published cut at 95 % of the energy drops true terms by design.
_QUICK_TREES = ProxySPEX(TreeGrid((3,), (150,), (0.1,)), energy=0.999, threads=1)
_QUICK_PAIRS = Pairwise(max_pairs=2000)

ALGORITHMS: Table[NamedAlgorithm] = Table("algorithm", (
    NamedAlgorithm(
        Auto, "what the best of the proxies finds", "100s of ablations",
        "functions without hierarchy",
        quick=Auto((KernelSPEX(), _QUICK_TREES, _QUICK_PAIRS, Lasso())),
    ),
    NamedAlgorithm(
        KernelSPEX, "smooth, hierarchical functions; standard errors", "100s of ablations",
        "more than 10⁴ ablations (slow)",
    ),
    NamedAlgorithm(
        ProxySPEX, "hierarchical functions, as published",
        "more ablations than `kernelspex`; `lightgbm`", "small budgets", quick=_QUICK_TREES,
    ),
    NamedAlgorithm(
        SPEX, "sparse functions of any order up to t, up to 8,191 players",
        "1,000s of ablations", "dense functions",
    ),
    NamedAlgorithm(
        Pairwise, "singles and pairs", "100s of ablations", "order 3 and above", highest=2,
        quick=_QUICK_PAIRS,
    ),
    NamedAlgorithm(Lasso, "singles: the baseline", "few ablations", "interactions", highest=1),
    NamedAlgorithm(Exact, "everything", "2ⁿ ablations", "more than about 20 players"),
))  # fmt: skip


def find_algorithm(algorithm: str | Algorithm) -> Algorithm:
    """Find an algorithm by name (any case), with its defaults; a given one is handed back.

    >>> find_algorithm("lasso").name
    'lasso'
    """
    if isinstance(algorithm, str):
        return ALGORITHMS.find(algorithm.lower()).make()
    if isinstance(algorithm, type) or not isinstance(algorithm, Algorithm):
        raise UnknownNameError("algorithm", algorithm, ALGORITHMS)
    return algorithm
