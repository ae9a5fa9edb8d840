"""`spexlens heads`: which heads of a model act together on its answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from spexlens.cli.options import ModelOptions, RunOptions, with_options
from spexlens.cli.paid import values_kept
from spexlens.cli.printing import shown_progress
from spexlens.cli.running import (
    asked,
    check_options,
    consoles,
    explain_and_show,
    loading,
    open_store,
)
from spexlens.cli.terminal import escape
from spexlens.errors import InvalidInputError
from spexlens.lenses.components.scores import COMPONENT_SCORES, find_score

if TYPE_CHECKING:
    from spexlens.explanation.result import Explanation
    from spexlens.lenses.base import LensGame
    from spexlens.lenses.components.questions import Question
    from spexlens.models.gating.sites import Site
    from spexlens.studies.pruning import PruningCurve

_SETS, _GROUPS = 20, 3  # groups that the strongest sets join, and how many are shown


@dataclass(frozen=True)
class _Arguments:
    """Which components of which model, and what they are judged by."""

    prompts: Path
    model: str
    sites: str
    layers: str | None
    score: str
    absent: str
    edges: Path | None
    prune: Path | None


@dataclass(frozen=True)
class _Options(ModelOptions):
    """Those of every run; `p` has another default."""

    p: Annotated[
        float | None,
        typer.Option(
            help="Keep probability of the masks; measured first by default, with 98 ablations."
        ),
    ] = None


@with_options
def heads(
    prompts: Annotated[
        Path,
        typer.Option(help='File of lines such as {"prompt": "…", "answer": "…", "wrong": ["…"]}.'),
    ],
    options: _Options,
    model: Annotated[str, typer.Option(help="smollm2, a folder, or a hub name.")] = "smollm2",
    sites: Annotated[str, typer.Option(help="{rows of SITES}.")] = "heads",
    layers: Annotated[str | None, typer.Option(help="Only these layers, such as 0,3,6.")] = None,
    score: Annotated[str, typer.Option(help="{rows of COMPONENT_SCORES}.")] = "margin",
    absent: Annotated[
        str, typer.Option(help="What an absent one gives: zero, mean or resample.")
    ] = "mean",
    edges: Annotated[
        Path | None, typer.Option(help="Write all pairs to this .csv or .json file.")
    ] = None,
    prune: Annotated[
        Path | None, typer.Option(help="Held-out prompts, to answer with shares of the heads kept.")
    ] = None,
) -> None:
    """Find which heads of a model act together on its answers, and which it can do without.

    Without --p, the keep probability is measured first, with 98 ablations beyond the budget;
    masks that follow an index (--index) need none.

    Example: spexlens heads --prompts questions.jsonl --layers 0,10,20 --budget 600 --out run
    """
    arguments = _Arguments(prompts, model, sites, layers, score, absent, edges, prune)
    check_options(options)
    if edges is not None and edges.suffix not in (".csv", ".json"):
        raise InvalidInputError(f"--edges {edges} given; needed a name ending in .csv or .json.")
    output, errors = consoles(options)
    game, chosen, held_out = _games(arguments, options)
    plan = game.describe()
    output.print(
        f"[bold]Plan[/bold]     {plan['players']} components, {escape(plan['model'])}, "
        f"{escape(plan['score'])}, {plan['prompts']} prompts, {plan['tokens']} tokens an "
        f"ablation, absent ones give: {escape(str(plan['absent']))}",
        highlight=False,
    )
    if options.p is None and not options.dry_run and not _follows_an_index(game, options):
        options = replace(options, p=_measured_p(game, options, output, errors))
    explanation = explain_and_show(game, options, "heads", asdict(arguments))
    _print_structure(output, explanation, chosen)
    if edges is not None:
        _write_edges(output, explanation, chosen, edges)
    if held_out is not None:
        from spexlens.studies.pruning import pruning_curve

        with values_kept(options.out, held_out), shown_progress(errors) as progress:
            curve = pruning_curve(
                explanation,
                held_out,
                rng=options.seed,
                store=open_store(options),
                progress=progress,
            )
        _print_curve(output, curve, held_out.describe()["score"])


def _games(
    arguments: _Arguments, options: _Options
) -> tuple[LensGame, tuple[Site, ...], LensGame | None]:
    """Make the game of the prompts, its components, and that of the held-out prompts, if any."""
    from spexlens.lenses.components.game import component_game
    from spexlens.lenses.components.questions import read_questions
    from spexlens.models.gating.sites import SITES
    from spexlens.models.pretrained.causal_lm import as_causal
    from spexlens.models.zoo import load_model

    find_score(arguments.score)
    kind = SITES.find(arguments.sites)
    numbers = _numbers(arguments.layers)
    questions = read_questions(arguments.prompts)
    unseen = () if arguments.prune is None else read_questions(arguments.prune)
    with loading(arguments.model):
        lm = as_causal(load_model(arguments.model, trust_remote_code=options.trust_remote_code))
        chosen = kind.sites(lm.model, numbers)

        def game(asked: tuple[Question, ...], score: str) -> LensGame:
            # Means over the same prompts for both: else the pruned model would be another one.
            mean = arguments.absent == "mean"
            return component_game(
                lm, asked, chosen, score=score, absent=arguments.absent,
                references=[question.prompt for question in questions] if mean else None,
            )  # fmt: skip

        # Held-out prompts have answers where the score needs them: then they are counted.
        judged = "accuracy" if COMPONENT_SCORES[arguments.score].needs else arguments.score
        held_out = game(unseen, judged) if unseen else None
        return game(questions, arguments.score), chosen, held_out


def _follows_an_index(game: LensGame, options: RunOptions) -> bool:
    """Tell whether masks follow the index asked for, and need no keep probability."""
    from spexlens.indices.table import find_index

    return bool(asked(game, options)) and find_index(str(options.index)).measure is not None


def _numbers(text: str | None) -> list[int] | None:
    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInputError(
            f"--layers {text} given; needed numbers with commas, such as 0,3,6."
        ) from None


def _measured_p(game: LensGame, options: RunOptions, output: Console, errors: Console) -> float:
    from spexlens.studies.keep_probability import keep_probability

    with values_kept(options.out, game), shown_progress(errors) as progress:
        measured = keep_probability(
            game, rng=options.seed, store=open_store(options), progress=progress
        )
    told = ", ".join(f"{s.p:g}: {s.mean:+.2f} ± {s.deviation:.2f}" for s in measured.spreads)
    output.print(
        f"[bold]Keep[/bold]     p = {measured.p:g}; full model {measured.full_value:+.2f}, none "
        f"{measured.empty_value:+.2f}, masks at p {told}",
        highlight=False,
    )
    return measured.p


def _print_structure(output: Console, explanation: Explanation, sites: tuple[Site, ...]) -> None:
    from spexlens.lenses.components.results import groups, layer_energy

    energy = layer_energy(explanation.spectrum, sites)
    if energy.within + energy.across:
        output.print(
            f"[bold]Layers[/bold]   {energy.within_share:.0%} of the interactions' energy is "
            f"within layers; {energy.expected_within:.0%} if it were spread over all pairs",
            highlight=False,
        )
    for members in groups(explanation.pairs(), _SETS)[:_GROUPS]:
        output.print(f"[bold]Group[/bold]    {escape(', '.join(members))}", highlight=False)


def _write_edges(
    output: Console, explanation: Explanation, sites: tuple[Site, ...], path: Path
) -> None:
    from spexlens.lenses.components.results import edges, write_edges

    written = write_edges(path, edges(explanation.pairs(), sites))
    output.print(f"[bold]Written[/bold]  {escape(str(written))}", highlight=False)


def _print_curve(output: Console, curve: PruningCurve, score: str) -> None:
    table = Table(
        title=f"Pruned, {curve.questions} held-out prompts ({escape(score)})", title_justify="left"
    )
    for name in (
        "kept",
        "by interactions",
        "90 % interval",
        "by linear effects",
        "gain, 90 % interval",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("100 %", f"{curve.full_value:.3f}", "", "", "")
    for step in curve.steps:
        table.add_row(
            f"{step.share:.0%}",
            f"{step.value:.3f}",
            f"{step.lower:.3f} … {step.upper:.3f}",
            f"{step.linear_value:.3f}",
            f"{step.gain:+.3f}, {step.gain_lower:+.3f} … {step.gain_upper:+.3f}",
        )
    output.print(table)
