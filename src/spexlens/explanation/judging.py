"""Judging a recovery: its fidelity, and the notes that tell what a reader should doubt."""

from __future__ import annotations

import numpy as np

from spexlens.algorithms.base import Design, Recovery
from spexlens.algorithms.regression import Lasso
from spexlens.core.game import score_column
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.units import Units
from spexlens.errors import shown
from spexlens.explanation.fidelity import (
    Fidelity,
    compare,
    cross_validated,
    effective_masks,
    exact_fidelity,
    learning_slope,
)
from spexlens.explanation.stopping import Reading
from spexlens.proxies.folds import FOLDS

_POOR_R2 = 0.3
_FEW_JUDGED = 30
_HEAVY_TAILED = 10.0  # masks; normal values have a third of their number


def judge(recovery: Recovery, design: Design, values: FloatArray) -> Fidelity:
    """Judge fidelity on held-out masks where the design has some, else by cross-validation."""
    score = score_column(values)
    if recovery.tuned.exact:
        energy = recovery.spectrum.energy_by_order()
        share = float(energy[1:2].sum() / max(energy[1:].sum(), np.finfo(float).tiny))
        return exact_fidelity(values, share, len(score))
    if design.held_out:
        unseen = design.masks[design.fitted.stop :]
        linear = Lasso().recover(design, values).spectrum(unseen)
        truth = score[design.fitted.stop :]
        return compare(truth, recovery.spectrum(unseen), linear, "held-out masks")
    predicted = recovery.out_of_fold
    if predicted is None:
        predicted = cross_validated(recovery.tuned, design, values)
    additive = Lasso().recover(design, values).out_of_fold
    assert additive is not None
    slope = learning_slope(
        recovery.tuned, design, values, predicted, own_choices=recovery.out_of_fold is not None
    )
    return compare(
        score, predicted, additive, "cross-validation", groups=design.groups, folds=FOLDS,
        learning=slope,
    )  # fmt: skip


def fidelity_notes(
    fidelity: Fidelity, *, exact: bool, asked: Reading | None = None
) -> tuple[str, ...]:
    """Tell an undefined R2, a judgement from few masks, a poor fit (of an index asked for: its)."""
    if np.isnan(fidelity.r2):
        return (f"R2 is undefined: {fidelity.method}.",)
    few: tuple[str, ...] = ()
    if fidelity.masks < _FEW_JUDGED and not exact:
        few = (
            f"fidelity was judged on {fidelity.masks} masks only: take R2 and its interval as a "
            "rough indication, and raise the budget.",
        )
    if asked is not None and not np.isnan(asked.r2):
        if asked.r2 >= _POOR_R2:
            return few
        return (
            *few,
            f"poor fit: the posterior that {asked.interactions.index} is read from has R2 "
            f"{asked.r2:.2f} on masks not used for it. Do not trust single effects; raise the "
            "budget, or merge players.",
        )
    if fidelity.r2 < _POOR_R2:
        return (
            *few,
            f"poor fit: R2 {fidelity.r2:.2f} on masks not used for it. Do not trust single "
            "effects; raise the budget, keep more players present (p), or merge players.",
        )
    return few


def baseline_notes(
    spectrum: FourierSpectrum, baselines: dict[str, float], values: FloatArray
) -> tuple[str, ...]:
    """Tell where the spectrum misses the full or the empty input by more than the values spread."""
    units = Units.of(values)
    spread = float(units.computed(values).std())
    rounding = 8 * np.finfo(np.float64).eps * float(np.abs(values).max()) / float(units.scale[0])
    notes = []
    for name, value in baselines.items():
        predicted = float(spectrum(np.full((1, spectrum.n), name == "full"))[0])
        missed = np.ptp(units.computed(np.array([predicted, value])))
        if missed > max(2 * spread, rounding):
            change = "Raise" if name == "full" else "Lower"
            notes.append(
                f"the spectrum predicts {predicted:.3g} for the {name} input, measured was "
                f"{value:.3g}: it holds for masks like those drawn, not so far out. {change} the "
                f"keep probability p to learn about inputs near the {name} one."
            )
    return tuple(notes)


def constant_notes(masks: BoolArray, players: tuple[str, ...]) -> tuple[str, ...]:
    """Tell players of whom nothing can be said, as all masks keep them or none does."""
    notes = []
    for where, word in ((masks.all(axis=0), "every"), (~masks.any(axis=0), "no")):
        names = [players[player] for player in np.flatnonzero(where)]
        if names and len(masks):
            notes.append(
                f"{len(names)} of {len(players)} players are present in {word} mask "
                f"({shown(names)}): nothing can be said of their effects. Measure more masks, at a "
                f"{'lower' if word == 'every' else 'higher'} keep probability p."
            )
    return tuple(notes)


def tail_notes(values: FloatArray) -> tuple[str, ...]:
    """Tell values `(m,)` of which a few hold most of the variance."""
    effective = effective_masks(values)
    if values.min() == values.max() or effective >= min(_HEAVY_TAILED, len(values) / 6):
        return ()
    return (
        f"heavy tails: the variance of {len(values)} values rests on about {effective:.0f} of "
        "them, so R2 can be far from what new masks would show. Look at the largest values; a "
        "bounded score, or the logarithm of this one, is easier to explain.",
    )
