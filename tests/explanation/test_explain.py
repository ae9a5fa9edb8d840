import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import all_masks, sample_masks
from tests.strategies import random_sparse

TRUTH = random_sparse(10, 8, 2, np.random.default_rng(0))


@pytest.fixture(scope="module")
def explanation():
    names = [f"word{i}" for i in range(10)]
    return sx.explain(sx.FunctionGame(TRUTH, names), 300, "pairwise", rng=0)


def test_an_explanation_answers_everything_of_the_contract(explanation):
    unseen = sample_masks(10, 200, np.random.default_rng(7))
    assert np.corrcoef(explanation.predict(unseen), TRUTH(unseen))[0, 1] > 0.99
    assert isinstance(explanation.spectrum, sx.FourierSpectrum)
    assert explanation.fidelity.r2 > 0.9
    assert explanation.fidelity.r2 > explanation.fidelity.linear_r2
    assert explanation.fidelity.r2_lower <= explanation.fidelity.r2 <= explanation.fidelity.r2_upper
    effects = explanation.interactions("FBII", order=2)
    assert effects.top(3).to_frame()["names"].iloc[0][0].startswith("word")
    assert explanation.score(unseen, TRUTH(unseen)).r2 > 0.98


def test_full_and_empty_inputs_are_measured_within_the_budget(explanation):
    ends = all_masks(10)[[0, -1]]
    assert [explanation.empty_value, explanation.full_value] == pytest.approx(TRUTH(ends).tolist())
    assert explanation.calls == 300


def test_a_game_that_cannot_run_without_players_keeps_its_result():
    def fussy(masks):
        if not masks.any(axis=1).all():
            raise ValueError("nothing to train on")
        return TRUTH(masks)

    names = [str(i) for i in range(10)]
    explanation = sx.explain(sx.FunctionGame(fussy, names), 100, "lasso", rng=3)
    assert explanation.empty_value is None
    assert any("empty input could not be measured" in note for note in explanation.notes)


def test_holding_out_a_share_is_said_and_not_fitted():
    explanation = sx.explain(TRUTH, 200, "pairwise", rng=0, holdout=0.25)
    assert explanation.fidelity.method == "held-out masks"
    assert explanation.fidelity.masks == round(0.25 * 198)
    for share in (-0.1, 1.0):
        with pytest.raises(sx.InvalidInputError, match="holdout"):
            sx.explain(TRUTH, 200, "lasso", holdout=share)


def test_the_default_budget_is_about_two_n_log_n():
    game = sx.FunctionGame(lambda m: m.sum(axis=1), 30)
    assert sx.explain(game, algorithm="lasso", rng=0).calls == round(60 * np.log2(30))


def test_the_same_seed_gives_the_same_explanation():
    first, second = (sx.explain(TRUTH, 120, "pairwise", rng=11) for _ in range(2))
    assert first.spectrum.to_dict() == second.spectrum.to_dict()
    assert first.fidelity == second.fidelity
    third = sx.explain(TRUTH, 120, "pairwise", rng=np.random.default_rng(11))
    assert third.spectrum.to_dict() == first.spectrum.to_dict()


def test_one_player_and_none():
    explanation = sx.explain(sx.FunctionGame(lambda m: 2.0 * m[:, 0], ["only"]), 2, rng=0)
    assert explanation.interactions("SV").to_dict() == {(0,): 2.0}
    with pytest.raises(sx.InvalidInputError, match="at least 2"):
        sx.explain(sx.FunctionGame(lambda m: m[:, 0], ["only"]), 1)
    with pytest.raises(sx.InvalidInputError, match="n = 0"):
        sx.fit(np.zeros((5, 0), dtype=bool), np.zeros(5))


@pytest.mark.parametrize("budget", [0, -1, 2.5, True, "many"])
def test_budgets_that_make_no_sense_are_told(budget):
    with pytest.raises(sx.InvalidInputError, match="budget = "):
        sx.explain(TRUTH, budget)


def test_unknown_algorithms_list_the_known_ones():
    for wrong in ("shap", 3):
        with pytest.raises(
            sx.errors.UnknownNameError, match="known: auto, kernelspex, proxyspex, spex"
        ):
            sx.explain(TRUTH, 50, wrong)


