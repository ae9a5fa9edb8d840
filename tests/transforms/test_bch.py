import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spexlens.errors import InvalidInputError
from spexlens.transforms.bch import (
    bch_code,
    chien_search,
    code_size,
    error_locators,
    hard_decode,
    set_parities,
    splits,
    syndromes,
)
from spexlens.transforms.chase import chase_candidates, likeliest
from spexlens.transforms.finite_field import _PRIMITIVE, galois_field


@pytest.fixture(scope="module")
def oracle_field():
    """galois' fields in plain Python: they take longer to compile than to be asked."""
    import galois  # and numba, which not every process that collects this file needs

    galois.GF(2, compile="python-calculate")  # before a field over it compiles it

    def made(m):
        return galois.GF(
            2**m, irreducible_poly=_PRIMITIVE[m], primitive_element="x", verify=False,
            compile="python-calculate",
        )  # fmt: skip

    return made


@pytest.fixture(scope="module")
def oracle_code(oracle_field):
    import galois

    def made(code):
        field = oracle_field(code.field.m)
        return galois.BCH(code.field.order, d=2 * code.t + 1, extension_field=field)

    return made


def random_sets(n, t, words, rng, smallest=0):
    """Padded random sets of at most t of n players."""
    sets = np.full((words, t), n)
    for row in sets:
        size = rng.integers(smallest, min(t, n) + 1)
        row[:size] = np.sort(rng.choice(n, size, replace=False))
    return sets


def flip(bits, counts, rng):
    out = bits.copy()
    for row, count in zip(out, counts, strict=True):
        row[rng.choice(bits.shape[1], count, replace=False)] ^= 1
    return out


@pytest.mark.parametrize("m", _PRIMITIVE)
def test_every_polynomial_is_primitive(m):
    field = galois_field(m)
    powers = field.exp[: field.order]
    assert sorted(powers.tolist()) == list(range(1, 2**m))


@pytest.mark.parametrize("m", [3, 8, 11])
def test_field_arithmetic_agrees_with_galois(oracle_field, m):
    rng = np.random.default_rng(m)
    oracle = oracle_field(m)
    a, b = rng.integers(0, 2**m, (2, 500))
    field = galois_field(m)
    np.testing.assert_array_equal(field.multiply(a, b), np.asarray(oracle(a) * oracle(b)))
    c = np.maximum(b, 1)
    np.testing.assert_array_equal(field.divide(a, c), np.asarray(oracle(a) / oracle(c)))


@pytest.mark.parametrize(("n", "t"), [(7, 1), (40, 2), (92, 5), (100, 3), (215, 5), (150, 10)])
def test_generator_and_parities_agree_with_galois(oracle_code, n, t):
    code = bch_code(n, t)
    oracle = oracle_code(code)
    assert oracle.k == code.field.order - code.r
    bits = [code.generator >> power & 1 for power in range(code.r, -1, -1)]
    np.testing.assert_array_equal(np.asarray(oracle.generator_poly.coeffs), bits)
    # galois puts the highest power first; ours is the lowest first.
    ours = code.parity[:n][::-1, ::-1]
    np.testing.assert_array_equal(ours, np.asarray(oracle.G)[-n:, oracle.k :])


@pytest.mark.parametrize(("n", "t"), [(30, 2), (92, 5), (100, 3)])
def test_decoding_agrees_with_galois_on_any_word(oracle_code, n, t):
    rng = np.random.default_rng(n)
    code = bch_code(n, t)
    oracle = oracle_code(code)
    sets = random_sets(n, t, 30, rng)
    bits = flip(set_parities(code, sets), rng.integers(0, t + 3, 30), rng)
    message = np.zeros((30, n), dtype=np.uint8)
    words = oracle.field(np.concatenate([message, bits[:, ::-1]], axis=1))
    decoded, errors = oracle.decode(words, errors=True)
    ours = hard_decode(code, bits)
    np.testing.assert_array_equal(ours.found, errors >= 0)
    for row, good in enumerate(ours.found):
        if good:
            players = n - 1 - np.flatnonzero(np.asarray(decoded[row]))
            assert sorted(players.tolist()) == [i for i in ours.sets[row].tolist() if i < n]


