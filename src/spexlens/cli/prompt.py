"""`spexlens prompt` and `demo`: which pieces of a text act together on what a model says."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from spexlens.cli import demo_case
from spexlens.cli.options import RunOptions, read_text, with_options
from spexlens.cli.prompt_games import PromptArguments, endpoint_game, local_game
from spexlens.cli.running import check_options, consoles, explain_and_show, loading
from spexlens.cli.terminal import escape

if TYPE_CHECKING:
    from spexlens.lenses.base import LensGame

_DEMO_BUDGET = "400"


@with_options
def prompt(
    text: Annotated[
        str,
        typer.Option(
            help="The text whose pieces are ablated; - reads stdin, @file a file.",
            callback=read_text,
        ),
    ],
    options: RunOptions,
    answers: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Two answers: the score is how far the first is ahead."),
    ] = None,
    response: Annotated[
        str | None,
        typer.Option(help="Or a response: the score is its log-probability.", callback=read_text),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(
            help="{rows of PROMPT_SCORES}. Of endpoints: {rows of ENDPOINT_SCORES}. Default by "
            "what is given."
        ),
    ] = None,
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
    model: Annotated[
        str, typer.Option(help="smollm2, a folder, or a hub name; an endpoint's name for it.")
    ] = "smollm2",
    endpoint: Annotated[
        str | None, typer.Option(help="URL of an OpenAI-compatible endpoint, such as http://…/v1.")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Of endpoints: send the prompt as a chat message.")
    ] = False,
    system: Annotated[
        str | None, typer.Option(help="Of chats: a system message.", callback=read_text)
    ] = None,
    key_variable: Annotated[
        str, typer.Option(help="Environment variable with the endpoint's key, if it needs one.")
    ] = "OPENAI_API_KEY",
    top_tokens: Annotated[
        int | None,
        typer.Option(
            help="Of endpoints: likeliest next tokens to ask for; by default as many as the "
            "server gives, 500 at most.",
            min=2,
        ),
    ] = None,
    samples: Annotated[int, typer.Option(help="Texts a prompt, for share.", min=2)] = 10,
    answer_tokens: Annotated[
        int, typer.Option(help="Longest text, its reasoning counted, for share.", min=1)
    ] = 8,
    concurrency: Annotated[int, typer.Option(help="Requests at the same time.", min=1)] = 8,
    prices: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Money for a million tokens of prompts, and of answers."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="Of endpoints: a further field of each request, name=value, the value being JSON "
            "or text; null takes it out. Repeat it for several.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    on_refusal: Annotated[
        str,
        typer.Option(
            help="Of endpoints: whether a prompt refused for good ends the run (raise) or is left "
            "out and counted (skip)."
        ),
    ] = "raise",
) -> None:
    """Find which pieces of a text act together on what a model says.

    Example: spexlens prompt --text "It never fails." --template "Review: {text}\\nSentiment:"
    --answers positive negative --budget auto --out run

    Example: spexlens prompt --text "It never fails." --template "Is this praise? {text}" --chat
    --endpoint http://localhost:8080/v1 --model llama --answers yes no --budget 200
    """
    arguments = PromptArguments(
        sys.stdin.read() if text == "-" else text, answers, response, score,
        template.replace("\\n", "\n"), segmenter, absent, filler, model, endpoint, chat, system,
        key_variable, top_tokens, samples, answer_tokens, concurrency, prices,
        tuple(option) if option else None, on_refusal,
    )  # fmt: skip
    _explain(arguments, options)


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
        PromptArguments(demo_case.TEXT, demo_case.ANSWERS, template=demo_case.TEMPLATE), chosen
    )


def _explain(arguments: PromptArguments, options: RunOptions) -> None:
    checked = arguments.checked()
    check_options(options)
    output, _ = consoles(options)
    with loading(arguments.endpoint or arguments.model):
        game = _game(checked)
    plan = game.describe()
    output.print(
        f"[bold]Plan[/bold]     {plan['players']} players, {escape(plan['model'])}, "
        f"{escape(plan['score'])}, {plan['tokens']} tokens a full prompt",
        highlight=False,
    )
    explain_and_show(game, options, "prompt", asdict(arguments))
    if arguments.endpoint is not None:
        _print_record(output, game)


def _game(arguments: PromptArguments) -> LensGame:
    if arguments.endpoint is not None:
        return endpoint_game(arguments)
    from spexlens.models.zoo import load_model

    return local_game(arguments, load_model(arguments.model))


def _print_record(output: Console, game: LensGame) -> None:
    """Print what the endpoint's values lack: answers that were not returned, noise of samples."""
    from spexlens.lenses.endpoint.subject import EndpointSubject

    assert isinstance(game.subject, EndpointSubject)
    record, spent = game.subject.record(), game.spent()
    told = f"{record.values} prompts asked"
    if record.bounded:
        told += f"; in {record.bounded} an answer was not among the tokens returned"
    if record.partial:
        told += f"; in {record.partial} spellings of one may not be"
    if record.refused:
        told += f"; {record.refused} brought no value and were left out"
    if record.unanswered:
        told += f"; {record.unanswered} samples held no answer"
    if record.noise_variance:
        told += f"; variance of the sampling noise {record.noise_variance:.3g}"
    if spent:
        told += f"; paid {spent}"
    output.print(f"[bold]Endpoint[/bold] {escape(told)}", highlight=False)