def test_fit_checks_masks_values_and_names():
    masks = sample_masks(6, 30, np.random.default_rng(0))
    with pytest.raises(sx.InvalidInputError, match="dtype"):
        sx.fit(masks.astype(int), np.zeros(30))
    with pytest.raises(sx.InvalidInputError, match="30 masks have values of shape"):
        sx.fit(masks, np.zeros(29))
    with pytest.raises(sx.InvalidInputError, match="mask 4"):
        sx.fit(masks, np.where(np.arange(30) == 4, np.nan, 1.0))
    with pytest.raises(sx.InvalidInputError, match="5 players"):
        sx.fit(masks, np.zeros(30), players=list("abcde"))
    with pytest.raises(sx.InvalidInputError, match="at least 4"):
        sx.fit(masks[:3], np.zeros(3))
    with pytest.raises(sx.InvalidInputError, match="own design"):
        sx.fit(masks, np.zeros(30), algorithm="exact")


def test_masks_measured_twice_reveal_the_noise():
    rng = np.random.default_rng(0)
    masks = np.repeat(sample_masks(10, 200, rng), 2, axis=0)
    values = TRUTH(masks) + 0.5 * rng.normal(size=400)
    notes = " ".join(sx.fit(masks, values, algorithm="lasso", rng=0).notes)
    assert "200 masks were measured more than once" in notes
    assert 0.4 < float(notes.split("standard deviation ")[1].split()[0]) < 0.6


def test_a_poor_fit_and_too_few_ablations_are_told():
    noise = sx.FunctionGame(lambda m: np.random.default_rng(0).normal(size=len(m)), 80)
    explanation = sx.explain(noise, 60, "lasso", rng=0)
    notes = " ".join(explanation.notes)
    assert "poor fit" in notes
    assert "fewer than one a player" in notes


def test_keep_probability_is_carried_through():
    truth = random_sparse(40, 6, 2, np.random.default_rng(1), p=0.9)
    explanation = sx.explain(truth, 300, "pairwise", rng=0, p=0.9)
    assert explanation.spectrum.p == 0.9
    assert explanation.masks.mean() == pytest.approx(0.9, abs=0.02)
    assert explanation.fidelity.r2 > 0.8


def test_effects_in_units_of_the_outputs(explanation):
    effects = explanation.interactions("BV")
    spread = explanation.values.std()
    assert explanation.normalised(effects)[(0,)] == pytest.approx(effects[(0,)] / spread)
    flat = sx.explain(sx.FunctionGame(lambda m: np.ones(len(m)), 3), 8)
    with pytest.raises(sx.InvalidInputError, match="all equal"):
        flat.normalised(flat.interactions("BV"))


def test_an_explanation_is_read_only_and_shows_itself(explanation):
    with pytest.raises(ValueError, match="read-only"):
        explanation.values[0] = 1.0
    with pytest.raises(AttributeError):
        explanation.budget = 3
    text = repr(explanation)
    assert "linear" in text
    assert "word" in text


def test_repeated_masks_do_not_flatter_the_fidelity():
    base = sample_masks(20, 60, np.random.default_rng(1))
    masks = np.repeat(base, 4, axis=0)
    values = np.sin(masks @ np.arange(1, 21) * 7.0)  # nothing a fit could generalise from
    explanation = sx.fit(masks, values, algorithm="kernelspex", rng=0)
    assert explanation.fidelity.r2 < 0.3
    assert explanation.calls == 240
    assert len(explanation.masks) == 60


def test_exact_runs_know_the_full_and_the_empty_input():
    explanation = sx.explain(sx.FunctionGame(lambda m: m.sum(axis=1) + 1.0, 5), 32)
    assert (explanation.full_value, explanation.empty_value) == (6.0, 1.0)
    assert explanation.calls == 32


def test_a_spectrum_that_misses_the_full_input_says_so():
    rare = sx.FunctionGame(lambda m: m.all(axis=1).astype(float), 30)
    notes = sx.explain(rare, 100, "lasso", rng=0).notes
    assert any("for the full input, measured was 1" in note for note in notes)


