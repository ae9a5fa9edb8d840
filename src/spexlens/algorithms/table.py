"""The one table of algorithms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from spexlens.algorithms.auto import Auto
from spexlens.algorithms.base import Algorithm
from spexlens.algorithms.exact import Exact
from spexlens.algorithms.kernelspex import KernelSPEX
from spexlens.algorithms.proxyspex import ProxySPEX
from spexlens.algorithms.regression import Lasso, Pairwise
from spexlens.algorithms.spex import SPEX
from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError, UnknownNameError

ALGORITHMS: dict[str, type[Any]] = {
    cls.name: cls for cls in (Auto, Exact, SPEX, ProxySPEX, KernelSPEX, Pairwise, Lasso)
}


def find_algorithm(algorithm: str | Algorithm, p: float | FloatArray | None = None) -> Algorithm:
    """An algorithm by name (any case) with its defaults, or the given one; at keep probability p.

    >>> find_algorithm("lasso").name
    'lasso'
    """
    if isinstance(algorithm, str):
        if algorithm.lower() not in ALGORITHMS:
            raise UnknownNameError("algorithm", algorithm, ALGORITHMS)
        algorithm = cast(Algorithm, ALGORITHMS[algorithm.lower()]())
    if isinstance(algorithm, type) or not hasattr(algorithm, "recover"):
        raise UnknownNameError("algorithm", algorithm, ALGORITHMS)
    if p is None:
        return algorithm
    if hasattr(algorithm, "p"):
        return cast(Algorithm, replace(cast(Any, algorithm), p=p))
    if np.any(np.asarray(p) != 0.5):
        raise InvalidInputError(
            f"keep probability p = {p} given, but {algorithm.name!r} is defined for p = 1/2 only; "
            "choose another algorithm or p = 0.5."
        )
    return algorithm
