"""spexlens: which interactions between parts of an LLM system drive its output, by ablation.

    import spexlens as sx
    game = sx.FunctionGame(function, players=["a", "b", "c"])
    explanation = sx.explain(game, budget=600, rng=0)
    explanation.interactions("FBII", order=2).top(10)

Names load on first use, so that `import spexlens` and the command line start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spexlens import lenses, models, plots
    from spexlens.ablation.budget import Budget
    from spexlens.ablation.engines import ENGINES, Engine, Local, Ray, Threads
    from spexlens.ablation.estimate import Plan, plan
    from spexlens.ablation.evaluate import Measured, measure
    from spexlens.ablation.progress import ProgressBar
    from spexlens.ablation.store import Store
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
    from spexlens.algorithms.split_plot import MaskDesign, SplitPlot
    from spexlens.core.game import FunctionGame, Game, TableGame
    from spexlens.core.interactions import Interactions
    from spexlens.core.spectrum import FourierSpectrum, MoebiusSpectrum
    from spexlens.core.supports import Supports
    from spexlens.errors import (
        AblationError,
        BlowUpError,
        BudgetSpentError,
        EndpointError,
        EndpointUnavailableError,
        InterruptedRunError,
        InvalidInputError,
        InvalidValuesError,
        MissingExtraError,
        MissingModelError,
        SpexlensError,
        SpexlensWarning,
        StoreError,
        TransientError,
        UnknownNameError,
    )
    from spexlens.explanation.explain import explain, fit
    from spexlens.explanation.fidelity import Fidelity
    from spexlens.explanation.learning_curve import LearningCurve
    from spexlens.explanation.result import Explanation, load
    from spexlens.explanation.stopping import Plateau, Stable
    from spexlens.indices import INDICES, Index, compute_index
    from spexlens.interop import from_shapiq, to_networkx, to_shapiq
    from spexlens.studies.levels import explain_by_levels
    from spexlens.studies.removal import flips, measured_curve
    from spexlens.studies.selection import GreedySelection, greedy, verify_minimal_set
    from spexlens.studies.stability import Stability, stability

__version__ = "0.1.0"

_MODULES = ("lenses", "models", "plots")
_NAMES = {
    "spexlens.ablation.budget": ("Budget",),
    "spexlens.ablation.engines": ("ENGINES", "Engine", "Local", "Ray", "Threads"),
    "spexlens.ablation.evaluate": ("Measured", "measure"),
    "spexlens.ablation.estimate": ("Plan", "plan"),
    "spexlens.ablation.store": ("Store",),
    "spexlens.algorithms": (
        "ALGORITHMS",
        "Algorithm",
        "Auto",
        "Design",
        "Exact",
        "KernelSPEX",
        "Lasso",
        "Pairwise",
        "ProxySPEX",
        "Recovery",
        "SPEX",
        "find_algorithm",
    ),
    "spexlens.algorithms.minimal_sets": ("MinimalSet", "minimal_set"),
    "spexlens.algorithms.split_plot": ("MaskDesign", "SplitPlot"),
    "spexlens.studies.levels": ("explain_by_levels",),
    "spexlens.core.game": ("FunctionGame", "Game", "TableGame"),
    "spexlens.core.interactions": ("Interactions",),
    "spexlens.core.spectrum": ("FourierSpectrum", "MoebiusSpectrum"),
    "spexlens.core.supports": ("Supports",),
    "spexlens.errors": (
        "AblationError",
        "BlowUpError",
        "BudgetSpentError",
        "EndpointError",
        "EndpointUnavailableError",
        "InterruptedRunError",
        "InvalidInputError",
        "InvalidValuesError",
        "MissingExtraError",
        "MissingModelError",
        "SpexlensError",
        "SpexlensWarning",
        "StoreError",
        "TransientError",
        "UnknownNameError",
    ),
    "spexlens.explanation.result": ("Explanation", "load"),
    "spexlens.explanation.fidelity": ("Fidelity",),
    "spexlens.explanation.explain": ("explain", "fit"),
    "spexlens.indices": ("INDICES", "Index", "compute_index"),
    "spexlens.interop": ("from_shapiq", "to_networkx", "to_shapiq"),
    "spexlens.explanation.learning_curve": ("LearningCurve",),
    "spexlens.ablation.progress": ("ProgressBar",),
    "spexlens.studies.selection": ("GreedySelection", "greedy", "verify_minimal_set"),
    "spexlens.studies.removal": ("flips", "measured_curve"),
    "spexlens.studies.stability": ("Stability", "stability"),
    "spexlens.explanation.stopping": ("Plateau", "Stable"),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "ALGORITHMS",
    "ENGINES",
    "INDICES",
    "SPEX",
    "AblationError",
    "Algorithm",
    "Auto",
    "BlowUpError",
    "Budget",
    "BudgetSpentError",
    "Design",
    "EndpointError",
    "EndpointUnavailableError",
    "Engine",
    "Exact",
    "Explanation",
    "Fidelity",
    "FourierSpectrum",
    "FunctionGame",
    "Game",
    "GreedySelection",
    "Index",
    "Interactions",
    "InterruptedRunError",
    "InvalidInputError",
    "InvalidValuesError",
    "KernelSPEX",
    "Lasso",
    "LearningCurve",
    "Local",
    "MaskDesign",
    "Measured",
    "MinimalSet",
    "MissingExtraError",
    "MissingModelError",
    "MoebiusSpectrum",
    "Pairwise",
    "Plan",
    "Plateau",
    "ProgressBar",
    "ProxySPEX",
    "Ray",
    "Recovery",
    "SpexlensError",
    "SpexlensWarning",
    "SplitPlot",
    "Stability",
    "Stable",
    "Store",
    "StoreError",
    "Supports",
    "TableGame",
    "Threads",
    "TransientError",
    "UnknownNameError",
    "compute_index",
    "explain",
    "explain_by_levels",
    "find_algorithm",
    "fit",
    "flips",
    "from_shapiq",
    "greedy",
    "lenses",
    "load",
    "measure",
    "measured_curve",
    "minimal_set",
    "models",
    "plan",
    "plots",
    "stability",
    "to_networkx",
    "to_shapiq",
    "verify_minimal_set",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"spexlens.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'spexlens' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
