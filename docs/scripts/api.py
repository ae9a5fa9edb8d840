"""API pages, written from the package itself: every public name, so that none can be forgotten.

The pages hold mkdocstrings directives; the text comes from the docstrings.
"""

from __future__ import annotations

from pathlib import Path

import spexlens

SOURCE = Path(spexlens.__file__).parent

_FRONT = "spexlens"  # what `import spexlens as sx` offers, from modules not named below
_PAGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "index": ("The front door", "Everything on this page is in `spexlens` itself.", (_FRONT,)),
    "games": ("Games and spectra", "Masks, games, spectra, interactions.", ("core",)),
    "algorithms": (
        "Algorithms and indices",
        "[Which to use when](../algorithms/index.md) is a page of its own. "
        "`spexlens.ALGORITHMS` and `spexlens.INDICES` are the tables "
        "of names; `find_algorithm` looks one up.",
        ("algorithms", "indices"),
    ),
    "ablation": (
        "Measuring",
        "Who calls a game, within which budget, and where values are kept. "
        "`spexlens.ENGINES` is the table of engines by name.",
        ("ablation",),
    ),
    "lenses": ("Lenses and scores", "[Lenses](../lenses.md) says which to use.", ("lenses",)),
    "models": ("Models", "What a lens intervenes on.", ("models",)),
    "trainers": ("Trainers", "What the [training-data lens](../data.md) retrains.", ("trainers",)),
    "plots": ("Plots", "Each is `f(interactions, *, ax=None) -> Axes`.", ("plots",)),
    "proxies": (
        "Proxies and transforms",
        "The mathematics under the algorithms; pure functions of arrays.",
        ("proxies", "transforms"),
    ),
    "errors": ("Errors", "All derive from `SpexlensError`; those about an argument are also "
               "`ValueError`.", ("errors",)),
}  # fmt: skip


def api_pages() -> dict[str, str]:
    """Write Markdown by path, such as `{"api/index.md": "# The front door…"}`."""
    return {f"api/{name}.md": _page(name) for name in _PAGES}


def public_names() -> dict[str, str]:
    """Find the home of every name of `spexlens.__all__` which is no module itself."""
    return {name: home for home, names in spexlens._HOMES.items() for name in names}


def modules(folder: str) -> list[str]:
    """List the public modules in a folder of the package, nested ones too; or itself."""
    if (SOURCE / f"{folder}.py").is_file():
        return [f"spexlens.{folder}"]
    files = sorted((SOURCE / folder).rglob("[!_]*.py"))
    return [
        ".".join(("spexlens", *file.relative_to(SOURCE).with_suffix("").parts)) for file in files
    ]


def _page(name: str) -> str:
    title, lead, folders = _PAGES[name]
    parts = [f"# {title}", lead]
    for folder in folders:
        parts += _front_door() if folder == _FRONT else map(_module, modules(folder))
    return "\n\n".join(parts) + "\n"


def _front_door() -> list[str]:
    elsewhere = {page for _, _, folders in _PAGES.values() for page in folders}
    parts, last = [], ""
    for name, home in sorted(public_names().items(), key=lambda item: (item[1], item[0])):
        if home.split(".")[1] in elsewhere:
            continue
        if home != last:
            parts.append(f"## {home.split('.')[-1].replace('_', ' ').capitalize()}")
        parts.append(f"::: {home}.{name}")
        last = home
    return parts


def _module(name: str) -> str:
    return (
        f"::: {name}\n"
        "    options:\n"
        "      heading_level: 2\n"
        "      show_root_full_path: true"
    )  # fmt: skip
