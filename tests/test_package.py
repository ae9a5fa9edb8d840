"""The package as a whole: light to import, names that exist, no stray heavy imports."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from docs.scripts import stubs

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


def test_the_stubs_follow_from_the_tables():
    for path, text in stubs.stubs().items():
        assert path.read_text("utf-8") == text, f"{path} is stale: run python docs/scripts/stubs.py"


@pytest.mark.parametrize("package", [sx, *(getattr(sx, name) for name in sx._MODULES)])
def test_a_package_lists_its_public_names_only(package):
    assert not [name for name in dir(package) if name.startswith("_")]
    assert sorted(package.__all__) == dir(package)
    for value in (getattr(package, name) for name in dir(package)):
        if getattr(value, "__module__", "").startswith("spexlens"):
            assert value.__doc__, value


def test_a_name_stands_before_the_module_of_the_same_name():

    assert callable(sx.plots.bars)
    assert callable(sx.studies.stability)


def test_no_public_name_is_hidden_by_a_module_of_the_same_name():
    files = {path.stem for path in Path(sx.__file__).parent.iterdir()}
    assert not (files & set(sx.__all__)) - set(sx._MODULES)


OLD_PLACES = {
    (sx, "front_door"): "spexlens.explanation.explain",
    (sx, "run_file"): "spexlens.explanation.file",
    (sx, "coarse_to_fine"): "spexlens.studies.levels",
    (sx, "StoreError"): "spexlens.errors.StoreError",
    (sx.lenses, "prompt"): "spexlens.lenses.text.prompt",
    (sx.lenses, "training_data"): "spexlens.lenses.training.game",
    (sx.models, "causal_lm"): "spexlens.models.pretrained.causal_lm",
    (sx.models, "sites"): "spexlens.models.gating.sites",
}


@pytest.mark.parametrize(("package", "name"), OLD_PLACES)
def test_an_old_place_tells_the_new_one(package, name):
    place = OLD_PLACES[package, name]
    with pytest.raises(AttributeError, match=f"{name!r}; it is now {place}"):
        getattr(package, name)


@pytest.mark.parametrize("package", [sx, sx.lenses, sx.models])
def test_the_new_places_are_there(package):
    for place in package._MOVED.values():
        module, _, name = place.rpartition(".")
        assert find_spec(place) if module != "spexlens.errors" else getattr(sx.errors, name)


def test_unknown_attributes_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'spectogram'"):
        _ = sx.spectogram
