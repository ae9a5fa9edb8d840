"""ProxySPEX: learn boosted trees from few ablations and read their spectrum exactly.

Butler et al. 2025, arXiv 2505.17495. The public implementations differ in details; each such choice
is a named function here: `min_leaf_rows`, `energy_cut`, `ridge_refit`, `keep_refit`. Any other
scikit-learn regressor can stand in for the trees.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from spexlens._support.cores import given_cores
from spexlens.algorithms import machine
from spexlens.algorithms.base import Design, FitCost, Recovery, random_design
from spexlens.core.arguments import check_whole
from spexlens.core.game import score_column
from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.core.spectrum import FourierSpectrum, fourier_basis
from spexlens.core.supports import collect_terms, term_matrix
from spexlens.core.work import current_work, reached, shares, stage
from spexlens.errors import BlowUpError, SpexlensWarning
from spexlens.proxies.boosted_trees import (
    PUBLISHED_GRID,
    FittedTrees,
    TreeGrid,
    TreeSettings,
    fit_trees,
    load_lightgbm,
    search_trees,
)
from spexlens.proxies.folds import FOLDS, fold_rows
from spexlens.proxies.regressors import check_regressor, fit_regressor, read_regressor
from spexlens.proxies.ridge import leave_one_out_ridge
from spexlens.transforms.trees import TreeEnsemble, ensemble_spectrum

_LONG_SEARCH = 2e8
_READ = 0.6  # of the time in which a tree is grown, reading its spectrum takes


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
    settings : TreeSettings, optional
        Fixed settings instead of the grid search.
    kept_refit : bool, optional
        Fixed answer to "keep the refit?" instead of cross-validation.
    proxy : scikit-learn regressor, optional
        Fitted (as a clone) instead of the boosted trees. Tree ensembles and linear models are read
        exactly, others through queries, up to pairs.
    """

    grid: TreeGrid = PUBLISHED_GRID
    energy: float = 0.95
    max_terms: int | None = None
    max_order: int | None = None
    refit: bool = True
    folds: int = FOLDS
    threads: int | None = None
    settings: TreeSettings | None = None
    kept_refit: bool | None = None
    proxy: Any = None

    name: ClassVar[str] = "proxyspex"
    any_masks: ClassVar[bool] = True
    exact: ClassVar[bool] = False

    design = staticmethod(random_design)

    def __post_init__(self) -> None:
        check_whole(self, max_terms=1, max_order=1, folds=2, threads=1)

    def check(self) -> None:
        """Raise where lightgbm is missing, or `proxy` is no regressor; see `Demanding`."""
        if self.proxy is None:
            load_lightgbm()
        else:
            check_regressor(self.proxy)

    def recover(self, design: Design, values: FloatArray) -> Recovery:
        """Fit, read, cut, refit."""
        masks = design.masks[design.fitted]
        score = score_column(values)[design.fitted]
        read = _read_trees if self.proxy is None else _read_regressor
        with stage(0.0, 0.9):
            reading = read(self, design, masks, score)
        use_refit, out_of_fold = self.kept_refit, None
        if reading.fold_spectra:
            cut, refitted = np.empty_like(score), np.empty_like(score)
            parts = fold_rows(len(score), self.folds, design.seed, design.fitted_groups)
            for raw, (fit, judge) in zip(reading.fold_spectra, parts, strict=True):
                spectrum = energy_cut(raw, self.energy, self.max_terms)
                cut[judge] = spectrum(masks[judge])
                refit = ridge_refit(spectrum, masks[fit], score[fit]) if self.refit else spectrum
                refitted[judge] = refit(masks[judge])
            use_refit = self.refit and keep_refit(cut, refitted, score)
            out_of_fold = refitted if use_refit else cut
        spectrum = energy_cut(reading.spectrum, self.energy, self.max_terms)
        if use_refit:
            spectrum = ridge_refit(spectrum, masks, score)
        chosen = {**reading.chosen, "refit": use_refit, "terms": len(spectrum)}
        tuned = replace(self, settings=reading.settings, kept_refit=bool(use_refit))
        return Recovery(spectrum, tuned, chosen, reading.notes, out_of_fold)

    def fit_cost(self, n: int, ablations: int) -> FitCost:
        """Count the trees that are grown, and those that are read; another proxy's count as one.

        How deep trees without a limit grow is not known: they count as three.
        """
        searching, reading = self._seconds(n, ablations)
        judging = 3 * reading * (1 + _READ) / (1 + _READ * (self.folds + 1))
        return FitCost(searching + reading + judging, 100.0 * n * ablations, judging)

    def _seconds(self, n: int, rows: int) -> tuple[float, float]:
        """Count what the search takes, and the fit and the reading of what it found."""
        if self.proxy is not None:
            return 0.0, (self.folds + 1) * float(n) * rows * 50 * machine.entry()
        grid = self.grid if self.settings is None else _single(self.settings)
        most = max(grid.trees)
        entries = float(n) * rows * machine.entry()
        each = machine.tree() + 0.4 * entries
        deep = sum(3.0 if depth is None else 1.0 for depth in grid.depths)
        grown = self.folds * deep * len(grid.rates) * most
        together = min(self.threads or given_cores(), self.folds)
        known = self.settings is not None and self.kept_refit is not None
        binning = self.folds * len(grid.depths) * len(grid.rates) * 18 * entries
        trees = 1 + _READ * (1 if known else self.folds + 1)
        reading = trees * most * each * deep / len(grid.depths)
        return (0.0 if known else (grown * each + binning) / together), reading