def test_sizes_are_the_published_ones():
    # arXiv 2502.13870: 3 * 2^8 * (1 + r) = 21,504, 31,488 and 43,008 masks.
    assert [code_size(n, 5) for n in (16, 100, 1500)] == [(6, 27), (8, 40), (11, 55)]


@given(n=st.integers(1, 2500), t=st.integers(1, 10), seed=st.integers(0, 2**20))
@settings(max_examples=60, deadline=None)
def test_any_t_errors_are_corrected(n, t, seed):
    rng = np.random.default_rng(seed)
    code = bch_code(n, t)
    sets = random_sets(n, t, 40, rng)
    room = np.minimum(t - (sets < n).sum(axis=1), code.r)
    wrong = rng.integers(0, room + 1)
    decoded = hard_decode(code, flip(set_parities(code, sets), wrong, rng))
    assert decoded.found.all()
    np.testing.assert_array_equal(decoded.sets, sets)
    np.testing.assert_array_equal(decoded.wrong_bits, wrong)


@given(n=st.integers(2, 600), t=st.integers(1, 6), seed=st.integers(0, 2**20))
@settings(max_examples=60, deadline=None)
def test_more_than_t_errors_are_flagged_or_consistent(n, t, seed):
    rng = np.random.default_rng(seed)
    code = bch_code(n, t)
    bits = rng.integers(0, 2, (200, code.r)).astype(np.uint8)
    decoded = hard_decode(code, bits)
    distance = (set_parities(code, decoded.sets) ^ bits).sum(axis=1)
    sizes = (decoded.sets < n).sum(axis=1)
    assert (distance[decoded.found] == decoded.wrong_bits[decoded.found]).all()
    assert (sizes + decoded.wrong_bits <= t).all()
    assert (sizes[~decoded.found] == 0).all()
    filled = decoded.sets[:, 1:] < n
    assert (np.diff(decoded.sets, axis=1)[filled] > 0).all()


def test_largest_tables_decode():
    rng = np.random.default_rng(0)
    for n, t in [(8126, 5), (8178, 1), (8061, 10)]:
        code = bch_code(n, t)
        assert code.field.m == 13
        sets = random_sets(n, t, 20, rng)
        np.testing.assert_array_equal(hard_decode(code, set_parities(code, sets)).sets, sets)


def test_syndromes_are_power_sums_of_the_positions():
    code = bch_code(50, 4)
    field = code.field
    found = syndromes(code, set_parities(code, np.array([[3, 17, 50, 50]])))[0]
    powers = np.arange(1, 9)
    expected = field.exp[(powers * (code.r + 3)) % field.order]
    expected = expected ^ field.exp[(powers * (code.r + 17)) % field.order]
    np.testing.assert_array_equal(found, expected)


def test_the_splitting_test_agrees_with_chiens_search():
    rng = np.random.default_rng(5)
    code = bch_code(92, 5)  # 2^7 - 1 - 35: not shortened, so all roots are searched
    bits = rng.integers(0, 2, (3000, code.r)).astype(np.uint8)
    locator, length = error_locators(code, syndromes(code, bits))
    for degree in range(2, 6):
        words = locator[(length == degree) & (locator[:, degree] != 0), : degree + 1]
        roots = chien_search(code, words).sum(axis=1)
        np.testing.assert_array_equal(splits(code, words, degree), roots == degree)


def soft_decoded(code, observed):
    """The likeliest candidate of each word; -1 where it has none."""
    word, sets = chase_candidates(code, observed, 2 * code.t, 256)
    signs = 1.0 - 2.0 * np.column_stack([np.zeros(len(sets)), set_parities(code, sets)])
    best = likeliest(word, (observed[word] * signs).sum(axis=1))
    decoded = np.full((len(observed), code.t), -1)
    decoded[word[best]] = sets[best]
    return decoded


