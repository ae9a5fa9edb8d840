"""`spexlens prompt` and `demo`: which pieces of a text act together on what a model says."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from spexlens.cli import demo_case
from spexlens.cli.asked import Asked, AskOptions
from spexlens.cli.inputs import game_of_inputs, print_over_inputs, read_inputs
from spexlens.cli.options import RunOptions, read_text, with_options
from spexlens.cli.printing import print_record
from spexlens.cli.prompt_games import PromptArguments, game_of_text
from spexlens.cli.running import check_options, consoles, explain_and_show
from spexlens.cli.terminal import escape
from spexlens.cli.trace import (
    CutArguments,
    CutOption,
    FixedOption,
    explain_call,
    game_of_call,
)
from spexlens.errors import InvalidInputError

_DEMO_BUDGET = "400"


@with_options
def prompt(
    options: AskOptions,
    text: Annotated[
        str | None,
        typer.Option(
            help="The text whose pieces are ablated; - reads stdin, @file a file.",
            callback=read_text,
        ),
    ] = None,
    messages: Annotated[
        Path | None,
        typer.Option(
            help="Or a chat whose messages and tools are players: JSON, a list of messages, or "
            "an object with messages and tools."
        ),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            help="Of --messages: JSON by lines, each with an input and perhaps its response or "
            "answers; it goes where {input} stands, else last. Effects are means over them."
        ),
    ] = None,
    cut: CutOption = None,
    fixed: FixedOption = None,
    template: Annotated[
        str, typer.Option(help="The prompt, with {text} once.", callback=read_text)
    ] = "{text}",
    segmenter: Annotated[str, typer.Option(help="Players: {names of SEGMENTERS}.")] = "words",
    absent: Annotated[
        str, typer.Option(help="What an absent piece becomes. {rows of ABLATIONS}.")
    ] = "remove",
    filler: Annotated[
        str | None, typer.Option(help="What replace and neutral write, default _ and ….")
    ] = None,
    chat: Annotated[
        bool,
        typer.Option("--chat", help="Ask by a chat: the endpoint's, or the model's own template."),
    ] = False,
    system: Annotated[
        str | None, typer.Option(help="Of chats: a system message.", callback=read_text)
    ] = None,
) -> None:
    """Find which pieces of a text act together on what a model says.

    Example: spexlens prompt --text "It never fails." --template "Review: {text}\\nSentiment:"
    --answers positive negative --budget auto --out run

    Example: spexlens prompt --text "It never fails." --template "Is this praise? {text}" --chat
    --endpoint http://localhost:8080/v1 --model llama --answers yes no --budget 200

    Example: spexlens prompt --messages chat.json --cut system=list_items --cut user=words
    --answers yes no
    """
    if messages is not None:
        if text is not None or template != "{text}" or system is not None:
            raise InvalidInputError(
                "--messages was given with --text, --template or --system; a chat holds all of it."
            )
        how = CutArguments(tuple(cut or ()), tuple(fixed) if fixed else None, absent, filler)
        if inputs is not None:
            _explain_inputs(messages, inputs, how, options)
        else:
            _explain_chat(messages, how, options)
        return
    if text is None:
        raise InvalidInputError("neither --text nor --messages was given; needed one of both.")
    if cut or fixed or inputs is not None:
        raise InvalidInputError(
            "--cut, --fixed and --inputs are for --messages; a text has --segmenter."
        )
    arguments = PromptArguments(
        **options.asked(), text=sys.stdin.read() if text == "-" else text,
        template=template.replace("\\n", "\n"), segmenter=segmenter, absent=absent,
        filler=filler, chat=chat, system=system,
    )  # fmt: skip
    _explain(arguments, options, trusted=options.trust_remote_code)


@with_options
def demo(options: RunOptions) -> None:
    """Explain why SmolLM2 calls a movie review positive: about two minutes on a laptop.

    Example: spexlens demo --out demo
    """
    chosen = replace(
        options,
        budget=options.budget or _DEMO_BUDGET,
        out=options.out or Path("spexlens-demo"),
    )
    output, _ = consoles(chosen)
    output.print(f"[bold]Review[/bold]   {demo_case.TEXT}", highlight=False)
    _explain(
        PromptArguments(
            text=demo_case.TEXT, answers=demo_case.ANSWERS, template=demo_case.TEMPLATE
        ),
        chosen,
    )


def _explain_chat(file: Path, how: CutArguments, options: AskOptions) -> None:
    from spexlens.lenses.calls.formats import find_trace, read_traces

    how.by_kind()
    asked = Asked(**options.asked())
    name = asked.score_name()
    check_options(options)
    game = game_of_call(
        asked,
        name,
        find_trace(read_traces(file)),
        how,
        options.store,
        trusted=options.trust_remote_code,
    )
    explain_call(game, asked, options, "prompt", {"messages": str(file), **how.written()})


def _explain_inputs(file: Path, inputs: Path, how: CutArguments, options: AskOptions) -> None:
    """Explain a chat over several inputs: the mean of their scores, and effects on each."""
    from spexlens.lenses.calls.formats import find_trace, read_traces
    from spexlens.studies.inputs import over_inputs

    how.by_kind()
    chat = find_trace(read_traces(file))
    rows = read_inputs(inputs)
    asked = [Asked(**{**options.asked(), **row.told}) for row in rows]
    for one in asked:
        one.score_name()
    check_options(options)
    game = game_of_inputs(asked, chat, rows, how, options.store, trusted=options.trust_remote_code)
    arguments = {"messages": str(file), "inputs": str(inputs), **how.written()}
    explanation = explain_and_show(game, options, "prompt", arguments)
    output, _ = consoles(options)
    if len(rows) > 1:
        print_over_inputs(
            output, over_inputs(explanation, options.top, options.index, options.order)
        )


def _explain(arguments: PromptArguments, options: RunOptions, *, trusted: bool = False) -> None:
    checked = arguments.checked()
    check_options(options)
    output, _ = consoles(options)
    game = game_of_text(checked, options.store, trusted=trusted)
    plan = game.describe()
    output.print(
        f"[bold]Plan[/bold]     {plan['players']} players, {escape(plan['model'])}, "
        f"{escape(plan['score'])}, {plan['tokens']} tokens a full prompt",
        highlight=False,
    )
    explain_and_show(game, options, "prompt", asdict(arguments))
    if arguments.endpoint is not None:
        print_record(output, game)
