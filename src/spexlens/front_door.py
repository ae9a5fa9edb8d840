"""The front door: `explain` a game, or `fit` values that were already measured."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spexlens.ablation.evaluate import BATCH_SIZE, Progress, evaluate
from spexlens.algorithms.base import MIN_MASKS, Algorithm, Design, Recovery, suggested_budget
from spexlens.algorithms.exact import Exact
from spexlens.algorithms.regression import Lasso
from spexlens.algorithms.table import find_algorithm
from spexlens.core.game import Game, as_values, player_names, score_column
from spexlens.core.masks import (
    MAX_ENUMERATED_PLAYERS,
    BoolArray,
    FloatArray,
    IntArray,
    Rng,
    all_masks,
    as_generator,
    as_masks,
    unique_masks,
)
from spexlens.errors import AblationError, InvalidInputError, SpexlensWarning
from spexlens.explanation import Explanation
from spexlens.fidelity import Fidelity, compare, cross_validated, exact_fidelity

_POOR_R2 = 0.3
_ANCHORED_BUDGET = 32  # from here on, two calls go to the full and the empty input


def explain(
    game: Game,
    budget: int | None = None,
    algorithm: str | Algorithm = "auto",
    rng: Rng = None,
    *,
    p: float | FloatArray | None = None,
    holdout: float = 0.0,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> Explanation:
    """Find which interactions between a game's players drive its values.

    Parameters
    ----------
    game : Game
        Anything with `players` and `masks -> values`; `FunctionGame` wraps a callable.
    budget : int, optional
        Calls of the value function, never exceeded; default about `2 n log2 n`. From 2^n on,
        everything is measured and the result is exact.
    algorithm : str or Algorithm
        A name in `spexlens.ALGORITHMS`, or an instance with other settings.
    rng : int, Generator or None
        Seeds everything; the same seed gives the same result.
    p : float or float array (n,), optional
        Keep probability of the masks, if other than the algorithm's.
    holdout : float, default 0
        Share of the budget kept out of the fit to judge it. 0 judges by cross-validation and
        spends every ablation on the fit.
    batch_size : int
        Masks a call of the game.
    progress : callable, optional
        `progress(done, total)`.

    Returns
    -------
    Explanation

    Raises
    ------
    InvalidInputError
        For a budget, share, name or game that does not fit.
    AblationError
        When the game fails; what was measured until then is on the error.

    Examples
    --------
    >>> from spexlens import FunctionGame
    >>> game = FunctionGame(lambda masks: 1.0 * (masks[:, 0] & masks[:, 2]), ["a", "b", "c"])
    >>> explain(game, budget=8, rng=0).interactions("Moebius").top(1).to_dict()
    {(0, 2): 1.0}
    """
    generator = as_generator(rng)
    n = len(player_names(game.players))
    chosen = find_algorithm(algorithm, p)
    budget = suggested_budget(n) if budget is None else _checked_budget(budget, n)
    if not 0 <= holdout < 1:
        raise InvalidInputError(f"holdout = {holdout} given; needed a share from 0 to below 1.")
    chosen, notes = _exact_if_affordable(chosen, n, budget)
    exact = isinstance(chosen, Exact)
    anchored = not exact and budget >= _ANCHORED_BUDGET
    design = chosen.design(n, budget - 2 * anchored, generator)
    if holdout and not exact and not design.held_out:
        design = replace(design, held_out=round(holdout * len(design.masks)))
    values = evaluate(game, design.masks, batch_size=batch_size, progress=progress)
    anchors, calls, anchor_notes = (
        _measure_anchors(game, design, score_column(values)) if anchored else ({}, 0, ())
    )
    if len(design.masks) < n:
        notes += (
            f"{len(design.masks)} ablations for {n} players: fewer than one a player; expect only "
            f"the strongest effects. About {suggested_budget(n)} are usual.",
        )
    counts = (budget, len(design.masks) + calls)
    return _explained(game.players, design, values, chosen, notes + anchor_notes, counts, anchors)


def fit(
    masks: BoolArray,
    values: FloatArray,
    players: Sequence[str] | None = None,
    algorithm: str | Algorithm = "auto",
    rng: Rng = None,
    *,
    p: float | FloatArray = 0.5,
    holdout: float = 0.0,
) -> Explanation:
    """Explain values that were already measured.

    Parameters
    ----------
    masks : bool array (m, n)
        `True` = player present.
    values : float array (m,) or (m, q)
        The score is column 0.
    players : sequence of str, optional
    algorithm, rng, holdout
        As in `explain`. An algorithm that needs its own masks (SPEX) cannot be used.
    p : float or float array (n,), default 0.5
        Keep probability that the masks were drawn with.

    Returns
    -------
    Explanation

    Examples
    --------
    >>> from spexlens.core.masks import all_masks
    >>> masks = all_masks(3)
    >>> fit(masks, 2.0 * masks[:, 1]).interactions("BV").top(1).to_dict()
    {(1,): 2.0}
    """
    masks = as_masks(masks)
    names = player_names(masks.shape[1] if players is None else players)
    as_masks(masks, len(names))
    array = as_values(values, masks)
    chosen = find_algorithm(algorithm, p)
    seed = int(as_generator(rng).integers(2**31, dtype=np.int64))
    full = _all_measured(masks)
    if full is not None and algorithm in ("auto", "exact"):
        masks, array, chosen = masks[full], array[full], Exact(p)
    elif not chosen.any_masks:
        raise InvalidInputError(
            f"algorithm {chosen.name!r} needs masks of its own design and cannot be fitted to "
            "given ones; use explain(game, …), or another algorithm."
        )
    elif len(masks) < MIN_MASKS:
        raise InvalidInputError(f"{len(masks)} masks given; needed at least {MIN_MASKS} to fit.")
    held_out = 0 if isinstance(chosen, Exact) else round(holdout * len(masks))
    design = Design(masks, p=p, seed=seed, held_out=held_out)
    score = score_column(array)
    anchors = {
        name: float(score[rows][0])
        for name, rows in (("full", masks.all(axis=1)), ("empty", ~masks.any(axis=1)))
        if rows.any()
    }
    notes = _noise_notes(masks, score)
    calls = (len(masks), len(masks))
    return _explained(names, design, array, chosen, notes, calls, anchors)


def _explained(
    players: Sequence[str],
    design: Design,
    values: FloatArray,
    algorithm: Algorithm,
    notes: tuple[str, ...],
    calls: tuple[int, int],
    anchors: dict[str, float],
) -> Explanation:
    recovery = algorithm.recover(design, values)
    fidelity = _fidelity(recovery, design, values)
    notes = (*design.notes, *notes, *recovery.notes, *_fidelity_notes(fidelity))
    return Explanation(
        players=tuple(players), masks=design.masks, values=values, spectrum=recovery.spectrum,
        fidelity=fidelity, algorithm=algorithm.name, chosen=recovery.chosen, notes=notes,
        budget=calls[0], calls=calls[1], full_value=anchors.get("full"),
        empty_value=anchors.get("empty"), seed=design.seed,
    )  # fmt: skip


def _fidelity(recovery: Recovery, design: Design, values: FloatArray) -> Fidelity:
    score = score_column(values)
    if isinstance(recovery.tuned, Exact):
        energy = recovery.spectrum.energy_by_order()
        share = float(energy[1:2].sum() / max(energy[1:].sum(), np.finfo(float).tiny))
        return exact_fidelity(values, share, len(score))
    if design.held_out:
        unseen = design.masks[design.fitted.stop :]
        linear = Lasso().recover(design, values).spectrum(unseen)
        truth = score[design.fitted.stop :]
        return compare(truth, recovery.spectrum(unseen), linear, "held-out masks", design.seed)
    predicted = recovery.out_of_fold
    if predicted is None:
        predicted = cross_validated(recovery.tuned, design, values)
    additive = Lasso().recover(design, values).out_of_fold
    assert additive is not None
    return compare(score, predicted, additive, "cross-validation", design.seed)


def _fidelity_notes(fidelity: Fidelity) -> tuple[str, ...]:
    if np.isnan(fidelity.r2):
        return (f"R2 is undefined: {fidelity.method}.",)
    if fidelity.r2 < _POOR_R2:
        return (
            f"poor fit: R2 {fidelity.r2:.2f} on masks not used for it. Do not trust single "
            "effects; raise the budget, keep more players present (p), or merge players.",
        )
    return ()


def _checked_budget(budget: int, n: int) -> int:
    if isinstance(budget, bool) or not isinstance(budget, int | np.integer):
        raise InvalidInputError(
            f"budget = {budget!r} given; needed a whole number of calls of the value function."
        )
    least = MIN_MASKS if n >= 2 else 2
    if budget < least:
        raise InvalidInputError(
            f"budget = {budget} given; needed at least {least} calls of the value function, and "
            f"about {suggested_budget(n)} for {n} players."
        )
    return int(budget)


def _exact_if_affordable(
    algorithm: Algorithm, n: int, budget: int
) -> tuple[Algorithm, tuple[str, ...]]:
    """The exact algorithm where the budget holds all masks; told where it was not asked for."""
    if n > MAX_ENUMERATED_PLAYERS or budget < 2**n or isinstance(algorithm, Exact):
        return algorithm, ()
    if algorithm.name != "auto" and budget == 2**n and algorithm.any_masks and budget >= MIN_MASKS:
        return algorithm, ()
    note = f"budget {budget} holds all 2^{n} = {2**n} masks: everything is measured, exactly."
    if algorithm.name != "auto":
        warnings.warn(f"{note} {algorithm.name!r} was replaced.", SpexlensWarning, stacklevel=3)
    return Exact(algorithm.p if hasattr(algorithm, "p") else 0.5), (note,)


def _measure_anchors(
    game: Game, design: Design, score: FloatArray
) -> tuple[dict[str, float], int, tuple[str, ...]]:
    """Values with every player and with none, the calls they took, and notes.

    Where the design holds the mask, its value is used; a game that cannot run one keeps its result.
    """
    anchors: dict[str, float] = {}
    calls = 0
    notes: list[str] = []
    for name, present in (("full", True), ("empty", False)):
        measured = (design.masks == present).all(axis=1)
        if measured.any():
            anchors[name] = float(score[measured][0])
            continue
        calls += 1
        try:
            value = evaluate(game, np.full((1, design.n), present))
            anchors[name] = float(score_column(value)[0])
        except AblationError as error:
            notes.append(f"the {name} input could not be measured: {error.__cause__}")
    return anchors, calls, tuple(notes)


def _all_measured(masks: BoolArray) -> IntArray | None:
    """Row numbers that bring the masks into the order of `all_masks`, if they are all 2^n."""
    n = masks.shape[1]
    if n > MAX_ENUMERATED_PLAYERS or len(masks) != 2**n:
        return None
    order = np.argsort(masks @ (1 << np.arange(n)))
    return order if (masks[order] == all_masks(n)).all() else None


def _noise_notes(masks: BoolArray, values: FloatArray) -> tuple[str, ...]:
    """Tell the noise that masks measured more than once reveal."""
    distinct, group = unique_masks(masks)
    if len(distinct) == len(masks):
        return ()
    count = np.bincount(group)
    mean = np.bincount(group, values) / count
    degrees = len(masks) - len(distinct)
    noise = float(np.sqrt(np.sum((values - mean[group]) ** 2) / degrees))
    return (
        f"{degrees} masks were measured more than once; their values differ with standard "
        f"deviation {noise:.3g} (the noise of the game).",
    )
