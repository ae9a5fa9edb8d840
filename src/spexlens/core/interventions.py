"""What a lens asks a subject to run: one batch of ablations as a struct of arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class Interventions:
    """m ablations; every part may be absent, and a lens writes only its own.

    Attributes
    ----------
    inputs : tuple of str, optional
        The edited input text of every ablation.
    gates : float array (m, sites), optional
        Multipliers on the model's components, 1 = untouched, 0 = ablated.
    subsets : bool array (m, examples), optional
        The training examples to train on, `True` = kept.
    """

    inputs: tuple[str, ...] | None = None
    gates: FloatArray | None = None
    subsets: BoolArray | None = None
    count: int = field(init=False)

    def __post_init__(self) -> None:
        parts = (("inputs", self.inputs), ("gates", self.gates), ("subsets", self.subsets))
        lengths = {name: len(part) for name, part in parts if part is not None}
        if len(set(lengths.values())) != 1:
            raise InvalidInputError(
                f"interventions have parts of lengths {lengths}; needed at least one part, and "
                "the same number of ablations in each."
            )
        object.__setattr__(self, "count", next(iter(lengths.values())))
