"""Whether gates will act on a model as meant: refused models, and a self-test by real passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spexlens.errors import InvalidInputError, MissingExtraError, shown
from spexlens.models.gating.gates import Edit, HookPoint, edited, gate
from spexlens.models.running.quantised import refuse_quantised

try:
    import torch
except ImportError as error:
    raise MissingExtraError("gates on a model", "torch", "llm") from error

_TOKENS = 512  # in one pass of the self-test


def refuse_unfit(model: torch.nn.Module) -> None:
    """Refuse a model whose gated values would be random, missing or not its own.

    Raises
    ------
    InvalidInputError
        For a model in training mode (dropout), weights on the `meta` device, or quantised weights.
    """
    if any(module.training for module in model.modules()):
        raise InvalidInputError(
            f"{type(model).__name__} is in training mode, whose dropout makes values random; "
            "call model.eval() first."
        )
    for name, weight in model.named_parameters():
        if weight.is_meta:
            raise InvalidInputError(
                f"the weight {name} is on the meta device and has no numbers; load the model with "
                "its weights."
            )
    refuse_quantised(model, "components and their gates")


def verify_gates(model: Any, points: Sequence[HookPoint], ids: Sequence[int]) -> None:
    """Run one prompt: gates of 1 must change nothing, gates of 0 must reach the output.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    points : sequence of HookPoint
    ids : sequence of int
        Token ids of one prompt.

    Raises
    ------
    InvalidInputError
        Where a hooked module is not run exactly once in a pass (fused attention passes by its
        projection; shared layers come again), or gates do not act as they should.
    """
    prompt = torch.tensor([list(ids)], device=model.device)
    calls = dict.fromkeys(points, 0)

    def counted(point: HookPoint, gates: torch.Tensor) -> Edit:
        edit = gate(point, gates)

        def counting(x: torch.Tensor, base: torch.Tensor | None) -> torch.Tensor:
            calls[point] += 1
            if x.dim() == 4 and len(x) != len(gates):
                raise InvalidInputError(
                    f"{point.module} of {type(model).__name__} hands on {len(x)} residual streams "
                    "before the texts of a batch; needed one that gates can act on text by text. "
                    "Gate heads or MLPs instead."
                )
            return edit(x, base)

        return counting

    def output(gates: Sequence[torch.Tensor], rows: int) -> torch.Tensor:
        edits = {p: counted(p, own) for p, own in zip(points, gates, strict=True)}
        with edited(model, edits):
            return _output(model, prompt.expand(rows, -1))

    with torch.inference_mode():
        plain = _output(model, prompt)
        untouched = output([torch.ones(1, len(p.sites), device=model.device) for p in points], 1)
        _refuse_calls(model, calls)
        if not torch.equal(plain, untouched):
            raise InvalidInputError(
                f"gates of 1 change the output of {type(model).__name__}; it cannot be gated: its "
                "activations may hold infinite numbers, or its passes differ from one to the next."
            )
        rows = max(1, _TOKENS // len(ids))
        reached = False
        for start in range(0, len(points), rows):
            count = min(rows, len(points) - start) + 1  # the last row has no gate at 0
            gates = [torch.ones(count, len(point.sites), device=model.device) for point in points]
            for row in range(count - 1):
                gates[start + row][row] = 0
            outputs = output(gates, count)
            reached |= bool((outputs[:-1] != outputs[-1:]).any())
        if not reached:
            raise InvalidInputError(
                f"closing the gates of {shown([p.module for p in points], 3)} does not change the "
                f"output of {type(model).__name__}: it does not use what these modules compute. "
                "Load the model with attn_implementation='eager'."
            )


def _refuse_calls(model: Any, calls: dict[HookPoint, int]) -> None:
    if missed := [point.module for point, count in calls.items() if count == 0]:
        raise InvalidInputError(
            f"{shown(missed, 3)} of {type(model).__name__} is not run as a module, so that its "
            "heads cannot be gated: a fused attention uses its weight directly. Load the model "
            "with attn_implementation='eager', or gate other modules."
        )
    if repeated := [point.module for point, count in calls.items() if count > 1]:
        raise InvalidInputError(
            f"{shown(repeated, 3)} of {type(model).__name__} is run several times in one pass (its "
            "layers share weights), so that a gate would act on all of them. Gate other modules."
        )


def _output(model: Any, ids: torch.Tensor) -> torch.Tensor:
    outputs = model(input_ids=ids)
    tensor: torch.Tensor = outputs[0]
    return tensor
