"""Who is asked and how answers are scored: what commands about texts and calls share."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spexlens.cli.options import ModelOptions, read_text
from spexlens.errors import InvalidInputError

if TYPE_CHECKING:
    from spexlens.core.tables import Table
    from spexlens.lenses.score import NamedScore
    from spexlens.models.endpoint.client import Endpoint

_TELLS = {"pattern": "matches", "field": "field", "judge": "judge"}  # option -> its score


@dataclass(frozen=True)
class Asked:
    """Who is asked, here or behind an endpoint, and how answers are scored."""

    answers: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Two answers: the score is how far the first is ahead."),
    ] = None
    response: Annotated[
        str | None,
        typer.Option(help="Or a response: the score is its log-probability.", callback=read_text),
    ] = None
    score: Annotated[
        str | None,
        typer.Option(
            help="{rows of PROMPT_SCORES}. Of endpoints: {rows of ENDPOINT_SCORES}. Default by "
            "what is given."
        ),
    ] = None
    pattern: Annotated[
        str | None,
        typer.Option(help="Of the score matches: a regular expression.", callback=read_text),
    ] = None
    field: Annotated[
        str | None,
        typer.Option(help="Of the score field: path=value, such as label=yes.", callback=read_text),
    ] = None
    judge: Annotated[
        str | None,
        typer.Option(
            help="Of the score judge: what it is asked about an {answer}, for a number or yes or "
            "no.",
            callback=read_text,
        ),
    ] = None
    judge_model: Annotated[
        str | None, typer.Option(help="Who judges, on the same endpoint; default the same model.")
    ] = None
    embeddings: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="Of the score similarity: URL and model of an endpoint that embeds texts; by "
            "default MiniLM runs here."
        ),
    ] = None
    model: Annotated[
        str, typer.Option(help="smollm2, a folder, or a hub name; an endpoint's name for it.")
    ] = "smollm2"
    endpoint: Annotated[
        str | None, typer.Option(help="URL of an endpoint, such as http://…/v1.")
    ] = None
    api: Annotated[
        str | None,
        typer.Option(help="Of endpoints: {rows of APIS}. Default what the host is known to speak."),
    ] = None
    key_variable: Annotated[
        str, typer.Option(help="Environment variable with the endpoint's key, if it needs one.")
    ] = "OPENAI_API_KEY"
    top_tokens: Annotated[
        int | None,
        typer.Option(
            help="Of endpoints: likeliest next tokens to ask for; by default as many as the "
            "server gives, 500 at most.",
            min=2,
        ),
    ] = None
    samples: Annotated[
        int | None,
        typer.Option(
            help="Answers a prompt, for scores of samples. Default 10 for share, else 3.", min=2
        ),
    ] = None
    answer_tokens: Annotated[
        int | None,
        typer.Option(
            help="Longest answer that is written, its reasoning counted. Default 8 for share, else "
            "as the response needs.",
            min=1,
        ),
    ] = None
    concurrency: Annotated[int, typer.Option(help="Requests at the same time.", min=1)] = 8
    prices: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Money for a million tokens of prompts, and of answers."),
    ] = None
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="Of endpoints: a further field of each request, name=value, the value being JSON "
            "or text; null takes it out. Repeat it for several.",
            metavar="NAME=VALUE",
        ),
    ] = None
    on_refusal: Annotated[
        str,
        typer.Option(
            help="Of endpoints: whether a prompt refused for good ends the run (raise) or is left "
            "out and counted (skip)."
        ),
    ] = "raise"

    def score_name(self, default: str | None = None) -> str:
        """Choose the score by its name or what is given; raise for what does not go together.

        `default` is that of a response that was not given but is known, such as a logged one.
        """
        from spexlens.lenses.endpoint.subject import find_on_refusal

        find_on_refusal(self.on_refusal)
        self.options()
        if self.api is not None:
            from spexlens.models.endpoint.apis import APIS

            APIS.find(self.api)
        known = self._scores()
        given = [name for name in ("answers", "response") if getattr(self, name) is not None]
        told = [row for name, row in _TELLS.items() if getattr(self, name) is not None]
        name = self.score or next(iter([*told, *given]), default)
        if name is None:
            raise InvalidInputError(
                "no score was given; needed --answers with two answers, --response with a "
                f"text, or --score with one of {', '.join(known)}."
            )
        needed = known.find(name).needs
        if needed == "response" and default is not None and not given:
            return name
        if given != ([] if needed is None else [needed]):
            options = " and ".join(f"--{option}" for option in given) or "neither"
            raise InvalidInputError(
                f"{options} given for the score {name!r}; needed "
                f"{'neither --answers nor --response' if needed is None else f'--{needed}'}."
            )
        return name

    def options(self) -> dict[str, Any]:
        """Read further fields of a request to an endpoint; raise an error for what is no field."""
        if self.option and self.endpoint is None:
            raise InvalidInputError("--option is for --endpoint: a field of its requests.")
        read = {}
        for given in self.option or ():
            name, equals, text = given.partition("=")
            if not (name.strip() and equals):
                raise InvalidInputError(
                    f"--option {given!r} given; needed name=value, such as top_p=0.9."
                )
            try:
                read[name.strip()] = json.loads(text)
            except (ValueError, RecursionError):
                read[name.strip()] = text
        return read

    def made_score(self, name: str, response: str | None = None) -> Any:
        """Make the score of a name; of a `response` that was logged where none was given."""
        row = self._scores()[name]
        said = (self.response if self.response is not None else response,)
        words = {None: (), "answers": self.answers, "response": said}[row.needs]
        chosen = {setting: self._setting(setting) for setting in row.settings}
        return row.make(
            *(words or ()),
            **{setting: value for setting, value in chosen.items() if value is not None},
        )

    def made_endpoint(self, *, chat: bool, system: str | None = None) -> Endpoint:
        """Make the client of the endpoint."""
        from spexlens.models.endpoint.client import Endpoint

        assert self.endpoint is not None
        return Endpoint(
            self.endpoint, self.model, chat, system, key_variable=self.key_variable,
            concurrency=self.concurrency, options=self.options(), api=self.api,
        )  # fmt: skip

    def _scores(self) -> Table[NamedScore]:
        from spexlens.lenses.score_tables import ENDPOINT_SCORES, PROMPT_SCORES

        return PROMPT_SCORES if self.endpoint is None else ENDPOINT_SCORES

    def _setting(self, name: str) -> Any:
        if name == "embed":
            return self._embed()
        if name == "judge_model":
            judge = replace(self, model=self.judge_model or self.model)
            return judge.made_endpoint(chat=True)
        return getattr(self, name)

    def _embed(self) -> Any:
        if self.embeddings is None:
            return None
        from spexlens.models.endpoint.embeddings import EndpointEmbeddings

        return EndpointEmbeddings(*self.embeddings, key_variable=self.key_variable)


@dataclass(frozen=True)
class AskOptions(Asked, ModelOptions):
    """The options of a run, with who is asked and how answers are scored."""

    def asked(self) -> dict[str, Any]:
        """Give those of `Asked` alone."""
        return {item.name: getattr(self, item.name) for item in fields(Asked)}
