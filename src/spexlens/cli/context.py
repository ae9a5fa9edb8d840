"""`spexlens context`: which parts of a context act together on the answer to a question."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from spexlens.cli.asked import AskOptions
from spexlens.cli.options import read_text, with_options
from spexlens.cli.paid import values_kept
from spexlens.cli.printing import print_record
from spexlens.cli.prompt_games import PromptArguments, game_of_text
from spexlens.cli.running import check_options, consoles, explain_and_show
from spexlens.cli.terminal import escape
from spexlens.core.decimals import decimals
from spexlens.errors import InvalidInputError
from spexlens.lenses.text.prompt import SLOT, question_template

if TYPE_CHECKING:
    from spexlens.studies.removal import Flip


@with_options
def context(
    file: Annotated[Path, typer.Argument(help="The context, a text file; - reads stdin.")],
    question: Annotated[str, typer.Option(help="What is asked about it.", callback=read_text)],
    options: AskOptions,
    segmenter: Annotated[str, typer.Option(help="Players: {names of SEGMENTERS}.")] = "sentences",
    absent: Annotated[
        str, typer.Option(help="What an absent part becomes. {rows of ABLATIONS}.")
    ] = "remove",
    chat: Annotated[
        bool, typer.Option("--chat", help="Ask by a chat: the endpoint's, or the model's template.")
    ] = False,
    flips: Annotated[
        int, typer.Option(help="Also look for so few parts whose removal changes the answer.")
    ] = 0,
) -> None:
    """Find which parts of a context act together on the answer to a question.

    Example: spexlens context notes.txt --question "Who came?" --response "Ann" --segmenter lines
    """
    if flips and options.answers is None:
        raise InvalidInputError("--flips needs --answers: without two there is none to change to.")
    template = question_template(question)
    if chat:  # one message, as many templates refuse two of a user in a row
        template = f"{SLOT}\n\n{question}"
    arguments = PromptArguments(
        **options.asked(), text=_read(file), template=template, segmenter=segmenter, absent=absent,
        chat=chat,
    ).checked()  # fmt: skip
    check_options(options)
    game = game_of_text(arguments, options.store, trusted=options.trust_remote_code)
    chosen = {"file": str(file), "question": question, "segmenter": segmenter, "absent": absent,
              "chat": chat, "flips": flips}  # fmt: skip
    explanation = explain_and_show(game, options, "context", chosen)
    if options.endpoint is not None:
        print_record(consoles(options)[0], game)
    if flips:
        from spexlens.studies.removal import flips as found_flips

        output, _ = consoles(options)
        with values_kept(options.out, game):
            found = found_flips(game, explanation, largest=flips)
        _print_flips(output, found)


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
