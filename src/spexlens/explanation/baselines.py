"""The full input and the neutral baseline: every run measures both and shows them."""

from __future__ import annotations

import numpy as np

from spexlens.core.game import score_column
from spexlens.errors import AblationError, InterruptedRunError
from spexlens.explanation.rounds import Measure
from spexlens.explanation.stopping import Round

_BASELINES = {"full": True, "empty": False}


def measured_baselines(measured: Round) -> dict[str, float]:
    """Return values of the full and the empty input, where they are among those measured."""
    masks, score = measured.design.masks, score_column(measured.values)
    rows = {name: (masks == present).all(axis=1) for name, present in _BASELINES.items()}
    return {name: float(score[row][0]) for name, row in rows.items() if row.any()}


def measure_baselines(
    measure: Measure, measured: Round, spare: int
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Measure the value with every player and with none, and note what failed.

    A value that was measured is used; another mask is measured while `spare` calls are left. A game
    that cannot run one keeps its result.
    """
    baselines = measured_baselines(measured)
    calls = 0
    notes: list[str] = []
    for name, present in _BASELINES.items():
        if name in baselines or calls == spare:
            continue
        calls += 1
        try:
            value = float(score_column(measure(np.full((1, measured.design.n), present)))[0])
            if np.isnan(value):
                notes.append(f"the {name} input was refused")
            else:
                baselines[name] = value
        except InterruptedRunError:
            raise
        except AblationError as error:
            notes.append(f"the {name} input could not be measured: {error.__cause__ or error}")
    return baselines, tuple(notes)
