"""What the build of the site does beyond mkdocs: mathematics, notebooks and API pages.

Equations become MathML while the site is built, so that a page needs no script and no network.
"""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

import api
import notebook_pages

_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)
_outputs: dict[str, list[str]] = {}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are written from the package and from executed notebooks."""
    generated = api.api_pages()
    for path in sorted(notebook_pages.NOTEBOOKS.glob("*.ipynb")):
        page = f"notebooks/{path.stem}.md"
        generated[page], _outputs[page] = notebook_pages.page_of(path)
    for name, content in generated.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Put equations and the outputs of notebooks into the page."""
    content = _INLINE.sub(lambda match: mathml(match[1], "inline"), content)
    content = _BLOCK.sub(lambda match: mathml(match[1], "block"), content)
    for number, output in enumerate(_outputs.get(page.file.src_uri, [])):
        empty = notebook_pages.placeholder(number)
        content = content.replace(empty, empty.replace("></div>", f">{output}</div>"))
    return content


def mathml(latex: str, display: str) -> str:
    """Write an equation as MathML."""
    return convert(html.unescape(latex).strip(), display=display)
