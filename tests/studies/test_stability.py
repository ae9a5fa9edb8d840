import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import mask_keys


def game(noise):
    rng = np.random.default_rng(0)

    def value(masks):
        strong = 4.0 * masks[:, 0] + 3.0 * (masks[:, 1] & masks[:, 2])
        return strong + noise * rng.normal(size=len(masks))

    return sx.FunctionGame(value, 15)


def test_strong_effects_are_stable_and_effects_of_noise_are_not():
    explanation = sx.explain(game(1.0), 200, "kernelspex", rng=0)
    found = sx.stability(explanation, top=8, resamples=10)
    by_set = dict(zip(found.interactions, found.shares.tolist(), strict=True))
    assert by_set[(0,)] == 1.0
    assert by_set[(1, 2)] >= 0.9
    spurious = [share for players, share in by_set.items() if not set(players) <= {0, 1, 2}]
    assert spurious
    assert np.mean(spurious) < 0.7
    assert found.to_frame()["stability"].iloc[0] == found.shares[0]


def test_the_same_seed_gives_the_same_shares_under_any_index():
    explanation = sx.explain(game(3.0), 100, "lasso", rng=0)
    one, two = (sx.stability(explanation, 5, "SV", rng=3).shares for _ in range(2))
    assert one.tolist() == two.tolist()


def test_an_index_that_was_asked_for_is_judged_by_itself():
    explanation = sx.explain(game(1.0), 100, "kernelspex", index="SV", rng=0)
    found = sx.stability(explanation, 3, resamples=4, rng=0)
    assert found.interactions.index == "SV"
    assert set(found.interactions) == {(0,), (1,), (2,)}
    assert found.shares.min() > 0.7


def test_what_cannot_be_resampled_is_told():
    exact = sx.explain(sx.FunctionGame(lambda m: m.sum(axis=1), 4), 16)
    with pytest.raises(sx.InvalidInputError, match="cannot be refitted"):
        sx.stability(exact)
    explanation = sx.explain(game(1.0), 100, "lasso", rng=0)
    for arguments in ({"top": 0}, {"resamples": 3}, {"resamples": 0}):
        with pytest.raises(sx.InvalidInputError, match=r"given.*needed"):
            sx.stability(explanation, **arguments)


@pytest.mark.parametrize("ablations", [100, 101])
def test_refits_are_to_complementary_halves(monkeypatch, ablations):
    explanation = sx.explain(game(1.0), ablations, "lasso", rng=0)
    refitted = []

    def recorded(self, design, values, recover=sx.Lasso.recover):
        refitted.append(mask_keys(design.masks).tolist())
        return recover(self, design, values)

    monkeypatch.setattr(sx.Lasso, "recover", recorded)
    sx.stability(explanation, 3, resamples=4)
    known = set(mask_keys(explanation.masks).tolist())
    half = len(known) // 2
    assert [len(part) for part in refitted] == [half] * 4
    for one, other in (refitted[:2], refitted[2:]):
        assert len({*one, *other}) == 2 * half
        assert {*one, *other} <= known
    assert set(refitted[0]) not in (set(refitted[2]), set(refitted[3]))
