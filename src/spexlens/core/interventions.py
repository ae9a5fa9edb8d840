"""What a lens asks a subject to run: one batch of ablations as a struct of arrays.

Every part has one meaning, so that a lens over tokens cannot be taken for one over heads. A subject
says with `Needs` which parts it runs, and `Needs.check` is the one place where that is held against
what a lens writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spexlens.core.calls import Call
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError

Shape = tuple[int, ...]

PARTS = {
    "inputs": "edited texts",
    "calls": "edited calls of a chat model",
    "visible": "the visibility of tokens",
    "gates": "gates on components",
    "pictures": "edited pictures",
    "subsets": "subsets of training examples",
    "cells": "the kept cells of a table's row",
    "weights": "weights of background rows",
}
"""Every part by name, and what it is for people."""


@dataclass(frozen=True, eq=False)
class Interventions:
    """m ablations; every part may be absent, and a lens writes only its own.

    Attributes
    ----------
    inputs : tuple of str, optional
        The edited input text of every ablation.
    calls : tuple of Call, optional
        The edited messages and tools of every ablation.
    visible : bool array (m, tokens), optional
        The tokens of the text that the others may attend to.
    gates : float array (m, sites), optional
        Multipliers on the model's components, 1 = untouched, 0 = ablated.
    pictures : float array (m, height, width, 3), optional
        The edited pictures, on the scale 0 … 1.
    subsets : bool array (m, examples), optional
        The training examples to train on, `True` = kept.
    cells : bool array (m, columns), optional
        The cells of a table's row that keep their value.
    weights : float array (m, rows), optional
        How much each row of a background counts for the other cells; the sum is 1.
    """

    inputs: tuple[str, ...] | None = None
    calls: tuple[Call, ...] | None = None
    visible: BoolArray | None = None
    gates: FloatArray | None = None
    pictures: NDArray[np.float32] | None = None
    subsets: BoolArray | None = None
    cells: BoolArray | None = None
    weights: FloatArray | None = None
    count: int = field(init=False)

    def __post_init__(self) -> None:
        lengths = {name: len(part) for name, part in self.parts().items()}
        if len(set(lengths.values())) != 1:
            raise InvalidInputError(
                f"interventions have parts of lengths {lengths}; needed at least one part, and "
                "the same number of ablations in each."
            )
        object.__setattr__(self, "count", next(iter(lengths.values())))

    def parts(self) -> dict[str, Any]:
        """Return the parts that are there, by name."""
        given = {item.name: getattr(self, item.name) for item in fields(self) if item.init}
        return {name: part for name, part in given.items() if part is not None}


@dataclass(frozen=True)
class Needs:
    """Which parts of an ablation a subject runs, and the shape of one ablation's entry in each.

    Attributes
    ----------
    required : mapping of str to tuple of int
        Name of a part -> shape, such as `{"gates": (270,)}`; an empty shape stands for any.
    optional : mapping of str to tuple of int
        Parts that it runs where they are given.

    Examples
    --------
    >>> needs = Needs({"inputs": ()})
    >>> needs.take(Interventions(inputs=("a", "b")), subject=needs)
    (('a', 'b'),)
    """

    required: Mapping[str, Shape]
    optional: Mapping[str, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("required", "optional"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def check(
        self, interventions: Interventions, subject: object, lens: object | None = None
    ) -> None:
        """Raise `InvalidInputError` unless these are the parts, of these shapes; names both sides.

        An ablation of anything else must not be dropped in silence.

        Parameters
        ----------
        interventions : Interventions
        subject : object
            That needs the parts.
        lens : object, optional
            That wrote them, where it is known.
        """
        given = interventions.parts()
        known = {**self.required, **self.optional}
        misfit = [
            name
            for name, part in given.items()
            if name in known and known[name] and np.shape(part)[1:] != known[name]
        ]
        if not misfit and self.required.keys() <= given.keys() <= known.keys():
            return
        writes = [_told(name, np.shape(part)[1:]) for name, part in given.items()]
        runs = [_told(name, shape) for name, shape in self.required.items()]
        perhaps = "".join(f", perhaps {_told(name, s)}" for name, s in self.optional.items())
        writer = "the lens of these interventions" if lens is None else type(lens).__name__
        raise InvalidInputError(
            f"{writer} writes {' and '.join(writes)}; {type(subject).__name__} runs "
            f"{' and '.join(runs)}{perhaps}. They do not belong together: give the lens a subject "
            "that runs just what it writes, made for the same components, examples or picture."
        )

    def take(self, interventions: Interventions, subject: object) -> tuple[Any, ...]:
        """Return the required parts, in order, once `check` has passed."""
        self.check(interventions, subject)
        return tuple(interventions.parts()[name] for name in self.required)


def _told(name: str, shape: Shape) -> str:
    size = f" ({' x '.join(map(str, shape))})" if shape else ""
    return f"{PARTS[name]}{size}"
