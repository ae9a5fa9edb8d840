"""explain(gradients=…): counted, kept, told, and left out where they bring nothing."""

from dataclasses import dataclass, field

import numpy as np
import pytest

import spexlens as sx
from spexlens.ablation.plan import plan
from spexlens.algorithms.base import Design
from spexlens.algorithms.offset import linear_part, recover_around
from spexlens.core.sensitivities import Sensitivities
from spexlens.errors import AblationError, InvalidInputError, NoDerivativeError
from spexlens.proxies.gaussian_process import Learning

N = 40
QUICK = sx.KernelSPEX(learning=Learning(max_steps=6), folds=3, fold_steps=2)


@dataclass(eq=False)
class Smooth:
    """Few strong players among many, and the derivative by each; everything asked is recorded."""

    cost: int = 3
    told: str = "all"
    asked: list = field(default_factory=list)
    at: list = field(default_factory=list)
    players = tuple(f"player {i}" for i in range(N))

    def __post_init__(self):
        rng = np.random.default_rng(5)
        self.effects = rng.normal(size=N) * np.exp(rng.normal(size=N))

    @property
    def sensitivity_cost(self):
        return self.cost

    def __call__(self, masks):
        self.asked.extend(masks)
        return masks @ self.effects + 3.0 * masks[:, 0] * masks[:, 1]

    def sensitivities(self, masks):
        self.at.extend(masks)
        if self.told == "fails":
            raise NoDerivativeError("this module detaches")
        values = np.tile(self.effects, (len(masks), 1))
        values[:, 0] += 3.0 * masks[:, 1]
        values[:, 1] += 3.0 * masks[:, 0]
        if self.told == "zero":
            values *= 0
        if self.told == "some NaN":
            values[::2, 3] = np.nan
        if self.told == "NaN":
            values[:, 3] = np.nan
        return values

    def tokens(self, masks):
        return np.full(len(masks), 10)

    def identity(self):
        return {"game": "smooth"}


def run(game, budget=100, **options):
    return sx.explain(game, budget, options.pop("algorithm", QUICK), rng=0, **options)


def note_of(explanation, word="derivatives"):
    return next((note for note in explanation.notes if word in note), None)


def test_they_are_counted_in_the_budget_told_and_worth_it():
    game, blind = Smooth(), Smooth(cost=0)
    found, plain = run(game), run(blind)
    assert len(game.at) == 8
    assert len(game.asked) + 3 * len(game.at) == found.calls <= found.budget == 100
    assert not blind.at
    masks = np.random.default_rng(1).random((300, N)) < 0.5
    truth = Smooth()(masks)
    assert found.score(masks, truth).r2 > plain.score(masks, truth).r2
    assert "at 8 masks, which count as 24 ablations" in note_of(found)
    worth = [found.chosen[f"R2 {word} gradients"] for word in ("with", "without")]
    assert worth[0] > worth[1]
    assert {tuple(mask) for mask in game.at} <= {tuple(mask) for mask in game.asked}


@pytest.mark.parametrize(
    ("budget", "gradients", "count"),
    [(60, "auto", 1), (96, "auto", 8), (100, 0, 0), (100, 5, 5), (401, "auto", 0), (401, 2, 2)],
)
def test_how_many(budget, gradients, count):
    game = Smooth()
    found = run(game, budget, gradients=gradients)
    assert len(game.at) == count
    assert found.calls == budget
    assert len(game.asked) == budget - 3 * count
    if count == 1:
        assert all(game.at[0])


def test_auto_stacks_with_them_and_tells_their_worth():
    game = Smooth()
    found = run(game, algorithm="auto")
    assert len(game.at) == 8
    assert note_of(found)
    assert "R2 without gradients" in found.chosen


def test_a_game_without_them_or_an_algorithm_that_uses_none_is_as_before():
    game = Smooth()
    plain = sx.FunctionGame(game, game.players)
    one, other = run(plain, 60), run(plain, 60, gradients=0)
    np.testing.assert_array_equal(one.masks, other.masks)
    assert len(one.masks) == 58
    run(game, 60, algorithm="lasso")
    assert not game.at


def test_the_store_keeps_them(tmp_path):
    store = sx.Store(tmp_path / "values.db")
    game = Smooth()
    first, again = (run(game, store=store) for _ in range(2))
    assert len(game.at) == 8
    assert first.calls == 100
    assert again.calls == 0
    np.testing.assert_array_equal(first.spectrum.coefficients, again.spectrum.coefficients)
    assert "found in the store" in note_of(again)


