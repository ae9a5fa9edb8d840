"""Who calls the game: this process, its threads, or workers on many machines."""

from __future__ import annotations

from spexlens.ablation.engines.base import Allow, Batch, Engine, FailedBatchError, run_batch
from spexlens.ablation.engines.local import Local
from spexlens.ablation.engines.ray import Ray
from spexlens.ablation.engines.table import ENGINES, NamedEngine, find_engine
from spexlens.ablation.engines.threads import Threads

__all__ = [
    "ENGINES",
    "Allow",
    "Batch",
    "Engine",
    "FailedBatchError",
    "Local",
    "NamedEngine",
    "Ray",
    "Threads",
    "find_engine",
    "run_batch",
]
