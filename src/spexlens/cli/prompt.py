"""`spexlens prompt` and `spexlens demo`: which words of a text act together on an answer."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from spexlens.cli import demo_case
from spexlens.cli.options import RunOptions, with_options
from spexlens.cli.running import check_options, consoles, explain_and_show, loading

_DEMO_BUDGET = "400"


@dataclass(frozen=True)
class _Arguments:
    """What is asked of which model."""

    text: str
    answers: tuple[str, str]
    model: str = "smollm2"
    template: str = "{text}"
    segmenter: str = "words"


@with_options
def prompt(
    text: Annotated[str, typer.Option(help="The text whose pieces are ablated; - reads stdin.")],
    answers: Annotated[
        tuple[str, str], typer.Option(help="Two answers: the score is logit(first) - logit(second)")
    ],
    options: RunOptions,
    model: Annotated[str, typer.Option(help="smollm2, a folder, or a hub name.")] = "smollm2",
    template: Annotated[str, typer.Option(help="The prompt, with {text} once.")] = "{text}",
    segmenter: Annotated[str, typer.Option(help="How the text is cut into players.")] = "words",
) -> None:
    """Find which words of a text act together on a model's choice between two answers.

    Example: spexlens prompt --text "It never fails." --template "Review: {text}\\nSentiment:"
    --answers positive negative --budget auto --out run
    """
    text = sys.stdin.read() if text == "-" else text
    arguments = _Arguments(text, answers, model, template.replace("\\n", "\n"), segmenter)
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
    _explain(_Arguments(demo_case.TEXT, demo_case.ANSWERS, template=demo_case.TEMPLATE), chosen)


def _explain(arguments: _Arguments, options: RunOptions) -> None:
    from spexlens.lenses.prompt import prompt_game
    from spexlens.models import zoo

    check_options(options)
    output, _ = consoles(options)
    with loading(arguments.model):
        game = prompt_game(
            zoo.load(arguments.model), arguments.text, arguments.template,
            answers=arguments.answers, segmenter=arguments.segmenter,
        )  # fmt: skip
    plan = game.describe()
    output.print(
        f"[bold]Plan[/bold]     {plan['players']} players, {plan['model']}, {plan['score']}, "
        f"{plan['tokens']} tokens a full prompt",
        highlight=False,
    )
    explain_and_show(game, options, "prompt", asdict(arguments))
