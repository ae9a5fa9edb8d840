"""`spexlens trace`: which parts of a logged call act together on what was answered."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spexlens._support.files import write_text
from spexlens.cli.asked import Asked, AskOptions
from spexlens.cli.options import with_options
from spexlens.cli.printing import interaction_rows, print_record
from spexlens.cli.running import check_options, consoles, explain_and_show, loading
from spexlens.cli.terminal import escape
from spexlens.errors import InvalidInputError

if TYPE_CHECKING:
    from spexlens.explanation.result import Explanation
    from spexlens.lenses.base import LensGame
    from spexlens.lenses.calls.formats import Trace


@dataclass(frozen=True)
class CutArguments:
    """How a call is cut into players."""

    cut: tuple[str, ...] = ()
    fixed: tuple[int, ...] | None = None
    absent: str = "remove"
    filler: str | None = None

    def by_kind(self) -> dict[str, str]:
        """Read the options KIND=HOW; raise for what is none."""
        from spexlens.lenses.calls.lens import PART_KINDS

        read = {}
        for given in self.cut:
            kind, equals, how = (part.strip() for part in given.partition("="))
            if not equals or not how:
                raise InvalidInputError(
                    f"--cut {given!r} given; needed a kind of part and how it is cut, such as "
                    "system=sentences."
                )
            read[PART_KINDS.find(kind).name] = how
        return read

    def written(self) -> dict[str, Any]:
        """Give what was chosen, for config.toml."""
        given = asdict(self)
        return {name: value for name, value in given.items() if value not in (None, ())}


CutOption = Annotated[
    list[str] | None,
    typer.Option(
        help="How parts of a kind are cut: whole, fixed (always there), or one of {names of "
        "SEGMENTERS}. Kinds: {rows of PART_KINDS}. Repeat it for several.",
        metavar="KIND=HOW",
    ),
]
FixedOption = Annotated[
    list[int] | None,
    typer.Option(
        help="Number of a message that is always there; repeat it for several. By default the "
        "user's last one, unless --cut says how the user's are cut."
    ),
]
AbsentOption = Annotated[
    str, typer.Option(help="What an absent piece of text becomes. {rows of ABLATIONS}.")
]
FillerOption = Annotated[
    str | None, typer.Option(help="What replace and neutral write, default _ and ….")
]


@with_options
def trace(
    file: Annotated[
        Path,
        typer.Argument(help="JSON, or JSON by lines, of: {rows of TRACE_FORMATS}."),
    ],
    options: AskOptions,
    call: Annotated[
        str | None, typer.Option(help="Which of several calls: the id of its span, or its number.")
    ] = None,
    cut: CutOption = None,
    fixed: FixedOption = None,
    absent: AbsentOption = "remove",
    filler: FillerOption = None,
    scores_out: Annotated[
        Path | None,
        typer.Option(help="JSON with effects of every part, under the ids of the trace and span."),
    ] = None,
) -> None:
    """Find which parts of a logged call act together on its answer.

    Without a score it is that of the logged answer: its log-probability for a model here, the
    similarity of new answers to it on an endpoint.

    Example: spexlens trace call.json --endpoint http://localhost:8080/v1 --model llama
    --cut system=sentences --scores-out scores.json
    """
    from spexlens.lenses.calls.formats import find_trace, read_traces

    how = CutArguments(tuple(cut or ()), tuple(fixed) if fixed else None, absent, filler)
    how.by_kind()
    default = "similarity" if options.endpoint is not None else "response"
    asked = Asked(**options.asked())
    name = asked.score_name(default)
    check_options(options)
    found = find_trace(read_traces(file), call)
    if asked.response is None and name in _OF_RESPONSE and not found.answer.strip():
        raise InvalidInputError(
            f"{file} holds no answer of the call; needed --response or another --score."
        )
    output, _ = consoles(options)
    ids = ", ".join(filter(None, (found.trace_id, found.span_id))) or "no id"
    output.print(
        f"[bold]Log[/bold]      {found.form}, {escape(ids)}: {len(found.call.messages)} messages, "
        f"{len(found.call.tools)} tools, {len(found.documents)} retrieved documents, answered by "
        f"{escape(found.model or 'a model without a name')}",
        highlight=False,
    )
    for told in found.left_out:
        output.print(f"[bold]Not sent[/bold] {escape(told)}", highlight=False)
    game = game_of_call(asked, name, found, how, options.store, trusted=options.trust_remote_code)
    arguments = {"file": str(file), "call": call, **how.written()}
    explanation = explain_call(game, asked, options, "trace", arguments)
    if scores_out is not None:
        write_scores(scores_out, found, game, explanation, options)
        output.print(f"[bold]Scores[/bold]   {escape(str(scores_out))}", highlight=False)


_OF_RESPONSE = ("response", "similarity", "exact", "perplexity")


def game_of_call(
    asked: Asked,
    score: str,
    found: Trace,
    how: CutArguments,
    store: Path | None,
    *,
    trusted: bool = False,
) -> LensGame:
    """Make the game of a call, by a model here or one behind an endpoint."""
    from spexlens.cli.endpoint_games import prepared_game
    from spexlens.lenses.calls.game import trace_game
    from spexlens.lenses.calls.lens import CallLens
    from spexlens.lenses.text.response_scores import ResponseLogProbability

    made = asked.made_score(score, found.answer)
    with loading(asked.endpoint or asked.model):
        if asked.endpoint is not None:
            lens = CallLens(
                found.call, how.by_kind(), found.documents, how.fixed, how.absent, how.filler,
                left_out=found.left_out,
            )  # fmt: skip
            endpoint = asked.made_endpoint(chat=True)
            return prepared_game(asked, lens, lens.prompt, made, endpoint, store)
        model = _model(asked.model, trusted)
        if isinstance(made, ResponseLogProbability):  # it follows the template directly
            made = ResponseLogProbability(made.response, separator="")
        return trace_game(
            found, model, score=made, cut=how.by_kind(), fixed=how.fixed, absent=how.absent,
            fillers=how.filler,
        )  # fmt: skip


@cache
def _model(name: str, trusted: bool) -> Any:
    """Load a model once, for all inputs of a run."""
    from spexlens.models.zoo import load_model

    return load_model(name, trust_remote_code=trusted)


def explain_call(
    game: LensGame, asked: Asked, options: AskOptions, command: str, arguments: dict[str, Any]
) -> Explanation:
    """Print what is asked, explain it, and tell what an endpoint's values lack."""
    output, _ = consoles(options)
    plan = game.describe()
    output.print(
        f"[bold]Plan[/bold]     {plan['players']} players, {escape(plan['model'])}, "
        f"{escape(plan['score'])}, {plan['tokens']} tokens a full call",
        highlight=False,
    )
    explanation = explain_and_show(game, options, command, arguments)
    if asked.endpoint is not None:
        print_record(output, game)
    return explanation


