import numpy as np
import pytest

import spexlens as sx
from spexlens.algorithms.greedy import greedy_calls
from spexlens.core.masks import masks_from_sets
from spexlens.studies.selection import greedy, verify_minimal_set
from tests.strategies import random_sparse


def counted(function, n):
    seen = []

    def call(masks):
        seen.extend(masks.copy())
        return function(masks)

    return sx.FunctionGame(call, n), seen


def greedy_by_definition(value, n, size, direction, objective):
    """The guide's loop with sets: one evaluation at a time."""
    everyone = frozenset(range(n))

    def effect(players):
        if direction == "removal":
            return value(everyone) - value(everyone - players)
        return value(players) - value(frozenset())

    chosen, gains = frozenset(), []
    order = []
    for _ in range(size):
        best = None
        for c in sorted(everyone - chosen):
            joint = effect(chosen | {c})
            gain = joint - effect(chosen) - effect(frozenset({c}))
            key = abs(joint) if not chosen or objective == "effect" else abs(gain)
            if best is None or key > best[0] + 1e-12:
                best = (key, c, gain)
        order.append(best[1])
        gains.append(best[2])
        chosen = chosen | {best[1]}
    return order, gains


@pytest.mark.parametrize("direction", ["removal", "insertion"])
@pytest.mark.parametrize("objective", ["interaction", "effect"])
def test_it_is_the_loop_of_the_guide(direction, objective):
    spectrum = random_sparse(7, 12, 3, np.random.default_rng(1))

    def value(players):
        return float(spectrum(masks_from_sets([sorted(players)], 7))[0])

    found = greedy(spectrum, 4, direction=direction, objective=objective)
    order, gains = greedy_by_definition(value, 7, 4, direction, objective)
    assert list(found.selected) == order
    assert found.gains == pytest.approx(gains)
    sign = -1 if direction == "removal" else 1
    values = found.to_frame()["value"]
    assert values.iloc[-1] == pytest.approx(found.base + sign * found.effects[-1])


def test_an_additive_game_has_no_interaction_gain():
    found = greedy(sx.FunctionGame(lambda m: m @ np.arange(5.0), 5), 3)
    assert found.gains == pytest.approx((0.0, 0.0, 0.0))
    assert found.selected[0] == 4


def test_partners_are_found_by_removal():
    game = sx.FunctionGame(lambda m: 5.0 * (m[:, 2] & m[:, 6]) + m @ np.full(8, 0.5), 8)
    found = greedy(game, 2)
    assert set(found.selected) == {2, 6}
    assert found.gains[1] == pytest.approx(-5.0)


def test_the_cost_is_told_beforehand_and_exact():
    game, seen = counted(lambda m: m.sum(axis=1), 9)
    with pytest.raises(sx.InvalidInputError, match=r"needs 25 ablations"):
        greedy(game, 3, budget=24)
    assert seen == []
    steps = []
    found = greedy(game, 3, budget=25, progress=lambda done, total: steps.append((done, total)))
    assert len(seen) == found.calls == greedy_calls(9, 3) == 25
    assert steps[-1] == (25, 25)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"size": 0}, "size = 0"),
        ({"size": 6}, "1 to 5"),
        ({"size": 2, "direction": "sideways"}, "known: removal, insertion"),
        ({"size": 2, "objective": "gain"}, "known: interaction, effect"),
    ],
)
def test_bad_arguments_are_told_before_any_call(arguments, told):
    game, seen = counted(lambda m: m.sum(axis=1), 5)
    with pytest.raises(sx.InvalidInputError, match=told):
        greedy(game, **arguments)
    assert seen == []


def test_a_minimal_set_is_verified_by_real_ablations():
    game = sx.FunctionGame(lambda m: 4.0 * (m[:, 1] & m[:, 3]) + m[:, 0] - 1.0, 5)
    spectrum = sx.explain(game, 32, rng=0).spectrum
    sufficient = sx.minimal_set(spectrum, "sufficient", 0.8)
    assert sufficient.players == (1, 3)
    assert verify_minimal_set(game, sufficient) == pytest.approx(0.8)
    necessary = sx.minimal_set(spectrum, "necessary", 0.8)
    assert len(necessary.players) == 1
    assert verify_minimal_set(game, necessary) == pytest.approx(0.8)
    flat = sx.FunctionGame(lambda m: np.ones(len(m)), 5)
    with pytest.raises(sx.InvalidInputError, match="no share"):
        verify_minimal_set(flat, sufficient)


@pytest.mark.parametrize("size", [1, 5])
def test_one_player_and_all_of_them_can_be_asked_for(size):
    game = sx.FunctionGame(lambda m: m @ 2.0 ** np.arange(5), 5)
    assert greedy(game, size, objective="effect").selected == (4, 3, 2, 1, 0)[:size]
