import numpy as np
import pytest

import spexlens as sx
from spexlens.ablation.evaluate import evaluate
from spexlens.core.masks import all_masks


def test_values_come_back_in_order_and_each_mask_is_paid_once():
    seen = []

    def function(masks):
        seen.append(len(masks))
        return masks @ np.array([1.0, 2.0, 4.0])

    masks = all_masks(3)[[7, 0, 7, 3, 0]]
    game = sx.FunctionGame(function, 3)
    assert evaluate(game, masks, batch_size=2).tolist() == [7, 0, 7, 3, 0]
    assert seen == [2, 1]


def test_progress_counts_to_the_end():
    calls = []
    evaluate(
        sx.FunctionGame(lambda m: m.sum(axis=1), 3), all_masks(3), batch_size=3,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    assert calls == [(0, 8), (3, 8), (6, 8), (8, 8)]


def test_what_was_measured_before_a_failure_is_kept():
    def function(masks):
        if masks.all(axis=1).any():
            raise RuntimeError("out of memory")
        return masks.sum(axis=1)

    with pytest.raises(sx.AblationError, match=r"masks 6 … 7 of 8: RuntimeError: out of mem") as e:
        evaluate(sx.FunctionGame(function, 3), all_masks(3), batch_size=3)
    assert (e.value.masks == all_masks(3)[:6]).all()
    assert e.value.values.tolist() == [0, 1, 1, 2, 1, 2]
    assert isinstance(e.value.__cause__, RuntimeError)
    assert len(sx.fit(e.value.masks, e.value.values, algorithm="lasso", rng=0).spectrum) > 0


def test_nan_is_an_error_that_keeps_the_rest():
    def function(masks):
        return np.where(masks.all(axis=1), np.nan, 1.0)

    with pytest.raises(sx.InvalidValuesError, match=r"keeps players \[0, 1, 2\]") as error:
        evaluate(sx.FunctionGame(function, 3), all_masks(3), batch_size=4)
    assert len(error.value.values) == 4
    assert isinstance(error.value, ValueError)


def test_wrong_numbers_of_values_are_told():
    with pytest.raises(sx.InvalidValuesError, match="8 masks have values of shape"):
        evaluate(sx.FunctionGame(lambda m: [1.0], 3), all_masks(3))

    def changing(masks):
        return np.ones((len(masks), 2 if masks[0].any() else 1))

    with pytest.raises(sx.InvalidValuesError, match="same number of outputs"):
        evaluate(sx.FunctionGame(changing, 3), all_masks(3), batch_size=4)


def test_several_outputs_keep_their_columns():
    game = sx.FunctionGame(lambda m: np.stack([m.sum(1), m[:, 0]], axis=1), 3)
    assert evaluate(game, all_masks(3), batch_size=3).shape == (8, 2)
