"""Explanations as JSON files: one schema, versioned; masks packed, values and spectrum in full."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spexlens._support.files import write_text
from spexlens.core.interactions import Interactions
from spexlens.core.masks import BoolArray, pack_masks, unpack_masks
from spexlens.core.sensitivities import Sensitivities
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.supports import Supports
from spexlens.errors import InvalidInputError
from spexlens.explanation.fidelity import Fidelity
from spexlens.explanation.learning_curve import LearningCurve
from spexlens.explanation.run_schema import checked_run

FORMAT, VERSION = "spexlens.explanation", 2


def write_fields(path: str | os.PathLike[str], fields: Mapping[str, Any]) -> Path:
    """Write an explanation's fields to `path`, atomically; `read_fields` restores all of them."""
    data = {
        "format": FORMAT,
        "version": VERSION,
        **fields,
        "chosen": dict(fields["chosen"]),
        "manifest": dict(fields["manifest"]),
        "fidelity": fields["fidelity"].to_dict(),
        "curve": None if fields["curve"] is None else fields["curve"].to_list(),
        "spectrum": _spectrum_data(fields["spectrum"]),
        "removal": None if fields["removal"] is None else dict(fields["removal"]),
        "asked": None if fields["asked"] is None else json.loads(fields["asked"].to_json()),
        "masks": _packed(fields["masks"]),
        "sensitivities": _sensitivities_data(fields["sensitivities"]),
    }
    return write_text(path, json.dumps(data, ensure_ascii=False, default=_plain) + "\n")


def read_fields(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read an explanation's fields from a file that `write_fields` wrote.

    Raises
    ------
    InvalidInputError
        When the file is no such explanation, or of a newer version.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is not a JSON file: {error}.") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InvalidInputError(
            f"{path} is not an explanation of spexlens (its format is not {FORMAT!r})."
        )
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise InvalidInputError(f"{path} is damaged: its version is no whole number.")
    if version > VERSION:
        raise InvalidInputError(
            f"{path} has a version above {VERSION} of the format, the newest that this spexlens "
            f"reads: {str(version)[:20]}. Update spexlens."
        )
    try:
        return _fields(checked_run(data))
    except InvalidInputError as error:
        raise InvalidInputError(f"{path} is damaged: {error}") from error


def _fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """Make an explanation's fields of checked ones."""
    n, values, asked = len(data["players"]), np.array(data["values"], np.float64), data["asked"]
    told = data["sensitivities"]
    return {
        **data,
        "players": tuple(data["players"]),
        "masks": _unpacked(data["masks"], len(values), n),
        "sensitivities": None if told is None else _read_sensitivities(told, n),
        "values": values,
        "spectrum": _read_spectrum(data["spectrum"], n),
        "fidelity": Fidelity.from_dict(data["fidelity"]),
        "notes": tuple(data["notes"]),
        "curve": None if data["curve"] is None else LearningCurve.from_list(data["curve"]),
        "asked": None if asked is None else Interactions.from_json(json.dumps(asked)),
    }


def _packed(masks: BoolArray) -> str:
    return base64.b64encode(pack_masks(masks).tobytes()).decode("ascii")


def _unpacked(data: bytes, count: int, n: int) -> BoolArray:
    packed = np.frombuffer(data, dtype=np.uint8)
    return unpack_masks(packed.reshape(count, -1), n)


def _sensitivities_data(told: Sensitivities | None) -> dict[str, Any] | None:
    return None if told is None else {"masks": _packed(told.masks), "values": told.values}


def _read_sensitivities(data: Mapping[str, Any], n: int) -> Sensitivities:
    values = np.array(data["values"], dtype=np.float64)
    return Sensitivities(_unpacked(data["masks"], len(values), n), values)


def _spectrum_data(spectrum: FourierSpectrum) -> dict[str, Any]:
    return {
        "sets": spectrum.supports.sets(),
        "coefficients": spectrum.coefficients,
        "std_errors": spectrum.std_errors,
        "p": spectrum.p,
    }


def _read_spectrum(data: Mapping[str, Any], n: int) -> FourierSpectrum:
    supports = Supports.from_sets(data["sets"], n)
    given = [tuple(sorted(players)) for players in data["sets"]]
    if supports.sets() != given:
        raise InvalidInputError(
            "spectrum.sets are not in canonical order (by order, then lexicographic)."
        )
    errors = None if data["std_errors"] is None else np.array(data["std_errors"])
    p = np.array(data["p"]) if isinstance(data["p"], list) else data["p"]
    return FourierSpectrum(supports, np.array(data["coefficients"], dtype=np.float64), errors, p)


def _plain(value: Any) -> Any:
    """JSON for numpy arrays and scalars."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written to JSON")
