"""The baselines every result stands beside: LASSO of order 1, and LASSO with pairwise features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

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
        """Count nothing: a fit takes seconds."""
        return FitCost()


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
        """Estimate it from fits to 800 … 20,000 ablations; screening bounds the pairs."""
        entries = min(float(n) * ablations * n / 2, MAX_ENTRIES)
        return FitCost(4e-7 * entries, 24 * entries)


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
