"""The front door: `explain` a game, or `fit` values that were already measured."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from importlib import metadata
from typing import Any

import numpy as np

from spexlens.ablation.budget import Budget
from spexlens.ablation.engines import Engine
from spexlens.ablation.evaluate import BATCH_SIZE, Progress
from spexlens.ablation.gradients import AUTO
from spexlens.ablation.interruption import values_on_errors
from spexlens.ablation.meter import Meter
from spexlens.ablation.progress import ProgressBar
from spexlens.ablation.store import StoreLike
from spexlens.algorithms.base import MIN_MASKS, Algorithm, Design, MaskDesign, suggested_budget
from spexlens.algorithms.exact import Exact
from spexlens.algorithms.table import find_algorithm
from spexlens.core.game import (
    Described,
    Game,
    HasKeepProbability,
    Noted,
    as_game,
    as_values,
    player_names,
    score_column,
)
from spexlens.core.masks import (
    BoolArray,
    FloatArray,
    Rng,
    as_generator,
    as_masks,
    frame_columns,
    keep_probabilities,
)
from spexlens.core.presence import contradicts, learn_keep_probability, presence_in_words
from spexlens.errors import InvalidInputError
from spexlens.explanation.baselines import measure_baselines, measured_baselines
from spexlens.explanation.fidelity import Fidelity
from spexlens.explanation.fitting import FitTime, fits_in
from spexlens.explanation.gradients import asked_gradients, gradient_notes, take_gradients
from spexlens.explanation.index_masks import first_masks
from spexlens.explanation.index_reading import asked_index, check_masks_are_free, read_index
from spexlens.explanation.judging import (
    baseline_notes,
    constant_notes,
    fidelity_notes,
    tail_notes,
)
from spexlens.explanation.learning_curve import LearningCurve
from spexlens.explanation.noise import merged, with_noise
from spexlens.explanation.planning import (
    allowed_calls,
    check_needs,
    enumerable,
    exact_if_affordable,
    held_out_rows,
    warn_of_a_long_fit,
    with_time_for_the_fit,
)
from spexlens.explanation.result import Explanation
from spexlens.explanation.rounds import (
    SPENT,
    Following,
    exact_if_complete,
    fit_round,
    round_sizes,
    rows_of_all,
    run_rounds,
)
from spexlens.explanation.stopping import Reading, Round, StoppingRule, curve_of

_BASELINE_BUDGET = 32  # from here on, two calls go to the full and the empty input


def explain(
    game: Game,
    budget: int | str | Budget | None = None,
    algorithm: str | Algorithm = "auto",
    rng: Rng = None,
    *,
    index: str | None = None,
    order: int | None = None,
    p: float | FloatArray | None = None,
    holdout: float = 0.0,
    until: str | StoppingRule | Fidelity | None = None,
    design: MaskDesign | None = None,
    gradients: int | str = AUTO,
    store: StoreLike | None = None,
    engine: str | Engine | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Progress | bool | None = None,
) -> Explanation:
    """Find which interactions between a game's players drive its values.

    Parameters
    ----------
    game : Game
        Anything with `players` and `masks -> values`; `FunctionGame` wraps a callable.
    budget : int, Budget or "auto", optional
        Calls of the value function, never exceeded; default about `2 n log2 n`. From 2^n on,
        everything is measured and the result is exact. "auto" allows `8 n log2 n` and measures
        until twice the ablations are predicted to add less than 0.01 to R2 (`until=Plateau()`).
        `Budget(tokens=…, seconds=…)` limits the cost; what was measured then is explained.
    algorithm : str or Algorithm
        A name in `spexlens.ALGORITHMS`, or an instance with other settings.
    rng : int, Generator or None
        Seeds everything; the same seed gives the same result.
    index : str, optional
        Index that is asked for, such as "SV" or "SII": the first masks are of the sizes that it
        averages over, the others those that the values so far say tell most of it.
        `Explanation.interactions()` gives it, read from the posterior without truncation.
    order : int, optional
        Highest order of that index; by default 2, 1 for values.
    p : float or float array (n,), optional
        Keep probability of the masks, if other than the game's own (`game.p`, of joint games) or
        1/2.
    holdout : float, default 0
        Share of the budget kept out of the fit to judge it. 0 judges by cross-validation and
        spends every ablation on the fit.
    until : str, Fidelity or StoppingRule, optional
        Measure in nested batches and stop early: `Fidelity(r2=0.8)` once that is reached,
        `Stable(top=10)` once the strongest interactions stay the same, `Plateau()` once more
        ablations would add little; by name "r2=0.8", "stable=10", "plateau", or another of
        `spexlens.RULES`. The learning curve is kept in `Explanation.curve`.
    design : MaskDesign, optional
        How masks are drawn, if not independently: `SplitPlot` where some players
        are hard to change.
    gradients : int or "auto"
        Masks at which to take the derivative of the score by every player's gate, from games that
        offer it (`spexlens.core.game.Differentiable`): each counts as a few ablations, and stands
        in for many where ablations are few for the players. "auto" takes 8, or one at the full
        input, where that is so; 0 takes none. The notes tell what they were worth.
    store : Store or path, optional
        Values it holds are not measured again, new ones are added at once: an interrupted run goes
        on where it was, another algorithm or a larger budget reuses all.
    engine : str or Engine, optional
        Where ablations run: a name in `spexlens.ENGINES`, or an instance; here by default.
    batch_size : int
        Masks a call of the game.
    progress : callable or True, optional
        `progress(done, total)`; True is a `ProgressBar()`, for terminals and notebooks. One with a
        method `fit(share, seconds_left)` shows the fit too.

    Returns
    -------
    Explanation

    Raises
    ------
    InvalidInputError
        For a budget, share, name or game that does not fit.
    AblationError
        When the game fails. This, a Ctrl-C (`InterruptedRunError`) and every other error after the
        first ablation, of a fit too, carry what was measured as `.masks` and `.values`.
    MissingExtraError
        Before the first ablation, where the algorithm needs a package that is not installed.

    Examples
    --------
    >>> from spexlens import FunctionGame
    >>> game = FunctionGame(lambda masks: 1.0 * (masks[:, 0] & masks[:, 2]), ["a", "b", "c"])
    >>> explain(game, budget=8, rng=0).interactions("Moebius").top(1).to_dict()
    {(0, 2): 1.0}
    """
    generator = as_generator(rng)
    n = len(player_names(as_game(game).players))
    chosen = named = find_algorithm(algorithm)
    asked = asked_index(index, order, n)
    if asked is not None and asked[0].measure is not None:
        check_masks_are_free(index, named, p=p, design=design)
    if p is None:
        p = game.p if isinstance(game, HasKeepProbability) else 0.5
    keep_probabilities(p, n)
    allowed, rule = allowed_calls(budget, until, chosen, n)
    notes: tuple[str, ...] = ()
    if rule is None or enumerable(n, round_sizes(n, allowed)[0]):  # nothing is left to stop before
        chosen, notes = exact_if_affordable(chosen, n, allowed)
        rule = rule if chosen.any_masks else None
    for name, given in (("design", design), ("progress", progress)):
        bar = name == "progress" and isinstance(given, bool)
        if not (given is None or bar or callable(given)):
            raise InvalidInputError(f"{name} = {given!r} given; needed a callable: see explain.")
    if design is not None and (not chosen.any_masks or holdout):
        raise InvalidInputError(
            f"design = {design!r} given with algorithm {chosen.name!r} and holdout = {holdout}; "
            "needed an algorithm that takes any masks, and holdout = 0."
        )
    follows = asked is not None and not chosen.exact and bool(asked[0].measures(asked[1]))
    affords = allowed >= _BASELINE_BUDGET and not follows
    reserved = 2 if affords and chosen.any_masks and not enumerable(n, allowed) else 0
    draw = chosen.design if design is None else design

    def masks_within(calls: int) -> tuple[Design, Following | None]:
        if asked is not None and follows:
            return first_masks(*asked, n, calls, generator, holdout)
        drawn = draw(n, calls - reserved, generator, p)
        if chosen.exact or drawn.held_out:
            return drawn, None
        return replace(drawn, held_out=held_out_rows(holdout, len(drawn.masks))), None

    read = None if asked is None else partial(read_index, *asked, players=tuple(game.players))
    asks = asked_gradients(gradients, game, chosen, allowed, ours=follows)
    drawn, following = masks_within(allowed - asks.cost)
    total = len(drawn.masks) if following is None else following.sizes[-1] + drawn.held_out

    check_needs(chosen)
    limits = budget if isinstance(budget, Budget) else Budget()
    shown = ProgressBar() if progress is True else progress or None
    if limits.seconds is None:
        warned = warn_of_a_long_fit(chosen, n, total)
    else:  # a fit that is too long will give way to a cheaper one
        warned, limits = True, with_time_for_the_fit(limits, chosen, n)
    fit_time = FitTime(shown, limits.seconds, time.monotonic(), warned)
    meter = Meter(
        game, limits, total + asks.cost, batch_size=batch_size, engine=engine,
        store=store, progress=shown, started=fit_time.started,
    )  # fmt: skip
    with values_on_errors(meter.paid, "fitting"), fits_in(fit_time):
        if asks.count:
            told = take_gradients(meter, drawn, asks)
            notes += (told.note,) if told.note else ()
            if told.sensitivities is None:
                drawn, following = masks_within(allowed - meter.spent_on_gradients)
            drawn = replace(drawn, sensitivities=told.sensitivities)
        rounds, reason = run_rounds(drawn, chosen, meter, rule, named, following, read)
        meter.keep_nothing()
        last = rounds[-1] if chosen.exact else exact_if_complete(rounds[-1])
        curve = None if rule is None else curve_of(rounds)
        if rule is not None or reason is not None:
            notes += _stopping_notes(curve_of(rounds), reason, allowed)
        spent = last.ablations + meter.refused + meter.spent_on_gradients
        spare = allowed - spent if affords and reason != SPENT else 0
        baselines, missing = measure_baselines(meter, last, spare)
        measured = meter.calls - meter.spent_on_gradients
        if meter.refused:
            if chosen.exact:
                notes = ()  # that everything is measured
            notes += (
                f"{meter.refused} of {measured + meter.reused} masks were refused and left out; "
                "they count as ablations. Nothing is known of inputs like them.",
            )
        notes += gradient_notes(last, meter.spent_on_gradients)
        if meter.reused:
            notes += (f"{meter.reused} values were found in the store, {measured} measured.",)
        if last.ablations < n:
            notes += (
                f"{last.ablations} ablations for {n} players: fewer than one a player; expect only "
                f"the strongest effects. About {suggested_budget(n)} are usual.",
            )
        if isinstance(game, Noted):
            notes += game.notes()
        counts = allowed, meter.calls
        manifest = _manifest(game.describe() if isinstance(game, Described) else {})
        reading = read(last) if read is not None and last.reading is None else last.reading
        return _explained(
            game.players, last, notes + missing, counts, baselines, manifest, curve, reading
        )


def fit(
    masks: BoolArray,
    values: FloatArray,
    players: Sequence[str] | None = None,
    algorithm: str | Algorithm = "auto",
    rng: Rng = None,
    *,
    index: str | None = None,
    order: int | None = None,
    p: float | FloatArray | None = None,
    holdout: float = 0.0,
    progress: Progress | bool | None = None,
) -> Explanation:
    """Explain values that were already measured.

    Parameters
    ----------
    masks : bool array (m, n), or a frame of booleans
        `True` = player present.
    values : float array (m,) or (m, q)
        The score is column 0.
    players : sequence of str, optional
        By default a frame's columns, else numbers.
    algorithm, rng, holdout, index, order
        As in `explain`. An algorithm that needs its own masks (SPEX) cannot be used.
    p : float or float array (n,), optional
        Keep probability that the masks were drawn with; learned from them by default, one a player
        where they differ.
    progress : ProgressBar or True, optional
        Shows how far the fit is: anything with a method `fit(share, seconds_left)`.

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
    players = frame_columns(masks) if players is None else players
    masks = as_masks(masks)
    names = player_names(masks.shape[1] if players is None else players)
    as_masks(masks, len(names))
    array = as_values(values, masks)
    chosen = find_algorithm(algorithm)
    seed = int(as_generator(rng).integers(2**31, dtype=np.int64))
    if not len(masks):
        raise InvalidInputError(f"0 masks given; needed at least {MIN_MASKS} to fit.")
    asked = asked_index(index, order, masks.shape[1])
    given = len(masks)
    drawn = masks
    masks, array, repeats = merged(masks, array)
    notes = () if repeats is None else (repeats.note,)
    full = rows_of_all(masks)
    if full is not None and (chosen.exact or algorithm == "auto"):
        masks, array, chosen = masks[full], array[full], Exact()
    elif not chosen.any_masks:
        raise InvalidInputError(
            f"algorithm {chosen.name!r} needs masks of its own design and cannot be fitted to "
            "given ones; use explain(game, …), or another algorithm."
        )
    elif len(masks) < MIN_MASKS:
        raise InvalidInputError(
            f"{given} masks given, {len(masks)} of them distinct; needed at least {MIN_MASKS} "
            "distinct ones to fit."
        )
    held_out = 0 if chosen.exact else held_out_rows(holdout, len(masks))
    keep, told = _keep_probability(p, masks, drawn)
    design = Design(masks, p=keep, seed=seed, held_out=held_out, notes=told)
    warned = warn_of_a_long_fit(chosen, design.n, len(array))
    shown = ProgressBar() if progress is True else progress or None
    with fits_in(FitTime(shown, told=warned)):
        last = fit_round(chosen, design, array)
    if chosen.exact and repeats is not None:
        last = with_noise(last, repeats)
    reading = None
    if asked is not None:
        read = last
        if full is not None and not chosen.exact:  # whatever fits the spectrum, an index is exact
            read = fit_round(Exact(), design.take(full), array[full])
            read = read if repeats is None else with_noise(read, repeats)
        reading = read_index(*asked, read, tuple(names))
    baselines = measured_baselines(last)
    counts = given, given
    return _explained(names, last, notes, counts, baselines, _manifest({}), reading=reading)


