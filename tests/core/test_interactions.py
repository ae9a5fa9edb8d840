import json

import numpy as np
import pytest
from hypothesis import given

import spexlens as sx
from tests.strategies import sparse_terms

EFFECTS = {(): 9.0, (0,): 1.0, (1,): -3.0, (0, 1): 2.0, (0, 2): -2.0}


@pytest.fixture
def effects():
    return sx.Interactions.from_dict(EFFECTS, "FBII", ["not", "bad", "not"])


def test_it_is_a_mapping_ranked_by_strength_with_the_empty_set_last(effects):
    assert list(effects) == [(1,), (0, 1), (0, 2), (0,), ()]
    assert dict(effects) == EFFECTS
    assert effects == EFFECTS
    assert effects[(0, 1)] == 2.0
    assert (1, 2) not in effects
    with pytest.raises(KeyError):
        effects[(1, 2)]


@given(sparse_terms())
def test_ranking_is_by_falling_magnitude(case):
    n, terms = case
    effects = sx.Interactions.from_dict(terms, "Moebius", [str(i) for i in range(n)])
    strengths = [abs(value) for players, value in effects.items() if players]
    assert strengths == sorted(strengths, reverse=True)
    assert effects.to_dict() == terms


def test_top_filters_by_order_and_never_shows_the_empty_set(effects):
    assert effects.top(2).to_dict() == {(1,): -3.0, (0, 1): 2.0}
    assert effects.top(9, order=2).to_dict() == {(0, 1): 2.0, (0, 2): -2.0}
    assert () not in effects.top(99)
    assert len(effects.top(0)) == 0
    with pytest.raises(sx.InvalidInputError, match="k = -1"):
        effects.top(-1)


def test_names_that_occur_twice_carry_their_index(effects):
    assert effects.label((0, 1)) == "not[0] × bad"
    assert effects.label(()) == "∅"


def test_frame_has_names_orders_and_intervals():
    supports, values = sx.Supports.from_sets([(0,), (0, 1)], 2), np.array([1.0, -2.0])
    effects = sx.Interactions(supports, values, "BII", ("a", "b"), np.array([0.5, 0.1]))
    frame = effects.to_frame()
    assert frame["players"].tolist() == [(0, 1), (0,)]
    assert frame["names"].tolist() == [("a", "b"), ("a",)]
    assert frame["order"].tolist() == [2, 1]
    assert np.allclose(frame["upper"] - frame["lower"], 2 * 1.6448536 * frame["std_err"])
    assert "std_err" not in effects.from_dict({(0,): 1.0}, "BII", ["a"]).to_frame()


def test_sets_are_looked_up_by_the_names_that_tables_print():
    effects = sx.Interactions.from_dict(
        {(0,): 1.0, (0, 2): 3.0, (1, 2): -2.0}, "BII", ["the", "plot", "the"]
    )
    assert effects["the[0]"] == effects[0] == effects[0,] == 1.0
    assert effects["the[2]", "plot"] == effects["plot", 2] == -2.0
    assert ("the[2]", "the[0]") in effects
    assert "the" not in effects
    assert ("plot",) not in effects
    assert effects.get("plot") is None
    with pytest.raises(KeyError, match=r"unknown player 'the'; known: the\[0\], plot, the\[2\]"):
        effects["the"]


def test_a_frame_begins_with_the_effect_and_tells_layers_and_heads():
    supports, values = sx.Supports.from_sets([(0,), (0, 1)], 2), np.array([1.0, -2.0])
    named = ("L0.H3", "L11.MLP")
    frame = sx.Interactions(supports, values, "BII", named, np.array([0.5, 0.1])).to_frame()
    assert list(frame)[:4] == ["effect", "lower", "upper", "names"]
    assert frame["layer"].tolist() == [(0, 11), (0,)]
    assert frame["head"].tolist() == [("H3", "MLP"), ("H3",)]


def test_an_interval_that_holds_zero_is_marked():
    supports = sx.Supports.from_sets([(0,), (1,), (0, 1)], 2)
    effects = np.array([1.0, -0.1, 0.5])
    uncertain = sx.Interactions(supports, effects, "SII", ("a", "b"), np.array([0.5, 0.5, 0.32]))
    assert uncertain.holds_zero.tolist() == [False, True, True]
    inside = (uncertain.lower <= 0) & (uncertain.upper >= 0)
    assert uncertain.holds_zero.tolist() == inside.tolist()
    assert uncertain.to_frame()["holds_zero"].tolist() == [False, True, True]
    assert sx.Interactions(supports, effects, "SII", ("a", "b")).holds_zero is None


def test_json_round_trip_keeps_everything():
    supports = sx.Supports.from_sets([(), (1,), (0, 1)], 2)
    effects = sx.Interactions(
        supports, np.array([0.1, 1 / 3, -2e-9]), "k-SII", ('q"<', "né"), np.array([1.0, 2.0, 3.0])
    )
    again = sx.Interactions.from_json(effects.to_json())
    assert again == effects
    assert again.players == effects.players
    assert again.index == "k-SII"
    assert again.std_err.tolist() == [1.0, 2.0, 3.0]


def test_json_with_shuffled_sets_is_refused(effects):
    data = json.loads(effects.to_json())
    data["sets"].reverse()
    with pytest.raises(sx.InvalidInputError, match="canonical"):
        sx.Interactions.from_json(json.dumps(data))


def test_scaling_scales_effects_and_errors():
    supports = sx.Supports.from_sets([(0,)], 1)
    effects = sx.Interactions(supports, np.array([2.0]), "BV", ("a",), np.array([1.0]))
    half = effects.scale(-0.5)
    assert half[(0,)] == -1.0
    assert half.std_err.tolist() == [0.5]


def test_text_shows_the_strongest_first_and_counts_the_rest(effects):
    lines = repr(effects).splitlines()
    assert "FBII" in lines[0]
    assert "bad" in lines[1]
    many = sx.Interactions.from_dict(
        {(i,): 1.0 for i in range(30)}, "BV", list(map(str, range(30)))
    )
    assert repr(many).endswith("… and 20 more")


def test_html_is_escaped():
    effects = sx.Interactions.from_dict({(0,): 1.0}, "BV", ["<script>alert(1)</script>"])
    html = effects._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_it_is_read_only_and_sizes_are_checked(effects):
    with pytest.raises(ValueError, match="read-only"):
        effects.effects[0] = 1.0
    with pytest.raises(TypeError):
        effects[(0,)] = 1.0
    with pytest.raises(sx.InvalidInputError, match="2 player names"):
        sx.Interactions(effects.supports, effects.effects, "BV", ("a", "b"))