def test_tokens_count_them_too_and_progress_goes_on():
    game, seen = Smooth(), []
    found = run(
        game,
        sx.Budget(calls=100, tokens=900),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert 10 * len(game.asked) + 30 * len(game.at) <= 900
    assert found.calls == 90
    done, total = np.array(seen).T
    assert (np.diff(done) >= 0).all()
    assert (done <= total).all()


@pytest.mark.parametrize(
    ("told", "word", "count"),
    [("fails", "this module detaches", 0), ("zero", "all derivatives are zero", 24),
     ("NaN", "8 of 8 derivatives were not finite", 24)],
)  # fmt: skip
def test_what_cannot_be_used_is_told_and_the_run_does_without(told, word, count):
    game = Smooth(told=told)
    found = run(game)
    assert note_of(found, word)
    assert found.calls == 100
    assert len(game.asked) == 100 - count
    assert "R2 with gradients" not in found.chosen


def test_some_that_are_not_finite_are_left_out():
    found = run(Smooth(told="some NaN"))
    assert note_of(found, "4 of 8 derivatives were not finite")
    assert "at 4 masks" in note_of(found, "R2 of the Gaussian process")


def test_what_was_asked_for_and_cannot_be_is_an_error():
    with pytest.raises(AblationError, match="this module detaches"):
        run(Smooth(told="fails"), gradients=2)
    with pytest.raises(InvalidInputError, match="FunctionGame has no derivatives"):
        run(sx.FunctionGame(len, 5), 20, gradients=2)
    with pytest.raises(NoDerivativeError, match="detaches"):
        run(Smooth(cost=0, told="fails"), gradients=2)
    with pytest.raises(InvalidInputError, match="sensitivity_cost of 0"):
        run(Smooth(cost=0), gradients=2)
    with pytest.raises(InvalidInputError, match="'lasso', which makes no use"):
        run(Smooth(), gradients=2, algorithm="lasso")
    with pytest.raises(InvalidInputError, match="count as 99 ablations of a budget of 100"):
        run(Smooth(), gradients=33)
    for wrong in ("many", -1, 1.5, True):
        with pytest.raises(InvalidInputError, match="gradients = "):
            run(Smooth(), gradients=wrong)


def test_a_plan_tells_of_them():
    told = plan(Smooth(), 100, calibrate=0)
    assert told.gradients == 8
    assert "8 derivatives" in str(told)
    assert plan(Smooth(), 100, calibrate=0, gradients=0).gradients == 0


def test_saved_runs_keep_them(tmp_path):
    found = run(Smooth())
    again = sx.load(found.save(tmp_path / "run.json"))
    np.testing.assert_array_equal(again.sensitivities.masks, found.sensitivities.masks)
    np.testing.assert_array_equal(again.sensitivities.values, found.sensitivities.values)
    plain = run(Smooth(), gradients=0)
    assert plain.sensitivities is None
    assert sx.load(plain.save(tmp_path / "run.json")).sensitivities is None


def test_one_is_not_wasted_where_the_score_is_flat():
    class Flat(Smooth):
        flat_at_full = True

    game = Flat()
    found = run(game, 60)
    assert len(game.at) == 1
    assert not all(game.at[0])
    kept = found.masks.sum(axis=1)
    assert game.at[0].sum() == max(kept[kept < N])


def test_an_index_leans_on_them():
    game = Smooth()
    truth = game.effects.copy()
    truth[:2] += 1.5
    errors = {}
    for gradients in (0, 8):
        found = run(Smooth(), 60, index="SV", gradients=gradients).interactions("SV")
        told = np.array([found.to_dict().get((i,), 0.0) for i in range(N)])
        errors[gradients] = np.mean((told - truth) ** 2)
    assert errors[8] < 0.5 * errors[0]


@pytest.mark.parametrize("algorithm", [sx.Lasso(), sx.Pairwise(alphas=5, pair_factors=(2.0,))])
def test_a_fit_around_derivatives_is_that_of_what_they_leave(algorithm):
    game = Smooth()
    masks = np.random.default_rng(2).random((60, N)) < 0.5
    values = np.column_stack([game(masks), masks[:, 0]])
    told = Sensitivities(masks[:8], game.sensitivities(masks[:8]))
    design = Design(masks, sensitivities=told)
    found = recover_around(algorithm, design, values)
    multiple, slopes = linear_part(told, masks, values[:, 0])
    assert found.chosen["multiple of derivatives"] == multiple
    left = algorithm.recover(Design(masks), values[:, 0] - masks @ slopes)
    other = np.random.default_rng(3).random((200, N)) < 0.5
    np.testing.assert_allclose(found.spectrum(other), left.spectrum(other) + other @ slopes)
    plain = algorithm.recover(design, values)
    truth = Smooth()(other)
    assert np.mean((found.spectrum(other) - truth) ** 2) < 0.6 * np.mean(
        (plain.spectrum(other) - truth) ** 2
    )


def test_derivatives_of_something_else_come_to_nothing():
    game, rng = Smooth(), np.random.default_rng(4)
    masks = rng.random((100, N)) < 0.5
    values = game(masks)
    multiples = [
        abs(linear_part(Sensitivities(masks[:1], wrong[None]), masks, values)[0])
        * np.std(masks @ wrong)
        for wrong in rng.normal(size=(40, N))
    ]
    assert np.median(multiples) < 0.1 * values.std()
    nothing = Design(masks, sensitivities=Sensitivities(masks[:1], np.zeros((1, N))))
    same = recover_around(sx.Lasso(), nothing, values)
    np.testing.assert_array_equal(
        same.spectrum.coefficients, sx.Lasso().recover(nothing, values).spectrum.coefficients
    )
