"""The package as a whole: light to import, names that exist, no stray heavy imports."""

import subprocess
import sys

import pytest

import spexlens as sx

LIGHT = """
import sys, spexlens
heavy = {"torch", "transformers", "sklearn", "lightgbm", "matplotlib", "pandas", "typer", "rich"}
print(sorted(heavy & set(sys.modules)))
"""


def test_importing_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sx.__all__)
def test_every_public_name_exists_and_is_documented(name):
    assert getattr(sx, name).__doc__


def test_unknown_attributes_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'spectogram'"):
        _ = sx.spectogram
