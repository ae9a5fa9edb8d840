"""spexlens: which interactions between parts of an LLM system drive its output, by ablation.

    import spexlens as sx
    game = sx.FunctionGame(function, players=["a", "b", "c"])
    explanation = sx.explain(game, budget=600, rng=0)
    explanation.interactions("FBII", order=2).top(10)

The subpackages `spexlens.lenses`, `spexlens.models` and `spexlens.plots` load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spexlens.algorithms import (
    ALGORITHMS,
    SPEX,
    Algorithm,
    Auto,
    Design,
    Exact,
    KernelSPEX,
    Lasso,
    Pairwise,
    ProxySPEX,
    Recovery,
    find_algorithm,
)
from spexlens.algorithms.minimal_sets import MinimalSet, minimal_set
from spexlens.core.game import FunctionGame, Game, TableGame
from spexlens.core.interactions import Interactions
from spexlens.core.spectrum import FourierSpectrum, MoebiusSpectrum
from spexlens.core.supports import Supports
from spexlens.errors import (
    AblationError,
    BlowUpError,
    InvalidInputError,
    InvalidValuesError,
    MissingExtraError,
    MissingModelError,
    SpexlensError,
    SpexlensWarning,
    UnknownNameError,
)
from spexlens.explanation import Explanation, load
from spexlens.fidelity import Fidelity
from spexlens.front_door import explain, fit
from spexlens.indices import INDICES, Index, compute_index
from spexlens.learning_curve import LearningCurve
from spexlens.selection import GreedySelection, greedy, verify_minimal_set
from spexlens.stability import Stability, stability
from spexlens.stopping import Plateau, Stable

if TYPE_CHECKING:
    from spexlens import lenses, models, plots

__version__ = "0.1.0"

__all__ = [
    "ALGORITHMS",
    "INDICES",
    "SPEX",
    "AblationError",
    "Algorithm",
    "Auto",
    "BlowUpError",
    "Design",
    "Exact",
    "Explanation",
    "Fidelity",
    "FourierSpectrum",
    "FunctionGame",
    "Game",
    "GreedySelection",
    "Index",
    "Interactions",
    "InvalidInputError",
    "InvalidValuesError",
    "KernelSPEX",
    "Lasso",
    "LearningCurve",
    "MinimalSet",
    "MissingExtraError",
    "MissingModelError",
    "MoebiusSpectrum",
    "Pairwise",
    "Plateau",
    "ProxySPEX",
    "Recovery",
    "SpexlensError",
    "SpexlensWarning",
    "Stability",
    "Stable",
    "Supports",
    "TableGame",
    "UnknownNameError",
    "compute_index",
    "explain",
    "find_algorithm",
    "fit",
    "greedy",
    "lenses",
    "load",
    "minimal_set",
    "models",
    "plots",
    "stability",
    "verify_minimal_set",
]

_LAZY = ("lenses", "models", "plots")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return import_module(f"spexlens.{name}")
    raise AttributeError(f"module 'spexlens' has no attribute {name!r}")
