"""The game of any PyTorch module: parts of it are switched off while it runs the same inputs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import BoolArray, FloatArray, as_masks
from spexlens.errors import InvalidInputError, MissingExtraError, UnknownNameError, shown
from spexlens.lenses.base import LensGame
from spexlens.models.gating.replacement import MEAN, REPLACEMENTS, RESAMPLE, ZERO

try:
    import torch
except ImportError as error:
    raise MissingExtraError("the game of a module", "torch", "llm") from error

_NAMED = re.compile(r"(?P<module>.+?)(?:\[(?P<first>\d+)(?P<range>:(?P<last>\d+))?\])?\Z")
# TransformerLens's hook points of heads: (batch, position, head, width).
_OF_HEADS = re.compile(r"(?:.*\.)?hook_(?:z|q|k|v|result)\Z")


@dataclass(frozen=True)
class ModuleSite:
    """What a named sub-module gives, or some of its columns.

    Attributes
    ----------
    name : str
        As it was asked for: "layers.2.mlp", "layers.2.mlp[0:16]", "blocks.3.attn.hook_z[5]".
    module : str
        As in `module.named_modules()`.
    columns : range, optional
        All by default.
    axis : int
        Of the columns: the last, or that of the heads.
    """

    name: str
    module: str
    columns: range | None = None
    axis: int = -1


def module_sites(module: Any, names: Sequence[str]) -> tuple[ModuleSite, ...]:
    """Find the sites of names: sub-modules, with `[3]` or `[0:16]` columns of what they give.

    The hook points of TransformerLens are sub-modules; columns of those of heads are heads.

    Raises
    ------
    InvalidInputError
        For a name that the module does not have, no names, or two that overlap.
    """
    known = {name for name, _ in module.named_modules() if name}
    sites: list[ModuleSite] = []
    for name in [names] if isinstance(names, str) else names:
        match = _NAMED.match(name)
        assert match is not None
        if match["module"] not in known:
            raise UnknownNameError("sub-module", match["module"], sorted(known))
        columns = None
        if match["first"] is not None:
            first = int(match["first"])
            columns = range(first, int(match["last"]) if match["range"] else first + 1)
            if not columns:
                raise InvalidInputError(f"{name!r} holds no column; needed first < last.")
        axis = -2 if columns and _OF_HEADS.match(match["module"]) else -1
        site = ModuleSite(name, match["module"], columns, axis)
        for other in sites:
            apart = other.columns and columns and not set(other.columns) & set(columns)
            if other.module == site.module and not apart:
                raise InvalidInputError(
                    f"the sites {other.name} and {name} act on the same activations; needed each "
                    "at most once. Leave one out."
                )
        sites.append(site)
    if not sites:
        raise InvalidInputError("no sites were given; needed at least one sub-module.")
    return tuple(sites)


@dataclass(frozen=True)
class ModuleLens:
    """Closes the gates of absent sites of a module."""

    sites: tuple[ModuleSite, ...]

    @property
    def players(self) -> tuple[str, ...]:
        """Names of the sites."""
        return tuple(site.name for site in self.sites)

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """Make gates `(m, n)`: 1 where present, 0 where absent."""
        return Interventions(gates=as_masks(masks, len(self.sites)).astype(np.float64))

    def identity(self) -> dict[str, Any]:
        """Tell where every site acts."""
        return {"lens": "module", "sites": list(self.players)}


@dataclass(frozen=True, eq=False)
class ModuleSubject:
    """Runs a module on the same inputs under every row of gates, once each.

    Made by `module_game`, which checks it.
    """

    module: Any
    inputs: Any
    score: Callable[[Any], Any]
    sites: tuple[ModuleSite, ...]
    name: str
    absent: str = ZERO
    stand_ins: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs(self) -> Needs:
        """A gate for every site."""
        return Needs({"gates": (len(self.sites),)})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Score what the module gives under every row of gates: `(m,)`."""
        (gates,) = self.needs.take(interventions, self)
        return np.array([self._value(row) for row in gates], dtype=np.float64)

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell module and score."""
        return {"model": type(self.module).__name__, "score": self.name}

    def identity(self) -> dict[str, Any]:
        """Hash weights, inputs and stand-ins; the score is known by its name."""
        content = hashlib.sha256()
        state = self.module.state_dict()
        for name in sorted(state):
            content.update(name.encode())
            _digest(content, state[name])
        for tensor in _tensors(self.inputs):
            _digest(content, tensor)
        for name in sorted(self.stand_ins):
            _digest(content, self.stand_ins[name])
        return {
            "subject": "module",
            "module": type(self.module).__qualname__,
            "content": content.hexdigest(),
            "score": self.name,
            "absent": self.absent,
        }

    def _value(self, gates: FloatArray) -> float:
        closed: dict[str, list[tuple[ModuleSite, float]]] = {}
        for site, gate in zip(self.sites, gates.tolist(), strict=True):
            closed.setdefault(site.module, []).append((site, gate))

        def edit(name: str, tensor: Any) -> Any:
            for site, gate in closed[name]:
                tensor = self._gated(tensor, site, gate)
            return tensor

        with torch.no_grad(), _edited(self.module, closed, edit) as ran:
            value = _number(self.score(_run(self.module, self.inputs)), self.name)
        _check_ran(ran, closed)
        return value

    def _gated(self, tensor: Any, site: ModuleSite, gate: float) -> Any:
        if gate == 1:
            return tensor
        stand_in = self.stand_ins.get(site.module)
        other = torch.zeros_like(tensor) if stand_in is None else stand_in.to(tensor)
        mixed = gate * tensor + (1 - gate) * other
        if site.columns is None:
            return mixed
        inside = torch.zeros(tensor.shape[site.axis], dtype=torch.bool, device=tensor.device)
        inside[list(site.columns)] = True
        shape = [1] * tensor.dim()
        shape[site.axis] = -1
        return torch.where(inside.reshape(shape), mixed, tensor)


def module_game(
    module: Any,
    inputs: Any,
    score: Callable[[Any], Any],
    sites: Sequence[str],
    *,
    name: str | None = None,
    absent: str = ZERO,
    references: Any = None,
) -> LensGame:
    """Make the game of switching sub-modules off, in any PyTorch module with named ones.

    For transformers with heads and questions use `component_game`; this runs whatever it is given,
    one pass an ablation.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode. Hooks are on it during a pass only.
    inputs : tensor, tuple of its arguments, or mapping of its keyword arguments
    score : callable
        From what the module gives to one number; a tensor of several is an error. Larger is more
        of what is asked for.
    sites : sequence of str
        See `module_sites`.
    name : str, optional
        What the score is, for people and a store: another name for another function. By default
        the function's own.
    absent : "zero", "mean" or "resample", default "zero"
        What a closed site gives: nothing, its mean over the rows of the references (the inputs, by
        default), or what it gives on the references.
    references : optional
        Other inputs; for "resample" of the same shapes.

    Returns
    -------
    LensGame

    Raises
    ------
    InvalidInputError
        After a trial: for a module that is random, in training mode, or does not run some site just
        once a pass; a site that gives no tensor, or fewer columns; a score that is no number; or
        references that do not fit.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> game = module_game(net.eval(), torch.ones(1, 2), lambda y: y[0, 0], ["0[0]", "0[1:3]"])
    >>> game.players
    ('0[0]', '0[1:3]')
    """
    if not isinstance(module, torch.nn.Module):
        raise InvalidInputError(
            f"a {type(module).__name__} was given as the module; needed a torch.nn.Module. A plain "
            "function of masks is sx.FunctionGame."
        )
    if absent not in REPLACEMENTS:
        raise UnknownNameError("value of absent", absent, REPLACEMENTS)
    if training := [part for part, inner in module.named_modules() if inner.training]:
        raise InvalidInputError(
            f"the module is in training mode ({shown(training, 3)}), in which dropout and batch "
            "norms depend on chance and the batch; call module.eval()."
        )
    if absent == RESAMPLE and references is None:
        raise InvalidInputError("absent = 'resample' needs references: inputs of the same shapes.")
    found = module_sites(module, sites)
    told = name or str(getattr(score, "__name__", type(score).__name__))
    plain = _given(module, found, inputs)
    for site in found:
        width = plain[site.module].shape[site.axis]
        if site.columns is not None and site.columns.stop > width:
            raise InvalidInputError(
                f"{site.name} asks for columns up to {site.columns.stop - 1}, and {site.module} "
                f"gives {width}; needed 0 … {width - 1}."
            )
    stand_ins: dict[str, Any] = {}
    if absent != ZERO:
        others = plain if references is None else _given(module, found, references)
        stand_ins = {place: _stand_in(absent, other, plain[place], place)
                     for place, other in others.items()}  # fmt: skip
    subject = ModuleSubject(module, inputs, score, found, told, absent, stand_ins)
    with torch.no_grad():
        unhooked = _number(score(_run(module, inputs)), told)
    hooked = subject._value(np.ones(len(found)))
    again = subject._value(np.ones(len(found)))
    if hooked != again or not np.isclose(hooked, unhooked, rtol=1e-6, atol=1e-9):
        raise InvalidInputError(
            f"the module gives {unhooked}, {hooked} and {again} in three passes on the same "
            "inputs; needed the same each time. Take out what is random."
        )
    return LensGame(ModuleLens(found), subject)


def _given(module: Any, sites: Sequence[ModuleSite], inputs: Any) -> dict[str, Any]:
    """Read what every site's module gives in a plain pass."""
    kept: dict[str, Any] = {}

    def record(name: str, tensor: Any) -> Any:
        kept[name] = tensor.detach().clone()
        return tensor

    places = {site.module: None for site in sites}
    with torch.no_grad(), _edited(module, places, record) as ran:
        _run(module, inputs)
    _check_ran(ran, places)
    return kept


