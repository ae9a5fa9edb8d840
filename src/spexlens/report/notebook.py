"""What a notebook shows of an explanation: fidelity, notes and the strongest effects, no script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from spexlens._support.visible import visible
from spexlens.errors import BlowUpError
from spexlens.report.page import verdict

if TYPE_CHECKING:
    from spexlens.explanation.result import Explanation


def fragment(explanation: Explanation) -> str:
    """Write a short piece of HTML; the whole picture is in `Explanation.report`."""
    notes = "".join(f"<li>{escape(visible(note))}</li>" for note in explanation.notes)
    return (
        f"<div><p><strong>{len(explanation.players)} players, {explanation.calls} ablations, "
        f"{escape(visible(explanation.algorithm))}.</strong> {escape(verdict(explanation))}<br>"
        f"<small>{escape(str(explanation.fidelity))}</small></p>"
        f"{f'<ul>{notes}</ul>' if notes else ''}"
        f"{_effects(explanation)}</div>"
    )


def _effects(explanation: Explanation) -> str:
    """Write the strongest effects; or why they cannot be listed."""
    try:
        return explanation.interactions()._repr_html_()
    except BlowUpError as error:
        return f"<p>{escape(str(error))}</p>"
