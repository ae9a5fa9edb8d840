from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import all_masks, sample_masks
from spexlens.core.sensitivities import Sensitivities
from spexlens.core.spectrum import fourier_basis
from spexlens.core.supports import Supports, term_matrix
from spexlens.proxies import solvers
from spexlens.proxies.gaussian_process import (
    Hyperparameters,
    Learning,
    _without,
    condition,
    learn,
    with_shrinkage,
)
from spexlens.proxies.marginal_likelihood import Likelihood, Priors
from spexlens.proxies.structure import neighbours, within_groups
from spexlens.transforms.kernel import (
    Direction,
    ExtraTerms,
    SpectralKernel,
    gram,
    prior_variances,
    product_gram,
)
from tests.reference import fourier_by_definition

GAMES = Path(__file__).parents[1] / "data" / "games"


def recorded(name):
    game = np.load(GAMES / f"{name}.npz")
    return game["masks"], game["values"].astype(float)


def r2(truth, prediction):
    return 1 - np.mean((truth - prediction) ** 2) / truth.var()


def hidden_pair(masks):
    return 2.0 * masks[:, 0] * masks[:, 1] - masks[:, 2] + 0.5


def hyper(n, p=0.5, tilt=0.3, noise=0.05):
    rng = np.random.default_rng(3)
    family = Supports.from_sets([(0, 1), (1, 2, 3)], n)
    along = Direction(Supports.from_sets([(0,), (3,)], n), np.array([0.6, -0.8]), 0.7)
    kernel = SpectralKernel(
        rng.gamma(1.0, 0.4, n), 1.0, 0.3, 0.2, tilt, p, (ExtraTerms(family, 0.5),), (along,)
    )
    return Hyperparameters(kernel, noise)


def data(n, count, p=0.5, seed=0):
    rng = np.random.default_rng(seed)
    return sample_masks(n, count, rng, p), rng.normal(size=count)


@pytest.mark.parametrize("p", [0.5, 0.7, np.linspace(0.2, 0.9, 6)])
@pytest.mark.parametrize("groups", [None, np.repeat([4, 1, 2, 9], 5)])
@pytest.mark.parametrize("leans", [False, True])
def test_likelihood_against_its_definition_and_finite_differences(p, groups, leans):
    masks, _ = data(6, 20, p)
    rng = np.random.default_rng(1)
    outputs, weights = rng.normal(size=(20, 2)), np.array([1.0, 0.3])
    families = (Supports.from_sets([(0, 1), (1, 2, 3)], 6),)
    along = Direction(Supports.from_sets([(0,), (3,)], 6), np.array([0.6, -0.8]))
    lean = np.array([1.0, -1.0, 0.5, 0.5, -2.0, 1.0])
    known = {"directions": (along,), "lean": lean} if leans else {}
    likelihood = Likelihood.of(
        masks, outputs, weights, p, families, Priors(tilt=0.5), groups=groups, **known
    )
    theta = likelihood.start(2.0)
    theta = theta + 0.5 * rng.normal(size=len(theta))
    gradient = likelihood(theta)[1]
    steps = 1e-6 * np.eye(len(theta))
    numeric = [(likelihood(theta + d)[0] - likelihood(theta - d)[0]) / 2e-6 for d in steps]
    assert gradient == pytest.approx(np.array(numeric), rel=1e-5, abs=1e-5)

    kernel, noise = likelihood.kernel(theta)
    covariance = gram(kernel, masks, masks) + (noise + 1e-8) * np.eye(20)
    if groups is not None:
        covariance += likelihood.shared(theta) * np.equal.outer(groups, groups)
    by_definition = sum(
        0.5 * w * (y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(covariance)[1])
        for w, y in zip(weights, outputs.T, strict=True)
    )
    wide = replace(likelihood, priors=Priors(1e9, 1e9, 1e9))  # leaves the prior of the level
    level = (theta[:6].mean() + np.log(6)) ** 2 / 18
    slope = ((theta[-1] - 0.7) / 0.5) ** 2 / 2 if leans else 0.0
    assert wide(theta)[0] - level - slope == pytest.approx(by_definition)


