"""What holds of every type: it cannot be changed, and arrays are never compared by `==`."""

import dataclasses
import pkgutil
from importlib import import_module

import pytest

ROOMS = ("core", "transforms", "indices", "algorithms", "proxies", "explanation", "studies")


def types_of(room):
    package = import_module(f"spexlens.{room}")
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for value in vars(import_module(found.name)).values():
            if dataclasses.is_dataclass(value) and value.__module__ == found.name:
                yield value


@pytest.mark.parametrize("room", ROOMS)
def test_every_type_is_frozen(room):
    assert [cls for cls in types_of(room) if not cls.__dataclass_params__.frozen] == []


@pytest.mark.parametrize("room", ROOMS)
def test_types_with_arrays_are_not_compared_by_their_fields(room):
    # Not p, one number or an array, of the algorithms: they are compared by their settings.
    for cls in types_of(room):
        types = {str(item.type) for item in dataclasses.fields(cls)} - {"float | FloatArray"}
        if any("Array" in name for name in types):
            assert not cls.__dataclass_params__.eq, cls
