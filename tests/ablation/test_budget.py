"""Budgets and the deadline that keeps a run within its time."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spexlens as sx
from spexlens.ablation.budget import Budget, Deadline
from spexlens.core.masks import all_masks


class Wordy(sx.FunctionGame):
    def tokens(self, masks):
        return np.array([3, 0, 5, 5, 1, 7, 0, 9])[masks @ [1, 2, 4]]


@given(st.integers(0, 40), st.none() | st.integers(0, 10))
def test_what_is_affordable_is_the_longest_beginning_within_the_limits(tokens, calls):
    masks = all_masks(3)
    game = Wordy(len, 3)
    sums = [int(game.tokens(masks[:count]).sum()) for count in range(9)]
    fits = [
        count for count in range(9) if sums[count] <= tokens and (calls is None or count <= calls)
    ]
    assert Budget(calls, tokens).affordable(game, masks) == max(fits)


def test_what_is_left_never_falls_below_nothing():
    left = Budget(10, 100, 1.0).minus(calls=4, tokens=101, seconds=0.25)
    assert left == Budget(6, 0, 0.75)
    assert Budget().minus(calls=4) == Budget()
    assert str(Budget(1500, None, 60)) == "1,500 ablations, 60 seconds"


@pytest.mark.parametrize(
    "limits", [{"calls": -1}, {"calls": 2.5}, {"tokens": True}, {"seconds": float("nan")}]
)
def test_limits_that_are_none_are_told(limits):
    with pytest.raises(sx.InvalidInputError, match=next(iter(limits))):
        Budget(**limits)


def test_a_gate_expects_the_slowest_recent_pace():
    deadline = Deadline(10.0)
    assert deadline.allow(64) == 1  # nothing is known yet
    deadline.record(2, 2.0)
    assert deadline.allow(64) == 9
    deadline.record(10, 1.0)
    assert deadline.allow(64) == 9
    for _ in range(2):
        deadline.record(10, 1.0)
    assert deadline.allow(64) == 64
    deadline.stop()
    assert deadline.allow(64) == 0
    assert Deadline(None).allow(64) == 64
    late = Deadline(0.01)
    time.sleep(0.02)
    assert late.allow(64) == 0