@pytest.mark.parametrize("p", [0.5, 0.7])
@pytest.mark.parametrize("n", [4, 8])
def test_spectrum_and_std_errors_against_the_dense_posterior(p, n):
    masks, values = data(n, 12, p)
    process = condition(masks, values, hyper(n, p))
    spectrum = process.spectrum(max_terms=2**n, max_order=n)
    every = all_masks(n)
    means, variances = process.predict(every)
    assert len(spectrum) == 2**n
    assert spectrum(every) == pytest.approx(means)
    by_definition = fourier_by_definition(lambda wanted: process.predict(wanted)[0], n, p)
    assert spectrum.to_dict() == pytest.approx(by_definition, abs=1e-9)

    kernel, noise = process.hyperparameters.kernel, process.hyperparameters.noise
    across = gram(kernel, every, masks)
    inverse = np.linalg.inv(gram(kernel, masks, masks) + noise * np.eye(len(masks)))
    posterior = gram(kernel, every, every) - across @ inverse @ across.T
    assert variances == pytest.approx(np.diagonal(posterior))
    weights = np.where(every, p, 1 - p).prod(axis=1)
    reader = term_matrix(spectrum.supports, fourier_basis(every, p)) * weights[:, None]
    dense = np.sqrt(np.diagonal(reader.T @ posterior @ reader))
    assert process.deviations(spectrum.supports) == pytest.approx(dense)
    assert np.all(spectrum.std_errors >= dense - 1e-12)


def test_shrinkage_widens_what_the_prior_pulls():
    means, variances = np.array([2.0, 2.0, 2.0, 0.1]), np.array([4.0, 4.0, 4.0, 4.0])
    errors = with_shrinkage(means, np.sqrt([0.0, 1.0, 3.0, 1.0]), variances)
    expected = [0.0, np.hypot(1, 2 / 3), np.hypot(3**0.5, 2.0), np.hypot(1, 0.1 / 3)]
    assert errors == pytest.approx(expected)


def test_without_noise_the_posterior_passes_through_the_values():
    masks, values = data(6, 20)
    means, variances = condition(masks, values, hyper(6, noise=0.0)).predict(masks)
    assert means == pytest.approx(values, abs=1e-5)
    assert variances == pytest.approx(np.zeros(20), abs=1e-5)


@pytest.mark.parametrize("p", [0.5, 0.8])
def test_a_hidden_pair_is_found(p):
    masks = sample_masks(12, 150, np.random.default_rng(0), p)
    found = learn(masks, hidden_pair(masks), p)
    assert np.argsort(-found.kernel.relevances)[:3].tolist() in ([0, 1, 2], [1, 0, 2])
    process = condition(masks, hidden_pair(masks), found)
    fresh = sample_masks(12, 300, np.random.default_rng(1), p)
    assert r2(hidden_pair(fresh), process.predict(fresh)[0]) > 0.99
    truth = fourier_by_definition(lambda m: hidden_pair(m[:, :3]), 3, p)
    spectrum = process.spectrum().truncate(4).to_dict()
    assert spectrum == pytest.approx({s: v for s, v in truth.items() if abs(v) > 1e-9}, abs=0.05)


FLOORS = {"words_20": 0.6, "words_29": 0.4, "heads_90": 0.6, "training_logistic_100": 0.7}


@pytest.mark.parametrize("name", FLOORS)
def test_recorded_games(name):
    masks, values = recorded(name)
    first = slice(0, 400)
    process = condition(masks[first], values[first], learn(masks[first], values[first]))
    judged, truth = masks[-512:], values[-512:]
    means, variances = process.predict(judged)
    score = r2(truth, means)
    assert score > FLOORS[name]
    spread = np.sqrt(variances + process.hyperparameters.noise)
    assert 0.78 < np.mean(np.abs(truth - means) < 1.645 * spread) < 0.98
    spectrum = process.spectrum()
    assert r2(truth, spectrum(judged)) == pytest.approx(score, abs=0.005)
    assert r2(truth, spectrum.truncate(200)(judged)) > score - 0.03


def test_the_same_input_gives_the_same_result():
    masks, values = data(10, 60)
    one, two = learn(masks, values), learn(masks, values)
    assert np.array_equal(one.kernel.relevances, two.kernel.relevances)
    assert one.noise == two.noise


def test_an_error_that_groups_share_is_learned_and_kept_out_of_the_function():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(40), 8)
    dear, cheap = rng.random((40, 6)) < 0.5, rng.random((320, 6)) < 0.5
    masks = np.concatenate([np.repeat(dear, 8, axis=0), cheap], axis=1)
    error = rng.normal(size=40)
    noise = 0.1 * rng.normal(size=320)
    values = 2 * (masks[:, 0] & masks[:, 6]) + error[groups] + noise
    found = learn(masks, values, groups=groups)
    assert found.shared == pytest.approx(error.var(), rel=0.3)
    assert np.sqrt(found.noise) == pytest.approx(0.1, rel=0.2)
    assert learn(masks, hidden_pair(masks) + noise, groups=groups).shared < 0.01
    process = condition(masks, values, found, groups=groups)
    blind = condition(masks, values, learn(masks, values))
    fresh = rng.random((400, 12)) < 0.5
    truth = 2.0 * (fresh[:, 0] & fresh[:, 6])
    assert r2(truth, process.predict(fresh)[0]) > r2(truth, blind.predict(fresh)[0]) + 0.1
    # the norm of the posterior mean in the kernel's space, by definition
    energy = process.alpha @ gram(found.kernel, masks, masks) @ process.alpha
    assert process.energy == pytest.approx(energy)


