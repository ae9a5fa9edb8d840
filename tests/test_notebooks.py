import sys
from types import SimpleNamespace

import matplotlib.style
import numpy as np

import spexlens as sx
from spexlens import plots
from spexlens._support.notebooks import in_notebook


def kernel(monkeypatch, shell):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def test_only_a_kernel_is_a_notebook(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_notebook()
    kernel(monkeypatch, None)
    assert not in_notebook()
    kernel(monkeypatch, SimpleNamespace())  # IPython in a terminal
    assert not in_notebook()
    kernel(monkeypatch, SimpleNamespace(kernel=object()))
    assert in_notebook()


def test_a_dark_style_has_a_dark_ground_and_light_ink():
    found = sx.Interactions.from_dict({(0,): 1.0, (0, 1): -2.0}, "FBII", ["L0.H0", "L1.H1"])
    for style, bright in (("default", True), ("dark_background", False)):
        with matplotlib.style.context(style):
            axes = plots.layer_head(found)
            axes.figure.canvas.draw()
            pixels = np.asarray(axes.figure.canvas.buffer_rgba())[..., :3]
            middle = axes.images[0].cmap(0.5)[:3]
            assert (np.mean(middle) > 0.5) == bright
            assert (np.median(pixels) > 128) == bright
