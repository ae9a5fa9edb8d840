"""Read fitted LightGBM and scikit-learn models into the flat arrays of `TreeEnsemble`.

Only what a player being absent (0) or present (1) does at a split is kept: which child follows.
Thresholds, missing-value rules and each library's node numbering end here. Models whose prediction
is not the plain sum (or mean) of their trees are refused, not approximated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.errors import InvalidInputError

LEAF = -1

_LIGHTGBM_FIELDS = (
    "num_leaves",
    "num_cat",
    "split_feature",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "leaf_value",
    "is_linear",
)
_LIGHTGBM_LINKED = {
    "binary",
    "poisson",
    "gamma",
    "tweedie",
    "cross_entropy",
    "cross_entropy_lambda",
}


class TreeArrays(NamedTuple):
    """The arrays of a `TreeEnsemble`, in its order; `feature` is `LEAF` at a leaf."""

    feature: IntArray
    left: IntArray
    right: IntArray
    value: FloatArray
    roots: IntArray
    base: float


def read_lightgbm(model: Any, num_iteration: int | None = None) -> TreeArrays:
    """Read the trees of a LightGBM model; see `TreeEnsemble.from_lightgbm`."""
    text = getattr(model, "booster_", model).model_to_string(num_iteration=num_iteration)
    head, _, body = text.partition("\nTree=")
    average = _check_lightgbm_head(head)
    fields = _lightgbm_fields(body.partition("\nend of trees")[0])
    leaves = fields["num_leaves"].astype(np.int64)
    splits = leaves - 1
    roots = np.cumsum(leaves + splits) - (leaves + splits)
    # Nodes of a tree: first its splits, then its leaves; LightGBM writes leaf k as child ~k.
    split_at = _ranges(roots, splits)
    leaf_at = _ranges(roots + splits, leaves)
    first, first_leaf = np.repeat(roots, splits), np.repeat(roots + splits, splits)
    low, high = (
        np.where(child >= 0, child + first, ~child + first_leaf)
        for child in (fields[name].astype(np.int64) for name in ("left_child", "right_child"))
    )
    feature, left, right = (np.full(len(split_at) + len(leaf_at), LEAF) for _ in range(3))
    feature[split_at] = fields["split_feature"]
    zero_left, one_left = _lightgbm_sides(fields["threshold"], fields["decision_type"])
    left[split_at] = np.where(zero_left, low, high)
    right[split_at] = np.where(one_left, low, high)
    value = np.zeros(len(feature))
    value[leaf_at] = fields["leaf_value"] / (len(roots) if average else 1)
    return TreeArrays(feature, left, right, value, roots, 0.0)


def read_sklearn(estimator: Any) -> TreeArrays:
    """Read the trees of a fitted scikit-learn regressor; see `TreeEnsemble.from_sklearn`."""
    from sklearn.ensemble import (
        ExtraTreesRegressor,
        GradientBoostingRegressor,
        HistGradientBoostingRegressor,
        RandomForestRegressor,
    )
    from sklearn.tree import DecisionTreeRegressor
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(estimator)
    if isinstance(estimator, HistGradientBoostingRegressor):
        _check_histogram(estimator)
        records = [trees[0].nodes for trees in estimator._predictors]
        base = float(np.ravel(estimator._baseline_prediction)[0])
        return _join(map(_histogram_tree, records), 1.0, base)
    if isinstance(estimator, GradientBoostingRegressor):
        trees = [tree.tree_ for tree in estimator.estimators_[:, 0]]
        start = _boosting_start(estimator)
        return _join(map(_sklearn_tree, trees), estimator.learning_rate, start)
    if isinstance(estimator, RandomForestRegressor | ExtraTreesRegressor):
        trees = [tree.tree_ for tree in estimator.estimators_]
        return _join(map(_sklearn_tree, trees), 1.0 / len(trees), 0.0)
    if isinstance(estimator, DecisionTreeRegressor):
        return _join([_sklearn_tree(estimator.tree_)], 1.0, 0.0)
    raise InvalidInputError(
        f"a {type(estimator).__name__} was given; needed a DecisionTree-, RandomForest-, "
        "ExtraTrees-, GradientBoosting- or HistGradientBoostingRegressor. For LightGBM use "
        "TreeEnsemble.from_lightgbm."
    )


class _Tree(NamedTuple):
    feature: IntArray
    left: IntArray
    right: IntArray
    value: FloatArray


def _join(trees: Iterable[_Tree], scale: float, base: float) -> TreeArrays:
    parts = list(trees)
    sizes = np.array([len(tree.feature) for tree in parts], dtype=np.int64)
    roots = np.cumsum(sizes) - sizes
    feature, left, right, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    shift = np.where(feature == LEAF, 0, np.repeat(roots, sizes))
    return TreeArrays(feature, left + shift, right + shift, value * scale, roots, base)


def _branch(
    leaf: BoolArray, feature: IntArray, threshold: FloatArray, low: IntArray, high: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Feature, absent child and present child of nodes that go to `low` iff x <= threshold."""
    left, right = np.where(threshold >= 0, low, high), np.where(threshold >= 1, low, high)
    return np.where(leaf, LEAF, feature), np.where(leaf, LEAF, left), np.where(leaf, LEAF, right)


