"""Tables as CSV that a spreadsheet shows and does not compute."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

# The wide ones count as the others in some countries.
_FORMULA = re.compile("'*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")


def csv_text(rows: Iterable[Sequence[Any]], line_end: str = "\r\n") -> str:
    r"""Write rows as CSV; text that a spreadsheet would compute as a formula gets a `'` before it.

    Numbers stay numbers; `plain` takes the `'` off again.

    >>> csv_text([["=1+1", "-", "good"], [-1, 0.5, "x-"]], "\n")
    "'=1+1,'-,good\n-1,0.5,x-\n"
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator=line_end)
    for row in rows:
        writer.writerow([_defused(cell) if isinstance(cell, str) else cell for cell in row])
    return buffer.getvalue()


def plain(cell: str) -> str:
    """Return a cell's text as it was before `csv_text`.

    >>> [plain(_defused(text)) for text in ("=1", "'=1", "'", "good")]
    ['=1', "'=1", "'", 'good']
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _defused(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text
