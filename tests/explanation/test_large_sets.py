"""A few bytes of a run file name a set of ninety players: nothing lists its subsets."""

import time
import warnings
from dataclasses import replace

import numpy as np
import pytest

import spexlens as sx
from tests.run_mutations import doors

SECONDS = 2.0  # of CPU, for one thing done with one file


@pytest.mark.parametrize("size", [60, 90])
@pytest.mark.parametrize(("p", "asked"), [(0.5, None), (0.7, None), (0.9, "k-SII")])
def test_a_large_set_in_a_small_file_is_told_not_expanded(tmp_path, size, p, asked):
    every = tuple(range(size))
    spectrum = sx.FourierSpectrum.from_dict({(): 0.5, (0,): 0.1, every: 1.0}, size, p)
    run = sx.explain(sx.FunctionGame(lambda m: 1.0 * m[:, 0], size), 20, "lasso", rng=0)
    read = sx.Interactions.from_dict({(0,): 0.1, every: 1.0}, asked or "SII", run.players)
    run = replace(run, spectrum=spectrum, asked=read if asked else None)
    path = run.save(tmp_path / "run.json")
    assert path.stat().st_size < 4096
    told = {}
    for name, act in doors(path, tmp_path, plots=("bars", "graph", "upset")):
        start = time.process_time()
        try:
            act()
        except sx.errors.SpexlensError as error:
            told[name] = str(error)
        if name != "to_shapiq":  # its import alone takes a second
            assert time.process_time() - start < SECONDS, name
    assert "a largest set is (0, 1, 2, 3, 4, 5 and" in told["interactions Moebius"]
    assert {"repr", "report", "predict", "save"}.isdisjoint(told)
    if p == 0.5:
        assert {"show", "interactions SII", "interactions FBII"}.isdisjoint(told)
    if asked:
        assert "listing the subsets" in repr(run)


def test_an_index_lists_no_subsets_that_it_gives_nothing():
    every = tuple(range(60))
    spectrum = sx.FourierSpectrum.from_dict({(0, 1): 0.5, every: 1.0}, 60)
    assert sx.compute_index(spectrum, "FBII", 20).to_dict() == {
        (0, 1): 2.0,
        (0,): -1.0,
        (1,): -1.0,
        (): 0.5,
    }


@pytest.mark.parametrize(("index", "order"), [("FBII", 12), ("k-SII", 14)])
def test_an_order_that_no_measure_has_is_told_before_anything_is_measured(index, order):
    asked = []

    def values(masks):
        asked.append(len(masks))
        return masks.sum(axis=1)

    game = sx.FunctionGame(values, 20)
    with pytest.raises(sx.InvalidInputError, match="Ask for a lower order"):
        sx.explain(game, 200, "kernelspex", rng=0, index=index, order=order)
    assert not asked
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = sx.fit(np.random.default_rng(0).random((60, 20)) < 0.5, np.arange(60.0), rng=0)
    assert run.interactions(index, order).index == index
