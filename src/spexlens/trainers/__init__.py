"""Trainers: fit a model on thousands of subsets of the same examples, mostly all at once."""

from spexlens._support.doors import open_doors

_HOMES = {
    "spexlens.trainers.base": (
        "Retrainer",
        "Task",
        "Trained",
        "Trainer",
        "TrainingData",
    ),
    "spexlens.trainers.estimator": ("Estimator",),
    "spexlens.trainers.influence": ("Influence",),
    "spexlens.trainers.kernel_ridge": ("KernelRidge",),
    "spexlens.trainers.logistic": ("Logistic",),
    "spexlens.trainers.nearest_neighbours": ("NearestNeighbours",),
    "spexlens.trainers.network": ("Network",),
    "spexlens.trainers.ridge": ("Ridge",),
    "spexlens.trainers.table": ("TRAINERS", "NamedTrainer"),
    "spexlens.trainers.sentence_features": (
        "hashed_words",
        "kept_features",
        "minilm",
    ),
    "spexlens.trainers.text_pipeline": ("text_pipeline",),
}

__getattr__, __dir__, __all__ = open_doors(__name__, _HOMES)