def test_scale_and_offset_of_the_values_do_not_matter():
    masks, _ = data(10, 80)
    values = hidden_pair(masks) + 0.1 * np.random.default_rng(1).normal(size=80)
    process = condition(masks, values, learn(masks, values))
    other = condition(masks, 1e6 * values - 7.0, learn(masks, 1e6 * values - 7.0))
    fresh = sample_masks(10, 50, np.random.default_rng(2))
    assert other.predict(fresh)[0] == pytest.approx(1e6 * process.predict(fresh)[0] - 7.0, rel=1e-3)


def test_a_far_outlier_is_drawn_in_and_told():
    masks = sample_masks(12, 150, np.random.default_rng(0))
    values = hidden_pair(masks) + 0.05 * np.random.default_rng(1).normal(size=150)
    values[7] *= 1e6
    found = learn(masks, values)
    assert "1 of 150 values are outliers" in found.notes[0]
    fresh = sample_masks(12, 300, np.random.default_rng(2))
    assert r2(hidden_pair(fresh), condition(masks, values, found).predict(fresh)[0]) > 0.9


def test_many_far_values_are_the_game_and_are_kept():
    masks, values = recorded("training_logistic_100")
    assert not learn(masks[:400], values[:400], learning=Learning(max_steps=2)).notes
    rare = sample_masks(12, 400, np.random.default_rng(0))
    conjunction = np.where(rare[:, :5].all(axis=1), 1.0, 0.0)
    assert not learn(rare, conjunction, learning=Learning(max_steps=2)).notes


@pytest.mark.parametrize("p", [0.5, 0.7])
def test_constant_players_are_left_out_and_told(p):
    masks = sample_masks(12, 150, np.random.default_rng(0), p)
    masks[:, 4], masks[:, 9] = True, False
    found = learn(masks, hidden_pair(masks), p, neighbours(range(12)))
    assert "2 of 12 players" in found.notes[0]
    assert found.kernel.relevances[[4, 9]].tolist() == [0.0, 0.0]
    process = condition(masks, hidden_pair(masks), found)
    spectrum = process.spectrum()
    held = spectrum.supports.containing(4) | spectrum.supports.containing(9)
    assert np.abs(spectrum.coefficients[held]).max(initial=0.0) < 1e-12
    assert r2(hidden_pair(masks), process.predict(masks)[0]) > 0.99


def test_constant_values_give_the_constant():
    masks, _ = data(8, 30)
    found = learn(masks, np.full(30, 3.5))
    spectrum = condition(masks, np.full(30, 3.5), found).spectrum()
    assert "do not vary" in found.notes[0]
    assert spectrum.truncate(0).to_dict() == {(): 3.5}
    assert not spectrum.truncate(10).coefficients[1:].any()


def test_repeated_masks_with_different_values_tell_the_noise():
    rng = np.random.default_rng(0)
    masks = np.repeat(sample_masks(10, 60, rng), 3, axis=0)
    found = learn(masks, hidden_pair(masks) + 0.3 * rng.normal(size=180))
    assert np.sqrt(found.noise) == pytest.approx(0.3, rel=0.2)


def test_more_players_than_rows():
    masks = sample_masks(2000, 300, np.random.default_rng(0))
    values = hidden_pair(masks) + masks[:, 3]
    found = learn(masks, values, learning=Learning(max_steps=5))
    spectrum = condition(masks, values, found).spectrum(max_terms=200, max_order=3)
    assert len(spectrum) == 201
    assert np.isfinite(spectrum.std_errors).all()
    assert {(0,), (1,), (2,)} < set(spectrum.truncate(10).supports)


