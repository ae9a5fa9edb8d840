"""What was paid for is on every error after it, and what cannot work is told before it."""

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import spexlens as sx
from spexlens.algorithms.base import FitCost, random_design
from spexlens.algorithms.table import ALGORITHMS
from spexlens.errors import InterruptedRunError, MissingExtraError
from spexlens.proxies.boosted_trees import TreeGrid, load_lightgbm, search_trees
from tests.filtered_game import FilteredGame


@dataclass(frozen=True)
class Failing:
    """Fits by LASSO, until a fit of `last` masks or more ends with an error."""

    error: BaseException
    last: int = 0
    name: ClassVar[str] = "failing"
    any_masks: ClassVar[bool] = True
    exact: ClassVar[bool] = False
    design = staticmethod(random_design)

    def recover(self, design, values):
        if len(design.masks) >= self.last:
            raise self.error
        return sx.Lasso().recover(design, values)

    def fit_cost(self, n, ablations):
        return FitCost()


def truth(masks):
    return masks @ np.arange(1.0, 11.0)


@pytest.mark.parametrize("until", [None, lambda rounds: None], ids=["at once", "in rounds"])
@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (MemoryError, ()),
        (ValueError, ("of a fit",)),
        (MissingExtraError, ("a", "b", "c")),
        (SystemExit, (3,)),
    ],
)
def test_an_error_of_a_fit_stays_what_it_is_and_carries_what_was_paid(kind, arguments, until):
    game, error = FilteredGame(truth, 10), kind(*arguments)
    with pytest.raises(type(error)) as told:
        sx.explain(game, 200, Failing(error, 70 if until else 0), rng=0, until=until)
    assert told.value is error
    assert len(error.masks) == len(game.asked) >= 70
    assert (error.values == truth(error.masks)).all()
    assert f"The {len(error.masks)} values measured before" in "".join(error.__notes__)
    assert sx.fit(error.masks, error.values, algorithm="lasso").fidelity.r2 > 0.99


@pytest.mark.parametrize("outputs", [1, 2])
def test_ctrl_c_in_a_fit_is_an_interrupted_run_with_what_was_paid(outputs):
    game = sx.FunctionGame(lambda m: truth(m) if outputs == 1 else np.stack([truth(m)] * 2, 1), 10)
    with pytest.raises(InterruptedRunError, match=r"stopped while fitting.*198 values") as told:
        sx.explain(game, 200, Failing(KeyboardInterrupt()), rng=0)
    assert told.value.values.ndim == outputs
    assert len(told.value.masks) == 198
    assert isinstance(told.value, KeyboardInterrupt)


def test_an_error_of_progress_carries_what_came_in():
    def progress(done, total):
        if done == 128:
            raise RuntimeError("of the bar")

    with pytest.raises(RuntimeError, match="of the bar") as told:
        sx.explain(sx.FunctionGame(truth, 10), 300, "lasso", rng=0, progress=progress)
    assert (told.value.values == truth(told.value.masks)).all()
    assert len(told.value.masks) == 128


@pytest.mark.parametrize(
    ("algorithm", "error", "told"),
    [
        ("proxyspex", MissingExtraError, r"spexlens\[trees\]"),
        (sx.Auto((sx.ProxySPEX(),)), MissingExtraError, r"spexlens\[trees\]"),
        (sx.Auto(()), sx.InvalidInputError, "no candidates"),
        (sx.Auto((sx.Lasso(), sx.SPEX())), sx.InvalidInputError, "'spex' of auto"),
        (sx.ProxySPEX(proxy="forest"), sx.InvalidInputError, "has no fit and predict"),
        (sx.ProxySPEX(proxy=Failing), sx.InvalidInputError, "has no fit and predict"),
    ],
)
def test_what_a_fit_needs_is_checked_before_anything_is_paid(monkeypatch, algorithm, error, told):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    game = FilteredGame(truth, 10)
    with pytest.raises(error, match=told):
        sx.explain(game, 100, algorithm, rng=0)
    assert game.asked == {}


def test_auto_goes_on_without_trees(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    algorithm = sx.Auto((sx.Lasso(), sx.ProxySPEX()))
    with pytest.warns(sx.SpexlensWarning, match="auto left out proxyspex"):
        assert sx.explain(FilteredGame(truth, 10), 60, algorithm, rng=0).fidelity.r2 > 0.9


def test_ctrl_c_ends_a_search_of_trees_within_a_tree():
    masks = np.random.default_rng(0).random((400, 40)) < 0.5
    endless = TreeGrid((8,), (10**6,), (0.01,))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sent = []

    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    load_lightgbm()
    timer = threading.Timer(0.3, send)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            search_trees(masks, masks[:, 0] * masks[:, 1] * 1.0, endless, 3, 0, 2)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - sent[0] < 5


class Interrupting:
    """Sends Ctrl-C as soon as it is shown how far a fit is."""

    sent = 0.0

    def __call__(self, done, total):
        pass

    def fit(self, share, left):
        if not self.sent:
            self.sent = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)


_LONG_FITS = {
    "auto": (sx.Auto(), 40, 300),
    "kernelspex": (sx.KernelSPEX(), 40, 400),
    "proxyspex": (sx.ProxySPEX(), 30, 200),
    "spex": (sx.SPEX(), 200, 3000),
    "pairwise": (sx.Pairwise(), 60, 300),
    "lasso": (sx.Lasso(alphas=600), 120, 400),
}


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name != "exact"])
def test_ctrl_c_ends_every_fit_promptly_with_what_was_paid(name, request):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    algorithm, players, budget = _LONG_FITS[name]
    noise = np.random.default_rng(0)
    game = sx.FunctionGame(
        lambda m: m @ np.linspace(-1, 1, players) + noise.normal(size=len(m)), players
    )
    shown = Interrupting()
    with pytest.raises(InterruptedRunError, match="stopped while fitting") as told:
        sx.explain(game, budget, algorithm, rng=0, progress=shown)
    assert time.monotonic() - shown.sent < 3
    assert len(told.value.masks) >= budget - 2
