"""What is asked of every architecture of the zoo, each against a definition of its own.

A check gives `RIGHT` with what was done, `REFUSED` with the reason a user is told, or `WRONG`.
The truth is never what the package computes: it is plain passes of one prompt, weights set to 0,
the model's own masks with a key hidden, finite differences, or argmax over growing prompts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from spexlens.errors import SpexlensError
from spexlens.models.gating import sites
from spexlens.models.gating.runner import gated_runner
from spexlens.models.hiding.classifier import check_hiding_from
from spexlens.models.hiding.language_model import check_hiding, hidden_from
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.classifier import SequenceClassifier
from spexlens.models.running.passes import Passes
from spexlens.models.running.prepacked import PackedLinears
from spexlens.models.running.reading import Outputs
from spexlens.models.running.runner import Runner
from tests.models.zoo_of_architectures import LAYERS
from tests.tiny_models import tiny_tokenizer

RIGHT, REFUSED, WRONG, NONE = "right", "refused", "wrong", "none"
ROUNDING = 2e-3  # of the range of the logits
LENGTHS = (6, 11, 12, 12, 19, 26, 33)
SHARED = 13


@dataclass(frozen=True)
class Verdict:
    """What a check found."""

    verdict: str
    why: str = ""


def prompts(lengths=LENGTHS, shared: int = 0, seed: int = 1) -> list[list[int]]:
    """Prompts of ordinary tokens, the first `shared` of which all have in common."""
    numbers = np.random.default_rng(seed)
    begin = numbers.integers(4, 36, shared).tolist()
    return [[*begin, *numbers.integers(4, 36, length).tolist()] for length in lengths]


def plain(model, ids) -> torch.Tensor:
    """Logits `(t, vocabulary)` of one plain pass."""
    with torch.inference_mode():
        return model(input_ids=torch.tensor([list(ids)])).logits[0].double()


def answer(model, ids) -> torch.Tensor:
    """What is read: logits of the last token, or of a classifier's classes."""
    logits = plain(model, ids)
    return logits if logits.dim() == 1 else logits[-1]


def off(found, truth) -> float:
    """The largest difference, as a share of the range of the truth."""
    found, truth = torch.as_tensor(np.array(found)), torch.as_tensor(np.array(truth))
    span = float(truth.max() - truth.min()) or 1.0
    gap = float((found - truth).abs().max()) / span
    return gap if gap == gap else float("inf")


