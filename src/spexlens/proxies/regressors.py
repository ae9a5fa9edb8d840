"""Any scikit-learn regressor as a proxy: its spectrum, exactly where its form allows it.

Tree ensembles are read node by node, linear models coefficient by coefficient; anything else is
queried at many random masks, which cost nothing, and a sparse pairwise model is fitted to its
answers. `pair_scores` is the guide's simpler reading: every pair's deviation from additivity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, sample_masks
from spexlens.core.spectrum import FourierSpectrum, MoebiusSpectrum
from spexlens.core.supports import collect_terms
from spexlens.errors import InvalidInputError
from spexlens.proxies.folds import FOLDS
from spexlens.proxies.linear import choose_penalty, lasso_spectrum
from spexlens.transforms.moebius import moebius_to_fourier
from spexlens.transforms.trees import TreeEnsemble, ensemble_spectrum

QUERIES = 4000
_PROBED_CELLS = 2**24  # a chunk of probing masks holds so many entries
_PAIR_FACTORS = (1.0, 2.0)

Predict = Callable[[BoolArray], FloatArray]


@runtime_checkable
class Regressor(Protocol):
    """What is asked of a proxy: scikit-learn's interface of a regressor."""

    def fit(self, X: Any, y: Any, /) -> Any:
        """Fit."""
        ...

    def predict(self, X: Any, /) -> Any:
        """Predict."""
        ...


def check_regressor(regressor: Any) -> None:
    """Raise `InvalidInputError` for what is no regressor, or cannot be cloned."""
    from sklearn.base import clone

    if isinstance(regressor, type) or not isinstance(regressor, Regressor):
        raise InvalidInputError(
            f"proxy {regressor!r} has no fit and predict; needed a scikit-learn regressor."
        )
    try:
        clone(regressor)
    except (TypeError, RuntimeError) as error:
        raise InvalidInputError(f"proxy {regressor!r} cannot be cloned: {error}") from error


def fit_regressor(regressor: Any, masks: BoolArray, values: FloatArray) -> Any:
    """Fit a clone of `regressor`, on masks as 0/1 columns."""
    from sklearn.base import clone

    check_regressor(regressor)
    return clone(regressor).fit(masks.astype(np.float64), values)


def regressor_predictions(model: Any, masks: BoolArray) -> FloatArray:
    """Predict `(m,)` by a fitted regressor."""
    return np.ravel(np.asarray(model.predict(masks.astype(np.float64)), dtype=np.float64))


def read_regressor(
    model: Any, n: int, p: float | FloatArray, max_order: int | None, seed: int
) -> tuple[FourierSpectrum, str]:
    """Read the spectrum of a fitted regressor over n players, and say how it was read.

    Returns
    -------
    spectrum : FourierSpectrum
    how : "trees, exactly", "linear, exactly" or "queries, up to pairs"
    """
    if hasattr(model, "booster_"):
        trees = TreeEnsemble.from_lightgbm(model)
        return ensemble_spectrum(trees, n, p, max_order=max_order), "trees, exactly"
    if type(model).__module__.startswith("sklearn.") and _is_tree(model):
        trees = TreeEnsemble.from_sklearn(model)
        return ensemble_spectrum(trees, n, p, max_order=max_order), "trees, exactly"
    if _is_linear(model, n):
        return _linear_spectrum(model, n, p), "linear, exactly"
    return _queried_spectrum(model, n, p, seed), "queries, up to pairs"


def pair_scores(predict: Predict, n: int, among: FloatArray | None = None) -> FloatArray:
    """Score every pair by its deviation from additivity: `f(i, j) - f(i) - f(j) + f(none)`.

    Zero for every pair of an additive proxy. All pairs are asked in chunks of bounded memory; for a
    spectrum, `compute_index(spectrum, "STII", 2)` gives the same without asking anything.

    Parameters
    ----------
    predict : callable
        Bool masks (m, n) to predictions (m,).
    n : int
    among : int array (k,), optional
        Score only pairs of these players.

    Returns
    -------
    float array (n, n)
        Symmetric, zero on the diagonal and outside `among`.

    Examples
    --------
    >>> scores = pair_scores(lambda masks: 3.0 * (masks[:, 0] & masks[:, 2]), n=3)
    >>> scores[0, 2], scores[0, 1]
    (np.float64(3.0), np.float64(0.0))
    """
    players = np.arange(n) if among is None else np.asarray(among, dtype=np.int64)
    none = float(predict(np.zeros((1, n), dtype=bool))[0])
    single = np.zeros(n)
    single[players] = predict(np.eye(n, dtype=bool)[players])
    scores = np.zeros((n, n))
    rows, columns = (players[index] for index in np.triu_indices(len(players), 1))
    step = max(1, _PROBED_CELLS // n)
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        masks = np.zeros((len(i), n), dtype=bool)
        masks[np.arange(len(i)), i] = masks[np.arange(len(i)), j] = True
        scores[i, j] = predict(masks) - single[i] - single[j] + none
    return scores + scores.T


def _is_tree(model: Any) -> bool:
    return any(hasattr(model, name) for name in ("tree_", "estimators_", "_predictors"))


def _is_linear(model: Any, n: int) -> bool:
    """Whether predictions are `intercept_ + x coef_`: by attributes, then by asking three masks."""
    if not hasattr(model, "coef_") or np.shape(model.coef_) not in ((n,), (1, n)):
        return False
    masks = sample_masks(n, min(3, 2**n), np.random.default_rng(0))
    expected = masks @ np.ravel(model.coef_) + float(np.ravel(model.intercept_)[0])
    return bool(np.allclose(regressor_predictions(model, masks), expected))


def _linear_spectrum(model: Any, n: int, p: float | FloatArray) -> FourierSpectrum:
    intercept = np.array([float(np.ravel(model.intercept_)[0])])
    singles = (np.arange(n)[:, None], np.ravel(model.coef_).astype(np.float64))
    terms = [(np.zeros((1, 0), dtype=np.int64), intercept), singles]
    return moebius_to_fourier(MoebiusSpectrum(*collect_terms(n, terms)), p)


def _queried_spectrum(model: Any, n: int, p: float | FloatArray, seed: int) -> FourierSpectrum:
    masks = sample_masks(n, QUERIES, np.random.default_rng(seed), p, distinct=False)
    answers = regressor_predictions(model, masks)
    path = choose_penalty(masks, answers, 2, p, seed, FOLDS, 15, _PAIR_FACTORS)
    return lasso_spectrum(masks, answers, 2, p, path.penalty)