def test_other_outputs_teach_the_relevances():
    rng = np.random.default_rng(0)
    masks = sample_masks(40, 80, rng)
    sets = rng.choice(8, size=(12, 2))
    terms = np.stack([masks[:, a] ^ masks[:, b] for a, b in sets], axis=1) + masks[:, :12]
    outputs = terms @ rng.normal(size=(12, 9)) + rng.normal(size=(80, 9))
    alone, together = learn(masks, outputs[:, 0]), learn(masks, outputs)

    def share(found):
        return found.kernel.relevances[:12].sum() / found.kernel.relevances.sum()

    assert share(together) > share(alone)


def test_neighbours_get_a_weight_of_their_own_where_they_interact():
    rng = np.random.default_rng(0)
    masks = sample_masks(30, 250, rng)
    z = 1.0 - 2.0 * masks
    values = (z[:, :-1] * z[:, 1:]) @ rng.normal(size=29) + z @ rng.normal(size=30)
    found = learn(masks, values, families=neighbours(range(30)))
    pairs, apart, triples = found.kernel.extras
    assert pairs.variance > 10 * max(apart.variance, triples.variance)


def test_structure_families():
    assert [family.sets() for family in neighbours([2, 0, 1])] == [
        [(0, 2), (1, 2)],
        [(0, 1)],
        [(0, 1, 2)],
    ]
    assert neighbours([0]) == []
    assert within_groups([1, 2, 3]) == []
    with pytest.raises(sx.SpexlensError, match="smaller groups"):
        within_groups([0] * 300)


def test_families_hold_twenty_thousand_pairs_at_most():
    sizes = (200, 14, 4, 3)  # 19,900 + 91 + 6 + 3
    labels = np.repeat(np.arange(4), sizes).tolist()
    assert len(within_groups(labels)[0]) == 20_000
    with pytest.raises(sx.SpexlensError, match="20001 pairs"):
        within_groups([*labels, "a", "a"])


def test_a_sub_sample_teaches_and_all_rows_are_solved():
    masks = sample_masks(12, 600, np.random.default_rng(0))
    found = learn(masks, hidden_pair(masks), learning=Learning(rows=100))
    process = condition(masks, hidden_pair(masks), found)
    assert len(process.alpha) == 600
    assert r2(hidden_pair(masks), process.predict(masks)[0]) > 0.99


@pytest.mark.parametrize("held", [2**31, 0])
def test_the_iterative_solver_agrees_with_cholesky(held, monkeypatch):
    monkeypatch.setattr(solvers, "_HELD_BYTES", held)
    monkeypatch.setattr(solvers, "_INDUCING", 100)
    monkeypatch.setattr(solvers, "_BLOCK", 130)
    masks, values = data(20, 500)
    family = Supports.from_sets([(0, 1), (1, 2, 3)], 20)
    kernel = SpectralKernel(np.full(20, 0.05), 1.0, 0.3, 0.2, 0.3, 0.5, (ExtraTerms(family, 0.5),))
    groups = np.random.default_rng(2).integers(40, size=500)
    exact = solvers.CholeskySolver.of(kernel, masks, 0.3, groups=groups, shared=0.4)
    rng = np.random.default_rng(0)
    iterative = solvers.IterativeSolver.of(kernel, masks, 0.3, rng, groups, 0.4)
    assert iterative.solve(values) == pytest.approx(exact.solve(values), abs=1e-2)
    columns = gram(kernel, masks, sample_masks(20, 10, np.random.default_rng(1)))
    sampled = iterative.quadratic(columns[iterative.rows])
    assert len(iterative.rows) == 100
    assert np.all(sampled < exact.quadratic(columns))  # fewer rows tell less


def test_std_errors_from_a_sample_of_the_rows_are_near_the_exact_ones(monkeypatch):
    masks, _ = data(20, 600)
    values = hidden_pair(masks) + 0.5 * np.random.default_rng(1).normal(size=600)
    found = learn(masks, values)
    exact = condition(masks, values, found)
    monkeypatch.setattr(solvers, "CHOLESKY_ROWS", 500)
    monkeypatch.setattr(solvers, "_INDUCING", 200)
    sampled = condition(masks, values, found)
    assert isinstance(sampled.solver, solvers.IterativeSolver)
    sets = Supports.from_sets([(0,), (1,), (2,), (0, 1), (0, 2)], 20)
    assert sampled.deviations(sets) == pytest.approx(exact.deviations(sets), rel=0.2)
    assert sampled.spectrum(50)(masks) == pytest.approx(exact.spectrum(50)(masks), abs=0.02)


def test_bad_arguments():
    masks, values = data(6, 20)
    process = condition(masks, values, hyper(6))
    with pytest.raises(sx.SpexlensError, match="at least one term"):
        process.spectrum(max_terms=0)
    with pytest.raises(sx.SpexlensError, match="no masks"):
        condition(masks[:0], values[:0], hyper(6))
    with pytest.raises(sx.SpexlensError, match="6 players"):
        process.predict(all_masks(5))


