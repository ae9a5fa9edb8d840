"""Pruning: which k players to keep according to a spectrum, checked on other questions.

What is kept is chosen from the masks that were measured; how good the choice is, only questions
that were not used can tell. The linear choice, from a ridge regression on the same masks, stands
beside it: not from a sparse fit, whose zeros would leave most of a choice to chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from spexlens.ablation.evaluate import Progress, evaluate
from spexlens.ablation.interruption import values_on_errors
from spexlens.ablation.store import StoreLike
from spexlens.core.arguments import whole
from spexlens.core.bootstrap import bootstrap
from spexlens.core.game import Game, score_column
from spexlens.core.masks import BoolArray, FloatArray, Rng, as_generator, masks_from_sets
from spexlens.core.spectrum import FourierSpectrum, as_spectrum
from spexlens.errors import InvalidInputError
from spexlens.explanation.result import Explanation

if TYPE_CHECKING:
    import pandas as pd

_ENUMERATED = 20_000  # up to so many sets of k players, all are tried
_RESAMPLES = 2_000
_ROUNDING = 1e-12  # of the effects' size: no improvement
_PENALTIES = np.logspace(-1, 5, 25)
SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


@dataclass(frozen=True)
class KeptSet:
    """The best k players to keep, according to a spectrum.

    Attributes
    ----------
    players : tuple of int
    predicted : float
        What the spectrum says of keeping them alone.
    optimal : bool
        Whether all sets of k players were tried; else no swap of one player is better.
    """

    players: tuple[int, ...]
    predicted: float
    optimal: bool


def best_kept_set(spectrum: FourierSpectrum, keep: int) -> KeptSet:
    """Find the k players whose presence alone the spectrum predicts to have the largest value.

    All sets are tried where there are at most 20,000; else sets are grown, shrunk and taken by
    order 1, and improved by swaps of one player for another until none helps.

    Parameters
    ----------
    spectrum : FourierSpectrum
        At any keep probability; best one near `keep / n`, because it knows little of other shares.
    keep : int
        0 … n. To remove k players, keep n - k.

    Returns
    -------
    KeptSet

    Examples
    --------
    Two that back each other up, and a third of less effect: one of the pair is enough.

    >>> from spexlens import FunctionGame, explain
    >>> game = FunctionGame(lambda m: 3.0 * (m[:, 0] | m[:, 1]) + 1.0 * m[:, 2], 3)
    >>> best_kept_set(explain(game, 8).spectrum, 2).players
    (0, 2)
    """
    n = as_spectrum(spectrum).n
    keep = whole("keep", keep, 0, n)
    if math.comb(n, keep) <= _ENUMERATED:
        masks = masks_from_sets(combinations(range(n), keep), n)
        values = spectrum(masks)
        best = int(np.argmax(values))
        return _kept(masks[best], float(values[best]), optimal=True)
    starts = [
        _linear_start(spectrum, keep),
        _stepwise(spectrum, keep, np.zeros(n, dtype=bool)),
        _stepwise(spectrum, keep, np.ones(n, dtype=bool)),
    ]
    improved = [_swapped(spectrum, start) for start in starts]
    mask, value = max(improved, key=lambda pair: pair[1])
    return _kept(mask, value, optimal=False)


def _linear_start(spectrum: FourierSpectrum, keep: int) -> BoolArray:
    mask = np.zeros(spectrum.n, dtype=bool)
    mask[_flips(spectrum.up_to_order(1), mask).argsort(kind="stable")[::-1][:keep]] = True
    return mask


def _stepwise(spectrum: FourierSpectrum, keep: int, mask: BoolArray) -> BoolArray:
    """Players added to, or taken from, `mask` one by one, each the best, until `keep` are left."""
    adding = int(mask.sum()) < keep
    while int(mask.sum()) != keep:
        mask = _flipped(mask, _best_flip(spectrum, mask, adding)[0])
    return mask


def _swapped(spectrum: FourierSpectrum, mask: BoolArray) -> tuple[BoolArray, float]:
    """`mask` improved by swaps; each end of the swap is the best, given the other."""
    value = float(spectrum(mask[None, :])[0])
    spread = float(np.abs(spectrum.coefficients[spectrum.supports.orders() > 0]).sum())
    while mask.any() and not mask.all():
        options = []
        for adding in (True, False):
            first, _ = _best_flip(spectrum, mask, adding)
            between = _flipped(mask, first)
            second, better = _best_flip(spectrum, between, not adding)
            options.append((better, _flipped(between, second)))
        best = max(options, key=lambda option: option[0])
        if best[0] - value <= _ROUNDING * spread:
            break
        value, mask = best
    return mask, value


def _best_flip(spectrum: FourierSpectrum, mask: BoolArray, adding: bool) -> tuple[int, float]:
    """Find the absent player to add (or present one to remove) that gives the largest value."""
    values = np.where(mask == adding, -np.inf, _flips(spectrum, mask))
    best = int(np.argmax(values))
    return best, float(values[best])


def _flips(spectrum: FourierSpectrum, mask: BoolArray) -> FloatArray:
    """Values `(n,)` after changing each player of `mask` alone."""
    return spectrum(mask ^ np.eye(len(mask), dtype=bool))


def _flipped(mask: BoolArray, player: int) -> BoolArray:
    changed = mask.copy()
    changed[player] = not changed[player]
    return changed


def _kept(mask: BoolArray, value: float, *, optimal: bool) -> KeptSet:
    return KeptSet(tuple(np.flatnonzero(mask).tolist()), value, optimal)


@dataclass(frozen=True)
class PruningStep:
    """One share of players kept, chosen in two ways; values are means over held-out questions.

    Attributes
    ----------
    share : float
    keep : int
        Players kept.
    chosen, linear : tuple of int
        Who is kept by the spectrum and by the linear effects.
    value, lower, upper : float
        Of the choice by the spectrum, with 90 % interval over questions.
    linear_value, linear_lower, linear_upper : float
        Of the linear choice.
    gain, gain_lower, gain_upper : float
        `value - linear_value`, and its paired interval.
    """

    share: float
    keep: int
    chosen: tuple[int, ...]
    linear: tuple[int, ...]
    value: float
    lower: float
    upper: float
    linear_value: float
    linear_lower: float
    linear_upper: float
    gain: float
    gain_lower: float
    gain_upper: float


@dataclass(frozen=True)
class PruningCurve:
    """How a game's held-out value falls as fewer players are kept.

    Attributes
    ----------
    steps : tuple of PruningStep
    full_value : float
        With all players.
    questions : int
        Held-out questions.
    """

    steps: tuple[PruningStep, ...]
    full_value: float
    questions: int

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas table, one row a share, without the players kept."""
        import pandas as pd

        return pd.DataFrame([vars(step) for step in self.steps]).drop(columns=["chosen", "linear"])