@given(n=st.integers(20, 300), t=st.integers(3, 6), seed=st.integers(0, 2**20))
@settings(max_examples=25, deadline=None)
def test_soft_decoding_is_as_likely_as_the_truth(n, t, seed):
    rng = np.random.default_rng(seed)
    code = bch_code(n, t)
    sets = random_sets(n, t, 30, rng)
    sets[:, 3:] = n  # few players, so that the truth is mostly the likeliest of all
    signs = 1.0 - 2.0 * np.column_stack([np.zeros(30), set_parities(code, sets)])
    observed = signs * rng.choice([-2.0, 0.7], (30, 1))
    weak = rng.permuted(np.tile(np.arange(code.r + 1), (30, 1)), axis=1)[:, : t - 2]
    scale = np.ones_like(observed)
    np.put_along_axis(scale, weak, -0.05, axis=1)  # wrong, but faint: the reference bit too
    decoded = soft_decoded(code, observed * scale)
    assert (decoded >= 0).all()
    found = 1.0 - 2.0 * np.column_stack([np.zeros(30), set_parities(code, decoded)])
    truly = np.abs((signs * observed * scale).sum(axis=1))
    gain = np.abs((found * observed * scale).sum(axis=1)) - truly
    assert (gain >= -1e-9).all()
    assert ((decoded == sets).all(axis=1) | (gain > 1e-9)).all()


def test_soft_decoding_beats_hard_decoding_in_noise():
    rng = np.random.default_rng(1)
    code = bch_code(100, 5)
    sets = random_sets(100, 5, 400, rng, smallest=3)
    signs = 1.0 - 2.0 * np.column_stack([np.zeros(400), set_parities(code, sets)])
    observed = signs + rng.normal(size=signs.shape) * 0.6
    bits = ((observed[:, 1:] < 0) ^ (observed[:, :1] < 0)).astype(np.uint8)
    hard = (hard_decode(code, bits).sets == sets).all(axis=1).mean()
    soft = (soft_decoded(code, observed) == sets).all(axis=1).mean()
    assert soft > hard + 0.2


def test_one_pattern_is_hard_decoding():
    rng = np.random.default_rng(2)
    code = bch_code(60, 3)
    observed = rng.normal(size=(500, code.r + 1))
    bits = ((observed[:, 1:] < 0) ^ (observed[:, :1] < 0)).astype(np.uint8)
    hard = hard_decode(code, bits)
    word, sets = chase_candidates(code, observed, depth=6, patterns=1)
    np.testing.assert_array_equal(word, np.flatnonzero(hard.found))
    np.testing.assert_array_equal(sets, hard.sets[hard.found])


def test_all_patterns_are_every_hard_decoding_with_weak_observations_flipped():
    rng = np.random.default_rng(3)
    code = bch_code(40, 3)
    observed = rng.normal(size=(20, code.r + 1))
    expected = set()
    for word, row in enumerate(observed):
        weakest = np.argsort(np.abs(row))[:5]
        for choice in range(2**5):
            signs = row < 0
            signs[weakest[[bool(choice >> k & 1) for k in range(5)]]] ^= True
            decoded = hard_decode(code, (signs[None, 1:] ^ signs[0]).astype(np.uint8))
            if decoded.found[0]:
                expected.add((word, *decoded.sets[0].tolist()))
    word, sets = chase_candidates(code, observed, depth=5, patterns=1000)
    assert sorted(expected) == sorted(zip(word.tolist(), *sets.T.tolist(), strict=True))
    assert len({row[0] for row in expected}) < len(expected)


def test_no_words_are_no_error():
    code = bch_code(20, 3)
    assert hard_decode(code, np.zeros((0, code.r), dtype=np.uint8)).sets.shape == (0, 3)


def test_errors_say_what_is_possible():
    with pytest.raises(InvalidInputError, match=r"n = 9000 .* up to 8191"):
        bch_code(9000, 2)
    with pytest.raises(InvalidInputError, match=r"t = 5 errors among n = 8150 .* t up to 3"):
        bch_code(8150, 5)
    for n, t in ((100, 11), (100, 0), (0, 2)):
        with pytest.raises(InvalidInputError, match=rf"n = {n}, t = {t} given.* 1 … 10"):
            bch_code(n, t)
    with pytest.raises(InvalidInputError, match="group players"):
        bch_code(8190, 2)
    with pytest.raises(InvalidInputError, match=r"GF\(2\^14\)"):
        galois_field(14)
