from itertools import combinations

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import all_masks, masks_from_sets
from tests.strategies import random_sparse


def smallest(spectrum, kind, share):
    """Size of the smallest set by trying all."""
    n = spectrum.n
    empty, full = spectrum(all_masks(n)[[0, -1]])
    for size in range(n + 1):
        for players in combinations(range(n), size):
            kept = players if kind == "sufficient" else set(range(n)) - set(players)
            value = spectrum(masks_from_sets([sorted(kept)], n))[0]
            reached = (value - empty) / (full - empty)
            if (reached >= share - 1e-7) if kind == "sufficient" else (reached <= 1 - share + 1e-7):
                return size
    raise AssertionError


@pytest.mark.parametrize("kind", ["sufficient", "necessary"])
@pytest.mark.parametrize("seed", range(4))
def test_no_smaller_set_exists(kind, seed):
    spectrum = random_sparse(8, 10, 3, np.random.default_rng(seed))
    found = sx.minimal_set(spectrum, kind, 0.7)
    assert found.optimal
    assert found.predicted >= 0.7 - 1e-6
    assert len(found.players) == smallest(spectrum, kind, 0.7)
    empty, full = spectrum(all_masks(8)[[0, -1]])
    rest = set(range(8)) - set(found.players)
    kept = found.players if kind == "sufficient" else sorted(rest)
    share = (spectrum(masks_from_sets([kept], 8))[0] - empty) / (full - empty)
    assert found.predicted == pytest.approx(share if kind == "sufficient" else 1 - share)


def test_hundreds_of_players_and_terms_are_solved():
    terms = {(i,): -1.0 for i in range(300)} | {(0, 1): 5.0, (2, 3): 5.0, (4, 5, 6): -5.0}
    spectrum = sx.FourierSpectrum.from_dict(terms, 300)
    found = sx.minimal_set(spectrum, "sufficient", 0.5)
    assert found.optimal
    assert len(found.players) < 200


def test_negative_effects_are_shares_too():
    spectrum = sx.FourierSpectrum.from_dict({(0,): 2.0, (1,): 1.0}, 3)  # value falls with players
    found = sx.minimal_set(spectrum, "sufficient", 0.6)
    assert found.players == (0,)
    assert found.predicted == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("both",), "known: sufficient, necessary"), (("sufficient", 0.0), "share = 0"),
     (("sufficient", 1.5), "share = 1.5")],
)  # fmt: skip
def test_bad_arguments_are_told(arguments, told):
    spectrum = sx.FourierSpectrum.from_dict({(0,): 1.0}, 2)
    with pytest.raises(sx.InvalidInputError, match=told):
        sx.minimal_set(spectrum, *arguments)


def test_no_effect_has_no_share():
    spectrum = sx.FourierSpectrum.from_dict({(): 1.0, (0, 1): 1.0}, 2)  # f(all) == f(none)
    with pytest.raises(sx.InvalidInputError, match="same value"):
        sx.minimal_set(spectrum)
