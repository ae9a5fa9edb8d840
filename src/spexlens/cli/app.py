"""The commands of `spexlens`, and how their errors are shown."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from spexlens import __version__
from spexlens.algorithms import find_algorithm
from spexlens.cli import demo as demo_case
from spexlens.cli.printing import (
    hide_loading_bars,
    print_explanation,
    show_warning,
    shown_progress,
    write_results,
)
from spexlens.errors import InvalidInputError, SpexlensError
from spexlens.explanation import Explanation, load
from spexlens.fidelity import Fidelity
from spexlens.front_door import explain
from spexlens.indices import find_index
from spexlens.stopping import Stable, StoppingRule

app = typer.Typer(
    name="spexlens",
    help="Find the interactions that drive a language model's output, by ablation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console = Console()

Budget = Annotated[
    str | None,
    typer.Option(help="Ablations, at most, or auto: until more bring little. Default 2 n log2 n."),
]
UntilR2 = Annotated[
    float | None, typer.Option(help="Stop early once R2 on held-out masks is so high.")
]
UntilStable = Annotated[
    int | None, typer.Option(help="Stop early once so many strongest effects stay the same.", min=1)
]
Algorithm = Annotated[str, typer.Option(help="Which algorithm recovers the interactions.")]
Seed = Annotated[int, typer.Option(help="Seeds everything.", min=0)]
Index = Annotated[str, typer.Option(help="Interaction index of the table.")]
Order = Annotated[int | None, typer.Option(help="Highest order of the index.")]
Top = Annotated[int, typer.Option(help="Rows of the table.", min=1)]
Out = Annotated[Path | None, typer.Option(help="Folder for run.json, report.html and pictures.")]


@app.command()
def demo(
    budget: Annotated[int, typer.Option(help="Ablations, at most.")] = 400,
    algorithm: Algorithm = "auto",
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("spexlens-demo"),
) -> None:
    """Explain why SmolLM2 calls a movie review positive: about two minutes on a laptop."""
    console.print(f"[bold]Review[/bold]  {demo_case.TEXT}", highlight=False)
    explanation = _explain_prompt(
        "smollm2",
        demo_case.TEXT,
        demo_case.TEMPLATE,
        demo_case.ANSWERS,
        budget,
        algorithm,
        seed,
        out,
    )
    print_explanation(console, explanation, "FBII", order=None, top=15)
    write_results(console, explanation, out)


@app.command()
def prompt(
    text: Annotated[str, typer.Option(help="The text whose words are ablated; - reads it.")],
    answers: Annotated[
        tuple[str, str], typer.Option(help="Two answers: the score is logit(first) - logit(second)")
    ],
    model: Annotated[str, typer.Option(help="smollm2, a folder, or a hub name.")] = "smollm2",
    template: Annotated[str, typer.Option(help="The prompt, with {text} once.")] = "{text}",
    budget: Budget = None,
    until_r2: UntilR2 = None,
    until_stable: UntilStable = None,
    algorithm: Algorithm = "auto",
    seed: Seed = 0,
    index: Index = "FBII",
    order: Order = None,
    top: Top = 15,
    out: Out = None,
) -> None:
    """Find which words of a text act together on a model's choice between two answers."""
    text = sys.stdin.read() if text == "-" else text
    template = template.replace("\\n", "\n")
    find_index(index)
    until = _until(until_r2, until_stable)
    explanation = _explain_prompt(
        model, text, template, answers, _budget(budget), algorithm, seed, out, until
    )
    print_explanation(console, explanation, index, order, top)
    if out is not None:
        write_results(console, explanation, out)


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="A run.json that spexlens saved.")],
    index: Index = "FBII",
    order: Order = None,
    top: Top = 15,
    out: Out = None,
) -> None:
    """Print a saved run again, under any index, without measuring anything."""
    explanation = load(run)
    print_explanation(console, explanation, index, order, top)
    if out is not None:
        write_results(console, explanation, out)


@app.command()
def version() -> None:
    """Print the version."""
    console.print(__version__)


def main() -> None:
    """Run the command line; errors that spexlens raises on purpose end it without a traceback."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            app()
    except (SpexlensError, OSError) as error:
        Console(stderr=True).print(f"[red]error:[/red] {escape(str(error))}", highlight=False)
        raise SystemExit(2) from error


def _explain_prompt(
    model_name: str,
    text: str,
    template: str,
    answers: tuple[str, str],
    budget: int | str | None,
    algorithm: str,
    seed: int,
    out: Path | None,
    until: StoppingRule | Fidelity | None = None,
) -> Explanation:
    """Explain one text; what can be checked without a model is checked before it is loaded."""
    from spexlens.lenses.prompt import prompt_game
    from spexlens.models import zoo

    find_algorithm(algorithm)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with console.status(f"loading {model_name}"):
        hide_loading_bars()
        game = prompt_game(zoo.load(model_name), text, template, answers=answers)
    plan = game.describe()
    console.print(
        f"[bold]Plan[/bold]    {plan['players']} players, {plan['model']}, {plan['score']}, "
        f"{plan['tokens']} tokens a full prompt",
        highlight=False,
    )
    with shown_progress(console) as progress:
        return explain(game, budget, algorithm, rng=seed, until=until, progress=progress)


def _budget(text: str | None) -> int | str | None:
    if text is None or text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise InvalidInputError(
            f"--budget {text} given; needed a whole number of ablations, or auto."
        ) from None


def _until(r2: float | None, stable: int | None) -> StoppingRule | Fidelity | None:
    if r2 is not None and stable is not None:
        raise InvalidInputError("--until-r2 and --until-stable were both given; choose one.")
    if r2 is not None:
        return Fidelity(r2=r2)
    return None if stable is None else Stable(top=stable)
