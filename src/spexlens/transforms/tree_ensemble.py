"""Regression trees over masks as flat arrays over all nodes of all trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks, read_only
from spexlens.errors import InvalidInputError
from spexlens.transforms.tree_readers import LEAF, read_lightgbm, read_sklearn

_CHUNK_VISITS = 2**20


@dataclass(frozen=True, eq=False)
class TreeEnsemble:
    """A sum of regression trees over n players, the nodes of all trees in flat arrays.

    Attributes
    ----------
    feature : int array (nodes,)
        The player a node splits on; -1 at a leaf.
    left, right : int array (nodes,)
        The child that follows when that player is absent (left) or present (right). A child has a
        larger number than its parent. Equal children mean a split that decides nothing.
    value : float array (nodes,)
        The value of a leaf; ignored at splits.
    roots : int array (trees,)
        The root of every tree.
    base : float, default 0.0
        Constant added to the sum of the trees.

    Raises
    ------
    InvalidInputError
        When the arrays differ in length or a child does not follow its parent.

    Examples
    --------
    >>> stump = TreeEnsemble(*map(np.array, ([0, -1, -1], [1, -1, -1], [2, -1, -1])),
    ...                      value=np.array([0.0, 5.0, 7.0]), roots=np.array([0]))
    >>> stump.predict(np.array([[False], [True]])).tolist()
    [5.0, 7.0]
    """

    feature: IntArray
    left: IntArray
    right: IntArray
    value: FloatArray
    roots: IntArray
    base: float = 0.0

    def __post_init__(self) -> None:
        for name in ("feature", "left", "right", "roots"):
            array = np.asarray(getattr(self, name), dtype=np.int64)
            object.__setattr__(self, name, read_only(array))
        object.__setattr__(self, "value", read_only(np.asarray(self.value, dtype=np.float64)))
        _check_nodes(self)

    @staticmethod
    def from_lightgbm(model: Any, num_iteration: int | None = None) -> TreeEnsemble:
        """Read the trees of a LightGBM `Booster` or fitted `LGBMRegressor`, trained on 0/1 masks.

        Parameters
        ----------
        model : lightgbm.Booster or lightgbm.LGBMRegressor
        num_iteration : int, optional
            Use only the first trees. By default the best iteration of an early-stopped model, else
            all, as LightGBM's own `predict` does.

        Raises
        ------
        InvalidInputError
            For categorical splits, linear leaves, several outputs, or an objective whose
            predictions are not the plain sum of the trees.
        """
        return TreeEnsemble(*read_lightgbm(model, num_iteration))

    @staticmethod
    def from_sklearn(estimator: Any) -> TreeEnsemble:
        """Read the trees of a fitted scikit-learn regressor, trained on 0/1 masks.

        Parameters
        ----------
        estimator : scikit-learn regressor
            A DecisionTreeRegressor, RandomForestRegressor, ExtraTreesRegressor,
            GradientBoostingRegressor or HistGradientBoostingRegressor.

        Raises
        ------
        InvalidInputError
            For another estimator, several outputs, categorical splits, a log link, or boosting that
            starts from an estimator that is no constant.
        """
        return TreeEnsemble(*read_sklearn(estimator))

    def __len__(self) -> int:
        """Return the number of trees."""
        return len(self.roots)

    def predict(self, masks: BoolArray) -> FloatArray:
        """Predict values `(m,)` at bool masks `(m, n)`, by walking down every tree."""
        masks = as_masks(masks)
        self.check_players(masks.shape[1])
        values = np.full(len(masks), float(self.base))
        step = max(1, _CHUNK_VISITS // max(len(self), 1))
        for start in range(0, len(masks), step):
            block = masks[start : start + step]
            nodes = np.repeat(self.roots[None, :], len(block), axis=0)
            while (self.feature[nodes] != LEAF).any():
                player = self.feature[nodes]
                present = np.take_along_axis(block, np.maximum(player, 0), axis=1)
                child = np.where(present, self.right[nodes], self.left[nodes])
                nodes = np.where(player == LEAF, nodes, child)
            values[start : start + step] += self.value[nodes].sum(axis=1)
        return values

    def check_players(self, n: int) -> None:
        """Raise InvalidInputError when a tree splits on a player outside 0 … n - 1."""
        highest = int(self.feature.max(initial=LEAF))
        if highest >= n:
            raise InvalidInputError(
                f"a tree splits on player {highest}, but there are {n} players (0 … {n - 1}). "
                "Pass the number of columns the trees were trained on."
            )


def _check_nodes(trees: TreeEnsemble) -> None:
    sizes = {name: len(getattr(trees, name)) for name in ("feature", "left", "right", "value")}
    if len(set(sizes.values())) != 1:
        raise InvalidInputError(f"node arrays have lengths {sizes}; needed one entry a node each.")
    if trees.feature.min(initial=0) < LEAF:
        raise InvalidInputError("a node splits on a negative player; needed -1 only, for a leaf.")
    ids = np.arange(len(trees.feature))
    split = trees.feature != LEAF
    for children in (trees.left, trees.right):
        wrong = split & ((children <= ids) | (children >= len(ids)))
        if wrong.any():
            node = int(ids[wrong][0])
            raise InvalidInputError(
                f"node {node} has child {int(children[node])}; needed a number above the parent's "
                f"and below {len(ids)}. Number the nodes from the root down."
            )
    if len(trees.roots) and (trees.roots.min() < 0 or trees.roots.max() >= len(ids)):
        raise InvalidInputError(f"a root is outside the {len(ids)} nodes.")
