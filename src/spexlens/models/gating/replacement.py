"""What stands in for an absent component: nothing, its mean, or its value on another prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spexlens.errors import InvalidInputError, MissingExtraError, UnknownNameError
from spexlens.models.gating.gates import Edit, HookPoint, by_token, edited, hook_points
from spexlens.models.gating.sites import Site, neurons

try:
    import torch
except ImportError as error:
    raise MissingExtraError("reference activations", "torch", "llm") from error

ZERO, MEAN, RESAMPLE = "zero", "mean", "resample"
REPLACEMENTS = (ZERO, MEAN, RESAMPLE)


@dataclass(frozen=True, eq=False)
class Replacement:
    """What an absent component is replaced by, point by point.

    Attributes
    ----------
    kind : "zero", "mean" or "resample"
    rescale : bool
        See `spexlens.models.gating.gates.gate`.
    means : tuple of tensor (d,)
        One a hook point, for "mean".
    samples : tuple of tuple of tensor (t, d)
        One a prompt and hook point, for "resample".
    """

    kind: str = ZERO
    rescale: bool = False
    means: tuple[torch.Tensor, ...] = ()
    samples: tuple[tuple[torch.Tensor, ...], ...] = ()

    def identity(self) -> dict[str, Any]:
        """Tell kind, scaling, and a hash of the reference activations."""
        content = hashlib.sha256()
        for tensor in (*self.means, *(x for sample in self.samples for x in sample)):
            content.update(tensor.float().cpu().numpy().tobytes())
        return {"kind": self.kind, "rescale": self.rescale, "content": content.hexdigest()}

    def at(self, point: int, prompts: Sequence[int]) -> torch.Tensor | None:
        """Give what replaces point number `point` in a batch of rows of these prompts."""
        if self.kind == MEAN:
            return self.means[point].clone()  # a copy, as autograd may hold it
        if self.kind == RESAMPLE:
            return torch.stack([self.samples[prompt][point] for prompt in prompts])
        return None


def prepare_replacement(
    kind: str,
    model: Any,
    points: Sequence[HookPoint],
    prompts: Sequence[Sequence[int]],
    references: Sequence[Sequence[int]],
    *,
    rescale: bool = False,
) -> Replacement:
    """Run the reference prompts, where the kind needs them, and keep what it needs.

    Parameters
    ----------
    kind : "zero", "mean" or "resample"
    model : transformers.PreTrainedModel
    points : sequence of HookPoint
    prompts : sequence of token ids
        What will be scored.
    references : sequence of token ids
        For "mean" any, all tokens of all count alike; for "resample" one a prompt, of its length.
    rescale : bool

    Raises
    ------
    InvalidInputError
        For an unknown kind, no references, or a reference of another length than its prompt.
    """
    if kind not in REPLACEMENTS:
        raise UnknownNameError("value of absent", kind, REPLACEMENTS)
    if kind == ZERO:
        return Replacement(kind, rescale)
    if kind == RESAMPLE:
        _refuse_unmatched(prompts, references)
        samples = tuple(tuple(activations(model, points, ids)) for ids in references)
        return Replacement(kind, rescale, samples=samples)
    if not references:
        raise InvalidInputError(
            "no reference prompts were given; needed at least one to take means over."
        )
    sums: list[torch.Tensor] = []
    for ids in references:
        own = [x.double().sum(dim=0) for x in activations(model, points, ids)]
        sums = [a + b for a, b in zip(sums, own, strict=True)] if sums else own
    tokens = sum(len(ids) for ids in references)
    return Replacement(kind, rescale, means=tuple((total / tokens).float() for total in sums))


def activations(model: Any, points: Sequence[HookPoint], ids: Sequence[int]) -> list[torch.Tensor]:
    """Read the tensor `(t, d)` at every hook point in a plain pass; of an update, what is added."""
    found: dict[int, torch.Tensor] = {}

    def record(number: int) -> Edit:
        def edit(x: torch.Tensor, base: torch.Tensor | None) -> torch.Tensor:
            found[number] = by_token(x if base is None else x - base, 1)[0].clone()
            return x

        return edit

    with edited(model, {point: record(number) for number, point in enumerate(points)}):
        model(input_ids=torch.tensor([list(ids)], device=model.device))
    return [found[number] for number in range(len(points))]


def top_neurons(
    model: Any, layer: int, count: int, prompts: Sequence[Sequence[int]]
) -> tuple[Site, ...]:
    """Find the MLP neurons of a layer with the largest mean absolute activation on some prompts.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In eval mode.
    layer, count : int
    prompts : sequence of token ids

    Returns
    -------
    tuple of Site (count,)
        The most active first.
    """
    candidates = neurons(model, layer)
    if not 1 <= count <= len(candidates) or not prompts:
        raise InvalidInputError(
            f"count = {count} and {len(prompts)} prompts given; needed 1 … {len(candidates)} "
            "neurons and at least one prompt."
        )

    with torch.inference_mode():
        size = sum(
            activations(model, hook_points(candidates), ids)[0].abs().sum(dim=0) for ids in prompts
        )
    order = torch.argsort(torch.as_tensor(size), descending=True, stable=True)[:count]
    return tuple(candidates[int(number)] for number in order)


def refuse_resampling(kind: str) -> None:
    """Refuse "resample" where texts of different lengths are run, row by row."""
    if kind == RESAMPLE:
        raise InvalidInputError(
            f"absent = {kind!r} given; needed {ZERO!r} or {MEAN!r}: prompts of different "
            "lengths have no token-by-token counterpart to resample from."
        )


def _refuse_unmatched(
    prompts: Sequence[Sequence[int]], references: Sequence[Sequence[int]]
) -> None:
    if len(prompts) != len(references):
        raise InvalidInputError(
            f"{len(references)} reference prompts given for {len(prompts)} prompts; resampling "
            "needed one for each."
        )
    for number, (prompt, reference) in enumerate(zip(prompts, references, strict=True)):
        if len(prompt) != len(reference):
            raise InvalidInputError(
                f"prompt {number} has {len(prompt)} tokens and its reference {len(reference)}; "
                "resampling needed equal lengths, so that every token has its counterpart. Reword "
                "one of them, or take absent = 'mean'."
            )