def test_one_term_and_order_none_can_be_asked_for():
    masks, values = data(6, 30)
    process = condition(masks, values, hyper(6))
    assert len(process.spectrum(max_terms=1)) == 2
    assert process.spectrum(max_order=0).supports.sets() == [()]
    with pytest.raises(sx.SpexlensError, match="order of 0 or more"):
        process.spectrum(max_order=-1)


def test_precision_beyond_the_priors_grows_with_the_rows(monkeypatch):
    masks, values = data(8, 90)
    monkeypatch.setattr(solvers, "CHOLESKY_ROWS", 80)
    monkeypatch.setattr(solvers, "_INDUCING", 30)
    process = condition(masks, values, hyper(8, noise=2.0))
    rows, sets = process.solver.rows, Supports.from_sets([(), (0,), (3,), (0, 1), (2, 5, 7)], 8)
    few = condition(masks[rows], values[rows], process.hyperparameters).deviations(sets) ** -2.0
    prior = 1 / prior_variances(process.hyperparameters.kernel, sets)
    assert process.deviations(sets) ** -2.0 == pytest.approx(prior + 3 * (few - prior))


def test_a_tilt_without_a_prior_is_left_out():
    masks = sample_masks(8, 100, np.random.default_rng(0), 0.7)
    values = np.exp(masks.sum(axis=1) / 2.0)
    assert learn(masks, values, 0.7).kernel.tilt != 0
    learning = Learning(priors=Priors(tilt=0.0))
    assert learn(masks, values, 0.7, learning=learning).kernel.tilt == 0


@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_leaving_constant_players_out_keeps_the_kernel_between_the_masks_there_are(tilt):
    kernel = SpectralKernel(np.random.default_rng(3).gamma(1.0, 0.4, 8), 1.3, 0.4, 0.2, tilt, 0.7)
    masks, _ = data(8, 20)
    masks[:, 4], masks[:, 6] = True, False
    constant = np.isin(np.arange(8), [4, 6])
    without = _without(kernel, masks[0], constant)
    assert without.relevances[constant].tolist() == [0.0, 0.0]
    assert product_gram(without, masks, masks) == pytest.approx(product_gram(kernel, masks, masks))
    shares = [k.linear * k.linear_shares[~constant] for k in (without, kernel)]
    assert shares[0] == pytest.approx(shares[1])


def test_without_groups_no_error_is_shared():
    masks, values = data(6, 30)
    assert learn(masks, values, learning=Learning(max_steps=2)).shared == 0


def told_game(n, count, seed, honest):
    """Values of few strong players among many, and derivatives that tell which, or nothing."""
    rng = np.random.default_rng(seed)
    masks = sample_masks(n, count, rng)
    effects = rng.normal(size=n) * np.exp(0.7 * rng.normal(size=n))
    x = masks - 0.5
    values = x @ effects + 2 * effects[0] * x[:, 1] * x[:, 0] + 0.1 * rng.normal(size=count)
    known = effects if honest else rng.normal(size=n)
    slopes = known * np.exp(0.5 * rng.normal(size=(6, n)))
    return masks, values, Sensitivities(masks[:6], slopes)


def test_derivatives_stand_in_for_masks_and_are_left_where_they_say_nothing():
    for honest in (True, False):
        masks, values, told = told_game(60, 340, 1, honest)
        scores = {}
        for name, known in (("with", told), ("without", None)):
            found = learn(masks[:40], values[:40], sensitivities=known)
            process = condition(masks[:40], values[:40], found)
            scores[name] = r2(values[40:], process.predict(masks[40:])[0])
            if known is not None:
                slope = found.slope
        if honest:
            assert scores["with"] > scores["without"] + 0.2
            strong = slope
        else:
            assert scores["with"] > scores["without"] - 0.05
            assert slope < strong
    flat = Sensitivities(masks[:6], np.zeros((6, 60)))
    plain = learn(masks[:40], values[:40])
    same = learn(masks[:40], values[:40], sensitivities=flat)
    np.testing.assert_array_equal(same.vector, plain.vector)


def test_the_units_of_derivatives_do_not_matter():
    masks, values, told = told_game(20, 30, 1, True)
    one, other = (learn(masks, values, sensitivities=told.scale(f)) for f in (1.0, 1e-30))
    np.testing.assert_allclose(one.vector, other.vector, rtol=1e-6, atol=1e-8)
