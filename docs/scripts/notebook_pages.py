"""Executed notebooks: as pages of the site, and run again where they lie.

python docs/scripts/notebook_pages.py    # executes docs/notebooks/*.ipynb in place
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def page_of(path: Path) -> tuple[str, list[str]]:
    """Write the Markdown of a notebook, and the HTML outputs that belong where it says `<div …>`.

    HTML is put in after Markdown has run, because Markdown would change what stands in it.
    """
    parts: list[str] = []
    html: list[str] = []
    for cell in cells(path):
        source = text_of(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            parts.append(placeholder(len(html)))
            html.append(_as_html(output))
    parts.insert(1, f"[Download this notebook]({path.name}){{ .md-button download }}")
    return "\n\n".join(parts) + "\n", html


def placeholder(number: int) -> str:
    """Mark where the output of that number goes."""
    return f'<div class="output" data-output="{number}"></div>'


def cells(path: Path) -> list[dict[str, Any]]:
    """Read the cells of a notebook."""
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def text_of(lines: str | list[str]) -> str:
    """Read text that a notebook keeps as a string or as a list of lines."""
    return lines if isinstance(lines, str) else "".join(lines)


def _as_html(output: dict[str, Any]) -> str:
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "text/html" in data:
        return text_of(data["text/html"])
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{text_of(data["image/png"]).strip()}">'
    return f"<pre><code>{escape(text_of(data['text/plain']))}</code></pre>"


def execute(path: Path) -> None:
    """Run a notebook from top to bottom in a fresh kernel and keep its outputs.

    What it writes goes to a temporary folder; progress and warnings of other packages are dropped.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    for cell in notebook.cells:
        cell.metadata.clear()  # the times of this run, which would differ in the next
        if cell.cell_type == "code":
            cell.outputs = _merged(cell.outputs)
    nbformat.write(notebook, path)


def _merged(outputs: list[Any]) -> list[Any]:
    """Drop stderr, and join pieces of stdout that follow each other."""
    kept: list[Any] = []
    for output in outputs:
        if output.get("name") == "stderr":
            continue
        if kept and output.get("name") == kept[-1].get("name") == "stdout":
            kept[-1]["text"] += output["text"]
        else:
            kept.append(output)
    return kept


if __name__ == "__main__":
    for file in sorted(NOTEBOOKS.glob("*.ipynb")):
        execute(file)
