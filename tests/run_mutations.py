"""Run files changed at random, and every door of a run that they may come in by."""

from __future__ import annotations

import copy
import io
import json
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import spexlens as sx
from spexlens.cli.options import ShowOptions
from spexlens.cli.printing import print_explanation, print_json
from spexlens.cli.saved import compared_rows
from spexlens.cli.terminal import Terminal
from spexlens.interop import to_networkx, to_shapiq
from spexlens.plots.table import PLOTS
from tests.strategies import random_sparse

HOSTILE = (
    None, True, False, 0, -1, 1, 2, 63, 64, 10**6, 2**53, 2**63, -(2**63), 10**400, 0.5, -0.5,
    1e-320, 1e308, -1e308, float("nan"), float("inf"), -float("inf"), "", "x", "0", "\x1b[31m",
    "\x00", "\u202e", "\ud800", "$x^", "=1+1", "L" + "9" * 5000 + ".H0", "<script>", "a" * 5000, [],
    {}, [[]], [None], {"": 0}, [[[[1]]]], [1, [2]], {"a": {"b": [1, {"c": None}]}},
)  # fmt: skip
"""What stands in the place of any field."""
_KINDS = (
    "alike", "alike", "alike", "alike", "scale", "scale", "replace", "drop", "copy", "wrap",
    "other", "shorten", "extra",
)  # fmt: skip


def runs() -> list[dict[str, Any]]:
    """Make run files of several kinds, as their JSON: texts, components, several lenses, flat."""
    rng = np.random.default_rng(0)
    words = ["the", "film", "was", "not", "good", ",", "and", "not", "bad", "either", "."]
    text, spans, at = " ".join(words), [], 0
    for word in words:
        spans.append([at, at + len(word)])
        at += len(word) + 1
    lens = {"kind": "prompt", "text": text, "spans": spans, "template": "Review: {text}\n"}
    prompt = sx.explain(
        _named(random_sparse(len(words), 8, 3, rng), words), 120, "kernelspex", rng=0,
        until=sx.Fidelity(r2=0.999),
    )  # fmt: skip
    lines = {"by interactions": [(0, 1.5), (1, -0.25)], "by single effects": [(0, 1.5), (1, 0.5)]}
    prompt = replace(prompt, manifest={**prompt.manifest, "game": {"lens": lens}}, removal=lines)
    heads = [f"L{layer}.H{head}" for layer in range(3) for head in range(4)]
    components = sx.explain(
        _named(random_sparse(12, 10, 2, rng), heads), 100, "pairwise", rng=0,
        p=np.linspace(0.4, 0.9, 12),
    )  # fmt: skip
    joint = sx.explain(
        _named(random_sparse(12, 8, 2, rng), [*words, "x"]), 90, "lasso", rng=0, index="SII"
    )
    game = {"lenses": {"words": [0, 5], "heads": [5, 12]}}
    joint = replace(joint, manifest={**joint.manifest, "game": game})
    flat = sx.explain(sx.FunctionGame(lambda m: np.ones((len(m), 2)), 4), 16, "exact")
    return [_data(run) for run in (prompt, components, joint, flat)]


def _named(function: Callable[..., Any], names: list[str]) -> sx.FunctionGame:
    return sx.FunctionGame(function, names)


def _data(run: sx.Explanation) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        data: dict[str, Any] = json.loads(run.save(Path(folder) / "run.json").read_text("utf-8"))
    return data


def mutated(data: dict[str, Any], rng: np.random.Generator) -> str:
    """Change a run file in one to three places; return its text."""
    data = copy.deepcopy(data)
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        _change(data, rng)
    text = json.dumps(data, ensure_ascii=bool(rng.integers(2)))
    if rng.random() < 0.03:
        at = int(rng.integers(len(text)))
        text = text[:at] + str(rng.choice(["", '"', "{", "NaN", "\\ud800"])) + text[at + 1 :]
    return text


