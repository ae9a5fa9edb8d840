"""The one table of algorithms."""

from __future__ import annotations

from typing import Any, cast

from spexlens.algorithms.auto import Auto
from spexlens.algorithms.base import Algorithm
from spexlens.algorithms.exact import Exact
from spexlens.algorithms.kernelspex import KernelSPEX
from spexlens.algorithms.proxyspex import ProxySPEX
from spexlens.algorithms.regression import Lasso, Pairwise
from spexlens.algorithms.spex import SPEX
from spexlens.errors import UnknownNameError

ALGORITHMS: dict[str, type[Any]] = {
    cls.name: cls for cls in (Auto, Exact, SPEX, ProxySPEX, KernelSPEX, Pairwise, Lasso)
}


def find_algorithm(algorithm: str | Algorithm) -> Algorithm:
    """Find an algorithm by name (any case), with its defaults; a given one is handed back.

    >>> find_algorithm("lasso").name
    'lasso'
    """
    if isinstance(algorithm, str):
        if algorithm.lower() not in ALGORITHMS:
            raise UnknownNameError("algorithm", algorithm, ALGORITHMS)
        algorithm = cast(Algorithm, ALGORITHMS[algorithm.lower()]())
    if isinstance(algorithm, type) or not hasattr(algorithm, "recover"):
        raise UnknownNameError("algorithm", algorithm, ALGORITHMS)
    return algorithm
