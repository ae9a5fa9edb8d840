import itertools

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import mask_keys, sample_masks
from spexlens.errors import BudgetSpentError
from spexlens.explanation.rounds import SPENT, Following, round_sizes, run_rounds
from tests.strategies import random_sparse

TRUTH = random_sparse(30, 30, 2, np.random.default_rng(0))


@pytest.mark.parametrize("n", [3, 100, 5000])
@pytest.mark.parametrize("total", [5, 48, 50, 3000])
def test_sizes_rise_to_the_total(n, total):
    sizes = round_sizes(n, total)
    assert sizes[-1] == total
    assert all(b >= 1.1 * a for a, b in itertools.pairwise(sizes))


@pytest.mark.parametrize("held_out", [0, 40])
def test_rounds_are_nested_and_no_mask_is_asked_for_twice(held_out):
    asked = []

    def measure(masks):
        asked.append(masks)
        return TRUTH(masks)

    masks = sample_masks(30, 300, np.random.default_rng(1))
    design = sx.Design(masks, held_out=held_out)
    rounds, reason = run_rounds(design, sx.Lasso(), measure, lambda rounds: None)
    assert reason is None
    assert sorted(mask_keys(np.concatenate(asked)).tolist()) == sorted(mask_keys(masks).tolist())
    for item in rounds:
        fitted = item.design.masks[item.design.fitted]
        assert np.array_equal(fitted, masks[: len(fitted)])
        assert item.values == pytest.approx(TRUTH(item.design.masks))
        assert item.fidelity.masks == (held_out or len(fitted))


def test_a_rule_ends_the_measuring():
    counted = []

    def measure(masks):
        counted.append(len(masks))
        return TRUTH(masks)

    game = sx.FunctionGame(measure, 30)
    explanation = sx.explain(game, 2000, "pairwise", rng=0, until=sx.Fidelity(r2=0.8))
    assert explanation.fidelity.r2 >= 0.8
    assert sum(counted) == explanation.calls < 1000
    assert [step.ablations for step in explanation.curve.steps][-1] == len(explanation.masks)
    assert any("stopped at" in note and "reached 0.8" in note for note in explanation.notes)


def test_an_automatic_budget_stops_where_more_brings_nothing():
    calls = []
    game = sx.FunctionGame(lambda masks: calls.append(len(masks)) or TRUTH(masks), 30)
    explanation = sx.explain(game, "auto", "pairwise", rng=0)
    assert explanation.calls == sum(calls) < explanation.budget
    assert explanation.curve.gain_of_doubling() < 0.01
    assert explanation.fidelity.r2 > 0.95


def test_a_run_that_measures_all_masks_is_exact_in_the_end():
    explanation = sx.explain(
        random_sparse(6, 8, 3, np.random.default_rng(2)), 1000, "lasso", rng=0,
        until=sx.Fidelity(r2=1.0),
    )  # fmt: skip
    assert explanation.calls == 64
    assert explanation.algorithm == "exact"


def test_an_algorithm_with_a_design_of_its_own_cannot_stop_early():
    with pytest.raises(sx.InvalidInputError, match="designs all its masks together"):
        sx.explain(TRUTH, 5000, "spex", until=sx.Stable())


def test_a_run_with_a_rule_says_when_it_was_not_met():
    explanation = sx.explain(TRUTH, 100, "lasso", rng=0, until=sx.Fidelity(r2=0.999))
    assert explanation.calls <= 100
    assert any("without a stop" in note for note in explanation.notes)


@pytest.mark.parametrize(
    ("fitted", "judged", "kept"), [(60, 40, 40), (60, 39, 0), (4, 40, 40), (3, 40, 0), (60, 0, 0)]
)
def test_what_was_measured_when_the_budget_ended_is_held_out_only_where_that_is_whole(
    fitted, judged, kept
):
    masks = sample_masks(30, 200, np.random.default_rng(3))
    design = sx.Design(masks, held_out=40)
    known = np.concatenate([masks[:fitted], masks[160 : 160 + judged]])

    def measure(asked):
        raise BudgetSpentError("spent", known, TRUTH(known))

    rounds, reason = run_rounds(design, sx.Lasso(), measure, None)
    assert reason == SPENT
    assert len(rounds) == 1
    assert rounds[0].design.held_out == kept
    assert np.array_equal(rounds[0].design.masks, known)
    assert rounds[0].values == pytest.approx(TRUTH(known))
    assert rounds[0].fidelity.masks == (kept or len(known))


def test_too_little_measured_is_an_error_still():
    masks = sample_masks(30, 100, np.random.default_rng(4))

    def measure(asked):
        raise BudgetSpentError("spent", masks[:3], TRUTH(masks[:3]))

    with pytest.raises(BudgetSpentError):
        run_rounds(sx.Design(masks), sx.Lasso(), measure, None)


# -- masks that follow from values -----------------------------------------------------------------


def stepwise(held_out=0):
    """Masks drawn step by step, each step told the values of all before."""
    masks = sample_masks(30, 200, np.random.default_rng(5))
    told = []

    def extend(design, values, count):
        fitted = design.masks[design.fitted]
        assert values == pytest.approx(TRUTH(fitted))
        told.append(len(values))
        more = masks[len(fitted) + held_out : len(fitted) + held_out + count]
        every = np.concatenate([fitted, more, design.masks[design.fitted.stop :]])
        return sx.Design(every, held_out=held_out)

    first = sx.Design(masks[: 50 + held_out], held_out=held_out)
    return first, Following((50, 80, 120), extend), told


@pytest.mark.parametrize("held_out", [0, 20])
@pytest.mark.parametrize("rule", [None, lambda rounds: None])
def test_steps_are_told_the_values_and_end_at_the_last_size(held_out, rule):
    asked = []
    design, following, told = stepwise(held_out)
    rounds, _ = run_rounds(
        design, sx.Lasso(), lambda m: asked.append(m) or TRUTH(m), rule, None, following
    )
    assert told == [50, 80]
    assert [len(r.design.masks) - held_out for r in rounds] == ([120] if rule is None else
                                                                [50, 80, 120])  # fmt: skip
    assert sum(map(len, asked)) == len(np.unique(np.concatenate(asked), axis=0)) == 120 + held_out
    assert rounds[-1].values == pytest.approx(TRUTH(rounds[-1].design.masks))
    assert rounds[-1].fidelity.masks == (held_out or 120)


def test_a_budget_that_ends_within_a_step_keeps_what_that_step_measured():
    design, following, _ = stepwise()
    known = []

    def measure(masks):
        known.append(masks)
        if len(known) == 3:
            every = np.concatenate([*known[:2], masks[:7]])
            raise BudgetSpentError("spent", every, TRUTH(every))
        return TRUTH(masks)

    rounds, reason = run_rounds(design, sx.Lasso(), measure, None, None, following)
    assert (reason, rounds[-1].ablations) == (SPENT, 87)
    assert rounds[-1].values == pytest.approx(TRUTH(rounds[-1].design.masks))
