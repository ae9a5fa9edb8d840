"""What a notebook shows of an explanation: fidelity, notes and the strongest effects, no script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from spexlens.report.page import verdict

if TYPE_CHECKING:
    from spexlens.explanation.result import Explanation


def fragment(explanation: Explanation) -> str:
    """Write a short piece of HTML; the whole picture is in `Explanation.report`."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in explanation.notes)
    return (
        f"<div><p><strong>{len(explanation.players)} players, {explanation.calls} ablations, "
        f"{escape(explanation.algorithm)}.</strong> {escape(verdict(explanation))}<br>"
        f"<small>{escape(str(explanation.fidelity))}</small></p>"
        f"{f'<ul>{notes}</ul>' if notes else ''}"
        f"{explanation.interactions()._repr_html_()}</div>"
    )
