import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spexlens as sx
from spexlens.core.cross_lens import (
    CARRIES,
    MAKES_UP,
    across,
    as_blocks,
    energy_by_lenses,
    paths,
    within,
)
from tests.strategies import random_sparse

BLOCKS = {"words": [0, 3], "data": [3, 5], "heads": [5, 9]}
OWNER = ["words"] * 3 + ["data"] * 2 + ["heads"] * 4
NAMES = [f"{owner} {i}" for i, owner in enumerate(OWNER)]


def owners(players):
    return {OWNER[i] for i in players}


def sparse(seed):
    return random_sparse(9, 60, 4, np.random.default_rng(seed))


def effects(seed=0):
    return sx.compute_index(sparse(seed), "FBII", 3, NAMES)


@given(st.integers(0, 50))
def test_every_set_of_two_or_more_is_within_one_lens_or_across_several(seed):
    found = effects(seed)
    larger = {players for players in found if len(players) > 1}
    inside, crossing = within(found, BLOCKS), across(found, BLOCKS)
    assert set(inside) == {players for players in larger if len(owners(players)) == 1}
    assert set(crossing) == larger - set(inside)
    parts = [set(within(found, BLOCKS, lens)) for lens in BLOCKS]
    assert set.union(*parts) == set(inside)
    assert sum(map(len, parts)) == len(inside)
    for count in (2, 3):
        for names in itertools.combinations(BLOCKS, count):
            kept = across(found, BLOCKS, names)
            assert set(kept) == {players for players in larger if owners(players) == set(names)}


@given(st.integers(0, 50))
def test_energy_is_split_without_a_rest(seed):
    spectrum = sparse(seed)
    parts = energy_by_lenses(spectrum, BLOCKS)
    for part in parts:
        own = [
            c**2 for players, c in spectrum.to_dict().items() if owners(players) == set(part.lenses)
        ]
        assert part.energy == pytest.approx(sum(own))
    assert sum(part.energy for part in parts) == pytest.approx(spectrum.energy_by_order()[1:].sum())
    assert sum(part.share for part in parts) == pytest.approx(1)
    assert [part.energy for part in parts] == sorted((p.energy for p in parts), reverse=True)
    assert all(part.std_err is None for part in parts)


def test_the_error_of_a_share_is_what_drawing_coefficients_gives():
    exact = sx.FourierSpectrum.from_dict({(): 5.0, (0,): 2.0, (5,): 1.0, (0, 5): 2.0}, 9)
    errors = np.array([9.0, 0.1, 0.05, 0.1])  # the constant's does not count
    rng = np.random.default_rng(0)
    parts = energy_by_lenses(sx.FourierSpectrum(exact.supports, exact.coefficients, errors), BLOCKS)
    shares = {part.lenses: [] for part in parts}
    for _ in range(2000):
        drawn = exact.coefficients + errors * rng.normal(size=4)
        for part in energy_by_lenses(sx.FourierSpectrum(exact.supports, drawn), BLOCKS):
            shares[part.lenses].append(part.share)
    for part in parts:
        assert part.std_err == pytest.approx(np.std(shares[part.lenses]), rel=0.1)
        assert "90 % interval" in str(part)


def test_no_energy_has_no_shares():
    assert energy_by_lenses(sx.FourierSpectrum.from_dict({(): 2.0}, 9), BLOCKS) == ()
    (part,) = energy_by_lenses(sx.FourierSpectrum.from_dict({(0,): 0.0}, 9), BLOCKS)
    assert np.isnan(part.share)


def test_a_word_that_lowers_the_value_acts_through_a_negative_pair():
    game = sx.FunctionGame(lambda masks: -3.0 * (masks[:, 1] & masks[:, 5]), NAMES)
    found = sx.explain(game, 512).interactions("FBII")
    (carrier,) = [p for p in paths(found, BLOCKS, 1, through="heads") if abs(p.effect) > 1e-9]
    assert (carrier.player, carrier.through, carrier.kind) == ("words 1", "heads 5", CARRIES)
    assert carrier.effect == pytest.approx(-3)
    assert all(abs(p.effect) < 1e-9 for p in paths(found, BLOCKS, 0, through="heads"))


def test_a_backup_has_the_opposite_sign():
    def game(masks):
        return 1.0 * (masks[:, 0] | masks[:, 6]) + 2.0 * (masks[:, 0] & masks[:, 7])

    found = sx.explain(sx.FunctionGame(game, NAMES), 512).interactions("FBII")
    kinds = {p.through: p for p in paths(found, BLOCKS, 0, through="heads") if abs(p.effect) > 1e-9}
    assert kinds["heads 6"].kind == MAKES_UP
    assert kinds["heads 6"].effect == pytest.approx(-1)
    assert kinds["heads 7"].kind == CARRIES


def test_paths_carry_their_intervals():
    found = sx.Interactions.from_dict({(0,): 1.0, (0, 5): 0.5, (0, 6): 0.1}, "FBII", NAMES)
    found = sx.Interactions(
        found.supports, found.effects, "FBII", found.players, np.array([0.1, 0.1, 0.2])
    )
    strong, weak = paths(found, BLOCKS, 0, through="heads")
    assert (strong.std_err, strong.holds_zero, weak.holds_zero) == (0.1, False, True)
    assert str(strong) == "heads 5 carries +0.500, 90 % interval +0.336 … +0.664"
    assert "holds zero" in str(weak)
    assert paths(found, BLOCKS, 1, through="heads") == ()
    assert paths(found, BLOCKS, 0, through="data") == ()


@pytest.mark.parametrize(
    "blocks",
    [
        {},
        {"words": [0, 9]},
        {"words": [0, 5], "heads": [4, 9]},
        {"words": [0, 3], "heads": [4, 9]},
        {"words": [0, 3], "heads": [3, 10]},
        {"words": [0, 9], "heads": [9, 9]},
        {"words": range(0, 9, 2), "heads": range(1, 9, 2)},
    ],
)
def test_blocks_hold_every_player_once(blocks):
    with pytest.raises(sx.InvalidInputError, match="for 9 players; needed two or more"):
        as_blocks(blocks, 9)


def test_the_order_of_the_blocks_is_free():
    turned = {name: BLOCKS[name] for name in reversed(BLOCKS)}
    assert across(effects(), turned).to_dict() == across(effects(), BLOCKS).to_dict()
    assert set(within(effects(), turned, "data")) == set(within(effects(), BLOCKS, "data"))


def test_unknown_lenses_and_players_are_told():
    with pytest.raises(sx.errors.UnknownNameError, match="words, data, heads"):
        within(effects(), BLOCKS, "layers")
    with pytest.raises(sx.errors.UnknownNameError, match="words, data, heads"):
        paths(effects(), BLOCKS, 0, through="layers")
    with pytest.raises(sx.InvalidInputError, match="two or more different"):
        across(effects(), BLOCKS, ["words", "words"])
    for player in (-1, 6, 9):
        with pytest.raises(sx.InvalidInputError, match=r"none of 'heads', 5 … 8"):
            paths(effects(), BLOCKS, player, through="heads")