def _stand_in(kind: str, other: Any, own: Any, place: str) -> Any:
    if kind == MEAN:
        other = other.mean(dim=0, keepdim=True)
    fits = other.dim() == own.dim() and all(
        theirs in (1, ours) for theirs, ours in zip(other.shape, own.shape, strict=True)
    )
    if not fits:
        raise InvalidInputError(
            f"{place} gives shape {tuple(own.shape)} on the inputs and {tuple(other.shape)} on the "
            "references; needed the same shapes, but for the number of rows of a mean."
        )
    return other


@contextmanager
def _edited(
    module: Any, places: Mapping[str, Any], edit: Callable[[str, Any], Any]
) -> Iterator[dict[str, int]]:
    """Edit what named sub-modules give; counts how often each ran. No hook stays behind."""
    ran = dict.fromkeys(places, 0)
    inner = dict(module.named_modules())

    def hook(name: str) -> Callable[[Any, Any, Any], Any]:
        def run(_: Any, __: Any, output: Any) -> Any:
            ran[name] += 1
            first = output[0] if isinstance(output, tuple) and output else output
            if not isinstance(first, torch.Tensor) or not first.is_floating_point():
                raise InvalidInputError(
                    f"{name} gives a {type(output).__name__}; needed a tensor of real numbers, or "
                    "a tuple that begins with one."
                )
            edited = edit(name, first)
            return (edited, *output[1:]) if isinstance(output, tuple) else edited

        return run

    with ExitStack() as stack:
        for name in places:
            stack.callback(inner[name].register_forward_hook(hook(name)).remove)
        yield ran