def _keep_probability(
    given: float | FloatArray | None, masks: BoolArray, drawn: BoolArray
) -> tuple[float | FloatArray, tuple[str, ...]]:
    """Return the keep probability to fit with, learned where none is given, and what to tell.

    It is that of the distinct masks, which are fitted; those drawn may hold some more than once.
    """
    if given is None:
        learned = learn_keep_probability(masks)
        if np.ndim(learned) == 0 and learned == 0.5:
            return 0.5, ()
        how = "for each player" if np.ndim(learned) else f"as {learned:.3g}"
        return learned, (
            f"p was learned {how} from the {'' if len(masks) == len(drawn) else 'distinct '}masks, "
            f"which {presence_in_words(masks)}; effects are told at that.",
        )
    keep_probabilities(given, masks.shape[1])
    if contradicts(masks, given) and contradicts(drawn, given):
        return given, (
            f"p = {given} was given, but the masks {presence_in_words(masks)}: R2 and effects may "
            "be far from what such masks show. Leave p out to learn it from them.",
        )
    return given, ()


def _explained(
    players: Sequence[str],
    last: Round,
    notes: tuple[str, ...],
    calls: tuple[int, int],
    baselines: dict[str, float],
    manifest: dict[str, Any],
    curve: LearningCurve | None = None,
    reading: Reading | None = None,
) -> Explanation:
    design, recovery = last.design, last.recovery
    told = fidelity_notes(last.fidelity, exact=recovery.tuned.exact, asked=reading)
    score = score_column(last.values)
    tails, missed = tail_notes(score), baseline_notes(recovery.spectrum, baselines, score)
    constant = constant_notes(design.masks, tuple(players))
    notes = (*design.notes, *notes, *recovery.notes, *told, *constant, *tails, *missed)
    return Explanation(
        players=tuple(players), masks=design.masks, values=last.values,
        spectrum=recovery.spectrum, fidelity=last.fidelity, algorithm=recovery.tuned.name,
        chosen=recovery.chosen, notes=notes, budget=calls[0], calls=calls[1],
        full_value=baselines.get("full"), empty_value=baselines.get("empty"), seed=design.seed,
        curve=curve, manifest=manifest,
        asked=None if reading is None else reading.interactions,
        sensitivities=design.sensitivities,
    )  # fmt: skip


def _manifest(game: dict[str, Any]) -> dict[str, Any]:
    return {"versions": {"python": platform.python_version(), **_versions()}, "game": game}


@cache
def _versions() -> dict[str, str]:
    """Those of the packages that compute; to read them from disk takes as long as a small fit."""
    return {name: metadata.version(name) for name in ("spexlens", "numpy", "scipy")}


def _stopping_notes(curve: LearningCurve, reason: str | None, allowed: int) -> tuple[str, ...]:
    used = curve.steps[-1].ablations
    gain = curve.gain_of_doubling()
    more = "" if math.isnan(gain) else f"; twice as many are predicted to add {gain:.3f} to R2"
    if reason is None:
        return (f"measured to the end of the budget, {allowed} calls, without a stop{more}.",)
    if "predicted to add" in reason:
        more = ""
    return (f"stopped at {used} of {allowed} ablations: {reason}{more}.",)