@dataclass(frozen=True, eq=False)
class _Reading:
    """What a proxy says: its spectrum on all rows and, where the refit is undecided, on folds."""

    spectrum: FourierSpectrum
    fold_spectra: tuple[FourierSpectrum, ...]
    chosen: dict[str, Any]
    notes: tuple[str, ...] = ()
    settings: TreeSettings | None = None


def _read_trees(
    algorithm: ProxySPEX, design: Design, masks: BoolArray, score: FloatArray
) -> _Reading:
    settings = algorithm.settings
    fold_models: tuple[FittedTrees, ...] = ()
    searching = 0.0, 0.7
    if settings is None or algorithm.kept_refit is None:
        grid = algorithm.grid if settings is None else _single(settings)
        _warn_of_cost(grid, algorithm.folds, design.n)
        if current_work() is not None:
            searching = shares(algorithm._seconds(design.n, len(score)))[0]
        with stage(*searching):
            search = search_trees(
                masks, score, grid, algorithm.folds, design.seed, algorithm.threads,
                design.fitted_groups,
            )  # fmt: skip
        settings, fold_models = search.settings, search.fold_models
    model = fit_trees(masks, score, settings, design.seed, algorithm.threads or 1)
    notes: dict[str, None] = {}

    def read(fitted: FittedTrees) -> FourierSpectrum:
        ensemble = TreeEnsemble.from_lightgbm(fitted.booster, num_iteration=settings.trees)
        try:
            trees = ensemble_spectrum(ensemble, design.n, design.p, algorithm.max_order)
        except BlowUpError as error:
            trees = ensemble_spectrum(ensemble, design.n, design.p, error.fits)
            note = f"some trees are too deep to read in full: sets of up to {error.fits} players"
            notes[f"{note} were read, exactly; shallower trees or max_order avoid this"] = None
        offset = FourierSpectrum.from_dict({(): fitted.offset}, design.n, design.p)
        return trees.scale(fitted.scale) + offset

    spectrum, read_folds = read(model), []
    with stage(searching[1], 1.0):
        for number, fitted in enumerate(fold_models):
            reached((number + 1) / (len(fold_models) + 1))
            read_folds.append(read(fitted))
    folds = tuple(read_folds)
    chosen = {"depth": settings.depth, "trees": settings.trees, "rate": settings.rate}
    return _Reading(spectrum, folds, chosen, tuple(notes), settings)


def _warn_of_cost(grid: TreeGrid, folds: int, n: int) -> None:
    """Tell before the fits that they will take long: about a minute for every 10^8."""
    trees = folds * len(grid.depths) * len(grid.rates) * max(grid.trees)
    if trees * n > _LONG_SEARCH:
        warnings.warn(
            f"ProxySPEX is about to fit {trees:,} trees on {n:,} players, which takes many "
            "minutes. ProxySPEX(grid=QUICK_GRID) of spexlens.proxies.boosted_trees fits a "
            "fifteenth of that, pairwise and kernelspex are faster still.",
            SpexlensWarning,
            stacklevel=2,
        )


def _read_regressor(
    algorithm: ProxySPEX, design: Design, masks: BoolArray, score: FloatArray
) -> _Reading:
    def read(rows: IntArray | slice) -> tuple[FourierSpectrum, str]:
        model = fit_regressor(algorithm.proxy, masks[rows], score[rows])
        return read_regressor(model, design.n, design.p, algorithm.max_order, design.seed)

    spectrum, how = read(slice(None))
    parts = (
        ()
        if algorithm.kept_refit is not None
        else fold_rows(len(score), algorithm.folds, design.seed, design.fitted_groups)
    )
    folds = tuple(read(fit)[0] for fit, _ in parts)
    return _Reading(spectrum, folds, {"proxy": type(algorithm.proxy).__name__, "read": how})


def energy_cut(
    spectrum: FourierSpectrum, share: float, max_terms: int | None = None
) -> FourierSpectrum:
    """Keep the fewest largest terms with at least `share` of the energy, and the constant.

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
    """Refit the spectrum's coefficients by ridge, its strength by leave-one-out.

    The constant is the unpenalised intercept.
    """
    terms = spectrum.select(spectrum.supports.orders() > 0)
    empty = np.zeros((1, 0), dtype=np.int64)
    if not len(terms):
        constant = np.array([values.mean()])
        return FourierSpectrum(*collect_terms(spectrum.n, [(empty, constant)]), p=spectrum.p)
    features = term_matrix(terms.supports, fourier_basis(masks, spectrum.p))
    coefficients, intercept = leave_one_out_ridge(features, values)
    groups = [(group, coefficients[part]) for group, part in terms.supports.slices()]
    constant = np.array([intercept])
    return FourierSpectrum(*collect_terms(spectrum.n, [(empty, constant), *groups]), p=spectrum.p)


def keep_refit(cut: FloatArray, refitted: FloatArray, values: FloatArray) -> bool:
    """Tell whether the refit's out-of-fold squared error is strictly below the cut spectrum's."""
    return bool(np.sum((refitted - values) ** 2) < np.sum((cut - values) ** 2))


def _single(settings: TreeSettings) -> TreeGrid:
    return TreeGrid((settings.depth,), (settings.trees,), (settings.rate,))
