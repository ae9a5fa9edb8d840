"""Sites judged by what moves, whatever a family calls its parts.

A number inside attention is nudged, one a row of a batch, and the columns that move into the output
projection are those of one head if the number is of its queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.gating.gates import HookPoint, by_token
from spexlens.models.gating.sites import INPUT, Site

try:
    import torch
except ImportError as error:
    raise MissingExtraError("gates on a model", "torch", "llm") from error

_TOKENS = 4  # of the prompt; queries of the first token choose nothing
_FEWEST = 4  # numbers nudged of what every part of attention gives, as far apart as heads are
_NUDGE = 3.0  # of the spread of what a part gives
_MOVED = 1e-3  # of the largest move
_FITS, _PART, _ACROSS, _UNCLEAR = "fits", "part", "across", "unclear"
_MOST = 0.6  # share of a head's columns that a nudged query moves at least


def refuse_mixed_heads(model: Any, points: Sequence[HookPoint], ids: Sequence[int]) -> None:
    """Refuse heads and groups whose columns are those of several heads, or of a part of one.

    One layer of every make is tried, with a few rows of a few tokens.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    points : sequence of HookPoint
    ids : sequence of int
        Token ids of a prompt.

    Raises
    ------
    InvalidInputError
        Where a number inside attention moves a stretch of columns that is no site's.
    """
    prompt = list(ids)[:_TOKENS]
    tried = set()
    for point in points:
        if point.side != INPUT or not all(map(_of_head, point.sites)) or len(prompt) < 2:
            continue
        parts = _parts(model, point.module)
        make = tuple(
            (type(part).__name__, *(tuple(weight.shape) for weight in part.parameters(False)))
            for part in parts.values()
        )
        if (make, len(point.sites)) in tried:
            continue
        tried.add((make, len(point.sites)))
        _refuse_mixed(model, point, parts, prompt)


def norms_between(model: Any, points: Sequence[HookPoint], ids: Sequence[int]) -> tuple[str, ...]:
    """Name the norms that take what an output projection gives.

    What heads of one layer give does not add up there: what each contributes turns on the others.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    points : sequence of HookPoint
    ids : sequence of int

    Returns
    -------
    tuple of str
        Last parts of their names, such as "post_attention_layernorm"; each once.
    """
    modules = {p.module for p in points if p.side == INPUT and all(map(_of_head, p.sites))}
    if not modules:
        return ()
    given: set[int] = set()  # what projections give, by where it lies in memory
    held: list[torch.Tensor] = []  # or the memory would be used again within the pass
    found: dict[str, None] = {}

    def note(name: str, args: tuple[Any, ...], output: Any) -> None:
        first, after = _tensor(args), _tensor(output)
        if name in modules and after is not None:
            held.append(after)
            given.add(after.data_ptr())
        elif first is not None and first.data_ptr() in given and _is_norm(model, name, first):
            found[name.rpartition(".")[2]] = None

    hooks = [
        part.register_forward_hook(lambda _, args, out, name=name: note(name, args, out))
        for name, part in model.named_modules()
        if name and not list(part.children())
    ]
    with _removed(hooks), torch.inference_mode():
        model(input_ids=torch.tensor([list(ids)[:_TOKENS]], device=model.device))
    return tuple(found)


def _is_norm(model: Any, name: str, given: torch.Tensor) -> bool:
    """Whether a module divides all numbers of a token by one size of theirs."""
    part = model.get_submodule(name)
    weight = next(part.parameters(False), None)
    whole = weight is None or weight.shape[-1] == given.shape[-1]
    return "norm" in type(part).__name__.lower() and whole


def _of_head(site: Site) -> bool:
    return site.columns is not None and site.name.split(".")[-1].rstrip("0123456789") in ("H", "KV")


def _parts(model: Any, projection: str) -> dict[str, torch.nn.Module]:
    """Find the modules without parts of their own that are in a projection's attention."""
    place = projection.rpartition(".")[0]
    while place and len(_linears(model.get_submodule(place))) < 2:
        place = place.rpartition(".")[0]  # of BERT, whose projection has a module of its own
    return {
        f"{place}.{name}" if place else name: part
        for name, part in model.get_submodule(place).named_modules()
        if name
        and not list(part.children())
        and (f"{place}.{name}" if place else name) != projection
    }


def _linears(module: torch.nn.Module) -> list[torch.nn.Module]:
    return [
        part
        for part in module.modules()
        if "Linear" in type(part).__name__ or type(part).__name__ == "Conv1D"
    ]


