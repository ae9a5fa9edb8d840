import threading
import time
import warnings
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

import spexlens as sx
from spexlens.algorithms import machine
from spexlens.algorithms.table import ALGORITHMS
from spexlens.core.work import Work, reached, stage, working
from spexlens.explanation.fitting import FitTime, cheaper, fits_in
from spexlens.explanation.planning import warn_of_a_long_fit, with_time_for_the_fit
from spexlens.explanation.rounds import fit_round


def test_a_long_fit_is_told_before_anything_is_measured():
    game = sx.FunctionGame(lambda masks: pytest.fail("measured"), 200)
    with pytest.warns(sx.SpexlensWarning, match=r"20,000 ablations of 200 players by auto may"):
        assert warn_of_a_long_fit(sx.Auto(), 200, 20_000)
    assert not warn_of_a_long_fit(sx.Lasso(), 20, 100)
    with pytest.raises(sx.SpexlensWarning, match="may take"):
        sx.explain(game, 30_000, rng=0)


def test_the_expected_cost_grows_with_both_sizes_and_auto_takes_the_sum():
    for row in ALGORITHMS.values():
        made = row.make()
        for sizes in (
            ((100, m) for m in (400, 1000, 4000)),
            ((n, 4000) for n in (20, 100, 700)),
        ):
            costs = [made.fit_cost(*size).seconds for size in sizes]
            assert np.all(np.diff(costs) >= 0), (row.name, costs)
            assert costs[-1] > costs[0] or made.exact
    auto = sx.Auto()
    parts, whole = [a.fit_cost(50, 900) for a in auto.candidates], auto.fit_cost(50, 900)
    assert whole.seconds == pytest.approx(sum(part.seconds for part in parts))
    assert whole.judging == pytest.approx(sum(part.judging for part in parts))
    assert whole.memory == max(part.memory for part in parts)


def test_the_cost_is_that_of_the_algorithm_itself(monkeypatch):
    monkeypatch.setattr(machine, "_taken", {"wall": 0.0, "core": 0.0})

    @dataclass(frozen=True)
    class Slow(sx.Lasso):
        name: ClassVar[str] = "slow"

        def fit_cost(self, n, ablations):
            return sx.FitCost(seconds=10.0 * n, memory=2.0 * ablations)

    with pytest.warns(sx.SpexlensWarning, match=r"by slow may take about 17 minutes and 0\.0 GB"):
        warn_of_a_long_fit(Slow(), 100, 50)


def test_where_cores_are_crowded_a_fit_takes_longer_by_the_clock(monkeypatch):
    monkeypatch.setattr(machine, "_taken", {"wall": 0.0, "core": 0.0})
    assert machine.crowding() == 1.0
    machine._taken.update(wall=0.6, core=0.2)
    assert machine.crowding() == pytest.approx(3.0)
    assert machine.product.__wrapped__() > 0
    assert machine._taken["core"] > 0.2


@pytest.mark.parametrize("name", ["kernelspex", "pairwise", "spex", "lasso"])
def test_what_is_told_before_a_fit_is_near_what_it_takes(name):
    # The benchmark holds larger fits to a factor of 2; these are short, on cores of any load.
    players, ablations = {"kernelspex": (40, 500), "pairwise": (60, 300)}.get(name, (90, 1500))
    made = ALGORITHMS[name].make()
    design = made.design(players, ablations, np.random.default_rng(0), 0.5)
    noise = np.random.default_rng(1).normal(size=len(design.masks))
    values = design.masks @ np.linspace(-1, 1, players) + 0.3 * noise
    made.fit_cost(players, ablations)  # loads what there is to load
    started = time.process_time()
    fit_round(made, design, values)
    taken = time.process_time() - started
    told = made.fit_cost(players, len(design.masks)).seconds
    assert taken / 5 - 0.2 < told < 5 * taken + 0.5


class Shown:
    """A progress that shows fits too."""

    def __init__(self):
        self.ablations, self.fits = [], []

    def __call__(self, done, total):
        self.ablations.append((done, total))

    def fit(self, share, left):
        self.fits.append((share, left))


@dataclass(frozen=True)
class Waiting(sx.Lasso):
    """A fit of so many short steps, which takes as long as it says, or as it hides."""

    steps: int = 40
    each: float = 0.02
    told: float | None = None
    fitted: list[int] = field(default_factory=list)

    name: ClassVar[str] = "waiting"

    def recover(self, design, values):
        for step in range(self.steps):
            reached(step / self.steps)
            time.sleep(self.each)
        self.fitted.append(len(design.masks))
        return sx.Lasso().recover(design, values)

    def fit_cost(self, n, ablations):
        return sx.FitCost(self.steps * self.each if self.told is None else self.told)


