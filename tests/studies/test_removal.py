"""Removal and insertion: sets against brute force, curves and flips against the game."""

import math
from itertools import combinations

import numpy as np
import pytest

import spexlens as sx
from spexlens.algorithms.influential_sets import influential_set
from spexlens.core.interventions import Needs
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.text.prompt import PromptLens
from spexlens.studies.removal import edited_texts, flips, measured_curve
from tests.strategies import random_sparse


def move(spectrum, players, direction):
    base = np.full((1, spectrum.n), direction == "removal")
    other = base.copy()
    other[0, list(players)] ^= True
    return float(spectrum(other)[0] - spectrum(base)[0])


@pytest.mark.parametrize("direction", ["removal", "insertion"])
@pytest.mark.parametrize("seed", range(6))
def test_sets_are_the_best_of_all_of_their_size(direction, seed):
    spectrum = random_sparse(9, 12, 3, np.random.default_rng(seed))
    for size in (1, 2, 3, 4):
        every = {s: move(spectrum, s, direction) for s in combinations(range(9), size)}
        for towards, pick in (("higher", max), ("lower", min)):
            best = pick(every.values())
            found = every[influential_set(spectrum, size, direction, towards)]
            assert found == pytest.approx(best), (size, towards)
        either = influential_set(spectrum, size, direction)
        assert abs(every[either]) == pytest.approx(max(map(abs, every.values())))


@pytest.mark.parametrize("seed", range(6))
def test_the_search_among_many_sets_comes_close_to_the_best(seed):
    spectrum = random_sparse(16, 30, 3, np.random.default_rng(seed))
    every = np.ones((math.comb(16, 6), 16), dtype=bool)
    for row, players in enumerate(combinations(range(16), 6)):
        every[row, list(players)] = False
    moves = spectrum(every) - spectrum(np.ones((1, 16), dtype=bool))
    found = influential_set(spectrum, 6, towards="higher")
    assert move(spectrum, found, "removal") > 0.8 * moves.max()
    additive = spectrum.up_to_order(1)
    found = influential_set(additive, 6, towards="higher")
    effects = sorted(move(additive, [i], "removal") for i in range(16))
    assert move(additive, found, "removal") == pytest.approx(sum(effects[-6:]))


def test_an_or_needs_both_of_its_players():
    game = sx.FunctionGame(lambda m: 2.0 * (m[:, 0] | m[:, 2]) + 0.5 * m[:, 1], ["a", "b", "c"])
    curve = measured_curve(game, sx.explain(game, 8), sizes=(1, 2, 3))
    assert curve.sets == ((1,), (0, 2), (0, 1, 2))
    assert curve.values.tolist() == [2.0, 0.5, 0.0]
    assert curve.moves().tolist() == [0.5, 2.0, 2.5]
    assert (curve.full, curve.empty, curve.start) == (2.5, 0.0, 2.5)
    # Order 1 cannot know that either of the two is enough.
    assert curve.linear_sets[0] in ((0,), (2,))
    assert curve.moves(linear=True)[0] == 0
    assert list(curve.to_frame()["value"]) == [2.0, 0.5, 0.0]


def test_insertion_starts_from_the_empty_input():
    game = sx.FunctionGame(lambda m: 1.0 * (m[:, 0] & m[:, 2]) + 0.1 * m[:, 1], 3)
    curve = measured_curve(game, sx.explain(game, 8), sizes=(1, 2), direction="insertion")
    assert curve.sets == ((1,), (0, 2))
    np.testing.assert_allclose(curve.values, [0.1, 1.0])
    assert curve.start == curve.empty == 0


def test_a_curve_of_another_of_the_game_s_values():
    def two(masks):
        return np.stack([1.0 * masks[:, 0], 3.0 * masks[:, 1] + masks[:, 2]], axis=1)

    game = sx.FunctionGame(two, 3)
    ex = sx.explain(game, 8)
    second = sx.fit(ex.masks, ex.values[:, 1])
    curve = measured_curve(game, second, sizes=(1, 2), column=1)
    assert curve.sets == ((1,), (1, 2))
    assert (curve.full, curve.values.tolist()) == (4.0, [1.0, 0.0])


def test_a_curve_takes_no_more_ablations_than_it_says():
    asked = []

    def run(masks):
        asked.append(len(masks))
        return masks @ np.arange(1.0, 7)

    game = sx.FunctionGame(run, 6)
    ex = sx.explain(sx.FunctionGame(lambda m: m @ np.arange(1.0, 7), 6), 64)
    curve = measured_curve(game, ex, sizes=(1, 2, 3))
    assert sum(asked) <= 8
    np.testing.assert_allclose(curve.values, curve.linear_values)


class Vote:
    """Positive while more than two of the words are left, or the word "never" is."""

    needs = Needs({"inputs": ()})

    def evaluate(self, interventions):
        texts = interventions.inputs
        return np.array([len(t.split()) - 2.5 + 5.0 * ("never" in t) for t in texts])

    def describe(self, interventions):
        return {}


def test_flips_are_verified_and_show_their_text():
    from spexlens.lenses.base import LensGame

    game = LensGame(PromptLens("it never fails me", "<{text}>"), Vote())
    found = flips(game, sx.explain(game, 16), largest=3)
    others = {frozenset(("never", other)) for other in ("it", "fails", "me")}
    assert {frozenset(flip.names) for flip in found} == others
    for flip in found:
        assert flip.before == 6.5
        assert flip.after == pytest.approx(flip.predicted) == -0.5
        assert "never" not in flip.counterfactual
        assert flip.counterfactual.startswith("<")


def test_what_the_spectrum_promises_is_not_believed():
    real = sx.FunctionGame(lambda m: 1.0 * np.ones(len(m)), 4)
    wrong = sx.explain(sx.FunctionGame(lambda m: m[:, 0] - 0.5, 4), 16)
    assert flips(real, wrong, largest=2) == ()


def test_a_negative_answer_is_flipped_upwards():
    game = sx.FunctionGame(lambda m: 1.0 - 2.0 * m[:, 1], ["a", "b", "c"])
    (flip,) = flips(game, sx.explain(game, 8), largest=2)
    assert (flip.names, flip.before, flip.after, flip.counterfactual) == (("b",), -1.0, 1.0, None)


def test_only_edited_inputs_are_shown():
    game = sx.FunctionGame(lambda m: m.sum(axis=1), 3)
    assert edited_texts(game, np.ones((1, 3), dtype=bool)) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [({"size": 0}, "size = 0"), ({"size": 10}, "size = 10"), ({"direction": "up"}, "removal"),
     ({"towards": "up"}, "either")],
)  # fmt: skip
def test_what_does_not_fit_is_told(given, message):
    spectrum = random_sparse(9, 5, 2, np.random.default_rng(0))
    with pytest.raises((InvalidInputError, UnknownNameError), match=message):
        influential_set(**{"spectrum": spectrum, "size": 2, **given})
