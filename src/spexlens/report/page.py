"""The report: one self-contained HTML page that shows what acts together, and how sure that is.

Nothing is fetched. Strings reach the page through the template's escaping, or as JSON from which
the script makes text nodes; a content security policy lets no other script or style run.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.report.charts import (
    energy_chart,
    fidelity_chart,
    learning_chart,
    lens_energy_chart,
    removal_chart,
)
from spexlens.report.data import default_views, page_data, to_script_json
from spexlens.report.layouts import choose_layout, clipped, recorded_prompt
from spexlens.report.lenses import LensSection, recorded_lenses

if TYPE_CHECKING:
    from jinja2 import Template

    from spexlens.core.interactions import Interactions
    from spexlens.explanation.result import Explanation

_SCRIPTS = (
    "spectrum.js", "effects.js", "stage.js", "overlay.js", "controls.js", "lenses.js", "paper.js",
)  # fmt: skip
_FALLBACK_ROWS = 40
_VALUE_LENGTH, _LISTED = 600, 8


def page(
    explanation: Explanation,
    *,
    interactions: Sequence[Interactions] = (),
    manifest: Mapping[str, Any] | None = None,
    text: str | None = None,
    spans: Sequence[tuple[int, int]] | None = None,
    items: Sequence[str] | None = None,
    removal: Mapping[str, Sequence[tuple[int, float]]] | None = None,
) -> str:
    """Write the whole page as HTML text; `Explanation.report` tells the arguments."""
    if text is None and spans is None and items is None:
        text, spans = recorded_prompt(explanation.manifest, explanation.players)
    blocks = recorded_lenses(explanation.manifest, len(explanation.players))
    layout = choose_layout(explanation.players, text, spans, items, blocks)
    views = tuple(interactions) or default_views(explanation)
    charts = (
        fidelity_chart(explanation.fidelity),
        learning_chart(explanation.curve),
        removal_chart(removal),
        energy_chart(explanation.spectrum),
    )
    joint = None if blocks is None else LensSection.of(explanation, blocks)
    style, script = _asset("style.css"), _script()
    return _template().render(
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=to_script_json(
            page_data(explanation, views, layout, None if joint is None else joint.data)
        ),
        explanation=explanation,
        verdict=verdict(explanation),
        notes=[
            clipped(note, _VALUE_LENGTH) for note in (*explanation.notes, views[0].note) if note
        ],
        fallback=_effect_rows(views[0].top(_FALLBACK_ROWS)),
        joint=None
        if joint is None
        else {
            "pairs": _effect_rows(joint.crossing.top(_FALLBACK_ROWS)),
            "chart": lens_energy_chart(joint.energy),
        },
        charts=[chart for chart in charts if chart is not None],
        facts=run_facts(explanation),
        manifest=manifest_facts({**explanation.manifest, **(manifest or {})}),
    )


def verdict(explanation: Explanation) -> str:
    """Say in one sentence whether to trust the explanation, and whether interactions matter."""
    fidelity = explanation.fidelity
    if math.isnan(fidelity.r2):
        return f"There is nothing to explain: {clipped(fidelity.method)}."
    told = f"It explains {percent(fidelity.r2)} of the variance of masks not used for the fit"
    if explanation.algorithm == "exact":
        told = "Every mask was measured: it is exact"
    if fidelity.gain_lower > 0:
        return f"{told}; single players alone explain {percent(fidelity.linear_r2)}."
    return f"{told}; single players alone explain as much, within noise."


def percent(share: float) -> str:
    """Write a share of variance for people: whole percents, a tenth near 100; 0 % if negative."""
    digits = 1 if 0.995 <= share < 1 else 0
    return f"{100 * max(share, 0.0):.{digits}f} %"


def run_facts(explanation: Explanation) -> list[tuple[str, str]]:
    """Tell what the explanation itself knows of its run, as names and values."""
    facts = {
        "players": len(explanation.players),
        "ablations": f"{explanation.calls} of a budget of {explanation.budget}",
        "algorithm": explanation.algorithm,
        **explanation.chosen,
        "keep probability": keep_text(explanation.spectrum.p),
        "terms of the spectrum": len(explanation.spectrum),
        "fidelity": str(explanation.fidelity),
        "value of the full input": explanation.full_value,
        "value of the empty input": explanation.empty_value,
        "seed": explanation.seed,
    }
    return [(clipped(name), shown(value)) for name, value in facts.items()]


def keep_text(p: float | FloatArray) -> str:
    """Tell the keep probability, or how many players have which.

    >>> keep_text(0.5), keep_text(np.array([0.5, 0.5, 0.9]))
    ('0.5', '0.5 of 2 players, 0.9 of 1')
    """
    if np.ndim(p) == 0:
        return f"{p:.4g}"
    values, counts = np.unique(p, return_counts=True)
    parts = [f"{value:.4g} of {count}" for value, count in zip(values, counts, strict=True)]
    return ", ".join([f"{parts[0]} players", *parts[1:_LISTED]])


def manifest_facts(manifest: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten a nested mapping to names and values; the names of inner ones tell where they stand.

    >>> manifest_facts({"versions": {"numpy": "2.4.6"}, "game": {"spans": [0] * 20}})
    [('versions · numpy', '2.4.6'), ('game · spans', '20 entries')]
    """
    facts: list[tuple[str, str]] = []
    for key, value in manifest.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            facts += manifest_facts(value, f"{name} · ")
        else:
            facts.append((clipped(name), shown(value)))
    return facts


def shown(value: object) -> str:
    """Write a fact's value for people: four digits of a number, short lists in full."""
    if value is None:
        return "not measured"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple) and len(value) > _LISTED:
        return f"{len(value)} entries"
    return clipped(str(value), _VALUE_LENGTH)


def _effect_rows(strongest: Interactions) -> list[dict[str, Any]]:
    """Write what the table shows before, or without, the script."""
    lower, upper, doubtful = strongest.lower, strongest.upper, strongest.holds_zero
    rows = []
    for row, (players, effect) in zip(strongest.ranking(), strongest.items(), strict=True):
        interval = (
            "" if lower is None or upper is None else f"{lower[row]:+.3g} … {upper[row]:+.3g}"
        )
        rows.append(
            {
                "label": clipped(strongest.label(players)),
                "order": len(players),
                "effect": f"{effect:+.4g}",
                "interval": interval,
                "doubtful": doubtful is not None and bool(doubtful[row]),
            }
        )
    return rows


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # 40 ms that a load() is spared

    environment = Environment(
        loader=PackageLoader("spexlens.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


@cache
def _asset(name: str) -> str:
    return (resources.files("spexlens.report") / "assets" / name).read_text(encoding="utf-8")


def _script() -> str:
    return '(() => {\n"use strict";\n' + "\n".join(map(_asset, _SCRIPTS)) + "})();\n"


def _hash(text: str) -> str:
    """Name the source that a content security policy allows this text by."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")
