import tracemalloc

import numpy as np
import pytest

from spexlens.algorithms.base import Design, random_design
from spexlens.algorithms.spex import SPEX
from spexlens.core.masks import unique_masks
from spexlens.core.spectrum import FourierSpectrum
from spexlens.errors import InvalidInputError


def planted(n, count, order, rng):
    sets = set()
    while len(sets) < count:
        size = rng.integers(1, order + 1)
        sets.add(tuple(sorted(rng.choice(n, size, replace=False).tolist())))
    weights = rng.choice([-1, 1], count) * rng.uniform(0.5, 1.5, count)
    terms = dict(zip(sorted(sets), weights.tolist(), strict=True))
    return FourierSpectrum.from_dict({(): 2.5, **terms}, n)


def evaluate(truth, masks):
    """`truth(masks)` through the players it uses only: n may be large."""
    signs = {}
    total = np.zeros(len(masks))
    for players, weight in truth.to_dict().items():
        for i in players:
            signs.setdefault(i, 1.0 - 2.0 * masks[:, i])
        total += weight * np.prod([np.ones(len(masks)), *(signs[i] for i in players)], axis=0)
    return total


def keys(masks):
    return {mask.tobytes() for mask in np.packbits(masks, axis=1)}


@pytest.mark.parametrize(("n", "budget"), [(30, 900), (30, 5000), (100, 15_744), (300, 40_000)])
def test_the_design_keeps_its_promises(n, budget):
    design = SPEX().design(n, budget, np.random.default_rng(1))
    structure = design.structure
    assert len(design.masks) == budget
    assert len(unique_masks(design.masks)[0]) == budget
    assert 20 <= design.held_out <= 200
    assert structure.distinct + design.held_out <= budget
    # Of few players, masks meet by chance.
    assert structure.distinct == structure.step.distinct or n == 30
    assert structure.distinct <= structure.step.distinct
    assert abs(design.masks.mean() - 0.5) < 0.05
    assert design.p == 0.5
    for part in (f"b={structure.step.b}", f"t={structure.step.t}", f"C={structure.step.groups}"):
        assert part in design.notes[0]
    # Every query M_c l + d is where the structure says: linear in l, and the rows d are shared.
    group = design.masks[structure.rows]
    assert (group[:, 0, 0] == 0).all()
    assert (group[:, :, 3] == group[:, :, 1] ^ group[:, :, 2] ^ group[:, :, 0]).all()
    assert (group[:, 5, 1] == group[:, 0, 1] ^ group[:, 5, 0]).all()
    assert (group[0, :, 0] == group[1, :, 0]).all()


def test_the_largest_step_is_chosen_by_rule():
    spex = SPEX()
    chosen = [spex.choose(100, budget) for budget in (1500, 5000, 15_744, 31_488, 62_800)]
    assert [(step.b, step.t) for step in chosen] == [(3, 5), (5, 5), (7, 5), (8, 5), (8, 5)]
    assert [step.queries for step in chosen[2:4]] == [15_744, 31_488]  # published counts fit
    assert spex.choose(1500, 43_008).queries == 43_008


def test_lowering_t_comes_last_and_is_told():
    assert "t is below" in SPEX().design(100, 800, np.random.default_rng(0)).notes[0]
    assert SPEX().choose(100, 800).t == 4
    assert "t is below" not in SPEX().design(100, 15_744, np.random.default_rng(0)).notes[0]


@pytest.mark.parametrize(("small", "large"), [(8000, 8500), (7872, 15_744), (1000, 40_000)])
def test_designs_nest(small, large):
    designs = [SPEX().design(100, m, np.random.default_rng(7)) for m in (small, large)]
    assert [design.structure.step.t for design in designs] == [5, 5]
    first, second = (keys(design.masks) for design in designs)
    structured = keys(designs[0].masks[: designs[0].structure.distinct])
    assert structured <= second
    assert keys(designs[0].masks[designs[0].fitted.stop :]) <= second
    if small == 8000:
        assert first <= second