def pruning_curve(
    explanation: Explanation,
    held_out: Game,
    shares: Sequence[float] = SHARES,
    *,
    rng: Rng = 0,
    store: StoreLike | None = None,
    progress: Progress | None = None,
) -> PruningCurve:
    """Keep shares of the players, chosen with and without interactions, and measure both.

    Parameters
    ----------
    explanation : Explanation
        Of the game of the same players on other questions; best at a keep probability near the
        shares.
    held_out : Game
        With values `(m, 1 + P)`, one column a question behind the mean, as component games have.
        It costs two ablations a share and one for the full model.
    shares : sequence of float
    rng : int, Generator or None
        Of the bootstrap over questions.
    store, progress
        As in `explain`.

    Returns
    -------
    PruningCurve

    Raises
    ------
    InvalidInputError
        For other players than the explanation's, a share outside 0 … 1, or a game that does not
        tell the value of every question.
    """
    if tuple(held_out.players) != explanation.players:
        raise InvalidInputError(
            "the held-out game has other players than the explanation; needed the same components, "
            "in the same order."
        )
    if not shares or any(not 0 <= share <= 1 for share in shares):
        raise InvalidInputError(f"shares = {shares} given; needed some within 0 and 1.")
    n = len(explanation.players)
    counts = [round(share * n) for share in shares]
    sets = [best_kept_set(explanation.spectrum, keep).players for keep in counts]
    order = np.argsort(-linear_effects(explanation), kind="stable")
    plain = [tuple(sorted(order[:keep].tolist())) for keep in counts]
    masks = masks_from_sets([range(n), *sets, *plain], n)
    values = evaluate(held_out, masks, store=store, progress=progress)
    with values_on_errors(lambda: (masks, values), "reading the curve"):
        if values.ndim == 1 or values.shape[1] < 3:
            raise InvalidInputError(
                f"the held-out game has values of shape {values.shape}; needed (m, 1 + P), one "
                "column a question and at least two questions, to tell how certain its means are."
            )
    generator = as_generator(rng)
    steps = []
    for row, (share, keep) in enumerate(zip(shares, counts, strict=True)):
        own, other = values[1 + row, 1:], values[1 + len(counts) + row, 1:]
        means = _interval(own, generator), _interval(other, generator)
        gain = _interval(own - other, generator)
        steps.append(PruningStep(share, keep, sets[row], plain[row], *means[0], *means[1], *gain))
    return PruningCurve(tuple(steps), float(values[0, 0]), values.shape[1] - 1)


def linear_effects(explanation: Explanation) -> FloatArray:
    """Estimate each player's effect, `(n,)`, by ridge regression on the masks, penalty by GCV."""
    from sklearn.linear_model import RidgeCV

    fitted = RidgeCV(_PENALTIES).fit(
        explanation.masks.astype(np.float64), score_column(explanation.values)
    )
    return np.asarray(fitted.coef_, dtype=np.float64)


def _interval(values: FloatArray, rng: np.random.Generator) -> tuple[float, float, float]:
    """Mean of `values` `(P,)`, and its 90 % percentile bootstrap."""
    lower, upper = bootstrap(lambda rows: values[rows].mean(axis=1), len(values), rng, _RESAMPLES)
    return float(values.mean()), lower, upper
