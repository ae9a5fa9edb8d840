"""Explanations of games that refuse some masks: as if those had never been drawn."""

import numpy as np
import pytest

import spexlens as sx
from spexlens.errors import AblationError
from tests.filtered_game import FilteredGame

N = 12


def truth(masks):
    return 2.0 * masks[:, 0] - masks[:, 1] + 3.0 * (masks[:, 2] & masks[:, 3]) + 0.5 * masks[:, 4]


def pair(masks):
    return masks[:, 5] & masks[:, 6]


def game_of(function=truth, refuses=pair, n=N):
    return FilteredGame(function, n, refuses=refuses)


def check_honest(explanation, game, budget):
    assert not pair(explanation.masks).any()
    assert np.isfinite(explanation.values).all()
    asked = sum(game.asked.values())
    assert explanation.calls == asked <= budget
    refused = sum(bool(pair(np.frombuffer(key, dtype=bool)[None])[0]) for key in game.asked)
    assert refused > 0
    (note,) = [note for note in explanation.notes if "were refused and left out" in note]
    assert note.startswith(f"{refused} of {asked} masks")


@pytest.mark.parametrize("name", ["lasso", "pairwise", "kernelspex", "auto"])
@pytest.mark.parametrize("holdout", [0.0, 0.2])
def test_refused_masks_are_left_out_of_fit_and_judgement(name, holdout):
    game = game_of()
    explanation = sx.explain(game, 120, name, rng=0, holdout=holdout)
    check_honest(explanation, game, 120)
    judged = explanation.masks if not holdout else explanation.masks[-explanation.fidelity.masks :]
    assert explanation.fidelity.masks == len(judged) > 10
    if name != "lasso":
        assert explanation.fidelity.r2 > 0.9
        effects = explanation.interactions("FBII")
        assert effects[2, 3] == pytest.approx(3, abs=0.5)


def test_the_fit_is_that_of_the_answered_masks():
    explanation = sx.explain(game_of(), 100, "lasso", rng=0)
    design = sx.Design(explanation.masks, seed=explanation.seed)
    again = sx.Lasso().recover(design, explanation.values).spectrum
    assert again.supports.sets() == explanation.spectrum.supports.sets()
    assert (again.coefficients == explanation.spectrum.coefficients).all()


@pytest.mark.parametrize("until", ["r2=0.8", "stable=2", "plateau"])
def test_rounds_leave_them_out_too(until):
    game = game_of()
    explanation = sx.explain(game, 400, "pairwise", rng=0, until=until)
    check_honest(explanation, game, 400)
    assert explanation.curve.steps[-1].ablations == len(explanation.masks)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_round_without_any_answer_is_no_end(outputs):
    """The held-out masks come first, and may all be refused."""
    function = truth if outputs == 1 else lambda masks: np.stack([truth(masks)] * 2, axis=1)
    game = game_of(function)
    first = []
    game.refuses = lambda masks: (
        pair(masks) | (first.append(1) or np.ones(len(masks), dtype=bool) if not first else False)
    )
    explanation = sx.explain(game, 60, "lasso", rng=0, holdout=0.1, batch_size=60)
    assert explanation.fidelity.method == "cross-validation"
    assert explanation.values.ndim == outputs


def test_a_store_goes_on_and_asks_for_no_refused_mask_again(tmp_path):
    store = sx.Store(tmp_path / "values.db")
    first = sx.explain(game_of(), 80, "lasso", rng=0, store=store)
    game = game_of()
    again = sx.explain(game, 80, "lasso", rng=0, store=store)
    assert again.calls == 0
    assert game.asked == {}
    assert (again.masks == first.masks).all()
    assert any("of 80 masks were refused" in note for note in again.notes)


def test_what_cannot_do_without_a_mask_gives_way_or_says_so():
    small = lambda masks: 1.0 * masks[:, 0] + 1.0 * (masks[:, 1] & masks[:, 2])  # noqa: E731
    refuses = lambda masks: masks[:, 3] & masks[:, 4]  # noqa: E731
    explanation = sx.explain(game_of(small, refuses, 6), 64, rng=0)
    assert explanation.algorithm == "auto"
    assert len(explanation.masks) == 48
    assert not any("exactly" in note for note in explanation.notes)
    assert explanation.interactions("Moebius")[1, 2] == pytest.approx(1, abs=0.2)
    for name, n, budget in (("exact", 6, 64), ("spex", N, 500)):
        refused = refuses if n == 6 else pair
        function = small if n == 6 else truth
        with pytest.raises(AblationError, match=rf"refused \d+ of .*{name} needs all") as told:
            sx.explain(game_of(function, refused, n), budget, name, rng=0)
        assert told.value.values == pytest.approx(function(told.value.masks))


def test_too_few_answers_are_told_with_what_there_is():
    game = game_of(refuses=lambda masks: masks.sum(axis=1) > 1)
    with pytest.raises(AblationError, match="at least 4 are needed"):
        sx.explain(game, 40, "lasso", rng=0)


def test_refused_baselines_are_told():
    game = game_of(refuses=lambda masks: ~masks.any(axis=1))
    explanation = sx.explain(game, 60, "lasso", rng=0)
    assert explanation.empty_value is None
    assert explanation.full_value == truth(np.ones((1, N), dtype=bool))[0]
    assert "the empty input was refused" in explanation.notes


def test_removal_curves_and_flips_have_gaps():
    game = game_of(refuses=lambda masks: ~masks[:, 2] & ~masks[:, 0])
    explanation = sx.explain(game, 100, "pairwise", rng=0)
    curve = sx.studies.measured_curve(game, explanation, (1, 2, 3))
    assert np.isnan([curve.values, curve.linear_values]).any()
    for line in curve.lines().values():
        assert line[0] == (0, explanation.full_value)
        assert np.isfinite([value for _, value in line]).all()
    for flip in sx.studies.flips(game, explanation, threshold=2.0, largest=3):
        assert not {0, 2} <= set(flip.players)
        assert flip.after < 2.0
