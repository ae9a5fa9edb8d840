"""Wrong arguments: each is an error that says what was given and what was needed."""

import numpy as np
import pandas as pd
import pytest
import torch

import spexlens as sx
from spexlens.algorithms.influential_sets import influential_set
from spexlens.core.masks import all_masks
from spexlens.models.gating import sites
from spexlens.studies import best_kept_set, stability

GAME = sx.FunctionGame(lambda masks: masks.sum(axis=1), 6)
EX = sx.explain(GAME, 40, "lasso", rng=0)
EFFECTS = EX.interactions("FBII")
FRAME = pd.DataFrame(EX.masks, columns=list("abcdef"))

WHOLE = {
    "order": lambda value: EX.interactions("FBII", value),
    "k": EFFECTS.top,
    "order of top": lambda value: EFFECTS.top(3, order=value),
    "k of truncate": EX.spectrum.truncate,
    "order of up_to_order": EX.spectrum.up_to_order,
    "size of greedy": lambda value: sx.greedy(GAME, value),
    "budget of greedy": lambda value: sx.greedy(GAME, 2, budget=value),
    "size of influential_set": lambda value: influential_set(EX.spectrum, value),
    "keep": lambda value: best_kept_set(EX.spectrum, value),
    "top of stability": lambda value: stability(EX, value),
    "top of Stable": lambda value: sx.Stable(top=value),
    "batch_size": lambda value: sx.explain(GAME, 40, "lasso", batch_size=value),
    "n": sx.all_masks,
    "budget": lambda value: sx.explain(GAME, value),
    "calls": lambda value: sx.explain(GAME, sx.Budget(calls=value)),
    "max_terms": lambda value: sx.KernelSPEX(max_terms=value),
    "folds": lambda value: sx.Lasso(folds=value),
    "folds of ProxySPEX": lambda value: sx.ProxySPEX(folds=value),
    "alphas": lambda value: sx.Pairwise(alphas=value),
    "order of SPEX": lambda value: sx.SPEX(order=value),
    "min_order": lambda value: sx.plots.upset(EFFECTS, min_order=value),
    "k of bars": lambda value: sx.plots.bars(EFFECTS, k=value),
    "k of graph": lambda value: sx.plots.graph(EFFECTS, k=value),
    "rng": lambda value: sx.explain(GAME, 40, rng=value),
}
MINIMAL = sx.minimal_set(EX.spectrum)
WHOLE |= {
    "largest of flips": lambda value: sx.flips(GAME, EX, largest=value),
    "tries of flips": lambda value: sx.flips(GAME, EX, tries=value),
    "size of measured_curve": lambda value: sx.measured_curve(GAME, EX, (value,)),
    "column of measured_curve": lambda value: sx.measured_curve(GAME, EX, column=value),
    "masks of keep_probability": lambda value: sx.keep_probability(GAME, masks=value),
    "size of greedy_calls": lambda value: sx.greedy_calls(6, value),
    "n of sample_masks": lambda value: sx.sample_masks(value, 2, np.random.default_rng(0)),
    "count of sample_masks": lambda value: sx.sample_masks(6, value, np.random.default_rng(0)),
}
NUMBERS = {
    "p": lambda value: sx.explain(GAME, 40, p=value),
    "p of fit": lambda value: sx.fit(EX.masks, EX.values, p=value),
    "holdout": lambda value: sx.explain(GAME, 40, "lasso", holdout=value),
    "share": lambda value: sx.minimal_set(EX.spectrum, share=value),
    "share of Stable": lambda value: sx.Stable(share=value),
    "gain": lambda value: sx.Plateau(value),
    "p of sample_masks": lambda value: sx.sample_masks(6, 9, np.random.default_rng(0), value),
    "tried": lambda value: sx.keep_probability(GAME, (0.5, value)),
}
THINGS = {
    "algorithm": lambda value: sx.explain(GAME, 40, value),
    "index": lambda value: EX.interactions(value),
    "engine": lambda value: sx.explain(GAME, 40, "lasso", engine=value),
    "until": lambda value: sx.explain(GAME, 40, "lasso", until=value),
    "store": lambda value: sx.explain(GAME, 40, "lasso", store=value),
    "design": lambda value: sx.explain(GAME, 40, "lasso", design=value),
    "progress": lambda value: sx.explain(GAME, 40, "lasso", progress=value),
    "spectrum": sx.minimal_set,
    "spectrum of influential_set": lambda value: influential_set(value, 2),
    "game": lambda value: sx.explain(value, 40),
    "model of sites": sites.heads,
    "game of greedy": lambda value: sx.greedy(value, 2),
    "game of flips": lambda value: sx.flips(value, EX),
    "game of measured_curve": lambda value: sx.measured_curve(value, EX),
    "game of keep_probability": sx.keep_probability,
    "game of plan": lambda value: sx.plan(value, 40),
    "game of measure": lambda value: sx.measure(value, EX.masks),
    "game of verify_minimal_set": lambda value: sx.verify_minimal_set(value, MINIMAL),
    "set of verify_minimal_set": lambda value: sx.verify_minimal_set(GAME, value),
    "explanation of flips": lambda value: sx.flips(GAME, value),
    "explanation of measured_curve": lambda value: sx.measured_curve(GAME, value),
    "explanation of stability": lambda value: sx.stability(value),
    "interactions": EX.normalised,
    "sizes": lambda value: sx.measured_curve(GAME, EX, value),
    "tried": lambda value: sx.keep_probability(GAME, value),
    "seconds of a budget": lambda value: sx.Budget(seconds=value),
    "seconds of minimal_set": lambda v: sx.minimal_set(EX.spectrum, seconds=v),
}