def additive(pause=0.0):
    def value(masks):
        time.sleep(pause * len(masks))
        return masks @ np.arange(1.0, 13.0) + 3 * (masks[:, 0] & masks[:, 5])

    return sx.FunctionGame(value, 12)


def test_the_fit_is_shown_with_the_time_that_is_left():
    shown = Shown()
    sx.explain(additive(), 64, Waiting(), rng=0, progress=shown)
    parts = [share for share, _ in shown.fits]
    assert len(parts) > 3
    assert parts == sorted(parts)
    assert shown.fits[-1] == (1.0, 0.0)
    halfway = [left for share, left in shown.fits if 0.3 < share < 0.7]
    assert all(0.05 < left < 8 for left in halfway)
    masks = np.random.default_rng(0).random((60, 5)) < 0.5
    again = Shown()
    sx.fit(masks, masks @ np.arange(5.0), algorithm=Waiting(), rng=0, progress=again)
    assert again.fits[-1] == (1.0, 0.0)
    assert again.ablations == []


def test_a_fit_that_turns_out_long_is_told_once(monkeypatch):
    monkeypatch.setattr("spexlens.explanation.fitting.LONG_SECONDS", 0.2)
    with pytest.warns(sx.SpexlensWarning, match=r"by waiting will take about \d+ minutes") as told:
        sx.explain(additive(), 64, Waiting(told=0.0), rng=0)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sx.explain(additive(), 64, Waiting(told=0.0), rng=0, progress=Shown())


@pytest.mark.parametrize("told", [30.0, 0.1])  # known before, or found in the fit
def test_a_fit_that_takes_longer_than_the_budget_gives_way_to_a_cheaper_one(told):
    slow = Waiting(steps=100, each=0.1, told=told)
    started = time.monotonic()
    run = sx.explain(additive(0.002), sx.Budget(calls=600, seconds=1.5), slow, rng=0)
    assert time.monotonic() - started < 1.5 + 5
    assert slow.fitted == []
    note = next(note for note in run.notes if "left no time for the fit by waiting" in note)
    assert "took its place" in note
    assert run.fidelity.r2 > 0.9


def test_a_budget_leaves_time_for_the_fit_it_affords(monkeypatch):
    monkeypatch.setattr(machine, "_taken", {"wall": 0.0, "core": 0.0})  # a fit that only waits
    slow = Waiting(steps=20, each=0.03)  # 0.6 s of 2
    started = time.monotonic()
    run = sx.explain(additive(0.01), sx.Budget(calls=1000, seconds=2.0), slow, rng=0)
    assert time.monotonic() - started < 2 + 5
    assert slow.fitted == [len(run.masks)]
    assert len(run.masks) < 160
    assert not any("took its place" in note for note in run.notes)


def test_a_slow_first_mask_does_not_end_a_run_with_time_left():
    first = [1.2]

    def value(masks):
        time.sleep(first.pop() if first else 0.001 * len(masks))
        return masks @ np.arange(1.0, 13.0)

    run = sx.explain(sx.FunctionGame(value, 12), sx.Budget(calls=60, seconds=3.0), "lasso", rng=0)
    assert len(run.masks) == 58  # and two baselines


def test_more_masks_cost_a_longer_fit_which_is_kept_time_for():
    budget = with_time_for_the_fit(sx.Budget(seconds=1e6), sx.KernelSPEX(), 50)
    assert budget.keep(2000) > budget.keep(200) > 0
    assert budget.minus(calls=500).keep(100) == budget.keep(600)
    assert budget == sx.Budget(seconds=1e6)


@pytest.mark.parametrize("row", ALGORITHMS.values(), ids=lambda row: row.name)
def test_what_takes_a_fits_place_is_cheaper_each_time_and_takes_any_masks(row):
    made = row.make()
    costs = [way.fit_cost(100, 800).seconds for way in (made, *cheaper(made))]
    assert all(way.any_masks for way in cheaper(made))
    if not made.exact:
        assert costs[-1] == sx.Lasso().fit_cost(100, 800).seconds
    if made.any_masks:
        assert costs == sorted(costs, reverse=True)


def test_work_in_stages_tells_shares_of_the_whole_and_ends_in_time():
    work = Work(seconds=60)
    with working(work):
        with stage(0.5, 1.0):
            with stage(0.5, 1.0):
                reached(0.5)
                assert work.done == 0.875
            assert work.range == (0.5, 1.0)
        assert work.done == 1.0
    reached(0.3)  # outside of any work
    thread = threading.Thread(target=reached, args=(0.1,))
    thread.start()
    thread.join()
    with fits_in(FitTime(seconds=1.0, started=time.monotonic() - 2)):
        masks = np.random.default_rng(0).random((60, 5)) < 0.5
        found = fit_round(sx.KernelSPEX(), sx.Design(masks), masks @ np.arange(5.0))
    assert found.recovery.tuned.name == "lasso"
