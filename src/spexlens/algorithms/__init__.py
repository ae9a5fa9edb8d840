"""Algorithms: choose the masks, recover a sparse spectrum from their values."""

from spexlens.algorithms.auto import Auto
from spexlens.algorithms.base import Algorithm, Design, Recovery, suggested_budget
from spexlens.algorithms.exact import Exact
from spexlens.algorithms.kernelspex import KernelSPEX
from spexlens.algorithms.proxyspex import ProxySPEX
from spexlens.algorithms.regression import Lasso, Pairwise
from spexlens.algorithms.spex import SPEX
from spexlens.algorithms.table import ALGORITHMS, NamedAlgorithm, find_algorithm

__all__ = [
    "ALGORITHMS",
    "SPEX",
    "Algorithm",
    "Auto",
    "Design",
    "Exact",
    "KernelSPEX",
    "Lasso",
    "NamedAlgorithm",
    "Pairwise",
    "ProxySPEX",
    "Recovery",
    "find_algorithm",
    "suggested_budget",
]
