"""Draws the pictures of the documentation, each for a light and a dark page.

    python docs/scripts/pictures.py            # writes docs/images/*-light.svg and *-dark.svg

Every number in them is computed here, by the library, from small games that stand in this file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import spexlens as sx
from spexlens.explanation.stopping import Round

IMAGES = Path(__file__).parent.parent / "images"
BLUE, VERMILION, GREY = "#4c9be8", "#e8743b", "#8a8f98"
INK = {"light": "#2b2f36", "dark": "#d7dae0"}
WORDS = ["The", "plot", "never", "fails", "to", "surprise."]


def never_fails(masks: np.ndarray) -> np.ndarray:
    """Score a toy review: "never" and "fails" hurt alone and help together."""
    never, fails, surprise = masks[:, 2], masks[:, 3], masks[:, 5]
    return -1.0 * never - 2.0 * fails + 4.5 * (never & fails) + 1.0 * surprise


def interaction() -> Figure:
    """Draw what an interaction is: the joint effect minus the sum of the separate ones."""
    figure, axes = _figure(6.4, 2.9)
    masks = np.zeros((4, len(WORDS)), dtype=bool)
    masks[1, 2] = masks[2, 3] = masks[3, [2, 3]] = True
    values = never_fails(masks)
    names = ["neither", "“never” alone", "“fails” alone", "both"]
    axes.bar(names, values, width=0.55, color=[BLUE if v >= 0 else VERMILION for v in values])
    expected = values[1] + values[2]
    axes.hlines(expected, 2.6, 3.4, colors=GREY, linestyles="dashed")
    axes.text(2.55, expected, "sum of both ", ha="right", va="top", color=GREY)
    axes.annotate(
        "", (3.42, values[3]), (3.42, expected), arrowprops={"arrowstyle": "->", "color": GREY}
    )
    axes.text(3.5, 0.1, f"interaction\n{values[3] - expected:+.1f}")
    axes.set_xlim(-0.5, 4.2)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_ylabel("value")
    return figure


def masks() -> Figure:
    """Draw masks over players, and the value of each."""
    figure = Figure(figsize=(6.4, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 1], sharey=True)
    rows = sx.sample_masks(len(WORDS), 9, np.random.default_rng(3))
    values = never_fails(rows)
    for (row, player), present in np.ndenumerate(rows):
        box = mpl.patches.Rectangle(
            (player + 0.06, row + 0.1), 0.88, 0.8, facecolor=BLUE if present else "none",
            edgecolor=GREY, linewidth=0.7,
        )  # fmt: skip
        left.add_patch(box)
    left.set(xlim=(0, len(WORDS)), ylim=(len(rows), 0), yticks=[], xlabel="players")
    left.set_xticks(np.arange(len(WORDS)) + 0.5, WORDS)
    left.set_ylabel("masks, one ablation each")
    left.tick_params(length=0)
    left.spines[:].set_visible(False)
    centres = np.arange(len(rows)) + 0.5
    right.barh(centres, values, height=0.6, color=[BLUE if v >= 0 else VERMILION for v in values])
    right.axvline(0, color=GREY, linewidth=0.8)
    right.set_xlabel("value")
    right.tick_params(left=False)
    _open(right, "left")
    return figure


def keep_probability() -> Figure:
    """Draw how many of 20 players a mask keeps, for three keep probabilities."""
    figure, axes = _figure(6.4, 2.5)
    shades = {0.5: BLUE, 0.7: GREY, 0.9: VERMILION}
    for p, shade in shades.items():
        kept = sx.sample_masks(20, 20_000, np.random.default_rng(0), p, distinct=False).sum(axis=1)
        share = np.bincount(kept, minlength=21) / len(kept)
        axes.plot(np.arange(21), share, marker="o", markersize=3.5, color=shade)
        peak = int(share.argmax())
        axes.text(peak, share[peak] + 0.02, f"p = {p}", color=shade, ha="center")
    axes.axvline(20, color=GREY, linewidth=0.8, linestyle="dotted")
    axes.text(20.2, 0.17, "the full\ninput", color=GREY, va="center")
    axes.set(xlabel="players present, of 20", ylabel="share of the masks", ylim=(0, 0.36))
    axes.set_xlim(0, 22.5)
    axes.set_xticks(range(0, 21, 5))
    return figure


def spectrum() -> Figure:
    """Draw two functions of two players in the two bases."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "a and b": lambda x: 1.0 * (x[:, 0] & x[:, 1]),
        "a xor b": lambda x: 1.0 * (x[:, 0] ^ x[:, 1]),
    }
    sets = {(): "∅", (0,): "a", (1,): "b", (0, 1): "a×b"}
    for (title, function), row in zip(functions.items(), grid, strict=True):
        explained = sx.fit(sx.all_masks(2), function(sx.all_masks(2)))
        for axes, index in zip(row, ("Fourier", "Moebius"), strict=True):
            found = explained.interactions(index).to_dict()
            weights = [found.get(players, 0.0) for players in sets]
            weights = [0.0 if abs(weight) < 1e-12 else weight for weight in weights]
            shades = [BLUE if weight >= 0 else VERMILION for weight in weights]
            drawn = axes.bar(list(sets.values()), weights, width=0.55, color=shades)
            axes.bar_label(drawn, fmt="{:g}", padding=2)
            axes.axhline(0, color=GREY, linewidth=0.8)
            axes.set_title(f"{title}: {index}", fontsize=10)
            axes.set_ylim(-3, 1.9)
            _open(axes)
    return figure


