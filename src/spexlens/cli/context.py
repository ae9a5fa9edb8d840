"""`spexlens context`: which parts of a context act together on the answer to a question."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from spexlens.cli.options import RunOptions, read_text, with_options
from spexlens.cli.paid import values_kept
from spexlens.cli.running import check_options, consoles, explain_and_show, loading
from spexlens.cli.terminal import escape
from spexlens.core.decimals import decimals
from spexlens.errors import InvalidInputError

if TYPE_CHECKING:
    from spexlens.lenses.base import LensGame
    from spexlens.studies.removal import Flip


@dataclass(frozen=True)
class _Arguments:
    """What is asked about which context."""

    file: Path
    question: str
    response: str | None
    answers: tuple[str, str] | None
    model: str
    segmenter: str
    absent: str
    chat: bool
    flips: int


@with_options
def context(
    file: Annotated[Path, typer.Argument(help="The context, a text file; - reads stdin.")],
    question: Annotated[str, typer.Option(help="What is asked about it.", callback=read_text)],
    options: RunOptions,
    response: Annotated[
        str | None,
        typer.Option(help="A response: the score is its log-probability.", callback=read_text),
    ] = None,
    answers: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Or two answers: the score is how far the first is ahead."),
    ] = None,
    model: Annotated[str, typer.Option(help="smollm2, a folder, or a hub name.")] = "smollm2",
    segmenter: Annotated[str, typer.Option(help="Players: {names of SEGMENTERS}.")] = "sentences",
    absent: Annotated[
        str, typer.Option(help="What an absent part becomes. {rows of ABLATIONS}.")
    ] = "remove",
    chat: Annotated[bool, typer.Option("--chat", help="Ask by the model's chat template.")] = False,
    flips: Annotated[
        int, typer.Option(help="Also look for so few parts whose removal changes the answer.")
    ] = 0,
) -> None:
    """Find which parts of a context act together on the answer to a question.

    Example: spexlens context notes.txt --question "Who came?" --response "Ann" --segmenter lines
    """
    check_options(options)
    arguments = _Arguments(file, question, response, answers, model, segmenter, absent, chat, flips)
    if flips and answers is None:
        raise InvalidInputError("--flips needs --answers: without two there is none to change to.")
    game = _game(arguments, _read(file))
    explanation = explain_and_show(game, options, "context", asdict(arguments))
    if flips:
        from spexlens.studies.removal import flips as found_flips

        output, _ = consoles(options)
        with values_kept(options.out, game):
            found = found_flips(game, explanation, largest=flips)
        _print_flips(output, found)


def _game(arguments: _Arguments, text: str) -> LensGame:
    from spexlens.lenses.text.chat import chat_game
    from spexlens.lenses.text.game import prompt_game
    from spexlens.lenses.text.prompt import question_template
    from spexlens.lenses.text.response_scores import ResponseLogProbability
    from spexlens.lenses.text.segmenters import SEGMENTERS, segment, segmenter_of
    from spexlens.models.zoo import load_model

    response = arguments.response
    score = None if response is None else ResponseLogProbability(response)
    SEGMENTERS.find(arguments.segmenter)
    with loading(arguments.model):
        model = load_model(arguments.model)
    segmenter = segmenter_of(arguments.segmenter, model.tokenizer)
    if not arguments.chat:
        return prompt_game(
            model, text, question_template(arguments.question), answers=arguments.answers,
            score=score, segmenter=segmenter, absent=arguments.absent,
        )  # fmt: skip
    # One message, as many templates refuse two of a user in a row; the context alone is cut.
    message = {"role": "user", "content": f"{text}\n\n{arguments.question}"}
    return chat_game(
        model, [message], answers=arguments.answers, score=score, within=[0],
        segmenter=lambda content: list(segment(content[: len(text)], segmenter)),
        absent=arguments.absent,
    )  # fmt: skip


def _read(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{file} is no UTF-8 text: byte {error.start} is {error.object[error.start]:#x}. "
            "Convert it first, for example with iconv."
        ) from error


def _print_flips(output: Console, found: tuple[Flip, ...]) -> None:
    if not found:
        output.print("[bold]Flips[/bold]    none of the sets that were measured changes the answer")
    for flip in found:
        names = " + ".join(flip.names)
        written = decimals([flip.before, flip.after, flip.predicted], abs(flip.after - flip.before))
        output.print(
            f"[bold]Flip[/bold]     without {escape(repr(names))}: {written(flip.before)} becomes "
            f"{written(flip.after)} (predicted {written(flip.predicted)})",
            highlight=False,
        )
    if found and found[0].counterfactual is not None:
        output.print(f"[bold]Text[/bold]     {escape(found[0].counterfactual)}", highlight=False)