def test_every_step_that_spex_lists_is_a_budget():
    game = random_sparse(12, 4, 2, np.random.default_rng(0))
    needed = sx.SPEX().steps(12)[0].needed
    explanation = sx.explain(game, needed, "spex", rng=0)
    assert explanation.calls <= needed


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: sx.explain(lambda m: m.sum(axis=1), 8), "no game"),
        (lambda: sx.explain(TRUTH, 50, sx.Lasso), "unknown algorithm"),
        (lambda: sx.explain(TRUTH, 50, rng=-1), "rng = -1"),
        (lambda: sx.explain(TRUTH, 50, rng="x"), "rng = 'x'"),
        (lambda: sx.explain(TRUTH, 50, p=np.full(7, 0.5)), "p has shape"),
        (lambda: sx.explain(TRUTH, 50, "lasso", holdout=0.99), "leaves"),
        (lambda: sx.explain(TRUTH, 50, "lasso", batch_size=0), "batch_size = 0"),
        (lambda: sx.fit(all_masks(5)[:20], np.ones(20), holdout=-1), "holdout = -1"),
        (lambda: sx.fit(all_masks(5)[:20], ["x"] * 20), "real numbers"),
        (lambda: sx.fit(all_masks(5)[:20], np.ones(20) * 1j), "real numbers"),
        (lambda: sx.fit(np.zeros((0, 5), dtype=bool), []), "at least 4"),
        (lambda: sx.FunctionGame(len, None), "players = None"),
    ],
)
def test_wrong_arguments_are_told(call, told):
    with pytest.raises(sx.InvalidInputError, match=told):
        call()


def test_a_fidelity_from_few_masks_says_so():
    masks = sample_masks(10, 8, np.random.default_rng(0))
    notes = sx.fit(masks, TRUTH(masks), algorithm="lasso", rng=0).notes
    assert any("judged on 8 masks only" in note for note in notes)


def test_what_was_run_is_kept_with_the_result(tmp_path):
    class Told(sx.FunctionGame):
        def describe(self):
            return {"model": "a rule", "tokens": 7}

    game = Told(TRUTH, 10)
    explanation = sx.explain(game, 100, "lasso", rng=0)
    assert explanation.manifest["game"] == {"model": "a rule", "tokens": 7}
    assert explanation.manifest["versions"].keys() == {"python", "spexlens", "numpy", "scipy"}
    again = sx.load(explanation.save(tmp_path / "run.json"))
    assert dict(again.manifest) == dict(explanation.manifest)


class Mostly(sx.FunctionGame):
    """A game of players that are mostly present."""

    @property
    def p(self):
        return np.full(len(self.players), 0.9)


MANY = random_sparse(30, 6, 2, np.random.default_rng(1))


@pytest.mark.parametrize("algorithm", ["lasso", sx.Lasso()])
def test_a_games_own_keep_probability_is_used(algorithm):
    explanation = sx.explain(Mostly(MANY, 30), 200, algorithm, rng=0)
    assert explanation.masks.mean() == pytest.approx(0.9, abs=0.02)
    assert np.all(explanation.spectrum.p == 0.9)


@pytest.mark.parametrize("algorithm", ["lasso", sx.Lasso()])
@pytest.mark.parametrize("p", [0.5, 0.6])
def test_a_given_keep_probability_goes_before_the_games(algorithm, p):
    explanation = sx.explain(Mostly(TRUTH, 10), 200, algorithm, rng=0, p=p)
    assert explanation.masks.mean() < 0.65


def test_every_mask_measured_keeps_the_games_keep_probability():
    explanation = sx.explain(Mostly(TRUTH, 10), 2**10, rng=0)
    assert explanation.algorithm == "exact"
    assert np.all(explanation.spectrum.p == 0.9)
    assert np.allclose(explanation.predict(explanation.masks), explanation.values)


@pytest.mark.parametrize("algorithm", ["spex", sx.SPEX()])
def test_a_keep_probability_that_the_design_cannot_draw_with_is_an_error(algorithm):
    def forbidden(masks):
        raise AssertionError

    for game, p in ((Mostly(forbidden, 10), None), (sx.FunctionGame(forbidden, 10), 0.7)):
        with pytest.raises(sx.InvalidInputError, match="'spex' is defined for p = 1/2 only"):
            sx.explain(game, 600, algorithm, rng=0, p=p)


@pytest.mark.parametrize(("p", "kept"), [(None, 0.9), (0.3, 0.3)])
def test_a_design_draws_with_the_keep_probability_of_the_run(p, kept):
    split = sx.SplitPlot((0, 1), repeats=5)
    explanation = sx.explain(Mostly(TRUTH, 10), 200, "lasso", rng=0, p=p, design=split)
    assert np.all(explanation.spectrum.p[:2] == kept)  # that of the design
    # Distinct masks of eight players at p = 0.9 are few: what they keep is what the fit uses.
    assert explanation.spectrum.p[2:] == pytest.approx(explanation.masks[:, 2:].mean(), abs=0.02)
    assert (explanation.masks[:, 2:].mean() > 0.5) == (kept > 0.5)


