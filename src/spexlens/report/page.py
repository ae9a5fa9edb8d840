"""A self-contained HTML page: fidelity, ranked effects with bars, notes. No network, no script."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spexlens.core.interactions import Interactions
    from spexlens.explanation import Explanation

_ROWS = 40
_LABEL_LENGTH = 80
_STYLE = """
.spexlens { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: auto; }
.spexlens table { border-collapse: collapse; width: 100%; }
.spexlens th, .spexlens td { text-align: left; padding: .15rem .5rem; }
.spexlens .number, .spexlens th.number { text-align: right; font-variant-numeric: tabular-nums; }
.spexlens td.bar { width: 40%; }
.spexlens .note { border-left: 3px solid #d08700; padding-left: .6rem; }
.spexlens svg { width: 100%; height: 1em; display: block; }
"""


def page(explanation: Explanation) -> str:
    """The whole page as HTML text."""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        "<meta name='color-scheme' content='light dark'><title>spexlens report</title></head>"
        f"<body>{fragment(explanation)}</body></html>\n"
    )


def fragment(explanation: Explanation) -> str:
    """The page's content, also what a notebook shows."""
    interactions = explanation.interactions("FBII")
    facts = [
        ("players", str(len(explanation.players))),
        ("ablations", f"{explanation.calls} of {explanation.budget}"),
        ("algorithm", explanation.algorithm),
        *((name, _shown(value)) for name, value in explanation.chosen.items()),
        ("fidelity", str(explanation.fidelity)),
        ("value of the full input", _shown(explanation.full_value)),
        ("value of the empty input", _shown(explanation.empty_value)),
    ]
    notes = "".join(f"<p class='note'>{escape(note)}</p>" for note in explanation.notes)
    return (
        f"<style>{_STYLE}</style><div class='spexlens'><h1>What drives the output</h1>"
        f"<h2>Fidelity and run</h2><table>{_fact_rows(facts)}</table>{notes}"
        f"<h2>Strongest effects ({escape(interactions.index)})</h2>{_effects(interactions)}</div>"
    )


def _effects(interactions: Interactions) -> str:
    strongest = interactions.top(_ROWS)
    if not len(strongest):
        return "<p>No effects were recovered.</p>"
    largest = max(map(abs, strongest.values())) or 1.0
    rows = "".join(
        f"<tr><td>{escape(_clip(strongest.label(players)))}</td><td class='number'>{effect:+.4g}"
        f"</td>{_interval(strongest, row)}<td class='bar'>{_bar(effect / largest)}</td></tr>"
        for row, (players, effect) in zip(strongest.ranking(), strongest.items(), strict=True)
    )
    header = "" if strongest.std_err is None else "<th scope='col' class='number'>90 %</th>"
    return (
        "<table><thead><tr><th scope='col'>players</th><th scope='col' class='number'>effect</th>"
        f"{header}<th scope='col' aria-label='bar'></th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _interval(interactions: Interactions, row: int) -> str:
    lower, upper = interactions.lower, interactions.upper
    if lower is None or upper is None:
        return ""
    doubtful = " title='holds zero: the effect may be none'" if lower[row] * upper[row] <= 0 else ""
    mark = " ○" if doubtful else ""
    text = f"{lower[row]:+.3g} … {upper[row]:+.3g}{mark}"
    return f"<td class='number'{doubtful}>{text}</td>"


def _bar(share: float) -> str:
    """A bar from the middle: right and blue for positive, left and orange for negative."""
    width, start = 50 * abs(share), 50 - 50 * max(-share, 0.0)
    colour = "#0072b2" if share >= 0 else "#d55e00"
    return (
        "<svg viewBox='0 0 100 10' preserveAspectRatio='none' aria-hidden='true'>"
        f"<rect x='{start:.2f}' y='1' width='{width:.2f}' height='8' fill='{colour}'/></svg>"
    )


def _fact_rows(facts: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in facts
    )


def _shown(value: object) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _clip(text: str) -> str:
    return text if len(text) <= _LABEL_LENGTH else text[: _LABEL_LENGTH - 1] + "…"
