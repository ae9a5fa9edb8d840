"""An explanation as plain data for the page's script: effects, spectrum, spread of predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spexlens._support.visible import visible
from spexlens.core.game import score_column
from spexlens.core.interactions import Z90, Interactions
from spexlens.core.masks import FloatArray
from spexlens.core.spectrum import FourierSpectrum, fourier_basis
from spexlens.core.units import Units
from spexlens.indices.table import default_index, index_in_words
from spexlens.report.layouts import clipped

if TYPE_CHECKING:
    from spexlens.explanation.result import Explanation

SETS_SHOWN, TERMS_SHOWN = 500, 20_000
_HIGHEST_ORDER = 4
_WORTH_SHOWING = 0.05
_DIGITS = 8


def default_views(explanation: Explanation) -> tuple[Interactions, ...]:
    """List the index asked for, if any, the usual one to the highest order found, and Fourier.

    Order 2, what an explanation prints, stands first unless larger sets carry a twentieth of the
    recovered variance.
    """
    usual = default_index(explanation.spectrum.p)
    pairs, fourier = explanation.interactions(usual, 2), explanation.interactions("Fourier")
    if explanation.asked is not None:
        return explanation.asked, pairs, fourier
    energy = explanation.spectrum.squarable()[0].energy_by_order()
    highest = min(len(energy) - 1, _HIGHEST_ORDER)
    if highest <= 2:
        return pairs, fourier
    larger = explanation.interactions(usual, highest)
    if energy[3:].sum() > _WORTH_SHOWING * energy[1:].sum():
        return larger, pairs, fourier
    return pairs, larger, fourier


def page_data(
    explanation: Explanation,
    views: Sequence[Interactions],
    layout: Mapping[str, Any],
    lenses: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Gather everything the page's script works with, as plain values."""
    present, values = explanation.masks.sum(axis=1), score_column(explanation.values)
    return {
        "players": [clipped(name) for name in explanation.players],
        "labels": [clipped(label) for label in views[0].labels()],
        "layout": layout,
        "views": [
            {"name": view_name(view, explanation.spectrum.p), **view_data(view)} for view in views
        ],
        "lenses": lenses,
        "spectrum": spectrum_data(explanation.spectrum),
        "spread": residual_spread(explanation),
        "exact": explanation.algorithm == "exact",
        "range": [float(values.min()), float(values.max())],
        "full": explanation.full_value,
        "empty": explanation.empty_value,
        "measured": np.quantile(present, [0.05, 0.95]).tolist() if len(present) else None,
    }


def view_data(interactions: Interactions, most: int = SETS_SHOWN) -> dict[str, Any]:
    """Gather all single effects and the `most` strongest larger sets, strongest first."""
    orders = interactions.supports.orders()
    larger = np.flatnonzero(orders >= 2)
    strongest = larger[np.argsort(-np.abs(interactions.effects[larger]), kind="stable")]
    keep = orders == 1
    keep[strongest[:most]] = True
    shown = interactions.select(keep)
    ranking = shown.ranking()
    sets = shown.supports.sets()
    return {
        "sets": [sets[row] for row in ranking],
        "effects": rounded(shown.effects[ranking]),
        "half": None if shown.std_err is None else rounded(Z90 * shown.std_err[ranking]),
        "left_out": len(larger) - len(strongest[:most]),
        "note": visible(interactions.note),
    }


def view_name(interactions: Interactions, p: float | FloatArray) -> str:
    """Name the index of a run at keep probability p, and the highest order that occurs under it."""
    highest = int(interactions.supports.orders().max(initial=0))
    orders = "1" if highest <= 1 else f"1 to {highest}"
    return f"{index_in_words(interactions.index, p)}, order {orders}"


def spectrum_data(spectrum: FourierSpectrum) -> dict[str, Any]:
    """Gather the `TERMS_SHOWN` largest terms, flat by order, and the basis of every player."""
    shown = spectrum if len(spectrum) <= TERMS_SHOWN else spectrum.truncate(TERMS_SHOWN - 1)
    basis = fourier_basis(np.array([[True], [False]]).repeat(spectrum.n, axis=1), spectrum.p)
    plain, _ = spectrum.squarable()
    part = plain if shown is spectrum else plain.truncate(TERMS_SHOWN - 1)
    energy, kept = (float(each.energy_by_order()[1:].sum()) for each in (plain, part))
    return {
        "present": rounded(basis[:, 0]),
        "absent": rounded(basis[:, 1]),
        "groups": [
            {
                "order": group.shape[1],
                "members": group.ravel().tolist(),
                "coefficients": rounded(shown.coefficients[part]),
            }
            for group, part in shown.supports.slices()
        ],
        "left_out": len(spectrum) - len(shown),
        "energy_kept": kept / energy if energy > 0 else 1.0,
    }


def residual_spread(explanation: Explanation) -> float | None:
    """Compute the root mean squared error of predictions of the masks that fidelity was judged on.

    From `R2 = 1 - MSE / variance`, both over those masks. None where R2 is undefined.
    """
    fidelity = explanation.fidelity
    if math.isnan(fidelity.r2):
        return None
    judged = score_column(explanation.values)[-fidelity.masks :]  # held-out masks stand last
    units = Units.of(judged)
    deviation = float(units.computed(judged).std() * units.scale[0])
    return math.sqrt(max(1 - fidelity.r2, 0.0)) * deviation


def to_script_json(data: Any) -> str:
    """Write JSON that cannot end a `<script>` element, whatever the strings in it hold."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def rounded(values: FloatArray) -> list[float]:
    """Keep eight significant digits: a page shows four, and predictions add thousands of terms."""
    return [float(f"{value:.{_DIGITS}g}") for value in values.tolist()]
