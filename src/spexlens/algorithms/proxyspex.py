"""ProxySPEX: learn boosted trees from few ablations and read their spectrum exactly.

Butler et al. 2025, arXiv 2505.17495. The public implementations differ in details; each such choice
is a named function here: `min_leaf_rows`, `energy_cut`, `ridge_refit`, `keep_refit`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from spexlens.algorithms.base import Design, Recovery, random_design
from spexlens.core.game import score_column
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.core.spectrum import FourierSpectrum, fourier_basis
from spexlens.core.supports import collect_terms, term_matrix
from spexlens.errors import BlowUpError
from spexlens.proxies.boosted_trees import (
    PUBLISHED_GRID,
    FittedTrees,
    TreeGrid,
    TreeSettings,
    fit_trees,
    search_trees,
)
from spexlens.proxies.folds import FOLDS, fold_rows
from spexlens.transforms.trees import TreeEnsemble, ensemble_spectrum


@dataclass(frozen=True)
class ProxySPEX:
    """Boosted trees, chosen by cross-validation, read exactly, cut by energy, refitted by ridge.

    Parameters
    ----------
    grid : TreeGrid
        Settings to choose from; the default is the published grid.
    energy : float, default 0.95
        Share of the spectrum's energy (without the constant) that `energy_cut` keeps.
    max_terms : int, optional
        At most so many terms are kept.
    max_order : int, optional
        Read only sets of at most so many players; their coefficients stay exact.
    refit : bool, default True
        Try a ridge refit, and keep it if it lowers the cross-validated error.
    folds : int, default 5
    threads : int, optional
        Parallel fits; None uses every core. The result does not depend on it.
    p : float or float array (n,), default 0.5
        Keep probability of the masks.
    settings : TreeSettings, optional
        Fixed settings instead of the grid search.
    kept_refit : bool, optional
        Fixed answer to "keep the refit?" instead of cross-validation.
    """

    grid: TreeGrid = PUBLISHED_GRID
    energy: float = 0.95
    max_terms: int | None = None
    max_order: int | None = None
    refit: bool = True
    folds: int = FOLDS
    threads: int | None = None
    p: float | FloatArray = 0.5
    settings: TreeSettings | None = None
    kept_refit: bool | None = None

    name: ClassVar[str] = "proxyspex"
    any_masks: ClassVar[bool] = True

    def design(self, n: int, budget: int, rng: np.random.Generator) -> Design:
        """Uniform random masks."""
        return random_design(n, budget, rng, self.p)

    def recover(self, design: Design, values: FloatArray) -> Recovery:
        """Search, read, cut, refit."""
        masks = design.masks[design.fitted]
        score = score_column(values)[design.fitted]
        settings, use_refit, out_of_fold = self.settings, self.kept_refit, None
        notes: dict[str, None] = {}
        if settings is None or use_refit is None:
            grid = self.grid if settings is None else _single(settings)
            search = search_trees(masks, score, grid, self.folds, design.seed, self.threads)
            settings = search.settings
            parts = fold_rows(len(score), self.folds, design.seed)
            cut, refitted = np.empty_like(score), np.empty_like(score)
            for model, (fit, judge) in zip(search.fold_models, parts, strict=True):
                spectrum = self._read(model, settings, design, notes)
                cut[judge] = spectrum(masks[judge])
                refit = ridge_refit(spectrum, masks[fit], score[fit]) if self.refit else spectrum
                refitted[judge] = refit(masks[judge])
            use_refit = self.refit and keep_refit(cut, refitted, score)
            out_of_fold = refitted if use_refit else cut
        model = fit_trees(masks, score, settings, design.seed, self.threads or 1)
        spectrum = self._read(model, settings, design, notes)
        if use_refit:
            spectrum = ridge_refit(spectrum, masks, score)
        chosen = {
            "depth": settings.depth, "trees": settings.trees, "rate": settings.rate,
            "refit": use_refit, "terms": len(spectrum),
        }  # fmt: skip
        tuned = replace(self, settings=settings, kept_refit=use_refit)
        return Recovery(spectrum, tuned, chosen, tuple(notes), out_of_fold)

    def _read(
        self, model: FittedTrees, settings: TreeSettings, design: Design, notes: dict[str, None]
    ) -> FourierSpectrum:
        ensemble = TreeEnsemble.from_lightgbm(model.booster, num_iteration=settings.trees)
        try:
            trees = ensemble_spectrum(ensemble, design.n, design.p, max_order=self.max_order)
        except BlowUpError as error:
            trees = ensemble_spectrum(ensemble, design.n, design.p, max_order=error.fits)
            note = f"some trees are too deep to read in full: sets of up to {error.fits} players"
            notes[f"{note} were read, exactly; shallower trees (depth) or max_order avoid this"] = (
                None
            )
        offset = FourierSpectrum.from_dict({(): model.offset}, design.n, design.p)
        return energy_cut(trees.scale(model.scale) + offset, self.energy, self.max_terms)


def energy_cut(
    spectrum: FourierSpectrum, share: float, max_terms: int | None = None
) -> FourierSpectrum:
    """The fewest largest terms that hold at least `share` of the energy, and the constant.

    Energy is `sum F(S)^2` over non-empty S. The term that crosses the share is kept; terms are
    ranked, not compared with a threshold, so ties at the cut neither empty the support nor flood
    it; the constant is always kept and never counts.
    """
    orders = spectrum.supports.orders()
    energy = np.sort(spectrum.coefficients[orders > 0] ** 2)[::-1]
    if not len(energy) or energy[0] == 0:
        return spectrum.select(orders == 0)
    reached = np.cumsum(energy) >= share * energy.sum() * (1 - 1e-12)
    count = int(np.argmax(reached)) + 1
    return spectrum.truncate(count if max_terms is None else min(count, max_terms))


def ridge_refit(spectrum: FourierSpectrum, masks: BoolArray, values: FloatArray) -> FourierSpectrum:
    """The spectrum's terms with coefficients refitted by ridge, its strength by leave-one-out.

    The constant is the unpenalised intercept.
    """
    from sklearn.linear_model import RidgeCV

    terms = spectrum.select(spectrum.supports.orders() > 0)
    empty = np.zeros((1, 0), dtype=np.int64)
    if not len(terms):
        constant = np.array([values.mean()])
        return FourierSpectrum(*collect_terms(spectrum.n, [(empty, constant)]), p=spectrum.p)
    features = term_matrix(terms.supports, fourier_basis(masks, spectrum.p))
    ridge = RidgeCV(alphas=np.logspace(-2, 6, 33)).fit(features, values)
    coefficients = np.ravel(ridge.coef_)
    groups = [(group, coefficients[part]) for group, part in terms.supports.slices()]
    constant = np.array([float(ridge.intercept_)])
    return FourierSpectrum(*collect_terms(spectrum.n, [(empty, constant), *groups]), p=spectrum.p)


def keep_refit(cut: FloatArray, refitted: FloatArray, values: FloatArray) -> bool:
    """Whether the refit's out-of-fold squared error is strictly below that of the cut spectrum."""
    return bool(np.sum((refitted - values) ** 2) < np.sum((cut - values) ** 2))


def _single(settings: TreeSettings) -> TreeGrid:
    return TreeGrid((settings.depth,), (settings.trees,), (settings.rate,))
