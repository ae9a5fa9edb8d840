"""What is found is the same function whatever units the values have: `a + b * values`."""

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import sample_masks
from spexlens.errors import SpexlensWarning
from tests.algorithms.contract import algorithm_of
from tests.strategies import random_sparse

N = 9
TRUTH = random_sparse(N, 12, 3, np.random.default_rng(3))
MASKS = sample_masks(N, 100, np.random.default_rng(1))
NOISE = 0.1 * np.random.default_rng(2).normal(size=len(MASKS))
UNSEEN = sample_masks(N, 60, np.random.default_rng(4))
# offset and factor: what is lost to rounding is their ratio times 1e-16
UNITS = [(0.0, -1.0), (3.7, 1e-3), (-5e7, 1.0), (1.0, 1e-8), (0.0, 1e200), (-1e200, 1e198),
         (0.0, 1e-200), (0.0, 1e307)]  # fmt: skip


def explained(row, offset, factor):
    if row.make.any_masks:
        values = offset + factor * (TRUTH(MASKS) + NOISE)
        return sx.fit(MASKS, values, algorithm=algorithm_of(row), rng=0)
    game = sx.FunctionGame(lambda masks: offset + factor * TRUTH(masks), N)
    return sx.explain(game, 2**N if row.make.exact else 400, algorithm_of(row), rng=0)


@pytest.mark.parametrize("name", sx.ALGORITHMS)
def test_every_algorithm_finds_the_same_in_other_units(name):
    row = sx.ALGORITHMS[name]
    plain = explained(row, 0.0, 1.0)
    scale = plain.predict(UNSEEN).std()
    for offset, factor in UNITS[:: {"auto": 3, "kernelspex": 3, "proxyspex": 2}.get(name, 1)]:
        other = explained(row, offset, factor)
        told = (name, offset, factor)
        # Divided before the offset is taken away: that is 1e307 at most, and nothing overflows.
        shift = offset / factor
        rounding = 1e-6 + 1e-14 * abs(shift) / scale
        away = np.abs(other.predict(UNSEEN) / factor - shift - plain.predict(UNSEEN))
        assert away.max() < rounding * scale, told
        for end in ("r2", "r2_lower", "r2_upper", "linear_r2", "gain_lower", "gain_upper"):
            expected = getattr(plain.fidelity, end)
            assert getattr(other.fidelity, end) == pytest.approx(expected, abs=1e-4), (told, end)
        for index in ("FBII", "SII", "Moebius"):
            ours, theirs = (item.interactions(index, 2) for item in (plain, other))
            assert ours.top(1).to_dict().keys() == theirs.top(1).to_dict().keys()
            for players, effect in ours.top(5).items():
                if players:
                    found = theirs[players] / factor
                    assert found == pytest.approx(effect, abs=1e-4 * scale), (told, index)
        assert len(other.notes) == len(plain.notes), told


@pytest.mark.parametrize(("offset", "factor"), [UNITS[0], UNITS[5]])
def test_stopping_rules_stop_where_they_did(offset, factor):
    def run(offset, factor, until):
        game = sx.FunctionGame(lambda masks: offset + factor * TRUTH(masks), N)
        return sx.explain(game, 400, "lasso", rng=0, until=until)

    for until in ("r2=0.3", "stable=3"):
        plain, other = run(0.0, 1.0, until), run(offset, factor, until)
        assert other.calls == plain.calls
        r2 = [[step.r2 for step in item.curve.steps] for item in (plain, other)]
        np.testing.assert_allclose(*r2, atol=1e-4)


@pytest.mark.parametrize(("offset", "factor"), [*UNITS[:4], (1e12, 1.0)])
def test_selections_are_of_the_same_players(offset, factor):
    spectrum = sx.FourierSpectrum.from_dict(
        {**{T: factor * c for T, c in TRUTH.to_dict().items()}, (): offset}, N
    )
    for kind in ("sufficient", "necessary"):
        plain, other = (sx.minimal_set(each, kind) for each in (TRUTH, spectrum))
        assert other.players == plain.players
        assert other.predicted == pytest.approx(plain.predicted, abs=1e-3)


@pytest.mark.parametrize("value", [0.0, -2.0, 1e9, 1e-300, 1e300])
def test_constant_values_of_any_size_are_a_constant(value):
    for name in ("lasso", "kernelspex"):
        found = sx.fit(MASKS, np.full(len(MASKS), value), algorithm=name, rng=0)
        assert np.isnan(found.fidelity.r2)
        np.testing.assert_allclose(found.predict(UNSEEN), value, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("until", ["plateau", "stable=3", "r2=0.5", sx.Plateau(0.05)])
def test_a_rule_stops_on_constant_values(until):
    game = sx.FunctionGame(lambda masks: np.full(len(masks), 0.25), 20)
    explanation = sx.explain(game, 2000, "lasso", rng=0, until=until)
    assert explanation.calls < 300
    assert any("values are equal" in note and "stopped" in note for note in explanation.notes)


def test_an_automatic_budget_stops_on_constant_values():
    game = sx.FunctionGame(lambda masks: np.full(len(masks), 0.25), 20)
    explanation = sx.explain(game, "auto", rng=0)
    assert explanation.calls < 300


def test_a_target_of_masks_is_one_too():
    game = sx.FunctionGame(lambda masks: 1.0 * masks[:, 0], 12)
    few = sx.explain(game, 900, "lasso", rng=0, until=sx.Fidelity(r2=0.8))
    many = sx.explain(game, 900, "lasso", rng=0, until=sx.Fidelity(r2=0.8, masks=200))
    assert few.calls < 200 <= many.fidelity.masks
    assert any("masks 2" in note and "reached 200" in note for note in many.notes)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("options", [
    {"budget": "auto"}, {"until": "r2=0.99"}, {"until": "plateau"}, {"budget": "full"},
    {"budget": "full", "until": "stable"},
])  # fmt: skip
@pytest.mark.parametrize("algorithm", ["auto", "lasso", "kernelspex"])
def test_what_measures_everything_is_exact(n, options, algorithm):
    game = sx.FunctionGame(lambda masks: 1.0 * (masks.sum(axis=1) % 2), n)
    given = {
        **options,
        "budget": 2**n if options.get("budget") == "full" else options.get("budget"),
    }
    if algorithm == "auto":
        explanation = sx.explain(game, algorithm=algorithm, rng=0, **given)
    else:
        with pytest.warns(SpexlensWarning, match="replaced"):
            explanation = sx.explain(game, algorithm=algorithm, rng=0, **given)
    assert explanation.calls == 2**n
    assert explanation.algorithm == "exact"
    assert explanation.fidelity.r2 == 1
    np.testing.assert_allclose(explanation.predict(explanation.masks), explanation.values)
