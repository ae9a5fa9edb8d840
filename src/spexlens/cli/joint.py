"""`spexlens joint`: which pieces of a prompt act through which components of a model."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from spexlens.cli.options import ModelOptions, read_text, with_options
from spexlens.cli.running import check_options, consoles, explain_and_show, loading
from spexlens.cli.terminal import escape
from spexlens.errors import InvalidInputError

if TYPE_CHECKING:
    from spexlens.core.interactions import Interactions
    from spexlens.explanation.result import Explanation
    from spexlens.lenses.joint.game import JointGame

_PLAYERS, _PATHS = 5, 4  # pieces whose paths are shown, and how many of each


@dataclass(frozen=True)
class _Arguments:
    """What is asked of which model, and which of its components are players."""

    text: str
    answers: tuple[str, str]
    model: str
    template: str
    segmenter: str
    sites: str
    p_words: float
    p_heads: float
    absent: str


@dataclass(frozen=True)
class _Options(ModelOptions):
    """Those of every run; `p` is told apart by lens."""

    p: Annotated[float | None, typer.Option(help="Not here: give --p-words and --p-heads.")] = None


@with_options
def joint(
    text: Annotated[
        str,
        typer.Option(
            help="The text whose pieces are ablated; - reads stdin, @file a file.",
            callback=read_text,
        ),
    ],
    answers: Annotated[
        tuple[str, str], typer.Option(help="Two answers: the score is logit(first) - logit(second)")
    ],
    options: _Options,
    model: Annotated[str, typer.Option(help="smollm2, a folder, or a hub name.")] = "smollm2",
    template: Annotated[
        str, typer.Option(help="The prompt, with {text} once.", callback=read_text)
    ] = "{text}",
    segmenter: Annotated[str, typer.Option(help="Players: {names of SEGMENTERS}.")] = "words",
    sites: Annotated[str, typer.Option(help="Components: {names of SITES}.")] = "heads",
    p_words: Annotated[float, typer.Option(help="Keep probability of the pieces.")] = 0.5,
    p_heads: Annotated[float, typer.Option(help="Keep probability of the components.")] = 0.9,
    absent: Annotated[
        str, typer.Option(help="What an absent component gives: zero or mean (of the prompt).")
    ] = "mean",
) -> None:
    """Find which pieces of a prompt act through which components of a model.

    Example: spexlens joint --text "It never fails." --template "Review: {text}\\nSentiment:"
    --answers positive negative --budget 1500 --store joint.db --out run
    """
    text = sys.stdin.read() if text == "-" else text
    template = template.replace("\\n", "\n")
    arguments = _Arguments(
        text, answers, model, template, segmenter, sites, p_words, p_heads, absent
    )
    if options.p is not None:
        raise InvalidInputError("--p was given; needed --p-words and --p-heads, one for each lens.")
    check_options(options)
    output, _ = consoles(options)
    game = _game(arguments, options)
    plan = game.describe()
    sizes = " and ".join(f"{end - first} {name}" for name, (first, end) in plan["lenses"].items())
    output.print(
        f"[bold]Plan[/bold]     {escape(sizes)}, {escape(plan['model'])}, {escape(plan['score'])}, "
        f"{plan['tokens']} tokens a full prompt, absent {arguments.sites} give: "
        f"{escape(str(plan['absent']))}",
        highlight=False,
    )
    explanation = explain_and_show(game, options, "joint", asdict(arguments))
    _print_lenses(output, explanation, game)


def _game(arguments: _Arguments, options: _Options) -> JointGame:
    from spexlens.lenses.components.game import ComponentLens
    from spexlens.lenses.joint.game import joint_game
    from spexlens.lenses.joint.gated_prompts import gated_prompts
    from spexlens.lenses.text.prompt import PromptLens
    from spexlens.lenses.text.segmenters import SEGMENTERS, segmenter_of
    from spexlens.lenses.text.sequence_scores import chosen_score
    from spexlens.models.gating.sites import SITES
    from spexlens.models.pretrained.causal_lm import as_causal
    from spexlens.models.zoo import load_model

    kind = SITES.find(arguments.sites)
    SEGMENTERS.find(arguments.segmenter)
    with loading(arguments.model):
        lm = as_causal(load_model(arguments.model, trust_remote_code=options.trust_remote_code))
        segmenter = segmenter_of(arguments.segmenter, lm.tokenizer)
        words = PromptLens(arguments.text, arguments.template, segmenter)
        components = ComponentLens(kind.sites(lm.model))
        subject = gated_prompts(
            lm, words.prompt, chosen_score(arguments.answers, None), components.sites,
            absent=arguments.absent,
        )  # fmt: skip
    return joint_game(
        {arguments.segmenter: words, arguments.sites: components},
        subject,
        p={arguments.segmenter: arguments.p_words, arguments.sites: arguments.p_heads},
    )


def _print_lenses(output: Console, explanation: Explanation, game: JointGame) -> None:
    """Print the variance by lens, and through what the pieces that do most act."""
    from spexlens.core.cross_lens import energy_by_lenses

    for part in energy_by_lenses(explanation.spectrum, game.lens.blocks):
        output.print(f"[bold]Lenses[/bold]   {escape(str(part))}", highlight=False)
    pairs = explanation.pairs()
    pieces, components = game.lens.blocks
    table = Table(title=escape(f"From {pieces} through {components}"), title_justify="left")
    for name in (pieces, components, "", "effect", "90 % interval"):
        table.add_column(escape(name), justify="right" if name == "effect" else "left")
    for row in _rows(pairs, game, components):
        table.add_row(*row)
    output.print(table)


def _rows(pairs: Interactions, game: JointGame, components: str) -> list[tuple[str, ...]]:
    from spexlens.core.cross_lens import across, paths
    from spexlens.core.decimals import decimals
    from spexlens.core.interactions import Z90

    crossing = across(pairs, game.lens.blocks)
    strongest = dict.fromkeys(members[0] for members in crossing)  # the pieces come first
    rows: list[tuple[str, ...]] = []
    written = decimals(crossing.values())
    for player in list(strongest)[:_PLAYERS]:
        for path in paths(pairs, game.lens.blocks, player, through=components)[:_PATHS]:
            interval = ""
            if path.std_err is not None:
                half = Z90 * path.std_err
                mark = " ○" if path.holds_zero else ""
                interval = f"{written(path.effect - half)} … {written(path.effect + half)}{mark}"
            told = (path.player, path.through, path.kind, written(path.effect), interval)
            rows.append(tuple(map(escape, told)))
    return rows
