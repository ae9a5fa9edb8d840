"""The baselines every result stands beside: LASSO of order 1, and LASSO with pairwise features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from spexlens.algorithms import machine
from spexlens.algorithms.base import Design, FitCost, Recovery, random_design
from spexlens.core.arguments import check_whole
from spexlens.core.game import score_column
from spexlens.core.masks import FloatArray
from spexlens.proxies.folds import FOLDS
from spexlens.proxies.linear import (
    MAX_ENTRIES,
    MAX_FEATURES,
    Penalty,
    choose_penalty,
    lasso_spectrum,
)

# Passes that a descent takes, on average over a path.
_PASSES_OF_SINGLES, _PASSES_OF_PAIRS = 20.0, 4.5


@dataclass(frozen=True)
class Lasso:
    """Order-1 LASSO: a purely additive explanation, LIME-like, the linear baseline.

    Parameters
    ----------
    folds, alphas : int
        Folds of the cross-validation and number of penalties on its path.
    penalty : Penalty, optional
        Fixed penalty; None chooses it by cross-validation.
    """

    folds: int = FOLDS
    alphas: int = 50
    penalty: Penalty | None = None

    name: ClassVar[str] = "lasso"
    any_masks: ClassVar[bool] = True
    exact: ClassVar[bool] = False

    design = staticmethod(random_design)

    def __post_init__(self) -> None:
        check_whole(self, folds=2, alphas=1)

    def recover(self, design: Design, values: FloatArray) -> Recovery:
        """Fit the LASSO as a spectrum of order 1."""
        return _recover(self, design, values, order=1, pair_factors=(1.0,), limit=MAX_FEATURES)

    def fit_cost(self, n: int, ablations: int) -> FitCost:
        """Count the entries of the masks, or of their Gram matrix, in all descents."""
        return _cost(n, ablations, n, self.folds * self.alphas, _PASSES_OF_SINGLES, 2.0)


@dataclass(frozen=True)
class Pairwise:
    """LASSO on all singles and pairs: cheap, strong at larger budgets, blind beyond order 2.

    A pair may cost `pair_factors` times the penalty of a single, which protects the main effects
    where ablations are few; the factor is chosen with the penalty. Above `max_pairs` pairs, or 4e7
    entries of masks x pairs, the pairs that correlate most with the residual of the singles are
    screened, inside every fold.

    Parameters
    ----------
    folds, alphas : int
        Folds of the cross-validation and number of penalties on its path.
    pair_factors : tuple of float
        Candidates for how many times a single's penalty a pair pays.
    max_pairs : int
        More pairs than these are screened.
    penalty : Penalty, optional
        Fixed penalty; None chooses it by cross-validation.
    """

    folds: int = FOLDS
    alphas: int = 30
    pair_factors: tuple[float, ...] = (1.0, 2.0, 4.0)
    max_pairs: int = MAX_FEATURES
    penalty: Penalty | None = None

    name: ClassVar[str] = "pairwise"
    any_masks: ClassVar[bool] = True
    exact: ClassVar[bool] = False

    design = staticmethod(random_design)

    def __post_init__(self) -> None:
        check_whole(self, folds=2, alphas=1, max_pairs=1)

    def recover(self, design: Design, values: FloatArray) -> Recovery:
        """Fit the LASSO as a spectrum of order 2."""
        return _recover(self, design, values, 2, self.pair_factors, self.max_pairs)

    def fit_cost(self, n: int, ablations: int) -> FitCost:
        """Count the entries of masks x pairs in all descents; screening bounds the pairs."""
        most = max(n, min(self.max_pairs, int(MAX_ENTRIES / max(ablations, 1))))
        features = n + min(n * (n - 1) // 2, most)
        paths = self.folds * self.alphas * len(self.pair_factors)
        cost = _cost(n, ablations, features, paths, _PASSES_OF_PAIRS)
        beside = Lasso().fit_cost(n, ablations).seconds / 2
        return FitCost(cost.seconds + beside, cost.memory, cost.judging + beside)


def _cost(
    n: int, ablations: int, features: int, penalties: int, passes: float, times: float = 1.0
) -> FitCost:
    """Count what descents along all paths take: judging is three fits of one penalty each.

    Every fit stands beside a LASSO of singles, so that one of these is done several `times`.
    """
    rows, entries = 0.8 * ablations, float(ablations) * features
    dual = rows <= features
    swept = 0.8 * entries if dual else 0.4 * features**2
    descents = penalties * passes * swept * machine.descent()
    shared = 0.0 if dual else features**2 * rows * machine.product()
    making = 10 * entries * machine.entry() + shared + n**2 * rows * machine.product()
    path = descents + 7 * making
    judging = 4 * making + 10 * passes * swept * machine.descent() + (times - 1) * path
    return FitCost(path + judging, 24 * entries, judging)


def _recover(
    algorithm: Lasso | Pairwise,
    design: Design,
    values: FloatArray,
    order: int,
    pair_factors: tuple[float, ...],
    limit: int,
) -> Recovery:
    masks = design.masks[design.fitted]
    score = score_column(values)[design.fitted]
    penalty, out_of_fold = algorithm.penalty, None
    if penalty is None:
        path = choose_penalty(
            masks, score, order, design.p, design.seed, algorithm.folds, algorithm.alphas,
            pair_factors, design.fitted_groups, limit,
        )  # fmt: skip
        penalty, out_of_fold = path.penalty, path.out_of_fold
    spectrum = lasso_spectrum(masks, score, order, design.p, penalty, limit)
    chosen = {"alpha": penalty.alpha, "pair_factor": penalty.pair_factor}
    tuned = replace(algorithm, penalty=penalty)
    return Recovery(spectrum, tuned, chosen, out_of_fold=out_of_fold, scaled=("alpha",))