def write_scores(
    path: Path, found: Trace, game: LensGame, explanation: Explanation, options: AskOptions
) -> Path:
    """Write effects of every part as JSON, under the ids by which a trace's store joins them."""
    from spexlens.lenses.calls.lens import CallLens

    assert isinstance(game.lens, CallLens)
    interactions = explanation.interactions(options.index, options.order)
    rows = interaction_rows(interactions)
    single = {row["players"][0]: row for row in rows if len(row["players"]) == 1}
    parts = [
        {
            "kind": part.kind, "name": part.name, "places": [list(place) for place in part.places],
            "tool_call_id": part.call, "tool": part.tool, **_effect(single.get(number)),
        }
        for number, part in enumerate(game.lens.parts)
    ]  # fmt: skip
    data = {
        "trace_id": found.trace_id,
        "span_id": found.span_id,
        "logged_model": found.model,
        "asked": game.describe()["model"],
        "score": game.describe()["score"],
        "index": interactions.index,
        "full_value": explanation.full_value,
        "empty_value": explanation.empty_value,
        "fidelity": explanation.fidelity.to_dict(),
        "parts": parts,
        "interactions": [row for row in rows if len(row["players"]) > 1],
        "notes": list(explanation.notes),
    }
    return write_text(path, json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def _effect(row: dict[str, Any] | None) -> dict[str, Any]:
    """Give a part's own effect; 0 where the spectrum has none of it."""
    if row is None:
        return {"effect": 0.0}
    return {name: value for name, value in row.items() if name not in ("players", "names", "order")}