def indices() -> Figure:
    """Draw what the indices of order 2 make of one set of three players with the dividend 1."""
    figure, axes = _figure(6.4, 2.6)
    explained = sx.fit(sx.all_masks(3), 1.0 * sx.all_masks(3).all(axis=1))
    names = ["BII", "SII", "k-SII", "STII", "FSII", "FBII"]
    effects = [explained.interactions(name, order=2).to_dict() for name in names]
    at = np.arange(len(names))
    for shift, players, shade, label in (
        (-0.19, (0,), VERMILION, "each single player"), (0.19, (0, 1), BLUE, "each pair"),
    ):  # fmt: skip
        heights = np.array([found.get(players, 0.0) for found in effects])
        drawn = axes.bar(at + shift, heights, width=0.34, color=shade, label=label)
        axes.bar_label(drawn, fmt="{:.2f}", padding=2, fontsize=8)
    axes.set_xticks(at, names)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_ylim(-0.36, 0.82)
    axes.legend(frameon=False, ncols=2, loc="upper right")
    return figure


def _planted() -> sx.FunctionGame:
    """20 players: singles, pairs and a triple, with a little noise that belongs to the mask."""
    rng = np.random.default_rng(5)
    singles = rng.normal(size=20)
    pairs = rng.integers(20, size=(12, 2))
    weights = 2.0 * rng.normal(size=12)

    def value(x: np.ndarray) -> np.ndarray:
        z = x - 0.5
        noise = np.sin(x @ np.arange(1.0, 21.0) ** 2)
        together = (2 * z[:, pairs[:, 0]] * 2 * z[:, pairs[:, 1]]) @ weights
        return z @ singles * 2 + together + 3 * x[:, [1, 4, 9]].all(axis=1) + 0.5 * noise

    return sx.FunctionGame(value, 20)


@cache
def _explained(algorithm: str) -> sx.Explanation:
    """300 ablations in rounds, so that there is a learning curve."""
    return sx.explain(_planted(), 300, algorithm, rng=0, until=_to_the_end)


def _to_the_end(rounds: Sequence[Round]) -> None:
    """Never stop, for the sake of the learning curve."""