def test_the_design_of_an_algorithm_serves_another():
    designed = sx.SPEX().design(10, 300, np.random.default_rng(0))
    explanation = sx.explain(TRUTH, 302, "lasso", rng=0, design=sx.SPEX().design)
    assert (explanation.masks == designed.masks).all()
    drawn = sx.explain(TRUTH, 200, "lasso", rng=0, design=sx.random_design)
    assert (drawn.masks == sx.explain(TRUTH, 200, "lasso", rng=0).masks).all()


@pytest.mark.parametrize("p", [0.1, 0.9, "each"])
@pytest.mark.parametrize("algorithm", ["lasso", "kernelspex"])
def test_a_fit_learns_the_keep_probability_and_its_fidelity_is_that_on_such_masks(algorithm, p):
    keep = np.array([0.5, 0.9] * 15) if p == "each" else p
    masks = sample_masks(30, 300, np.random.default_rng(1), keep)
    truth = sx.FunctionGame(lambda m: 1.0 * m[:, 0] + 2.0 * (m[:, 1:7].sum(axis=1) > 3), 30)
    explanation = sx.fit(masks, truth(masks), algorithm=algorithm, rng=0)
    assert np.abs(explanation.spectrum.p - keep).max() < 0.1
    assert np.ndim(explanation.spectrum.p) == (p == "each")
    assert any(note.startswith("p was learned") for note in explanation.notes)
    unseen = sample_masks(30, 2000, np.random.default_rng(2), keep)
    true = explanation.score(unseen, truth(unseen)).r2
    assert explanation.fidelity.r2_lower - 0.05 < true < explanation.fidelity.r2_upper + 0.05


def test_a_given_keep_probability_that_masks_contradict_is_doubted():
    masks = sample_masks(30, 200, np.random.default_rng(1), 0.9)
    values = masks[:, 0] * 1.0
    for p, doubted in ((0.5, True), (0.9, False), (None, False)):
        explanation = sx.fit(masks, values, algorithm="lasso", rng=0, p=p)
        told = " ".join(explanation.notes)
        assert ("was given, but the masks keep 89 % of the players" in told) == doubted
    half = sample_masks(30, 200, np.random.default_rng(1))
    assert not sx.fit(half, half[:, 0] * 1.0, algorithm="lasso", rng=0).notes


def test_players_that_are_always_or_never_present_are_told():
    masks = sample_masks(8, 60, np.random.default_rng(1))
    masks[:, 2], masks[:, 5] = True, False
    notes = " ".join(sx.fit(masks, masks[:, 0] * 1.0, list("abcdefgh"), "lasso", rng=0).notes)
    assert "1 of 8 players are present in every mask ('c')" in notes
    assert "1 of 8 players are present in no mask ('f')" in notes


@pytest.mark.parametrize("p", [0.03, 0.97])
def test_effects_are_told_at_what_distinct_masks_truly_keep(p):
    game = sx.FunctionGame(lambda masks: masks.sum(axis=1), 10)
    explanation = sx.explain(game, 200, "lasso", rng=0, p=p)
    assert explanation.spectrum.p == pytest.approx(explanation.masks.mean(), abs=0.01)
    assert any("distinct masks of 10 players cannot be had" in note for note in explanation.notes)


def test_an_empty_input_that_is_missed_asks_for_a_lower_keep_probability():
    rare = sx.FunctionGame(lambda m: (~m.any(axis=1)).astype(float), 30)
    (note,) = (n for n in sx.explain(rare, 100, "lasso", rng=0).notes if "empty input" in n)
    assert "Lower the keep probability" in note


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_masks_to_score_are_an_error(explanation, count):
    with pytest.raises(sx.InvalidInputError, match=f"{count} masks given; needed at least 2"):
        explanation.score(explanation.masks[:count], explanation.values[:count])


def test_predictions_are_asked_for_by_masks_one_mask_or_names():
    game = sx.FunctionGame(lambda m: 1.0 + m[:, 0] - 4.0 * m[:, 1] * m[:, 2], ["a", "b", "b"])
    run = sx.explain(game, 8, "exact")
    assert run.predict(sx.all_masks(3)) == pytest.approx(run.values)
    assert run.predict([True, False, True]) == pytest.approx(2.0)
    assert run.predict(["b[1]", "b[2]"]) == pytest.approx(-3.0)
    assert run.predict([]) == pytest.approx(1.0)
    assert run.predict(np.zeros((0, 3), dtype=bool)).shape == (0,)
    assert run.to_frame("Moebius").equals(run.interactions("Moebius").to_frame())
    with pytest.raises(sx.errors.UnknownNameError, match="unknown player 'b'"):
        run.predict(["b"])
