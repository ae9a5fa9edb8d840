"""`spexlens endpoint`: what an endpoint can serve, before anything is run on it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from spexlens.cli.asked import Asked
from spexlens.cli.terminal import Terminal, escape, write_json

endpoint = typer.Typer(
    name="endpoint",
    help="Look at an endpoint.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
console = Terminal()
_RUN = 100  # ablations that a cost is told for


@endpoint.callback()
def _group() -> None:
    """Keep `check` a command of its own."""


@endpoint.command()
def check(
    url: Annotated[str, typer.Argument(help="Such as http://localhost:8080/v1.")],
    model: Annotated[str, typer.Option(help="The endpoint's name for it.")],
    chat: Annotated[bool, typer.Option("--chat", help="Ask by chats.")] = False,
    api: Annotated[
        str | None, typer.Option(help="openai, anthropic or gemini; default by the host.")
    ] = None,
    key_variable: Annotated[
        str, typer.Option(help="Environment variable with the key, if it needs one.")
    ] = "OPENAI_API_KEY",
    prices: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Money for a million tokens of prompts, and of answers."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Tell which scores an endpoint can serve, how it answers and what it costs: 15 requests.

    Example: spexlens endpoint check http://localhost:8080/v1 --model llama --chat
    """
    from spexlens.lenses.endpoint.check import check_endpoint

    asked = Asked(model=model, endpoint=url, api=api, key_variable=key_variable)
    found = check_endpoint(asked.made_endpoint(chat=chat))
    if json:
        write_json(asdict(found))
        return
    table = Table(title=f"Scores of {escape(url)}", title_justify="left")
    for name in ("score", "served", "how", "requests a prompt", "tokens a prompt"):
        table.add_column(name, overflow="fold")
    for score in found.scores:
        usage = score.usage
        tokens = f"{usage.prompt_tokens} + {usage.answer_tokens}" if score.served else ""
        table.add_row(
            score.names, "yes" if score.served else "no", escape(score.told),
            str(usage.requests) if score.served else "", tokens,
        )  # fmt: skip
    console.print(table)
    told = f"called {escape(found.model)}" if found.model else "without a name of its model"
    told += ", reasons before it answers" if found.reasons else ""
    told += "" if found.counts_tokens else ", counts no tokens, so that costs are not known"
    console.print(f"[bold]Answers[/bold]  {told}: {escape(found.answer[:200])!r}", highlight=False)
    usage = found.usage
    spent = ""
    if prices is not None:
        paid = (usage.prompt_tokens * prices[0] + usage.answer_tokens * prices[1]) / 1e6
        spent = f", {paid:.2g}"
        for score in found.scores:
            if score.served:
                one = score.usage.prompt_tokens * prices[0] + score.usage.answer_tokens * prices[1]
                console.print(
                    f"[bold]Cost[/bold]     of {_RUN} ablations of so short a prompt, "
                    f"{score.names.partition(',')[0]}: {one * _RUN / 1e6:.2g}",
                    highlight=False,
                )
    console.print(
        f"[bold]Checked[/bold]  {usage.requests} requests, {usage.prompt_tokens} tokens of "
        f"prompts, {usage.answer_tokens} of answers{spent}",
        highlight=False,
    )