def _sklearn_tree(tree: Any) -> _Tree:
    if tree.n_outputs != 1:
        raise InvalidInputError(
            f"the trees predict {tree.n_outputs} outputs; needed one. Fit one regressor each."
        )
    low, high = tree.children_left, tree.children_right
    sides = _branch(low < 0, tree.feature, tree.threshold, low, high)
    return _Tree(*sides, tree.value[:, 0, 0])


def _histogram_tree(nodes: Any) -> _Tree:
    low, high = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    leaf = nodes["is_leaf"].astype(bool)
    sides = _branch(leaf, nodes["feature_idx"], nodes["num_threshold"], low, high)
    return _Tree(*sides, nodes["value"])


def _check_histogram(estimator: Any) -> None:
    if estimator.is_categorical_ is not None:
        raise InvalidInputError(
            "the HistGradientBoostingRegressor has categorical features; needed 0/1 numbers. "
            "Fit it on masks.astype(float) with categorical_features=None."
        )
    if estimator.loss in ("poisson", "gamma"):
        raise InvalidInputError(
            f"loss={estimator.loss!r} predicts exp(sum of trees), whose spectrum is not the "
            "trees'. Fit a loss without a link, for instance 'squared_error'."
        )


def _boosting_start(estimator: Any) -> float:
    from sklearn.dummy import DummyRegressor

    if isinstance(estimator.init_, DummyRegressor):
        return float(np.ravel(estimator.init_.constant_)[0])
    if isinstance(estimator.init_, str):
        return 0.0
    raise InvalidInputError(
        f"the boosting starts from init={estimator.init_!r}; needed a constant. "
        "Use init=None, 'zero' or a DummyRegressor."
    )


def _check_lightgbm_head(head: str) -> bool:
    """Refuse models that are no plain sum of trees; True when the trees are averaged instead."""
    entries = dict(line.partition("=")[::2] for line in head.splitlines())
    per_iteration = entries.get("num_tree_per_iteration", "1")
    if per_iteration != "1":
        raise InvalidInputError(
            f"the LightGBM model has {per_iteration} outputs; needed one. Fit one regressor each."
        )
    objective = entries.get("objective", "").split()
    if objective and (objective[0] in _LIGHTGBM_LINKED or "sqrt" in objective):
        raise InvalidInputError(
            f"the LightGBM objective {' '.join(objective)!r} transforms the sum of the trees, "
            "whose spectrum is not the predictions'. Fit objective='regression'."
        )
    return "average_output" in entries


def _lightgbm_fields(body: str) -> dict[str, FloatArray]:
    """Return the arrays of all trees' text, each field joined over the trees."""
    texts: dict[str, list[str]] = {name: [] for name in _LIGHTGBM_FIELDS}
    for line in body.split("\n"):
        name, _, entry = line.partition("=")
        if name in texts and entry:
            texts[name].append(entry)
    # Far faster than float() a token; the trees of a published grid hold over a million numbers.
    fields = {name: np.fromstring(" ".join(entries), sep=" ") for name, entries in texts.items()}
    if fields["num_cat"].any() or fields["is_linear"].any():
        raise InvalidInputError(
            "the LightGBM trees have categorical splits or linear leaves; needed numerical splits "
            "and constant leaves. Fit on masks.astype(float) with linear_tree=False."
        )
    return fields


def _lightgbm_sides(
    threshold: FloatArray, decision_type: FloatArray
) -> tuple[BoolArray, BoolArray]:
    """Whether 0 and whether 1 go to the left child.

    decision_type: bit 1 = missing goes left; bits 2-3 = what is missing (1: zeros).
    """
    kind = decision_type.astype(np.int64)
    zero_is_missing = (kind >> 2) & 3 == 1
    return np.where(zero_is_missing, kind & 2 > 0, threshold >= 0), threshold >= 1


def _ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """`starts[t], starts[t] + 1, …` for `lengths[t]` numbers, all t one after the other."""
    offsets = np.cumsum(lengths) - lengths
    numbers: IntArray = np.arange(lengths.sum()) + np.repeat(starts - offsets, lengths)
    return numbers
