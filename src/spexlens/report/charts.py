"""The page's charts as coordinates: a template turns them into inline SVG, a table says the same.

Plain numbers, so that a report is written where matplotlib is absent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spexlens.core.cross_lens import LensEnergy
from spexlens.core.interactions import Z90
from spexlens.core.spectrum import FourierSpectrum
from spexlens.report.layouts import clipped

if TYPE_CHECKING:
    from spexlens.explanation.fidelity import Fidelity
    from spexlens.explanation.learning_curve import LearningCurve

Point = tuple[float, float]

WIDTH, HEIGHT = 340, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 40
_NAME_LENGTH = 40


@dataclass(frozen=True)
class Line:
    """A line through points; `style` 0, 1, 2 … tells lines apart by colour and dashes."""

    name: str
    points: tuple[Point, ...]
    style: int = 0

    @property
    def path(self) -> str:
        """The SVG path."""
        return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


@dataclass(frozen=True)
class Mark:
    """A bar (`width` and `height`), or a dot where they are 0; `style` as for a line."""

    x: float
    y: float
    width: float = 0.0
    height: float = 0.0
    style: int = 0


@dataclass(frozen=True)
class Chart:
    """One chart, in units of its viewBox, and its numbers as a table.

    Attributes
    ----------
    title, summary : str
        `summary` says in a sentence what is seen.
    x_label, y_label : str
    x_ticks, y_ticks : tuple of (position, text)
    columns, rows : tuples of str
        The table.
    lines, marks, bands
        What is drawn; a band is a closed SVG path.
    """

    title: str
    summary: str
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()
    bands: tuple[str, ...] = ()
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def frame(self) -> tuple[float, float, float, float]:
        """Left, right, top and bottom of the plotting area."""
        return _LEFT, self.width - _RIGHT, _TOP, self.height - _BOTTOM

    @property
    def legend(self) -> tuple[Line, ...]:
        """The lines that have a name."""
        return tuple(line for line in self.lines if line.name)


def fidelity_chart(fidelity: Fidelity) -> Chart | None:
    """Draw R2 of the explanation and the linear one with their intervals; None where undefined."""
    if math.isnan(fidelity.r2):
        return None
    found = (
        ("this explanation", fidelity.r2, fidelity.r2_lower, fidelity.r2_upper),
        ("linear only", fidelity.linear_r2, fidelity.linear_lower, fidelity.linear_upper),
    )
    x = _Axis.over([0.0, 1.0, *(max(v, -1.0) for row in found for v in row[1:])], _X)
    heights = (_TOP + 46.0, _TOP + 108.0)
    lines, marks = [], []
    for style, (height, (_, r2, lower, upper)) in enumerate(zip(heights, found, strict=True)):
        lines.append(Line("", ((x(max(lower, -1.0)), height), (x(upper), height)), style))
        marks.append(Mark(x(max(r2, -1.0)), height, style=style))
    return Chart(
        "Fidelity", f"{fidelity}, with 90 % intervals.", "R² on masks not used for the fit", "",
        x.ticks(), tuple((height - 22, row[0]) for height, row in zip(heights, found, strict=True)),
        ("", "R²", "90 % interval"),
        tuple((name, f"{r2:.3f}", f"{low:.3f} … {high:.3f}") for name, r2, low, high in found),
        tuple(lines), tuple(marks),
    )  # fmt: skip


def learning_chart(curve: LearningCurve | None) -> Chart | None:
    """Draw R2 against ablations with its interval, and the linear R2; None without judged steps."""
    steps = [] if curve is None else [s for s in curve.steps if not math.isnan(s.r2)]
    if not steps:
        return None
    x = _Axis.over([0.0, *(step.ablations for step in steps)], _X)
    values = [v for s in steps for v in (s.r2, s.r2_lower, s.r2_upper, s.linear_r2)]
    y = _Axis.over([0.0, 1.0, *(max(value, -1.0) for value in values)], _Y)

    def points(name: str) -> tuple[Point, ...]:
        return tuple((x(s.ablations), y(max(getattr(s, name), -1.0))) for s in steps)

    outline = Line("", points("r2_upper") + points("r2_lower")[::-1])
    return Chart(
        "Learning curve", f"R² {steps[0].r2:.2f} after {steps[0].ablations} ablations, "
        f"{steps[-1].r2:.2f} after {steps[-1].ablations}.", "ablations", "R²",
        x.ticks(), y.ticks(), ("ablations", "R²", "90 % interval", "linear R²"),
        tuple(
            (str(s.ablations), f"{s.r2:.3f}", f"{s.r2_lower:.3f} … {s.r2_upper:.3f}",
             f"{s.linear_r2:.3f}") for s in steps
        ),
        (Line("this explanation", points("r2")), Line("linear only", points("linear_r2"), 1)),
        tuple(Mark(*point) for point in points("r2")), (outline.path + "Z",),
    )  # fmt: skip


def energy_chart(spectrum: FourierSpectrum) -> Chart | None:
    """Draw the share of the variance that every order carries; None where there is none."""
    energy = spectrum.squarable()[0].energy_by_order()[1:]
    if not energy.sum() > 0:
        return None
    shares = (energy / energy.sum()).tolist()
    y = _Axis.over([0.0, 1.0], _Y)
    step = (WIDTH - _LEFT - _RIGHT) / len(shares)
    bars = tuple(
        Mark(_LEFT + (i + 0.2) * step, y(share), 0.6 * step, y(0.0) - y(share))
        for i, share in enumerate(shares)
    )
    every = max(1, len(shares) // 12)
    return Chart(
        "Energy by order", f"Order 1, single players, carries {100 * shares[0]:.0f} %.",
        "order of the interaction", "share of variance",
        tuple((_LEFT + (i + 0.5) * step, str(i + 1)) for i in range(0, len(shares), every)),
        y.ticks(), ("order", "share of variance"),
        tuple((str(i + 1), f"{100 * share:.1f} %") for i, share in enumerate(shares)), marks=bars,
    )  # fmt: skip


def lens_energy_chart(parts: Sequence[LensEnergy]) -> Chart | None:
    """Draw the share of variance of sets within each lens and across; None without any."""
    if not parts or math.isnan(parts[0].share):
        return None
    x = _Axis.over([0.0, 1.0], _X)
    names = [clipped(" × ".join(part.lenses), _NAME_LENGTH) for part in parts]
    heights = [_TOP + 30.0 + 42.0 * i for i in range(len(parts))]
    halves = [Z90 * (part.std_err or 0.0) for part in parts]
    ends = [
        (max(part.share - half, 0.0), min(part.share + half, 1.0))
        for part, half in zip(parts, halves, strict=True)
    ]
    across = sum(part.share for part in parts if len(part.lenses) > 1)
    return Chart(
        "Energy by lenses", f"Sets across lenses carry {100 * across:.0f} %.",
        "share of variance", "", x.ticks(),
        tuple((height - 12, name) for height, name in zip(heights, names, strict=True)),
        ("lenses", "share of variance", "90 % interval"),
        tuple(
            (name, f"{100 * part.share:.1f} %",
             "" if part.std_err is None else f"{100 * low:.1f} … {100 * high:.1f} %")
            for name, part, (low, high) in zip(names, parts, ends, strict=True)
        ),
        lines=tuple(
            Line("", ((x(low), height), (x(high), height)))
            for height, (low, high) in zip(heights, ends, strict=True) if low < high
        ),
        marks=tuple(
            Mark(x(part.share), height) for height, part in zip(heights, parts, strict=True)
        ),
        height=round(heights[-1]) + 16 + _BOTTOM,
    )  # fmt: skip


def removal_chart(curves: Mapping[str, Sequence[tuple[int, float]]] | None) -> Chart | None:
    """Draw value against removed players, a line a way of choosing them; None without points."""
    named = [(clipped(k, _NAME_LENGTH), [*v]) for k, v in (curves or {}).items() if len(v)]
    if not named:
        return None
    x = _Axis.over([0.0, *(removed for _, line in named for removed, _ in line)], _X)
    y = _Axis.over([value for _, line in named for _, value in line], _Y)
    return Chart(
        "Removal curve", "The model's value as the most influential players are removed.",
        "players removed", "value", x.ticks(), y.ticks(),
        ("players removed", *(name for name, _ in named)), _removal_rows([v for _, v in named]),
        tuple(
            Line(name, tuple((x(removed), y(value)) for removed, value in line), style)
            for style, (name, line) in enumerate(named)
        ),
    )  # fmt: skip


def _removal_rows(lines: Sequence[Sequence[tuple[int, float]]]) -> tuple[tuple[str, ...], ...]:
    values = [{int(removed): f"{value:.4g}" for removed, value in line} for line in lines]
    counts = sorted({removed for line in values for removed in line})
    return tuple((str(count), *(line.get(count, "") for line in values)) for count in counts)


_X, _Y = (_LEFT, WIDTH - _RIGHT), (HEIGHT - _BOTTOM, _TOP)


@dataclass(frozen=True)
class _Axis:
    """A linear map from values to places in the viewBox, ending on round numbers."""

    low: float
    high: float
    step: float
    start: float
    end: float

    @staticmethod
    def over(values: Sequence[float], ends: tuple[float, float]) -> _Axis:
        low, high = min(values), max(values)
        spread = high - low or abs(high) or 1.0
        step = 10.0 ** math.floor(math.log10(spread / 4))
        step *= next(factor for factor in (1, 2, 2.5, 5, 10) if spread / (step * factor) <= 5)
        return _Axis(
            math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step or step,
            step, *ends,
        )  # fmt: skip

    def __call__(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        count = round((self.high - self.low) / self.step)
        values = [self.low + i * self.step for i in range(count + 1)]
        return tuple((self(value), f"{round(value, 10):,.6g}") for value in values)