def _check_ran(ran: Mapping[str, int], places: Mapping[str, Any]) -> None:
    wrong = [f"{name} {count} times" for name, count in ran.items() if count != 1]
    if wrong:
        raise InvalidInputError(
            f"in one pass the module runs {shown(wrong, 3)}; needed each site just once, or its "
            "player would not be one component. Choose sub-modules inside or around it."
        )


def _run(module: Any, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return module(**inputs)
    return module(*inputs) if isinstance(inputs, tuple | list) else module(inputs)


def _number(value: Any, name: str) -> float:
    array = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
    if array.size != 1 or array.dtype.kind not in "fiub":
        raise InvalidInputError(
            f"the score {name} gives {type(value).__name__} of shape {array.shape}; needed one "
            "number. Take a mean, or choose an entry."
        )
    return float(array.reshape(()))


def _tensors(given: Any) -> Iterator[Any]:
    if isinstance(given, torch.Tensor):
        yield given
    elif isinstance(given, Mapping):
        for key in sorted(given):
            yield from _tensors(given[key])
    elif isinstance(given, tuple | list):
        for item in given:
            yield from _tensors(item)
    else:
        yield torch.frombuffer(bytearray(repr(given).encode() or b"-"), dtype=torch.uint8)


def _digest(content: Any, tensor: Any) -> None:
    if not isinstance(tensor, torch.Tensor):
        content.update(repr(tensor).encode())
        return
    whole = tensor.detach().cpu().contiguous()
    content.update(f"{whole.dtype}{tuple(whole.shape)}".encode())
    content.update(whole.reshape(-1).view(torch.uint8).numpy().tobytes())
