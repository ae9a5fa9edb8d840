"""What one does with a game or an explanation by further ablations."""

from spexlens._support.doors import open_doors

_HOMES = {
    "spexlens.studies.inputs": ("InputEffects", "over_inputs"),
    "spexlens.studies.keep_probability": (
        "KeepProbability",
        "keep_probability",
    ),
    "spexlens.studies.levels": (
        "LEVELS",
        "CoarseToFine",
        "explain_by_levels",
    ),
    "spexlens.studies.pruning": (
        "KeptSet",
        "PruningCurve",
        "best_kept_set",
        "linear_effects",
        "pruning_curve",
    ),
    "spexlens.studies.removal": (
        "Curve",
        "Flip",
        "edited_texts",
        "flips",
        "measured_curve",
    ),
    "spexlens.studies.selection": (
        "GreedySelection",
        "greedy",
        "verify_minimal_set",
    ),
    "spexlens.studies.stability": (
        "Stability",
        "stability",
    ),
}

__getattr__, __dir__, __all__ = open_doors(__name__, _HOMES)
