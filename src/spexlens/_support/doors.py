"""A package's public names, each loaded from its home on first use: one table, no copy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

Homes = Mapping[str, Sequence[str]]
Doors = tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]


def open_doors(
    package: str,
    homes: Homes,
    *,
    modules: Sequence[str] = (),
    moved: Mapping[str, str] | None = None,
) -> Doors:
    """Make `__getattr__`, `__dir__` and `__all__` of a package.

    Parameters
    ----------
    package : str
        Its dotted name.
    homes : mapping of str to sequence of str
        Dotted name of a module -> the public names that it defines.
    modules : sequence of str
        Submodules that are public names themselves.
    moved : mapping of str to str, optional
        A name of before -> where it is now, for the error.
    """
    home = {name: module for module, names in homes.items() for name in names}
    public = sorted({*home, *modules})

    def get(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name in home:
            value = getattr(import_module(home[name]), name)
            setattr(sys.modules[package], name, value)  # found without this function from now on
            return value
        told = f"module {package!r} has no attribute {name!r}"
        if moved and name in moved:
            told += f"; it is now {moved[name]}"
        raise AttributeError(told)

    # A module of the same name would stand before the name once anybody has imported it.
    for file in iter_modules(sys.modules[package].__path__):
        if file.name in home:
            get(file.name)
    return get, lambda: list(public), public
