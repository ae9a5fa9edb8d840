"""The package as a whole: light to import, names that exist, no stray heavy imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spexlens as sx

LIGHT = """
import sys, spexlens
assert "numpy" not in sys.modules
spexlens.explain
heavy = {"torch", "transformers", "sklearn", "lightgbm", "matplotlib", "pandas", "typer", "rich"}
print(sorted(heavy & set(sys.modules)))
"""


def test_importing_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_type_checkers_see_the_names_that_load_on_first_use():
    tree = ast.parse(Path(sx.__file__).read_text())
    seen = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("spexlens.")
        for alias in node.names
    }
    lazy = {(module, name) for module, names in sx._NAMES.items() for name in names}
    assert seen == lazy
    assert sorted(sx.__all__) == sorted({name for _, name in lazy} | set(sx._MODULES))


def test_no_public_name_is_hidden_by_a_module_of_the_same_name():
    files = {path.stem for path in Path(sx.__file__).parent.iterdir()}
    assert not (files & set(sx.__all__)) - set(sx._MODULES)


@pytest.mark.parametrize("name", sx.__all__)
def test_every_public_name_exists_and_is_documented(name):
    assert getattr(sx, name).__doc__


def test_unknown_attributes_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'spectogram'"):
        _ = sx.spectogram