def test_the_seed_decides_the_design():
    a, b, c = (SPEX().design(40, 4000, np.random.default_rng(s)).masks for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


@pytest.mark.parametrize("seed", range(3))
def test_noiseless_recovery_is_exact_with_every_output_and_no_held_out_row(seed):
    rng = np.random.default_rng(seed)
    truth = planted(80, 60, 5, rng)
    spex = SPEX()
    design = spex.design(80, 8500, rng)
    values = np.column_stack([truth(design.masks), rng.normal(size=len(design.masks))])
    values[design.fitted.stop :] = 1e6
    recovery = spex.recover(design, values)
    found = recovery.spectrum.to_dict()
    assert found.keys() == truth.to_dict().keys()
    assert max(abs(found[s] - c) for s, c in truth.to_dict().items()) < 1e-9
    assert recovery.tuned is spex
    assert recovery.chosen["b"] == 6
    assert recovery.chosen["noise_sd"] < 1e-6


@pytest.mark.parametrize(("n", "terms"), [(1000, 200), (5000, 200)])
def test_large_n_is_recovered_exactly_in_bounded_memory(n, terms):
    rng = np.random.default_rng(n)
    truth = planted(n, terms, 5, rng)
    spex = SPEX(b=8)
    tracemalloc.start()
    design = spex.design(n, spex.steps(n)[-1].queries, rng)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    values = evaluate(truth, design.masks)
    tracemalloc.start()
    found = spex.recover(design, values).spectrum.to_dict()
    peak = max(peak, design.masks.nbytes + tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert found.keys() == truth.to_dict().keys()
    assert max(abs(found[s] - c) for s, c in truth.to_dict().items()) < 1e-9
    assert peak < 2**30


def test_orders_above_t_are_still_found_by_testing_sets():
    rng = np.random.default_rng(0)
    truth = FourierSpectrum.from_dict({(1, 2, 3): 2.0, (4,): 1.0, (4, 6, 7, 8): 1.0}, 40)
    spex = SPEX(b=3)
    budget = next(step.needed for step in spex.steps(40) if step.t == 2)
    design = spex.design(40, budget, rng)
    assert design.structure.step.t == 2
    values = truth(design.masks) + 0.3 * rng.normal(size=len(design.masks))
    assert (1, 2, 3) in spex.recover(design, values).spectrum.to_dict()


def test_peaks_of_order_five_are_found_in_noise():
    rng = np.random.default_rng(0)
    peaks = {tuple(sorted(rng.choice(60, 5, replace=False).tolist())): 1.0 for _ in range(10)}
    truth = FourierSpectrum.from_dict(peaks, 60)
    design = SPEX().design(60, 8000, rng)
    values = truth(design.masks) + rng.normal(size=len(design.masks))
    spectrum = SPEX().recover(design, values).spectrum
    unseen = rng.integers(0, 2, (2000, 60)).astype(bool)
    r2 = 1 - np.mean((spectrum(unseen) - truth(unseen)) ** 2) / truth(unseen).var()
    assert r2 > 0.95


def test_many_small_main_effects_do_not_fall_behind_a_linear_model():
    rng = np.random.default_rng(0)
    n, budget = 100, 1200
    weights = rng.normal(size=n)
    truth = FourierSpectrum.from_dict({(i,): w for i, w in enumerate(weights.tolist())}, n)
    unseen = rng.integers(0, 2, (2000, n)).astype(bool)
    noise = 10.0 * rng.normal(size=budget)
    r2 = {}
    for singles in (True, False):
        spex = SPEX(singles=singles)
        design = spex.design(n, budget, np.random.default_rng(1))
        recovery = spex.recover(design, truth(design.masks) + noise)
        error = np.mean((recovery.spectrum(unseen) - truth(unseen)) ** 2)
        r2[singles] = 1 - error / truth(unseen).var()
        assert recovery.chosen["singles"] == singles
    design = random_design(n, budget, np.random.default_rng(1))
    signs = np.column_stack([np.ones(budget), 1.0 - 2.0 * design.masks])
    linear = np.linalg.lstsq(signs, truth(design.masks) + noise, rcond=None)[0][1:]
    rival = 1 - ((linear - weights) ** 2).sum() / (weights**2).sum()
    assert r2[True] > rival - 0.05
    assert r2[True] > r2[False] + 0.1


def test_standard_errors_cover_the_truth():
    inside = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        truth = planted(50, 25, 4, rng)
        design = SPEX().design(50, 8000, rng)
        values = truth(design.masks) + 3.0 * rng.normal(size=len(design.masks))
        spectrum = SPEX(regression="none").recover(design, values).spectrum
        exact = truth.to_dict()
        pairs = zip(spectrum.to_dict().items(), spectrum.std_errors, strict=True)
        inside += [abs(c - exact.get(s, 0.0)) < 1.96 * error for (s, c), error in pairs]
    assert 0.88 < np.mean(inside) < 0.99


@pytest.mark.parametrize("n", [1, 2, 3, 6, 8])
def test_small_games_with_every_mask_measured(n):
    rng = np.random.default_rng(n)
    spex = SPEX(order=3)
    design = spex.design(n, 2**n, rng)
    assert len(design.masks) <= 2**n
    terms = min(4, 2**n - 1)
    sets = rng.permutation(2**n - 1)[:terms] + 1
    sets = [tuple(i for i in range(n) if s >> i & 1) for s in sets.tolist()]
    truth = FourierSpectrum.from_dict({s: 1.0 for s in sets if len(s) <= 3} | {(): 1.0}, n)
    recovery = spex.recover(design, truth(design.masks))
    assert np.abs(recovery.spectrum(design.masks) - truth(design.masks)).max() < 1e-8


@pytest.mark.parametrize("constant", [0.0, 7.0])
def test_a_constant_game_has_only_its_constant(constant):
    design = SPEX().design(40, 4000, np.random.default_rng(0))
    recovery = SPEX().recover(design, np.full(len(design.masks), constant))
    assert recovery.spectrum.to_dict() == {(): pytest.approx(constant)}
    assert recovery.notes == ()


def test_finding_nothing_in_noise_is_told():
    rng = np.random.default_rng(3)
    design = SPEX().design(40, 4000, rng)
    recovery = SPEX().recover(design, rng.normal(size=len(design.masks)))
    assert len(recovery.spectrum) == 1
    assert "not sparse" in recovery.notes[0]


def test_a_budget_too_small_lists_the_feasible_steps():
    with pytest.raises(InvalidInputError, match=r"budget = 100 .* needs at least \d+") as caught:
        SPEX().design(100, 100, np.random.default_rng(0))
    message = str(caught.value)
    assert "C=3, b=2, t=2" in message
    least = int(message.split("at least ")[1].split(".")[0])
    assert len(SPEX().design(100, least, np.random.default_rng(0)).masks) == least
    with pytest.raises(InvalidInputError):
        SPEX().design(100, least - 1, np.random.default_rng(0))


def test_what_the_tables_do_not_hold_is_an_error():
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInputError, match="up to 8191"):
        SPEX().design(8192, 10**6, rng)
    with pytest.raises(InvalidInputError, match="t up to 3 is possible"):
        SPEX().design(8150, 10**6, rng)
    with pytest.raises(InvalidInputError, match=r"t = 1 … 10"):
        SPEX(order=11).design(100, 10**6, rng)
    for b in (0, 14, 20):
        with pytest.raises(InvalidInputError, match=rf"b = {b} given.* 1 … 13"):
            SPEX(b=b).design(100, 10**6, rng)
    assert {step.b for step in SPEX(b=13).steps(100)} == {13}
    for p in (0.9, np.linspace(0.4, 0.6, 100)):
        with pytest.raises(InvalidInputError, match="'spex' is defined for p = 1/2 only"):
            SPEX().design(100, 10**6, rng, p)


def test_values_and_designs_that_do_not_fit_are_errors():
    rng = np.random.default_rng(0)
    design = SPEX().design(30, 3000, rng)
    with pytest.raises(InvalidInputError, match="3000 masks"):
        SPEX().recover(design, np.zeros(10))
    with pytest.raises(InvalidInputError, match="NaN"):
        SPEX().recover(design, np.full(3000, np.nan))
    with pytest.raises(InvalidInputError, match="not designed by SPEX"):
        SPEX().recover(random_design(30, 100, rng), np.zeros(100))
    with pytest.raises(InvalidInputError, match="not designed by SPEX"):
        SPEX().recover(Design(design.masks), np.zeros(3000))
