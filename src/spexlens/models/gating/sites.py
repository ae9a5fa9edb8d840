"""Where a transformer can be gated: heads, MLPs, neurons, layers and residual positions, by name.

A site is a stretch of columns of one tensor: what goes into a module, what comes out of it, or what
it adds to its input. An attention head is a stretch of the input of the output projection, which is
the last place where heads are still apart.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError, shown
from spexlens.models.gating.blocks import Block, find_blocks

INPUT, OUTPUT, UPDATE = "input", "output", "update"
# What was not found, and why that can be.
_NO_HEADS = (
    "attention output projection",
    "a linear layer that takes the heads side by side; state-space models have none, and attention "
    "made of experts has one a head",
)
_NO_MLPS = (
    "MLP",
    "an output projection or a block of experts; recurrent layers can have neither",
)
_NO_NEURONS = (
    "one list of neurons",
    "an MLP with one output projection; a block of experts has several, and is a site as a whole "
    "among sites.mlps(model)",
)


@dataclass(frozen=True)
class Site:
    """One component that a gate can act on.

    Attributes
    ----------
    name : str
        Such as "L3.H5"; layers and heads count from 0.
    layer : int or None
        None for a named module.
    module : str
        Where the tensor is, as in `model.named_modules()`.
    side : "input", "output" or "update"
        What goes into the module, what comes out, or the difference of the two.
    columns : range, optional
        The stretch of the tensor's last axis; all of it by default.
    position : int, optional
        One token of the prompt, counted from its end if negative; all by default.
    """

    name: str
    layer: int | None
    module: str
    side: str
    columns: range | None = None
    position: int | None = None


# -- kinds of sites ----------------------------------------------------------------------------


def heads(model: Any, layers: Iterable[int] | None = None) -> tuple[Site, ...]:
    """List the attention heads "L3.H5", query heads where keys and values are shared.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    layers : iterable of int, optional
        All by default. Layers without attention have none.
    """
    blocks = _blocks(model, layers)
    return _some(
        model,
        _NO_HEADS,
        (site for block in blocks for site in _head_sites(block, "H", block.heads)),
    )


def kv_groups(model: Any, layers: Iterable[int] | None = None) -> tuple[Site, ...]:
    """List the groups "L3.KV1" of heads that share a key and value head; see `heads`."""
    blocks = _blocks(model, layers)
    return _some(
        model,
        _NO_HEADS,
        (site for block in blocks for site in _head_sites(block, "KV", block.kv_heads)),
    )


def mlps(model: Any, layers: Iterable[int] | None = None) -> tuple[Site, ...]:
    """List the MLP blocks "L3.MLP": what they add, be it one projection or a mixture of experts.

    Of experts, router, shared and routed ones are one site; single experts are `modules`.
    """
    sites = (
        Site(f"L{block.layer}.MLP", block.layer, module, OUTPUT)
        for block in _blocks(model, layers)
        if (module := block.mlp or block.experts) is not None
    )
    return _some(model, _NO_MLPS, sites)


def neurons(model: Any, layer: int, which: Iterable[int] | None = None) -> tuple[Site, ...]:
    """List MLP neurons "L3.N120" of one layer: all, or those numbered in `which`.

    `spexlens.models.gating.replacement.top_neurons` chooses the most active ones.
    """
    (block,) = _blocks(model, [layer])
    if block.mlp is None:
        return _some(model, _NO_MLPS if block.experts is None else _NO_NEURONS, ())
    chosen = range(block.neurons) if which is None else list(which)
    if outside := [j for j in chosen if not 0 <= j < block.neurons]:
        raise InvalidInputError(
            f"neurons {shown(outside)} of layer {layer} asked for; needed numbers within "
            f"0 … {block.neurons - 1}."
        )
    return tuple(Site(f"L{layer}.N{j}", layer, block.mlp, INPUT, range(j, j + 1)) for j in chosen)


def layers(model: Any, layers: Iterable[int] | None = None) -> tuple[Site, ...]:
    """List layers "L3": what a layer adds to the residual stream; an ablated one is skipped."""
    return tuple(
        Site(f"L{block.layer}", block.layer, block.module, UPDATE)
        for block in _blocks(model, layers)
    )


def positions(
    model: Any, positions: Iterable[int], layers: Iterable[int] | None = None
) -> tuple[Site, ...]:
    """Name the residual stream "L3.P-1" on its way into a layer, at single tokens of the prompt.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    positions : iterable of int
        All from 0 on, or all from the end: -1 is the last token. Prompts must be long enough.
    layers : iterable of int, optional
    """
    chosen = list(positions)
    if len({position < 0 for position in chosen}) != 1:
        raise InvalidInputError(
            f"positions {shown(chosen)} given; needed at least one, and all counted from the start "
            "(0, 1, …) or all from the end (-1, -2, …): else two can be the same token."
        )
    return tuple(
        Site(f"L{block.layer}.P{at}", block.layer, block.module, INPUT, position=at)
        for block in _blocks(model, layers)
        for at in chosen
    )


def modules(model: Any, names: Iterable[str]) -> tuple[Site, ...]:
    """Name what modules of any kind give, under their names in `model.named_modules()`."""
    known = [name for name, _ in model.named_modules() if name]
    chosen = list(names)
    _refuse_unknown(chosen, known, "module")
    return tuple(Site(name, None, name, OUTPUT) for name in chosen)


@dataclass(frozen=True)
class NamedSites:
    """One row of the table.

    Attributes
    ----------
    name : str
    sites : callable
        `(model, layers=None)` -> the sites of this kind, as `heads` lists them.
    description : str
        What the players are, with one's name, and what an absent one loses.
    """

    name: str
    sites: Callable[..., tuple[Site, ...]]
    description: str


SITES = Table(
    "kind of sites",
    [
        NamedSites(
            "heads",
            heads,
            "attention heads such as L3.H5, what each gives to the output projection",
        ),
        NamedSites("kv", kv_groups, "heads that share a key and value head, L3.KV1"),
        NamedSites("mlps", mlps, "MLPs, L3.MLP, or blocks of experts, what they give"),
        NamedSites("layers", layers, "layers, L3, what each adds; an absent one is skipped"),
    ],
)
"""Kinds of sites by name; `neurons`, `positions` and `modules` need to be told which."""


def named(model: Any, names: Sequence[str]) -> tuple[Site, ...]:
    """Find sites by the names that the kinds in `SITES` give them.

    Raises
    ------
    InvalidInputError
        For a name that the model does not have.
    """
    known: dict[str, Site] = {}
    for kind in SITES.values():
        try:
            known |= {site.name: site for site in kind.sites(model)}
        except InvalidInputError:  # a model without this kind
            continue
    _refuse_unknown(names, list(known), "site")
    return tuple(known[name] for name in names)


def _blocks(model: Any, layers: Iterable[int] | None) -> list[Block]:
    blocks = find_blocks(model)
    if layers is None:
        return list(blocks)
    chosen = list(layers)
    if outside := [layer for layer in chosen if not 0 <= layer < len(blocks)]:
        raise InvalidInputError(
            f"layers {shown(outside)} asked for; {type(model).__name__} has layers "
            f"0 … {len(blocks) - 1}."
        )
    return [blocks[layer] for layer in chosen]


def _head_sites(block: Block, letter: str, count: int) -> list[Site]:
    if block.attention is None:
        return []
    width = block.head_size * block.heads // count
    return [
        Site(
            f"L{block.layer}.{letter}{h}", block.layer, block.attention, INPUT,
            range(h * width, (h + 1) * width),
        )
        for h in range(count)
    ]  # fmt: skip


def _some(model: Any, part: tuple[str, str], sites: Iterable[Site]) -> tuple[Site, ...]:
    found = tuple(sites)
    if not found:
        missing, needed = part
        raise InvalidInputError(
            f"no {missing} was found in the layers of {type(model).__name__}; needed {needed}. "
            "Gate its parts as named modules: spexlens.models.gating.sites.modules(model, names)."
        )
    return found


def _refuse_unknown(names: Sequence[str], known: Sequence[str], kind: str) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or list(known[:3])
            raise InvalidInputError(
                f"unknown {kind} {name!r}; the model has {len(known)}, among them "
                f"{', '.join(near)}. All of a kind: {SITES.names()}."
            )