def _change(data: dict[str, Any], rng: np.random.Generator) -> None:
    at: Any = data
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = keys[int(rng.integers(len(keys)))]
        if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.6:
            at = at[key]
            continue
        break
    kind = str(rng.choice(_KINDS))
    alike = [value for value in HOSTILE if type(value) is type(at[key])]
    if kind == "alike" and alike:
        at[key] = copy.deepcopy(alike[int(rng.integers(len(alike)))])
    elif kind == "drop":
        del at[key]
    elif kind == "copy" and isinstance(at, list):
        at.insert(int(rng.integers(len(at) + 1)), copy.deepcopy(at[key]))
    elif kind == "wrap":
        at[key] = [at[key]] if rng.random() < 0.5 else {"x": at[key]}
    elif kind == "other":  # what stands elsewhere in the file
        names = list(data)
        at[key] = copy.deepcopy(data.get(names[int(rng.integers(len(names)))]))
    elif kind == "scale" and isinstance(at[key], int | float):
        at[key] = at[key] * float(rng.choice([-1.0, 1e6, 1e-300, 1e300, 0.5]))
    elif kind == "shorten" and isinstance(at[key], str | list) and at[key]:
        at[key] = at[key][: int(rng.integers(len(at[key])))]
    elif kind == "extra":
        value = copy.deepcopy(HOSTILE[int(rng.integers(len(HOSTILE)))])
        if isinstance(at, dict):
            at["extra"] = value
        else:
            at.append(value)
    else:
        at[key] = copy.deepcopy(HOSTILE[int(rng.integers(len(HOSTILE)))])


def doors(
    path: Path, folder: Path, plots: Iterable[str] = tuple(PLOTS)
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what can be done with a run file; the first is to load it, the only one if refused."""
    loaded: list[sx.Explanation] = []
    yield "load", lambda: loaded.append(sx.load(path))
    for run in loaded:
        yield from _doors_of(run, folder)
        if plots:
            yield "plot", run.plot
        for name in plots:
            yield f"plot {name}", partial(_draw, PLOTS[name], run)


def _doors_of(run: sx.Explanation, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "repr", lambda: (repr(run), str(run), run._repr_html_())
    yield "show", lambda: print_explanation(_terminal(), run, None, None, 10)
    yield "show --json", lambda: _quiet(lambda: print_json(run, None, None, 10))
    yield "compare", lambda: compared_rows([run, run], ShowOptions())
    yield "report", lambda: run.report(folder / "page.html")
    yield "predict", lambda: run.predict(run.masks)
    yield "save", lambda: sx.load(run.save(folder / "again.json"))
    yield "score", lambda: run.score(run.masks, run.values)
    yield "pairs", run.pairs
    for name in sx.INDICES:
        yield f"interactions {name}", partial(run.interactions, name)
    found: list[sx.Interactions] = []
    yield "interactions", lambda: found.append(run.interactions())
    for effects in found:
        yield "to_frame", effects.to_frame
        yield "to_json", partial(_there_and_back, effects)
        yield "to_networkx", partial(to_networkx, effects)
        yield "to_shapiq", partial(to_shapiq, effects)
        yield "normalised", partial(run.normalised, effects)


def faults(text: str, folder: Path, plots: Iterable[str] = tuple(PLOTS)) -> tuple[bool, list[str]]:
    """Tell whether a run file is refused, and which doors raised other errors than ours."""
    path = folder / "run.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    bare, refused = [], False
    for name, act in doors(path, folder, plots):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                act()
            except sx.errors.SpexlensError:
                refused |= name == "load"
            except Exception as error:
                bare.append(f"{name}: {type(error).__name__}: {str(error)[:100]}")
    return refused, bare


def _there_and_back(effects: sx.Interactions) -> None:
    assert sx.Interactions.from_json(effects.to_json()) == effects


def _terminal() -> Terminal:
    return Terminal(file=io.StringIO(), width=100)


def _quiet(act: Callable[[], object]) -> None:
    with redirect_stdout(io.StringIO()):
        act()


def _draw(row: Any, run: sx.Explanation) -> None:
    arguments = row.arguments(run)
    if arguments is not None:
        row.draw(*arguments).get_figure(root=True).savefig(io.BytesIO(), format="png", dpi=40)
