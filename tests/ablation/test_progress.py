import io
import sys
from types import SimpleNamespace

import IPython.display
import numpy as np

import spexlens as sx
from spexlens.ablation import progress
from spexlens.ablation.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self):
        return True

    @property
    def lines(self):
        """What a terminal shows in the end."""
        shown = [""]
        for part in self.getvalue().replace("\r\x1b[K", "\r").split("\n"):
            if "\x1b[A" in part:
                shown.pop()
            shown[-1] = part.split("\r")[-1]
            shown.append("")
        return [line for line in shown if line]


def slow(clock, seconds):
    return lambda: clock.append(clock[-1] + seconds) or clock[-1]


def test_a_terminal_sees_one_line_that_tells_rate_and_rest(monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", slow([0.0], 2.0))
    terminal = Terminal()
    bar = ProgressBar(terminal)
    bar(100, 400)
    assert terminal.lines == [
        "███████░░░░░░░░░░░░░░░░░░░░░░░ 100 of 400 ablations, 50 a second, 6.0 s left"
    ]
    bar(400, 400)
    bar(402, 402)  # the full and the empty input
    assert terminal.lines == ["402 ablations in 4.0 s"]
    bar(50, 100)
    assert len(terminal.lines) == 2


def test_a_file_gets_nothing():
    file = io.StringIO()
    game = sx.FunctionGame(lambda m: m.sum(axis=1), 12)
    sx.explain(game, 100, "lasso", rng=0, progress=ProgressBar(file))
    assert file.getvalue() == ""


def test_a_run_ends_with_its_number_of_ablations():
    terminal = Terminal()
    bar = ProgressBar(terminal)
    game = sx.FunctionGame(lambda m: m @ np.arange(12.0), 12)
    for budget in (300, 200):
        run = sx.explain(game, budget, "lasso", rng=0, progress=bar, batch_size=20)
        assert terminal.lines[-1].startswith(f"{run.calls} ablations in ")
    assert len(terminal.lines) == 2


def test_a_notebook_has_one_output_that_changes(monkeypatch):
    shown = []

    class Handle:
        def update(self, html):
            shown[-1].append(html.data)

    def display(html, display_id):
        assert display_id
        shown.append([html.data])
        return Handle()

    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(progress.time, "monotonic", slow([0.0], 2.0))
    bar = ProgressBar()
    bar(100, 400)
    bar(400, 400)
    assert len(shown) == 1
    assert "<progress value='100' max='400'" in shown[0][0]
    assert "<progress" not in shown[0][1]
    assert "400 ablations in 4.0 s" in shown[0][1]


def test_true_is_a_bar_and_false_is_none(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    game = sx.FunctionGame(lambda m: m.sum(axis=1), 3)
    sx.explain(game, 8, progress=False)
    assert terminal.lines == []
    sx.explain(game, 8, progress=True)
    assert terminal.lines[0].startswith("8 ablations in ")


def test_a_fit_is_shown_on_a_line_of_its_own_that_is_gone_in_the_end():
    terminal = Terminal()
    bar = ProgressBar(terminal)
    bar(64, 64)
    bar.fit(0.25, 75.0)
    assert terminal.lines[-1] == "fitting: 25 %, 1 min 15 s left"
    bar.fit(0.03, float("inf"))
    assert terminal.lines[-1] == "fitting: 3 %"
    bar.fit(1.0, 0.0)
    assert len(terminal.lines) == 1
    bar.fit(0.5, 1.0)
    bar(66, 66)  # the full and the empty input
    assert [line.split(" in ")[0] for line in terminal.lines] == ["66 ablations"]
    file = io.StringIO()
    ProgressBar(file).fit(0.5, 1.0)
    assert file.getvalue() == ""


def test_a_notebook_shows_the_fit_and_then_the_ablations_again(monkeypatch):
    shown = []
    handle = SimpleNamespace(update=lambda html: shown.append(html.data))
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(
        IPython.display, "display", lambda html, display_id: shown.append(html.data) or handle
    )
    bar = ProgressBar()
    bar(64, 64)
    bar.fit(0.5, 2.0)
    bar.fit(1.0, 0.0)
    assert "fitting: 50 %, 2.0 s left" in shown[1]
    assert "value='50' max='100'" in shown[1]
    assert shown[2] == shown[0]