def _refuse_mixed(
    model: Any, point: HookPoint, parts: dict[str, torch.nn.Module], prompt: list[int]
) -> None:
    widths = _widths(model, point.module, parts, prompt)
    nudges = [
        (name, (2 * k + 1) * width // (2 * count))
        for name, width in widths.items()
        for count in [min(width, max(_FEWEST, len(point.sites)), 2 * _FEWEST)]
        for k in range(count)
    ]
    of_heads = point.sites[0].name.split(".")[-1].startswith("H")
    wrong, fits = "", False
    for name, stretch in _moved(model, point.module, nudges, prompt):
        fit = _fit(stretch, point.sites)
        if fit == _FITS:
            fits = True
        elif fit == _ACROSS or (fit == _PART and of_heads):
            told = (
                f"a number that {name} gives moves columns {stretch.start} … {stretch.stop - 1} "
                "together"
            )
            if fit == _PART:  # a key moves several heads, but nothing moves half of one
                wrong, fits = told, False
                break
            wrong = wrong or told
    if fits:
        return
    if wrong:
        site = point.sites[0]
        columns = site.columns or range(0)
        raise InvalidInputError(
            f"{site.name} was taken for columns {columns.start} … {columns.stop - 1} of what goes "
            f"into {point.module} of {type(model).__name__}; but {wrong}, so that heads are laid "
            "out in another way there and a gate would close several, or a part of one. Gate MLPs, "
            "layers, or named modules: spexlens.models.gating.sites.modules(model, names)."
        )


def _fit(stretch: range, sites: Sequence[Site]) -> str:
    """Tell how columns that move together lie among the sites' own."""
    ranges = [site.columns for site in sites if site.columns is not None]
    if len(ranges) == 1 or not 2 <= len(stretch) < sum(map(len, ranges)):
        return _UNCLEAR
    inside = [r for r in ranges if stretch.start >= r.start and stretch.stop <= r.stop]
    if not inside:
        return _ACROSS
    return _FITS if len(stretch) >= _MOST * len(inside[0]) else _PART


def _widths(
    model: Any, projection: str, parts: dict[str, torch.nn.Module], prompt: list[int]
) -> dict[str, int]:
    """Count the numbers a token that every part gives in a pass, where they are floats."""
    widths: dict[str, int] = {}

    def note(name: str, output: Any) -> None:
        tensor = _tensor(output)
        if tensor is not None and tensor.dim() >= 3 and len(tensor) == 1:
            widths[name] = tensor[0, 0].numel()

    hooks = [
        part.register_forward_hook(lambda _, __, output, name=name: note(name, output))
        for name, part in parts.items()
    ]
    with _removed(hooks):
        _run_until(model, projection, [prompt])
    return {name: width for name, width in widths.items() if width > 1}


def _moved(
    model: Any, projection: str, nudges: Sequence[tuple[str, int]], prompt: list[int]
) -> Iterator[tuple[str, range]]:
    """Give for every nudged number the stretch of columns that moves, where it is one."""
    rows = len(nudges) + 1  # the last row is as it is

    def nudge(name: str, output: Any) -> Any:
        tensor = _tensor(output)
        if tensor is None or len(tensor) != rows:
            return None
        other = tensor.reshape(rows, tensor.shape[1], -1).clone()
        size = _NUDGE * other.float().std().to(other.dtype)
        steps = 1 + torch.arange(other.shape[1], device=other.device).to(other.dtype)
        for row, (part, number) in enumerate(nudges):
            if part == name and number < other.shape[2]:
                other[row, :, number] += (
                    size * steps
                )  # not alike: a softmax takes no notice of that
        other = other.reshape(tensor.shape)
        return (other, *output[1:]) if isinstance(output, tuple) else other

    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: nudge(name, output)
        )
        for name in dict(nudges)
    ]
    with _removed(hooks):
        given = _run_until(model, projection, [prompt] * rows)
    if given is None or len(given) != rows:
        return
    given = by_token(given, rows).float()
    away = (given[:-1] - given[-1:]).abs().amax(dim=1)
    for (name, _), row in zip(nudges, away, strict=True):
        columns = (row > _MOVED * row.max()).nonzero().flatten().tolist()
        if columns and len(columns) >= 0.8 * (columns[-1] - columns[0] + 1):
            yield name, range(columns[0], columns[-1] + 1)


class _Reached(Exception):  # noqa: N818 - no error, but the way out of a pass
    """A pass has come to the module that it was run for."""


def _run_until(model: Any, projection: str, rows: list[list[int]]) -> torch.Tensor | None:
    """Give what goes into a projection; what comes after it is not run."""
    seen: list[torch.Tensor | None] = []

    def stop(_: Any, args: tuple[Any, ...]) -> None:
        seen.append(_tensor(args))
        raise _Reached

    hook = model.get_submodule(projection).register_forward_pre_hook(stop)
    with _removed([hook]), torch.inference_mode(), suppress(_Reached):
        model(input_ids=torch.tensor(rows, device=model.device))
    return seen[0] if seen else None


@contextmanager
def _removed(hooks: Sequence[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _tensor(value: Any) -> torch.Tensor | None:
    first = value[0] if isinstance(value, tuple) and value else value
    is_float = isinstance(first, torch.Tensor) and first.is_floating_point()
    return first if is_float else None
