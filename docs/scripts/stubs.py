"""The stubs (`__init__.pyi`) of the packages with doors, written from their one table.

python docs/scripts/stubs.py
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import spexlens

SOURCE = Path(spexlens.__file__).parent
DOORS = ("", "lenses", "models", "plots", "studies", "trainers")


def stubs() -> dict[Path, str]:
    """Write the text of every stub, by its path."""
    return {SOURCE / name / "__init__.pyi": _stub(name) for name in DOORS}


def _stub(name: str) -> str:
    package = import_module(f"spexlens.{name}" if name else "spexlens")
    lines = [f"from {package.__name__} import {module} as {module}" for module in _modules(package)]
    for module, names in sorted(package._HOMES.items()):
        lines += [f"from {module} import {one} as {one}" for one in sorted(names)]
    lines += ["", "__all__: list[str]"] + (["__version__: str"] if not name else [])
    return "\n".join(lines) + "\n"


def _modules(package: object) -> tuple[str, ...]:
    return getattr(package, "_MODULES", ())


if __name__ == "__main__":
    for path, text in stubs().items():
        path.write_text(text, "utf-8")
