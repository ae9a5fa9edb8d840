"""Gates on a model's components: hooks that multiply, replace and record, inside `with` only.

Every row of a batch has gates of its own. A gate g turns the activation x of its site into
`g x + (1 - g) r`, where r is the replacement: nothing, a mean, or another prompt's activation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from spexlens.core.masks import IntArray
from spexlens.errors import InvalidInputError, MissingExtraError, shown
from spexlens.models.gating.sites import INPUT, UPDATE, Site

try:
    import torch
except ImportError as error:
    raise MissingExtraError("gates on a model", "torch", "llm") from error

Edit = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
"""From the tensor `(b, t, d)` at a hook point, and the module's input where the point is an update,
to the tensor that replaces it."""


@dataclass(frozen=True, eq=False)
class HookPoint:
    """The sites that share one tensor.

    Attributes
    ----------
    module, side : str
        See `Site`.
    sites : tuple of Site (k,)
    numbers : int array (k,)
        Which columns of the gates are theirs.
    """

    module: str
    side: str
    sites: tuple[Site, ...]
    numbers: IntArray


def hook_points(sites: Sequence[Site]) -> tuple[HookPoint, ...]:
    """Group the sites by the tensor they are columns or positions of, in order.

    Raises
    ------
    InvalidInputError
        For no sites, or two that overlap: one activation cannot have two gates.
    """
    if not sites:
        raise InvalidInputError("no sites were given; needed at least one component to gate.")
    groups: dict[tuple[str, str, bool], list[int]] = {}
    for number, site in enumerate(sites):
        key = (site.module, site.side, site.position is not None)
        groups.setdefault(key, []).append(number)
    points = []
    for (module, side, _), numbers in groups.items():
        own = tuple(sites[number] for number in numbers)
        _refuse_overlap(own)
        points.append(HookPoint(module, side, own, np.array(numbers, dtype=np.int64)))
    return tuple(points)


def _refuse_overlap(sites: tuple[Site, ...]) -> None:
    by_start = sorted(sites, key=lambda site: (site.position or 0, _start(site)))
    for left, right in pairwise(by_start):
        apart = left.columns is not None and _start(right) >= left.columns.stop
        if left.position == right.position and not apart:
            raise InvalidInputError(
                f"the sites {left.name} and {right.name} act on the same activations; needed each "
                "at most once. Leave one out."
            )


def _start(site: Site) -> int:
    return 0 if site.columns is None else site.columns.start


@contextmanager
def edited(model: torch.nn.Module, edits: Mapping[HookPoint, Edit]) -> Iterator[None]:
    """Let the model compute with edited activations in the block, and as before after it."""
    with ExitStack() as hooks:
        for point, edit in edits.items():
            handle = _hooked(model.get_submodule(point.module), point.side, edit)
            hooks.callback(handle.remove)
        yield


def _hooked(module: torch.nn.Module, side: str, edit: Edit) -> Any:
    def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (edit(args[0], None), *args[1:]), kwargs
        name, tensor = next(iter(kwargs.items()))
        return args, {**kwargs, name: edit(tensor, None)}

    def after(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        base = None
        if side == UPDATE:
            base = args[0] if args else next(iter(kwargs.values()))
        if isinstance(output, tuple):
            return (edit(output[0], base), *output[1:])
        return edit(output, base)

    if side == INPUT:
        return module.register_forward_pre_hook(before, with_kwargs=True)
    return module.register_forward_hook(after, with_kwargs=True)


def gate(
    point: HookPoint,
    gates: torch.Tensor,
    replacement: torch.Tensor | None = None,
    *,
    rescale: bool = False,
) -> Edit:
    """Make the edit that applies gates to the sites of a point.

    Gates of 1 leave every number as it is, bit for bit.

    Parameters
    ----------
    point : HookPoint
    gates : float tensor (b, k)
        One row a row of the batch.
    replacement : float tensor (d,) or (b, t, d), optional
        What stands in for an absent site (for an update: what is then added to the input); zero by
        default.
    rescale : bool, default False
        Whether what is kept of a point is multiplied by k / (sum of its gates), so that the size of
        the sum over its sites is kept; nothing where all are 0.
    """
    if rescale:
        kept = gates.sum(dim=1, keepdim=True)
        # Not divided by 0 where nothing is kept: the derivative of what is not taken would be NaN.
        gates = gates * torch.where(kept > 0, gates.shape[1] / torch.where(kept > 0, kept, 1), 1)

    def edit(x: torch.Tensor, base: torch.Tensor | None) -> torch.Tensor:
        shape = x.shape
        x = by_token(x, len(gates))
        factor = _factor(point, gates.to(x.dtype), x)
        gated = x * factor
        if replacement is not None or base is not None:
            other = 0.0 if replacement is None else replacement.to(x)
            before = other if base is None else by_token(base, len(gates)) + other
            gated = gated + (1 - factor) * before
        return gated.reshape(shape)

    return edit


def by_token(x: torch.Tensor, rows: int) -> torch.Tensor:
    """Shape what stands at a hook point as `(rows, t, d)`.

    Some MLPs see `(b t, d)`; several residual streams side by side, and heads in groups, are
    `(b, t, streams, d)`.
    """
    if x.dim() == 4:
        return x.reshape(rows, x.shape[1], -1)
    return x.reshape(rows, -1, x.shape[-1])


def _factor(point: HookPoint, gates: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Make the factor of the numbers of x `(b, t, d)`, in a shape that broadcasts to it."""
    rows, tokens, width = x.shape
    if point.sites[0].position is not None:
        factor = x.new_ones((rows, tokens, 1))
        at = [site.position or 0 for site in point.sites]
        if max(position if position >= 0 else -position - 1 for position in at) >= tokens:
            raise InvalidInputError(
                f"sites stand at tokens {shown(at)} of a prompt of {tokens} tokens; needed prompts "
                "that are long enough."
            )
        factor[:, at, 0] = gates
        return factor
    if point.sites[0].columns is None:
        return gates[:, :, None]
    site_of = np.full(width, len(point.sites))
    for number, site in enumerate(point.sites):
        if site.columns is not None:
            site_of[site.columns.start : site.columns.stop] = number
    with_untouched = torch.cat([gates, gates.new_ones((rows, 1))], dim=1)
    return with_untouched[:, torch.from_numpy(site_of).to(x.device)][:, None, :]