def fidelity() -> Figure:
    """Draw predicted against measured on unseen masks, additive and with interactions."""
    game = _planted()
    unseen = sx.sample_masks(20, 300, np.random.default_rng(9))
    truth = game(unseen)
    figure = Figure(figsize=(6.4, 3.1), layout="constrained")
    for axes, (name, title) in zip(
        figure.subplots(1, 2, sharex=True, sharey=True),
        {"lasso": "additive", "kernelspex": "with interactions"}.items(),
        strict=True,
    ):
        explained = _explained(name)
        r2 = explained.score(unseen, truth).r2
        axes.axline((0, 0), slope=1, color=GREY, linewidth=0.8)
        axes.scatter(explained.predict(unseen), truth, s=8, color=BLUE, alpha=0.7, linewidths=0)
        axes.set_title(f"{title}: R² {r2:.2f}", fontsize=10)
        axes.set_xlabel("predicted")
        _open(axes)
    figure.axes[0].set_ylabel("measured, on unseen masks")
    return figure


def curve() -> Figure:
    """Draw a learning curve, and what it predicts of twice the ablations."""
    explained = _explained("kernelspex")
    assert explained.curve is not None
    steps = explained.curve.steps
    at = np.array([step.ablations for step in steps])
    figure, axes = _figure(6.4, 2.7)
    axes.fill_between(
        at, [s.r2_lower for s in steps], [s.r2_upper for s in steps], color=BLUE, alpha=0.25,
        linewidth=0, label="90 % interval",
    )  # fmt: skip
    axes.plot(at, [s.r2 for s in steps], color=BLUE, marker="o", markersize=4, label="R²")
    axes.plot(at, [s.linear_r2 for s in steps], color=GREY, marker="o", markersize=3,
              label="linear R²")  # fmt: skip
    later = np.arange(at[-1], 2 * at[-1] + 1, 20)
    expected = [explained.curve.predict(int(m)) for m in later]
    axes.plot(later, expected, color=BLUE, linestyle="dashed", label="predicted")
    axes.set(xlabel="ablations", ylim=(-0.1, 1.02), xlim=(0, None))
    axes.legend(frameon=False, loc="lower right", ncols=2)
    return figure


def intervals() -> Figure:
    """Draw effects with 90 % intervals; pale where the interval holds zero."""
    explained = _explained("kernelspex")
    table = explained.interactions("FBII", order=2).to_frame()
    table = table.iloc[[0, 1, 2, 4, 8, 16, 32, 64]][::-1]
    figure, axes = _figure(6.4, 2.6)
    for at, row in enumerate(table.itertuples()):
        strength = 0.4 if row.holds_zero else 1.0
        shade = BLUE if row.effect >= 0 else VERMILION
        axes.barh(at, row.effect, color=shade, alpha=strength, height=0.65)
        axes.plot([row.lower, row.upper], [at, at], color=GREY, linewidth=1.2)
    axes.set_yticks(range(len(table)), [" × ".join(names) for names in table["names"]])
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_xlabel("FBII effect")
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    _open(axes)
    return figure, axes


def _open(axes: Axes, *more: str) -> None:
    axes.spines[["top", "right", *more]].set_visible(False)


PICTURES: tuple[Callable[[], Figure], ...] = (
    interaction, masks, keep_probability, spectrum, indices, fidelity, curve, intervals,
)  # fmt: skip


def draw(folder: Path, themes: Sequence[str] = ("light", "dark")) -> None:
    """Write all pictures into a folder; the same bytes every time."""
    for theme in themes:
        ink = INK[theme]
        colours = dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink
        )
        settings = {
            **colours, "axes.facecolor": "none", "svg.hashsalt": "spexlens", "font.size": 9.5,
        }  # fmt: skip
        for picture in PICTURES:
            with mpl.rc_context(settings):
                figure = picture()
                figure.savefig(
                    folder / f"{picture.__name__.replace('_', '-')}-{theme}.svg",
                    transparent=True,
                    metadata={"Date": None},
                )


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
