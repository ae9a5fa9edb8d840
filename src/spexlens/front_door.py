"""The front door: `explain` a game, or `fit` values that were already measured."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spexlens.ablation.evaluate import BATCH_SIZE, Progress, evaluate
from spexlens.algorithms.base import MIN_MASKS, Algorithm, Design, suggested_budget
from spexlens.algorithms.exact import Exact
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
from spexlens.core.spectrum import keep_probabilities
from spexlens.errors import AblationError, InvalidInputError, SpexlensWarning
from spexlens.explanation import Explanation
from spexlens.judging import anchor_notes, fidelity_notes, judge, noise_notes

_ANCHORS = {"full": True, "empty": False}
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
    if not isinstance(game, Game):
        raise InvalidInputError(
            f"{type(game).__name__} is no game: it has no players, or cannot be called. Wrap a "
            "callable: spexlens.FunctionGame(function, players=[…])."
        )
    n = len(player_names(game.players))
    chosen = find_algorithm(algorithm, p)
    if p is not None:
        keep_probabilities(p, n)
    budget = suggested_budget(n) if budget is None else _checked_budget(budget, n)
    chosen, notes = _exact_if_affordable(chosen, n, budget)
    exact = isinstance(chosen, Exact)
    reserved = 2 if chosen.any_masks and budget >= _ANCHORED_BUDGET else 0
    design = chosen.design(n, budget - reserved, generator)
    if not exact and not design.held_out:
        design = replace(design, held_out=_held_out(holdout, len(design.masks)))
    values = evaluate(game, design.masks, batch_size=batch_size, progress=progress)
    spare = budget - len(design.masks) if budget >= _ANCHORED_BUDGET else 0
    anchors, calls, anchor_notes = _measure_anchors(game, design, score_column(values), spare)
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
    if not len(masks):
        raise InvalidInputError(f"0 masks given; needed at least {MIN_MASKS} to fit.")
    notes = noise_notes(masks, score_column(array))
    given = len(masks)
    masks, array = _merged(masks, array)
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
    held_out = 0 if isinstance(chosen, Exact) else _held_out(holdout, len(masks))
    design = Design(masks, p=p, seed=seed, held_out=held_out)
    anchors = _measured_anchors(design, score_column(array))
    return _explained(names, design, array, chosen, notes, (given, given), anchors)


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
    fidelity = judge(recovery, design, values)
    told = fidelity_notes(fidelity, exact=isinstance(recovery.tuned, Exact))
    missed = anchor_notes(recovery.spectrum, anchors, score_column(values))
    notes = (*design.notes, *notes, *recovery.notes, *told, *missed)
    return Explanation(
        players=tuple(players), masks=design.masks, values=values, spectrum=recovery.spectrum,
        fidelity=fidelity, algorithm=algorithm.name, chosen=recovery.chosen, notes=notes,
        budget=calls[0], calls=calls[1], full_value=anchors.get("full"),
        empty_value=anchors.get("empty"), seed=design.seed,
    )  # fmt: skip


def _held_out(share: float, count: int) -> int:
    """Number of masks to hold out, so that enough are left to fit and, if any, to judge."""
    if not 0 <= share < 1:
        raise InvalidInputError(f"holdout = {share} given; needed a share from 0 to below 1.")
    held_out = round(share * count)
    if count - held_out < MIN_MASKS or held_out == 1:
        raise InvalidInputError(
            f"holdout = {share} of {count} masks leaves {count - held_out} to fit and {held_out} "
            f"to judge; needed at least {MIN_MASKS} and 2. Change the share or raise the budget."
        )
    return held_out


def _merged(masks: BoolArray, values: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Each distinct mask once, with the mean of its values.

    Copies of a mask on both sides of a fold would be judged on what was fitted.
    """
    distinct, group = unique_masks(masks)
    if len(distinct) == len(masks):
        return masks, values
    columns = values.reshape(len(values), -1)
    count = np.bincount(group)
    means = np.stack([np.bincount(group, column) / count for column in columns.T], axis=1)
    return distinct, means[:, 0] if values.ndim == 1 else means


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


def _measured_anchors(design: Design, score: FloatArray) -> dict[str, float]:
    """Values of the full and the empty input, where the design holds them."""
    rows = {name: (design.masks == present).all(axis=1) for name, present in _ANCHORS.items()}
    return {name: float(score[row][0]) for name, row in rows.items() if row.any()}


def _measure_anchors(
    game: Game, design: Design, score: FloatArray, spare: int
) -> tuple[dict[str, float], int, tuple[str, ...]]:
    """Values with every player and with none, the calls they took, and notes.

    Where the design holds the mask, its value is used; other masks are measured while `spare` calls
    are left. A game that cannot run one keeps its result.
    """
    anchors = _measured_anchors(design, score)
    calls = 0
    notes: list[str] = []
    for name, present in _ANCHORS.items():
        if name in anchors or calls == spare:
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
