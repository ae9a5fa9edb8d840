import math
from dataclasses import replace

import numpy as np
import pytest

import spexlens as sx
from spexlens.explanation.stopping import RULES, Reach, Reading, Round, as_rule, curve_of
from tests.contract import cases
from tests.explanation import rule_contract


@pytest.mark.parametrize(("check", "row"), cases(rule_contract, RULES))
def test_every_rule_of_the_table_keeps_the_contract(check, row):
    check(row)


def after(ablations, r2, terms=None, n=10, **others):
    """A round with a given fidelity and spectrum."""
    spectrum = sx.FourierSpectrum.from_dict(terms or {(0,): 1.0}, n)
    fidelity = sx.Fidelity(r2=r2, r2_lower=r2 - 0.02, r2_upper=r2 + 0.02, **others)
    design = sx.Design(np.zeros((ablations, n), dtype=bool))
    return Round(design, np.zeros(ablations), sx.Recovery(spectrum, sx.Lasso()), fidelity)


def test_a_fidelity_is_reached_when_every_given_field_is():
    rounds = [after(100, 0.81)]
    assert "0.810 reached 0.8" in as_rule(sx.Fidelity(r2=0.8))(rounds)
    assert as_rule(sx.Fidelity(r2=0.82))(rounds) is None
    assert as_rule(sx.Fidelity(r2=0.8, r2_lower=0.8))(rounds) is None
    assert as_rule(sx.Fidelity(gain_lower=0.1))([after(100, 0.5, gain_lower=0.2)])
    assert as_rule(sx.Fidelity(r2=0.1))([after(100, math.nan)]) is None


def test_stable_asks_for_three_rounds_with_the_same_strongest():
    same, other = {(0,): 3.0, (1, 2): 2.0, (3,): 0.1}, {(4,): 3.0, (5,): 2.0, (3,): 0.1}
    rule = sx.Stable(top=2)
    assert rule([after(50, 0.5, same)] * 2) is None
    assert rule([after(50, 0.5, other), after(75, 0.5, same), after(110, 0.5, same)]) is None
    assert "3 rounds" in rule([after(50, 0.5, same)] * 3).replace("three", "3")
    assert sx.Stable(top=2, share=0.4, index="SV")([after(50, 0.5, same)] * 3)


def test_stable_is_of_the_index_that_was_asked_for():
    def reading(effects):
        return Reading(sx.Interactions.from_dict(effects, "SV", list("abcdefghij")))

    terms = [{(i,): 3.0} for i in range(3)]
    rounds = [after(50, 0.5, one) for one in terms]
    same = [replace(item, reading=reading({(3,): 2.0, (i,): 0.1})) for i, item in enumerate(rounds)]
    moved = [replace(after(50, 0.5), reading=reading({(i,): 2.0})) for i in range(3)]
    assert sx.Stable(top=1)(rounds) is None
    assert sx.Stable(top=1)(same)
    assert sx.Stable(top=1, index="SV")(same)
    assert sx.Stable(top=1, index="FBII")(same) is None
    assert sx.Stable(top=1)(moved) is None


def test_a_plateau_is_a_small_predicted_gain_but_never_an_early_flat_start():
    rule = sx.Plateau(0.01)
    rising = [after(m, 0.9 - 5 / m**0.7) for m in (50, 100, 200, 400)]
    flat = [after(m, 0.9 - 5 / m**1.4) for m in (50, 100, 200, 400)]
    assert rule(rising) is None
    assert curve_of(rising).gain_of_doubling() > 0.01
    assert "add 0.00" in rule(flat)
    assert rule(flat[:3]) is None
    assert rule([after(m, 0.0, n=1000) for m in (50, 100, 200, 400)]) is None


def test_rules_that_cannot_be_met_are_refused():
    for target, match in ((sx.Fidelity(), "without a number"), (sx.Fidelity(r2=1.2), "at most")):
        with pytest.raises(sx.InvalidInputError, match=match):
            Reach(target)
    with pytest.raises(sx.InvalidInputError, match="top = 0"):
        sx.Stable(top=0)
    with pytest.raises(sx.InvalidInputError, match="unknown index"):
        sx.Stable(index="nonsense")
    with pytest.raises(sx.InvalidInputError, match=r"until = 0\.8"):
        as_rule(0.8)
    with pytest.raises(sx.InvalidInputError, match="at least 1"):
        as_rule("stable=0")
    with pytest.raises(sx.InvalidInputError, match="needed stable=10, or another whole number"):
        as_rule("stable=2.5")


def test_a_plateau_needs_four_rounds_and_two_ablations_a_player_both():
    def rounds(*ablations, n):
        return [after(m, 0.9, n=n) for m in ablations]

    rule = sx.Plateau(0.01)
    assert rule(rounds(50, 100, 200, 400, n=200))
    assert rule(rounds(50, 100, 200, 399, n=200)) is None
    assert rule(rounds(100, 200, 400, n=10)) is None
    assert rule(rounds(100, 200, 400, n=1000)) is None