@pytest.mark.parametrize("value", [1.5, "two", -1, True, float("nan")])
@pytest.mark.parametrize("name", WHOLE)
def test_a_count_that_is_none_is_told(name, value):
    with pytest.raises(sx.InvalidInputError, match=r"given; needed"):
        WHOLE[name](value)


@pytest.mark.parametrize("value", ["x", float("nan"), -1.0, 1.5])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_out_of_its_range_is_told(name, value):
    if name == "gain" and value in (-1.0, 1.5):
        return  # a stricter or looser rule than anybody needs, but a rule
    with pytest.raises(sx.InvalidInputError, match=r"given; needed"):
        NUMBERS[name](value)


@pytest.mark.parametrize("value", ["x.db", 5, EX, torch.nn.Linear(2, 2)])
@pytest.mark.parametrize("name", THINGS)
def test_another_thing_is_told(name, value):
    if callable(value) and name in ("until", "design", "progress"):
        return  # only a call can tell
    if ("explanation" in name and value is EX) or ("seconds" in name and value == 5):
        return  # that is one
    with pytest.raises(sx.errors.SpexlensError):
        THINGS[name](value)


@pytest.mark.parametrize(
    "masks", [FRAME, FRAME.astype("boolean"), FRAME.astype(object), FRAME.to_numpy().tolist()]
)
def test_masks_of_any_container_are_the_same_and_a_frame_names_the_players(masks):
    found = sx.fit(masks, pd.Series(EX.values), algorithm="lasso", rng=0)
    assert found.players == (EX.players if isinstance(masks, list) else tuple("abcdef"))
    np.testing.assert_allclose(found.predict(masks), found.predict(EX.masks))


def test_one_mask_as_a_list_is_told_and_masks_as_lists_are_right():
    assert GAME([[True] * 6]).tolist() == [6]
    for call, mask in ((GAME, [True] * 6), (EX.predict, [True] * 5)):
        with pytest.raises(sx.InvalidInputError, match=r"put it in a list: \[mask\]"):
            call(mask)


def test_a_function_of_one_mask_is_right_when_told_and_an_error_with_advice_when_not():
    def size(mask):
        return float(mask.sum())

    with pytest.raises(sx.errors.AblationError, match="one=True"):
        sx.explain(sx.FunctionGame(size, 6), 40, "lasso")
    assert sx.explain(sx.FunctionGame(size, 6, one=True), 40, "lasso", rng=0).fidelity.r2 > 0.99


def test_an_upset_plot_of_orders_that_are_not_there_says_so():
    told = [text.get_text() for text in sx.plots.upset(EFFECTS).texts]
    assert told == ["no sets of 3 or more players"]
    there = sx.fit(all_masks(3), all_masks(3).all(axis=1) * 1.0).interactions("FBII", 3)
    assert not sx.plots.upset(there).texts


@pytest.mark.parametrize("masks", [[[True], [True, False]], [[True, False], [True, [False]]]])
def test_masks_of_unequal_length_are_told(masks):
    for call in (GAME, EX.predict, lambda given: sx.fit(given, [1.0, 2.0])):
        with pytest.raises(sx.InvalidInputError, match="as many entries in every mask"):
            call(masks)


@pytest.mark.parametrize("p", ["0.5", ["0.5"] * 6, b"0.5", 0.5 + 0j, [None] * 6, [[0.5] * 6]])
def test_a_keep_probability_that_is_no_number_is_told_by_every_door(p):
    doors = (
        lambda: sx.explain(GAME, 40, p=p),
        lambda: sx.fit(EX.masks, EX.values, p=p),
        lambda: sx.sample_masks(6, 9, np.random.default_rng(0), p),
        lambda: sx.fourier_basis(EX.masks, p),
    )
    for door in doors:
        with pytest.raises(sx.InvalidInputError, match=r"given; needed|has shape"):
            door()


@pytest.mark.parametrize("value", [EX, EX.spectrum, None, "FBII", np.eye(3)])
@pytest.mark.parametrize("name", ["bars", "graph", "upset", "text_map", "layer_head"])
def test_a_picture_of_something_else_is_told(name, value):
    with pytest.raises(sx.InvalidInputError, match="given; needed Interactions"):
        getattr(sx.plots, name)(value)
