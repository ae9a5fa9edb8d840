"""SPEX: sparse interactions from a designed set of masks (Kang et al., arXiv 2502.13870)."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import ClassVar

import numpy as np

from spexlens.algorithms import machine
from spexlens.algorithms.base import Design, FitCost, Recovery, draw_seed
from spexlens.algorithms.peeling import peel
from spexlens.algorithms.refit import Refit, Regression, fold_moments, refit
from spexlens.algorithms.regression import Lasso
from spexlens.algorithms.sweeping import SWEEP_SETS, scores
from spexlens.core.arguments import check_whole
from spexlens.core.game import as_values, score_column
from spexlens.core.masks import FloatArray, IntArray, read_only
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.supports import Supports, collect_terms
from spexlens.core.work import stage
from spexlens.errors import InvalidInputError
from spexlens.transforms.bch import bch_code, code_size
from spexlens.transforms.hashing import (
    Hashing,
    fresh_masks,
    group_masks,
    hashing_of,
    independent_rows,
    unpacked,
)

MIN_B, FEWEST_BITS, MAX_B = 2, 3, 13
MIN_HELD_OUT, MAX_HELD_OUT = 20, 200
MAX_SINGLES = 1000
_PEELING = 0.6  # of a fit's time, about
_ROUNDS = 4  # of peeling, usually


@dataclass(frozen=True)
class Step:
    """One size of the masking design: C groups of 2^b masks for each of r + 1 rows of a code."""

    groups: int
    b: int
    t: int
    r: int
    n: int

    @property
    def queries(self) -> int:
        """Masks counted with repeats: `N = C 2^b (1 + r)`, as published."""
        return int(self.groups * 2**self.b * (1 + self.r))

    @property
    def distinct(self) -> int:
        """At most so many distinct masks: all groups share the rows d themselves (l = 0)."""
        shared = (self.groups - 1) * (1 + self.r)
        return min(self.queries - shared, _masks_of(self.n))

    @property
    def needed(self) -> int:
        """The least budget: distinct masks and a few to judge the result, where any are left."""
        return min(self.distinct + MIN_HELD_OUT, _masks_of(self.n))

    def __str__(self) -> str:
        return f"C={self.groups}, b={self.b}, t={self.t}"


@dataclass(frozen=True, eq=False)
class SpexStructure:
    """What `SPEX.recover` must know of its design.

    Attributes
    ----------
    step : Step
    hashing : Hashing
    rows : int array (C, r + 1, 2^b)
        Row of `Design.masks` that holds the mask `M_c l + d`.
    distinct : int
        The first so many masks are the structured ones; random ones follow.
    """

    step: Step
    hashing: Hashing
    rows: IntArray
    distinct: int


@dataclass(frozen=True)
class SPEX:
    """Sparse Fourier recovery by hashing, coding and peeling; finds sets of any order up to t.

    Unlike algorithms that grow interactions from main effects, it finds a set of five players none
    of whose subsets matter. It needs many masks, in a design of its own.

    Parameters
    ----------
    order : int, default 5
        Highest order of the interactions looked for, and t of the code (1 … 10).
    groups : int, default 3
        C, the number of independent hashings.
    b : int, optional
        2^b bins a group; by default the largest that the budget holds.
    patterns : int, default 256
        Flip patterns a bin in soft decoding; 1 decodes hard only.
    sweep_order : int, optional
        Highest order up to which all sets are tested one by one after decoding, beside the
        neighbours of what was found; by default as many as 600,000 sets allow (order 3 up to
        n = 150, order 2 up to n = 1,000); 0 for no such tests, as published.
    regression : {"best", "lasso", "ridge", "none"}
        How coefficients are fitted in the end, the penalty being chosen by 5-fold
        cross-validation; "none" is least squares.
    singles : bool, default True
        Let the final fit take in all single players (up to n = 1,000), found or not, where that
        predicts left-out masks better by over a standard error. With few masks and many small main
        effects it does; published SPEX then falls behind a linear model.

    Notes
    -----
    *Choice of size*: t stays at `order`, with the largest b that fits the budget, as long as that b
    is at least 3 (24 bins). With less, t is lowered one by one, to 2, until b = 3 fits; failing
    that, the largest b and then the largest t are taken. `Design.notes` tells. Lowering t for a
    larger b does not pay: the rows of the code are measurements too, and with t = 2 in place of 5
    (n = 40 … 100, budgets of 1,500 … 6,000) no game gained over 0.02 of R2 and those with
    interactions of high order lost up to 0.3. With t below `order`, sets of more than t players are
    still found by the tests of single sets.

    *Nesting*: with the same seed, the masks of (b, t) are among those of (b + 1, t), and held-out
    and spare masks come from streams of their own. Different t share only the masks of the row
    d = 0: the rows of a systematic code change with t (see `spexlens.transforms.bch`).

    Examples
    --------
    >>> truth = FourierSpectrum.from_dict({(): 1.0, (3,): 2.0, (5, 20, 33): -1.0}, n=40)
    >>> spex = SPEX()
    >>> design = spex.design(40, 8000, np.random.default_rng(0))
    >>> recovery = spex.recover(design, truth(design.masks))
    >>> {s: round(c, 6) for s, c in recovery.spectrum.to_dict().items()}
    {(): 1.0, (3,): 2.0, (5, 20, 33): -1.0}
    """

    order: int = 5
    groups: int = 3
    b: int | None = None
    patterns: int = 256
    sweep_order: int | None = None
    regression: Regression = "best"
    singles: bool = True

    name: ClassVar[str] = "spex"
    any_masks: ClassVar[bool] = False
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_whole(self, order=1, groups=1, patterns=1, sweep_order=0)

    def design(
        self, n: int, budget: int, rng: np.random.Generator, p: float | FloatArray = 0.5
    ) -> Design:
        """Make the masks `M_c l + d`, then random ones for the refit, then those held out.

        Parameters
        ----------
        n : int
            Number of players, at most 8,191.
        budget : int
            Never exceeded.
        rng : numpy.random.Generator
        p : float or float array (n,), default 0.5
            No other: the code is linear, so that it keeps every player in half of the masks.

        Raises
        ------
        InvalidInputError
            When the budget holds no step (the message lists the feasible ones), p is not 1/2, or n
            or `order` exceed what the code tables hold.
        """
        if np.any(np.asarray(p) != 0.5):
            raise InvalidInputError(
                f"keep probability p = {p} given, but {self.name!r} is defined for p = 1/2 only; "
                "choose another algorithm or p = 0.5."
            )
        step = self.choose(n, budget)
        code = bch_code(n, step.t)
        seeds = rng.integers(2**63, size=self.groups + 2)
        seed = draw_seed(rng)
        drawn = [independent_rows(n, min(n, MAX_B), np.random.default_rng(s)) for s in seeds[2:]]
        hashing = hashing_of(code, step.b, drawn)
        structured = np.concatenate([group_masks(code, rows[: step.b]) for rows in drawn])
        keys = structured.view(np.dtype((np.void, structured.shape[1]))).ravel()
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))
        packed = structured[np.sort(first)]
        distinct = len(packed)

        left = max(0, min(budget, _masks_of(n)) - distinct)
        held_out = min(left, max(MIN_HELD_OUT, min(budget // 10, MAX_HELD_OUT)))
        judged = fresh_masks(n, held_out, packed, np.random.default_rng(seeds[0]))
        taken = np.concatenate([packed, judged])
        spare = fresh_masks(n, left - held_out, taken, np.random.default_rng(seeds[1]))
        structure = SpexStructure(
            step,
            hashing,
            rows=read_only(rank[inverse.ravel()].reshape(self.groups, code.r + 1, 2**step.b)),
            distinct=distinct,
        )
        note = (
            f"SPEX takes {step} (r={step.r}): {distinct} designed masks of {budget}, "
            f"{len(spare)} random ones for the refit and {held_out} held out."
        )
        lowered = f" t is below the order {self.order} asked for: the budget holds no more."
        return Design(
            unpacked([packed, spare, judged], n),
            seed=seed,
            held_out=held_out,
            structure=structure,
            notes=(note + (lowered if step.t < min(self.order, n) else ""),),
        )

    def choose(self, n: int, budget: int) -> Step:
        """Choose the step that `design` takes; see Notes."""
        steps = self.steps(n)
        fitting = [step for step in steps if step.needed <= budget]
        if not fitting:
            cheapest = sorted(steps, key=lambda step: step.needed)[:8]
            raise InvalidInputError(
                f"budget = {budget} given; SPEX over n = {n} players needs at least "
                f"{cheapest[0].needed}. Feasible: "
                + "; ".join(f"{step.needed} for {step}" for step in cheapest)
                + ". Raise the budget, or use an algorithm for any masks (proxyspex, lasso)."
            )
        largest = {step.t: step for step in sorted(fitting, key=lambda step: step.b)}
        enough = [t for t, step in largest.items() if step.b >= FEWEST_BITS]
        if enough:
            return largest[max(enough)]
        return max(fitting, key=lambda step: (step.b, step.t))

    def steps(self, n: int) -> list[Step]:
        """List all sizes of the design for n players, by t and then b."""
        order = min(self.order, n)
        bs = range(min(MIN_B, n), min(n, MAX_B) + 1) if self.b is None else [self.b]
        if self.b is not None and not 1 <= self.b <= min(n, MAX_B):
            raise InvalidInputError(
                f"b = {self.b} given for n = {n} players; needed 1 … {min(n, MAX_B)}."
            )
        code_size(n, order)  # an order that no code serves is an error, not a lower order
        return [
            Step(self.groups, b, t, code_size(n, t)[1], n)
            for t in range(min(2, order), order + 1)
            for b in bs
        ]

    def recover(self, design: Design, values: FloatArray) -> Recovery:
        """Recover the sparse spectrum behind `values`; see `Algorithm.recover`."""
        structure = design.structure
        if not isinstance(structure, SpexStructure):
            raise InvalidInputError(
                "these masks were not designed by SPEX, which cannot use others. Use its own "
                "design, or an algorithm for any masks (proxyspex, pairwise, lasso)."
            )
        measured = score_column(as_values(values, design.masks))
        hashing = structure.hashing
        bins = hashing.transform(measured[structure.rows])
        with stage(0.0, _PEELING):
            peeled = peel(
                hashing,
                bins,
                order=min(self.order, design.n),
                patterns=self.patterns,
                sweep_order=self.sweep_order,
            )
        extra = slice(structure.distinct, design.fitted.stop)
        values_there = design.masks[extra], measured[extra]

        def fit(sets: IntArray) -> Refit:
            rng = np.random.default_rng(design.seed)  # the same folds for every support
            return refit(fold_moments(hashing, bins, sets, *values_there, rng), self.regression)

        with stage(_PEELING, (1 + _PEELING) / 2):
            sets, fitted = peeled.sets, fit(peeled.sets)
        if self.singles and design.n <= MAX_SINGLES and self.regression != "none":
            wider = with_singles(sets, design.n)
            z = scores(hashing, peeled.residual, peeled.noise, wider[len(sets) :])
            # Fitting a thousand players takes seconds: only where they hold more than noise.
            if (z**2).sum() > len(z) + np.sqrt(2 * len(z)) and (wide := fit(wider)).beats(fitted):
                sets, fitted = wider, wide
        keep = fitted.coefficients != 0
        keep[0] = True
        sets = sets[keep]
        supports, coefficients = _spectrum_terms(design.n, sets, fitted.coefficients[keep])
        errors = _spectrum_terms(design.n, sets, fitted.std_errors[keep])[1]
        chosen = {
            "b": structure.step.b,
            "t": structure.step.t,
            "C": structure.step.groups,
            "noise_sd": peeled.noise_sd,
            "rounds": peeled.rounds,
            "regression": fitted.chosen,
            "singles": len(sets) > len(peeled.sets),
        }
        empty = len(supports) == 1 and float(np.ptp(measured[design.fitted])) > 0
        notes = (
            "SPEX found no interaction above the noise: the function is not sparse at this "
            f"budget ({structure.step}). Raise the budget, or compare with proxyspex.",
        )
        spectrum = FourierSpectrum(supports, coefficients, errors)
        told = notes if empty else ()
        return Recovery(spectrum, tuned=self, chosen=chosen, notes=told, scaled=("noise_sd",))

    def fit_cost(self, n: int, ablations: int) -> FitCost:
        """Count the sets that are tested and the fits to those found: an eighth of the masks.

        How many will be found, and in how many rounds, is known only then.
        """
        try:
            step = self.choose(n, ablations)
        except InvalidInputError:
            return FitCost()  # no such design
        found = float(min(n, ablations // 8))
        order, tested = 1, min(float(SWEEP_SETS), found * n)
        while order <= min(self.order, n) and tested + comb(n, order) <= 2 * SWEEP_SETS:
            tested, order = tested + comb(n, order), order + 1
        entries = 2 * _ROUNDS * tested * step.groups * (step.r + 1)
        fits = 12 * found**2 * (10 * found * machine.product() + 200 * machine.descent())
        judging = Lasso().fit_cost(n, ablations).seconds / 2
        return FitCost(entries * machine.entry() + fits + judging, 24.0 * found**2, judging)


def with_singles(sets: IntArray, n: int) -> IntArray:
    """Return padded `sets` and, behind them, every single player that is not among them.

    >>> with_singles(np.array([[3, 3], [1, 3]]), n=3).tolist()
    [[3, 3], [1, 3], [0, 3], [2, 3]]
    """
    alone = sets[(sets < n).sum(axis=1) == 1, 0]
    missing = np.setdiff1d(np.arange(n), alone)
    singles = np.full((len(missing), sets.shape[1]), n, dtype=np.int64)
    singles[:, 0] = missing
    return np.concatenate([sets, singles])


def _masks_of(n: int) -> int:
    """All 2^n masks, capped where the number no longer matters."""
    return int(2 ** min(n, 62))


def _spectrum_terms(n: int, sets: IntArray, weights: FloatArray) -> tuple[Supports, FloatArray]:
    """Return padded sets with weights as canonical terms."""
    orders = (sets < n).sum(axis=1)
    return collect_terms(
        n, [(sets[orders == o, :o], weights[orders == o]) for o in np.unique(orders)]
    )
