"""spexlens: which interactions between parts of an LLM system drive its output, by ablation.

    import spexlens as sx
    game = sx.FunctionGame(function, players=["a", "b", "c"])
    explanation = sx.explain(game, budget=600, rng=0)
    explanation.interactions("FBII", order=2).top(10)

Everything that most runs need is here; `sx.lenses`, `sx.models`, `sx.trainers`, `sx.studies`,
`sx.plots` and `sx.errors` hold the rest. Names load on first use, so that `import spexlens` and the
command line start at once.
"""

from __future__ import annotations

from spexlens._support.doors import open_doors

__version__ = "0.1.0"

_MODULES = ("errors", "lenses", "models", "plots", "studies", "trainers")
_HOMES = {
    "spexlens.ablation.budget": ("Budget",),
    "spexlens.ablation.engines": (
        "ENGINES",
        "Batch",
        "Engine",
        "Local",
        "NamedEngine",
        "Ray",
        "Threads",
        "run_batch",
    ),
    "spexlens.ablation.evaluate": ("Measured", "measure"),
    "spexlens.ablation.plan": ("Plan", "plan"),
    "spexlens.ablation.progress": ("ProgressBar",),
    "spexlens.ablation.store": ("Store",),
    "spexlens.algorithms": (
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
    ),
    "spexlens.algorithms.base": ("FitCost", "MaskDesign", "random_design"),
    "spexlens.algorithms.greedy": ("greedy_calls",),
    "spexlens.algorithms.minimal_sets": ("MinimalSet", "minimal_set"),
    "spexlens.algorithms.split_plot": ("SplitPlot",),
    "spexlens.core.cross_lens": ("across", "energy_by_lenses", "paths"),
    "spexlens.core.game": ("FunctionGame", "Game", "TableGame"),
    "spexlens.core.interactions": ("Interactions",),
    "spexlens.core.masks": ("all_masks", "sample_masks"),
    "spexlens.core.spectrum": ("FourierSpectrum", "MoebiusSpectrum", "fourier_basis"),
    "spexlens.core.supports": ("Supports",),
    "spexlens.core.tables": ("Table",),
    "spexlens.errors": ("InvalidInputError", "SpexlensError", "SpexlensWarning"),
    "spexlens.explanation.explain": ("explain", "fit"),
    "spexlens.explanation.fidelity": ("Fidelity",),
    "spexlens.explanation.learning_curve": ("LearningCurve",),
    "spexlens.explanation.result": ("Explanation", "load"),
    "spexlens.explanation.stopping": ("RULES", "NamedRule", "Plateau", "Stable"),
    "spexlens.indices": ("INDICES", "Index", "compute_index"),
    "spexlens.interop": ("from_shapiq", "to_networkx", "to_shapiq"),
    "spexlens.lenses.base": ("LensGame",),
    "spexlens.lenses.calls.game": ("call_game", "trace_game"),
    "spexlens.lenses.components.game": ("component_game",),
    "spexlens.lenses.components.questions": ("Question",),
    "spexlens.lenses.endpoint.game": ("endpoint_game",),
    "spexlens.lenses.image": ("image_game",),
    "spexlens.lenses.joint.game": ("joint_game",),
    "spexlens.lenses.tabular.game": ("tabular_game",),
    "spexlens.lenses.text.chat": ("chat_game",),
    "spexlens.lenses.text.game": ("prompt_game",),
    "spexlens.lenses.training.game": ("training_game",),
    "spexlens.lenses.training.surrogates": ("surrogate_game",),
    "spexlens.models.zoo": ("load_model",),
    "spexlens.proxies.boosted_trees": ("TreeGrid",),
    "spexlens.proxies.regressors": ("pair_scores",),
    "spexlens.studies.keep_probability": ("keep_probability",),
    "spexlens.studies.levels": ("explain_by_levels",),
    "spexlens.studies.pruning": ("pruning_curve",),
    "spexlens.studies.removal": ("flips", "measured_curve"),
    "spexlens.studies.selection": ("GreedySelection", "greedy", "verify_minimal_set"),
    "spexlens.studies.stability": ("Stability", "stability"),
}
_MOVED = {
    "front_door": "spexlens.explanation.explain",
    "run_file": "spexlens.explanation.file",
    "fidelity": "spexlens.explanation.fidelity",
    "learning_curve": "spexlens.explanation.learning_curve",
    "stopping": "spexlens.explanation.stopping",
    "selection": "spexlens.studies.selection",
    "removal": "spexlens.studies.removal",
    "resampling": "spexlens.studies.stability",
    "coarse_to_fine": "spexlens.studies.levels",
    "pruning": "spexlens.studies.pruning",
    "progress": "spexlens.ablation.progress",
    **{
        name: f"spexlens.errors.{name}"
        for name in (
            "AblationError",
            "BlowUpError",
            "BudgetSpentError",
            "EndpointError",
            "EndpointUnavailableError",
            "InterruptedRunError",
            "InvalidValuesError",
            "MissingExtraError",
            "MissingModelError",
            "StoreError",
            "TransientError",
            "UnknownNameError",
        )
    },
}

__getattr__, __dir__, __all__ = open_doors(__name__, _HOMES, modules=_MODULES, moved=_MOVED)