def judged(check: Callable[[Any], Verdict | float], model: Any) -> Verdict:
    """Run a check: refusals are told, other errors of the package are wrong."""
    try:
        found = check(model)
    except SpexlensError as error:
        return Verdict(REFUSED, " ".join(str(error).split()))
    except Exception as error:
        return Verdict(WRONG, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    if isinstance(found, Verdict):
        return found
    return Verdict(RIGHT) if found <= ROUNDING else Verdict(WRONG, f"off by {found:.1%}")


# -- values ------------------------------------------------------------------------------------


def _read(model, sequences, tokens=1):
    passes = Passes((model,), batch_tokens=256)

    def read(outputs: Outputs) -> torch.Tensor:
        return outputs.logits.flatten(1)

    values = Runner(passes, 2).read(sequences, tokens, read)
    return passes, values


def values(model) -> Verdict | float:
    """Batches of other lengths, one and three tokens read."""
    rows = prompts()
    truth = [plain(model, ids) for ids in rows]
    passes, last = _read(model, rows)
    gap = off(last, torch.stack([logits[-1] for logits in truth]))
    _, three = _read(model, rows, 3)
    gap = max(gap, off(three, torch.stack([logits[-3:].flatten() for logits in truth])))
    if gap > ROUNDING:
        return gap
    padded = passes.state.ways is not None and passes.state.ways.padded
    return Verdict(RIGHT, "lengths share a batch" if padded else "one length a batch")


def shared_beginning(model) -> Verdict | float:
    """Prompts that begin alike, at lengths beyond windows."""
    rows = prompts((4, 5, 9, 3, 9, 14), SHARED)
    truth = torch.stack([plain(model, ids)[-1] for ids in rows])
    passes, last = _read(model, rows)
    gap = off(last, truth)
    if gap > ROUNDING:
        return gap
    shared = passes.state.ways is not None and passes.state.ways.shared
    return Verdict(RIGHT, "run once") if shared else Verdict(NONE, "run again with every prompt")


def prepacked(model) -> Verdict | float:
    """Linear layers in oneDNN's layout."""
    (ids,) = prompts((19,))
    packed = PackedLinears(64)
    truth = plain(model, ids)
    with torch.inference_mode(), packed.within(model):
        found = plain(model, ids)
    gap = off(found, truth)
    used = sum(kept is not None for kept in packed._kept.values())
    return Verdict(RIGHT, f"{used} layers") if gap <= ROUNDING else gap


def generation(model) -> Verdict:
    """Greedy text against argmax over growing prompts."""
    rows = prompts((5, 9, 14))
    new = Runner(Passes((model,)), 2).generate(rows, 5)
    for ids, found in zip(rows, new, strict=True):
        grown = list(ids)
        for token in found:
            logits = plain(model, grown)[-1]
            best = logits.topk(2).values
            tied = float(best[0] - best[1]) < ROUNDING * float(logits.max() - logits.min())
            if int(logits.argmax()) != token and not tied:
                return Verdict(WRONG, f"token {len(grown) - len(ids)} of a text is another one")
            grown.append(token)
        if len(found) < 5 and found[-1:] != [1]:
            return Verdict(WRONG, "a text ends without its end-of-text token")
    return Verdict(RIGHT)


# -- components --------------------------------------------------------------------------------


@contextmanager
def _weights_at_zero(model, site):
    """What feeds on the site's columns reads nothing of them."""
    module = model.get_submodule(site.module)
    kept, columns = module.weight, slice(site.columns.start, site.columns.stop)
    other = kept.detach().clone()
    groups = getattr(module, "n_groups", 1)
    if type(module).__name__ == "Conv1D":
        other[columns] = 0
    elif groups > 1:  # block-diagonal, (groups of outputs, columns of one group)
        group, start = divmod(columns.start, module.in_features)
        size = len(other) // groups
        other[group * size : (group + 1) * size, start : start + len(site.columns)] = 0
    else:
        other[:, columns] = 0
    module.weight = torch.nn.Parameter(other)  # of this module alone, where weights are tied
    try:
        yield
    finally:
        module.weight = kept


@contextmanager
def _nothing_given(model, site):
    def nothing(_, __, out):
        return (
            tuple(map(torch.zeros_like, out[:1])) + out[1:] if isinstance(out, tuple) else out * 0
        )

    hook = model.get_submodule(site.module).register_forward_hook(nothing)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _layer_skipped(model, site):
    def skipped(_, args, kwargs, out):
        given = args[0] if args else kwargs["hidden_states"]
        return (given, *out[1:]) if isinstance(out, tuple) else given

    hook = model.get_submodule(site.module).register_forward_hook(skipped, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _gated(model, found, without) -> float:
    """Each of some sites closed alone, in a batch with others and with none closed."""
    rows = [[*ids, 1] for ids in prompts((9, 12))]
    closed = np.ones((len(found) + 1, len(found)))
    closed[range(len(found)), range(len(found))] = 0

    def readout(model, ids, numbers):
        logits = model(input_ids=ids).logits
        return logits if logits.dim() == 2 else logits[:, -1]

    runner = gated_runner(Passes((model,)), found, rows)
    values = runner.run(closed, readout)
    gap = off(values[-1], torch.stack([answer(model, ids) for ids in rows]))
    moved = 0.0
    for number, site in enumerate(found):
        with without(model, site):
            truth = torch.stack([answer(model, ids) for ids in rows])
        gap = max(gap, off(values[number], truth))
        moved = max(moved, off(values[number], values[-1]))
    return gap if moved else float("inf")


def _layers_of(found) -> str:
    have = sorted({site.layer for site in found})
    return "" if have == list(range(LAYERS)) else f"in layers {', '.join(map(str, have))} of 4"


def heads(model) -> Verdict | float:
    """The columns of every head move together and alone; closing one is setting weights to 0."""
    return _columns(model, sites.heads(model))


def kv_groups(model) -> Verdict | float:
    """The columns of every group move with one key and with no other's."""
    return _columns(model, sites.kv_groups(model))


def _columns(model, found) -> Verdict | float:
    notes, makes = [], set()
    for layer in sorted({site.layer for site in found}):
        own = [site for site in found if site.layer == layer]
        if (make := _make(model, own)) in makes:
            continue
        makes.add(make)
        wrong, note = _not_as_one(model, own)
        if wrong:
            return Verdict(WRONG, wrong)
        notes.append(note)
    some = [found[0], found[-1]]
    gap = _gated(model, some if some[0] != some[1] else some[:1], _weights_at_zero)
    told = [*dict.fromkeys(note for note in notes if note), _layers_of(found)]
    return gap if gap > ROUNDING else Verdict(RIGHT, "; ".join(filter(None, told)))


def _make(model, own) -> tuple:
    """What tells one layer's attention from another's: its parts, their sizes, its sites."""
    place = own[0].module.rpartition(".")[0]
    parts = [
        (name, type(part).__name__, *(tuple(weight.shape) for weight in part.parameters(False)))
        for name, part in model.get_submodule(place).named_modules()
    ]
    shared = getattr(model.get_submodule(place), "is_kv_shared_layer", False)
    window = getattr(model.get_submodule(place), "sliding_window", None)
    return (tuple(parts), tuple(site.columns for site in own), shared, window)


def _not_as_one(model, own) -> tuple[str, str]:
    """Say which site's columns are not moved, all of them and no others, by one number inside.

    And what there is to be told: a norm over all heads before the projection, or keys that another
    layer computes, so that groups are seen as unions of heads only.
    """
    claimed = {frozenset(site.columns): site.name for site in own}
    everything = frozenset().union(*claimed)
    module = own[0].module
    place = module.rpartition(".")[0]
    while place and sum(map(_is_linear, model.get_submodule(place).modules())) < 2:
        place = place.rpartition(".")[0]  # of BERT, whose projection has a module of its own
    (ids,) = prompts((12,))
    parts = [
        f"{place}.{name}" if name else place
        for name, part in model.get_submodule(place).named_modules()
        if not list(part.children()) and f"{place}.{name}" != module
    ]
    seen: set[frozenset[int]] = set()
    for part in parts:
        seen |= moved_together(model, module, part, ids)
    if set(claimed) <= seen or set(claimed) == {everything}:
        return "", ""
    blocks = {s for s in seen if 1 < len(s) < len(everything) and len(s) == max(s) - min(s) + 1}
    whole = all(group == _union(b for b in blocks if b <= group) for group in claimed)
    apart = all(any(block <= group for group in claimed) for block in blocks)
    shared = getattr(model.get_submodule(module.rpartition(".")[0]), "is_kv_shared_layer", False)
    if own[0].name.split(".")[1].startswith("KV") and shared and whole and apart:
        return "", "keys of another layer"
    norms = [part for part in parts if "norm" in part.rpartition(".")[2].lower()]
    for norm in norms if not blocks else ():
        before: set[frozenset[int]] = set()
        for part in parts:
            if part != norm:
                before |= moved_together(model, norm, part, ids)
        if set(claimed) <= before:
            return "", f"{norm.rpartition('.')[2]} is over all heads"
    left = [name for columns, name in claimed.items() if columns not in seen]
    sizes = sorted({len(columns) for columns in seen if 1 < len(columns) < len(everything)})
    return f"{left[0]}: {len(own[0].columns)} columns, together move {sizes}", ""


def _is_linear(module) -> bool:
    return "Linear" in type(module).__name__ or type(module).__name__ == "Conv1D"


def _union(sets) -> frozenset[int]:
    return frozenset().union(*sets)


def moved_together(model, projection, part, ids) -> set[frozenset[int]]:
    """Which columns into a projection move, for every single number that a part gives."""
    known = vars(model).setdefault("_moved_together", {})
    if (projection, part) not in known:
        known[projection, part] = _moved_together(model, projection, part, ids)
    return known[projection, part]


def _moved_together(model, projection, part, ids) -> set[frozenset[int]]:
    width: list[int] = []
    seen: list[torch.Tensor] = []
    state = {"on": False}

    def nudge(_, __, out):
        first = out[0] if isinstance(out, tuple) else out
        if not isinstance(first, torch.Tensor) or not first.is_floating_point():
            return None
        flat = first.reshape(len(first), -1) if first.dim() < 3 else first
        size = flat[0, 0].numel() if flat.dim() > 2 else 0
        width[:] = [size]
        if not state["on"] or not size or len(first) != size + 1:
            return None
        other = first.clone().reshape(len(first), first.shape[1], size)
        number = torch.arange(size)
        other[number, :, number] += 0.5 + 0.1 * torch.arange(first.shape[1])
        other = other.reshape(first.shape)
        return (other, *out[1:]) if isinstance(out, tuple) else other

    hooks = [
        model.get_submodule(part).register_forward_hook(nudge),
        model.get_submodule(projection).register_forward_pre_hook(
            lambda _, args: seen.append(args[0].detach())
        ),
    ]
    try:
        with torch.inference_mode():
            model(input_ids=torch.tensor([ids]))
            if not width or not 1 < width[0] <= 400:
                return set()
            rows = torch.tensor([ids] * (width[0] + 1))
            seen.clear()
            state["on"] = True
            model(input_ids=rows)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        return set()
    given = seen[0].flatten(2) if seen[0].dim() == 4 else seen[0]
    given = given.reshape(len(rows), -1, given.shape[-1])
    away = (given[:-1] - given[-1:]).abs().amax(dim=1)
    moved = away > 1e-5 * float(given.abs().max())
    return {frozenset(row.nonzero().flatten().tolist()) for row in moved}


def mlps(model) -> Verdict | float:
    """A closed block gives nothing, whatever else its module has."""
    found = sites.mlps(model)
    gap = _gated(model, [found[0], found[-1]] if len(found) > 1 else [found[0]], _nothing_given)
    if gap > ROUNDING:
        return gap
    place = found[-1].module.rpartition(".")[0]
    if place.rpartition(".")[2].isdigit():
        return Verdict(RIGHT, _layers_of(found))
    left: list[float] = []

    def note(_, args, out):
        given = out[0] if isinstance(out, tuple) else out
        handed_on = any(given is arg or bool((given == arg).all()) for arg in args[1:])
        left.append(0.0 if handed_on else float(given.abs().max()))  # Bloom adds the residual here

    with _nothing_given(model, found[-1]):
        hook = model.get_submodule(place).register_forward_hook(note)
        plain(model, prompts((9,))[0])
        hook.remove()
    if left and max(left) > 1e-6 and place.rpartition(".")[2] in ("mlp", "ffn", "feed_forward"):
        return Verdict(WRONG, f"{place} gives something with {found[-1].name} closed")
    return Verdict(RIGHT, _layers_of(found))


def neurons(model) -> Verdict | float:
    """Closing one is setting its weights to 0."""
    last = max(site.layer for site in sites.mlps(model))
    return _gated(model, list(sites.neurons(model, last, range(6))), _weights_at_zero)


def layers(model) -> float:
    """A closed layer hands on what it is given."""
    found = sites.layers(model)
    return _gated(model, [found[1], found[-1]], _layer_skipped)


def from_layer_2(model) -> float:
    """The same with all below the first site run once."""
    found = sites.heads(model)
    late = [site for site in found if site.layer >= 2][:2]
    return _gated(model, late, _weights_at_zero)


def gradients(model) -> Verdict | float:
    """Derivatives by every gate against central differences, in float64."""
    exact = copy.deepcopy(model).double()
    if hasattr(exact, "set_experts_implementation"):
        exact.set_experts_implementation("eager")  # the grouped one takes no float64
    chosen = _some_sites(exact)
    rows = prompts((9,))

    def readout(model, ids, numbers):
        return model(input_ids=ids).logits[:, -1, 7:8]

    runner = gated_runner(Passes((exact,)), chosen, rows)
    gaps = []
    for start in (0.375, 0.5, 0.125):  # kinks and changes of expert lie between gates somewhere
        inside = start + 0.25 * np.arange(len(chosen))[None] / len(chosen)

        def differences(step, inside=inside):  # powers of 2, as gates are kept in float32
            shift = step * np.eye(len(chosen))
            near = np.concatenate([inside + shift, inside - shift])
            ahead, behind = np.split(runner.run(near, readout), 2)
            return (ahead - behind)[:, 0, 0] / (2 * step)

        truth = (4 * differences(2**-10) - differences(2**-9)) / 3
        slopes = runner.slopes(inside, readout)[0, 0]
        gaps.append(float(np.abs(slopes - truth).max() / (np.abs(truth).max() or 1.0)))
        if gaps[-1] <= 1e-3:
            return Verdict(RIGHT)
    return Verdict(WRONG, f"off by {min(gaps):.1%}")


def _some_sites(model) -> list[sites.Site]:
    chosen: list[sites.Site] = []
    for kind, at in ((sites.heads, -1), (sites.mlps, 0), (sites.layers, 2)):
        try:
            chosen.append(kind(model)[at])
        except SpexlensError as error:
            why = error
    if not chosen:
        raise why
    return chosen


# -- hiding ------------------------------------------------------------------------------------

_hidden: list[int] = []
_calls: list[int] = []


def _attention_without(module, query, key, value, attention_mask, **options):
    """Attention as it is written down, other tokens' keys at `_hidden` left out."""
    _calls.append(1)
    scaling = options.get("scaling") or query.shape[-1] ** -0.5
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(2, 3) * scaling
    if (cap := options.get("softcap")) is not None:
        scores = torch.tanh(scores / cap) * cap
    if attention_mask is not None:
        scores = scores + attention_mask[..., : key.shape[-2]]
    else:
        size = scores.shape[-1]
        scores = scores.masked_fill(~torch.ones(size, size).bool().tril(), float("-inf"))
    for place in _hidden:
        others = torch.arange(scores.shape[-2]) != place
        scores[..., others, place] = float("-inf")
    sinks = options.get("s_aux")
    if sinks is not None:
        sink = sinks.reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        weights = torch.cat([scores, sink], -1).softmax(-1)[..., :-1]
    else:
        weights = scores.softmax(-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights


ALL_ATTENTION_FUNCTIONS.register("zoo_hidden", _attention_without)
ALL_MASK_ATTENTION_FUNCTIONS.register("zoo_hidden", eager_mask)


def hiding(model) -> Verdict:
    """A hidden token is no one's key: by attention written down, or by another token in place."""
    lm = CausalLM(model, tiny_tokenizer(bos=False))
    text = " ".join(lm.tokenizer.convert_ids_to_tokens([4 + i % 20 for i in range(19)]))
    ids = lm.encode(text)
    check_hiding(lm, text)
    shown = plain(model, ids)[-1]
    worst, hidden = 0.0, []
    for place in (15, 3):  # within a window of 8, and before it
        visible = np.ones((1, len(ids)), dtype=bool)
        visible[0, place] = False
        words = [*range(4, 36)]
        found = hidden_from(lm, visible).next_token_logits([text], words)[0]
        hidden.append((place, found))
        other = text.split()
        other[place] = "fun"
        same = hidden_from(lm, visible).next_token_logits([" ".join(other)], words)[0]
        worst = max(worst, off(same, found))
    visible[:] = True
    worst = max(
        worst, off(hidden_from(lm, visible).next_token_logits([text], words)[0], shown[words])
    )
    if worst > ROUNDING:
        return Verdict(WRONG, f"a hidden token is seen, or a shown one not: {worst:.1%}")
    how = "by exchange"
    config = model.config.get_text_config()
    before = config._attn_implementation
    try:
        config._attn_implementation = "zoo_hidden"
        _calls.clear()
        if off(plain(model, ids)[-1], shown) <= ROUNDING and _calls:
            how = ""
            for place, found in hidden:
                _hidden[:] = [place]
                worst = max(worst, off(found, plain(model, ids)[-1][words]))
    except Exception as error:
        how = f"by exchange ({type(error).__name__})"
    finally:
        _hidden.clear()
        config._attn_implementation = before
    return Verdict(RIGHT, how) if worst <= ROUNDING else Verdict(WRONG, f"off by {worst:.1%}")


def hidden_beginning(model) -> Verdict:
    """Whether a prompt whose beginning is hidden is read as one without it."""
    lm = CausalLM(model, tiny_tokenizer(bos=False))
    text = " ".join(lm.tokenizer.convert_ids_to_tokens([4 + i % 20 for i in range(12)]))
    check_hiding(lm, text)
    visible = np.ones((1, 12), dtype=bool)
    visible[0, :3] = False
    words = [*range(4, 36)]
    found = hidden_from(lm, visible).next_token_logits([text], words)[0]
    gap = off(found, plain(model, lm.encode(text)[3:])[-1][words])
    return Verdict(RIGHT, "as without it" if gap <= ROUNDING else "other: positions are kept")


# -- classifiers -------------------------------------------------------------------------------


def class_values(model) -> Verdict | float:
    """Texts of other lengths in a batch."""
    rows = [[*ids, 1] for ids in prompts()]
    classifier = SequenceClassifier(model, tiny_tokenizer(bos=False))
    gap = off(classifier.token_logits(rows), torch.stack([answer(model, ids) for ids in rows]))
    if gap > ROUNDING:
        return gap
    state = classifier.passes.state
    return Verdict(RIGHT, "lengths share a batch" if state.pads and not state.alone else "alone")


def class_hiding(model) -> Verdict | float:
    """A hidden token can be another one, and a shown one cannot."""
    classifier = SequenceClassifier(model, tiny_tokenizer(bos=False, after=("<s>",)))
    text = " ".join(classifier.tokenizer.convert_ids_to_tokens([4 + i % 20 for i in range(19)]))
    hideable = np.ones(20, dtype=bool)
    hideable[-1] = False
    check_hiding_from(classifier, text, hideable)
    (ids,) = classifier.token_ids([text])
    gap = 0.0
    for place in (15, 3):
        visible = np.ones((1, len(ids)), dtype=bool)
        visible[0, place] = False
        other = list(ids)
        other[place] = 30
        hidden, exchanged = (classifier.token_logits([row], visible) for row in (ids, other))
        gap = max(gap, off(exchanged, hidden))
    return gap


CHECKS: dict[str, Callable[[Any], Verdict | float]] = {
    "values": values,
    "shared beginning": shared_beginning,
    "heads": heads,
    "key groups": kv_groups,
    "mlps": mlps,
    "neurons": neurons,
    "layers": layers,
    "from layer 2": from_layer_2,
    "gradients": gradients,
    "hiding": hiding,
    "hidden beginning": hidden_beginning,
    "prepacked": prepacked,
    "generation": generation,
}
"""What is asked of language models."""

CLASS_CHECKS: dict[str, Callable[[Any], Verdict | float]] = {
    "values": class_values,
    "heads": heads,
    "mlps": mlps,
    "layers": layers,
    "hiding": class_hiding,
}
"""What is asked of text classifiers."""
