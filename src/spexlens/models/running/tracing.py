"""A language model's score with autograd: what it reads is kept, and differentiated afterwards.

A score asks a language model for numbers and computes with them. It is run once on a `Recording`,
which runs the model with autograd and keeps what was read; its arithmetic is then differentiated
by differences on a `Replay` of those numbers, and autograd takes the rest of the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.core.slopes import cotangent
from spexlens.errors import MissingExtraError, NoDerivativeError
from spexlens.models.running.attention import Mask, causal_masks, weighed
from spexlens.models.running.derivatives import autograd, check_slopes, gradients
from spexlens.models.running.reading import Outputs, Read, Reader, Sequences

try:
    import torch
except ImportError as error:
    raise MissingExtraError("derivatives of a model", "torch", "llm") from error

Leaf = Callable[[str, torch.Tensor], torch.Tensor]
"""What is differentiated by: "inputs" `(b, width)`, "visible" `(b, t)`, "gates" `(b, sites)`."""
Measure = Callable[[Reader], FloatArray]
"""Values `(b,)`, or `(b, q)` with the score first, of the prompts as a reader reads them."""
Pull = Callable[[Sequence[FloatArray]], Sequence[FloatArray]]
"""From all that a score read to its derivatives by that."""


@runtime_checkable
class Traceable(Reader, Protocol):
    """A reader that can run a batch within autograd."""

    def traced(
        self, model: Any, sequences: Sequences, rows: Sequence[int], tokens: int, leaf: Leaf, /
    ) -> Outputs:
        """Run sequences, which are `rows` of all; give the outputs at their last tokens.

        What is differentiated by is `leaf(name, value)`, with its value where nothing is weighed.
        """
        ...


@dataclass(frozen=True, eq=False)
class WeighedTokens:
    """Token ids `(b, width)` with a leaf each: on the attention to them, else on their embeddings.

    A factor on an embedding says little of a model that normalises what it reads: it is for those
    that read no attention mask of four dimensions.
    """

    leaf: torch.Tensor
    mask: Mask | None

    @staticmethod
    def of(model: Any, ids: torch.Tensor, leaf: Leaf, *, attends: bool) -> WeighedTokens:
        """Make leaves at which nothing is weighed: logarithms of 1 in attention, else ones."""
        if not attends:
            return WeighedTokens(leaf("inputs", torch.ones(ids.shape, device=ids.device)), None)
        logs = leaf("inputs", torch.zeros(ids.shape, device=ids.device))
        seen = causal_masks(np.ones(tuple(ids.shape), dtype=bool), model)
        return WeighedTokens(logs, weighed(seen, logs))

    def within(self, model: Any) -> AbstractContextManager[None]:
        """Weigh embeddings in the block, where those are what is weighed."""
        return gated_embeddings(model, self.leaf) if self.mask is None else nullcontext()


@contextmanager
def gated_embeddings(model: Any, gates: torch.Tensor) -> Iterator[None]:
    """Multiply the embeddings of token ids `(b, width)` by gates `(b, width)` within the block."""

    def gate(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        if output.shape[:2] != gates.shape:
            raise NoDerivativeError(
                f"the embeddings of {type(model).__name__} are read as {tuple(output.shape)} for "
                f"{tuple(gates.shape)} tokens; needed one row a token."
            )
        return (output * gates[..., None]).to(output.dtype)

    hook = model.get_input_embeddings().register_forward_hook(gate)
    try:
        yield
    finally:
        hook.remove()


@dataclass(frozen=True, eq=False)
class Recording:
    """A `Reader` that runs some rows of another and keeps what is read of them, and the leaves.

    Attributes
    ----------
    moved : list of dict, optional
        How far to move each leaf, one dictionary a reading; without, autograd runs to the leaves.
    """

    reader: Traceable
    model: Any
    rows: list[int]
    moved: list[dict[str, torch.Tensor]] | None = None
    kept: list[tuple[torch.Tensor, dict[str, torch.Tensor]]] = field(default_factory=list)
    reads: list[FloatArray] = field(default_factory=list)

    def read(self, sequences: Sequences, tokens: int, read: Read) -> FloatArray:
        """See `Reader`; sequences before those of the rows are read without derivatives."""
        before = len(sequences) - len(self.rows)
        leaves: dict[str, torch.Tensor] = {}

        def leaf(name: str, value: torch.Tensor) -> torch.Tensor:
            moved = None if self.moved is None else self.moved[len(self.kept)][name]
            leaves[name] = value.requires_grad_() if moved is None else value + moved
            return leaves[name]

        found = read(self._outputs(sequences[before:], self.rows, tokens, leaf))
        values = found.detach()
        if before:
            with torch.no_grad():
                others = self._outputs(
                    sequences[:before], [0] * before, tokens, lambda _, value: value
                )
                values = torch.cat([read(others), values])
        self.kept.append((found, leaves))
        self.reads.append(values.double().cpu().numpy())
        return self.reads[-1]

    def _outputs(self, sequences: Sequences, rows: list[int], tokens: int, leaf: Leaf) -> Outputs:
        return self.reader.traced(self.model, sequences, rows, tokens, leaf)

    def generate(self, sequences: Sequences, max_new_tokens: int) -> list[list[int]]:
        """Refuse: chosen tokens jump."""
        raise NoDerivativeError(
            "the score is read off generated text, which changes by jumps and has no derivative; "
            "needed one of logits or of a fixed response."
        )


@dataclass(frozen=True, eq=False)
class Replay:
    """A `Reader` that gives numbers read before, in the same order; it runs nothing."""

    reads: Iterator[FloatArray]

    def read(self, sequences: Sequences, tokens: int, read: Read) -> FloatArray:
        """Give the next numbers."""
        return next(self.reads)

    def generate(self, sequences: Sequences, max_new_tokens: int) -> list[list[int]]:
        """Never reached: a recording refuses before."""
        raise NoDerivativeError("generated text has no derivative.")


def trace(
    reader: Traceable,
    model: Any,
    rows: list[int],
    measure: Measure,
    pull: Pull | None,
    *,
    check: bool = False,
) -> dict[str, FloatArray]:
    """Differentiate a score of some rows by the leaves of their reader, `(b, …)` by name.

    Parameters
    ----------
    reader, model, rows, measure, pull
    check : bool
        Whether to try the derivatives by two more passes, a step apart.

    Raises
    ------
    NoDerivativeError
        Where autograd cannot pass from the leaves to what is read, passes a part of the way only,
        or the score has no derivative.
    """
    recording = Recording(reader, model, rows)
    with autograd():
        measure(recording)
        slopes = _numeric(recording.reads, measure) if pull is None else pull(recording.reads)
        weights = [torch.from_numpy(slope[-len(rows) :]) for slope in slopes]
        names = list(recording.kept[0][1])
        leaves = [leaves[name] for _, leaves in recording.kept for name in names]
        found = gradients(_total(recording, weights), leaves)
        if check:

            def moved(far: list[torch.Tensor]) -> float:
                there = [
                    dict(zip(names, far[first : first + len(names)], strict=True))
                    for first in range(0, len(far), len(names))
                ]
                other = Recording(reader, model, rows, there)
                with torch.no_grad():
                    measure(other)
                    return float(_total(other, weights))

            check_slopes(found, moved, recording.kept[0][0], model.dtype)
    parts: dict[str, list[FloatArray]] = {name: [] for name in names}
    for number, gradient in enumerate(found):
        parts[names[number % len(names)]].append(gradient.double().cpu().numpy())
    return {name: _added(several) for name, several in parts.items()}


def _total(recording: Recording, weights: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(
        [
            (found.double() * own.to(found.device)).sum()
            for (found, _), own in zip(recording.kept, weights, strict=True)
        ]
    ).sum()


def _numeric(reads: list[FloatArray], measure: Measure) -> list[FloatArray]:
    found = []
    for number, read in enumerate(reads):

        def values(moved: FloatArray, number: int = number) -> FloatArray:
            others = [moved if i == number else other for i, other in enumerate(reads)]
            return measure(Replay(iter(others)))

        found.append(cotangent(values, read))
    return found


def _added(several: list[FloatArray]) -> FloatArray:
    """Add arrays `(b, …)` up, the columns of some of which are more: those of other answers."""
    total = np.zeros((len(several[0]), max(part.shape[1] for part in several)))
    for part in several:
        total[:, : part.shape[1]] += part
    return total
