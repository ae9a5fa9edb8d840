"""The games of `spexlens prompt`: a text read by a model here, or by one behind an endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spexlens.errors import InvalidInputError
from spexlens.lenses.endpoint.subject import find_on_refusal
from spexlens.lenses.score_tables import ENDPOINT_SCORES, PROMPT_SCORES
from spexlens.lenses.text.ablations import ABLATIONS
from spexlens.lenses.text.segmenters import SEGMENTERS

if TYPE_CHECKING:
    from spexlens.lenses.base import LensGame
    from spexlens.models.pretrained.causal_lm import CausalLM
    from spexlens.models.pretrained.seq2seq import Seq2SeqLM


@dataclass(frozen=True)
class PromptArguments:
    """What is asked of which model; `spexlens prompt --help` tells each."""

    text: str
    answers: tuple[str, str] | None = None
    response: str | None = None
    score: str | None = None
    template: str = "{text}"
    segmenter: str = "words"
    absent: str = "remove"
    filler: str | None = None
    model: str = "smollm2"
    endpoint: str | None = None
    chat: bool = False
    system: str | None = None
    key_variable: str = "OPENAI_API_KEY"
    top_tokens: int | None = None
    samples: int = 10
    answer_tokens: int = 8
    concurrency: int = 8
    prices: tuple[float, float] | None = None
    option: tuple[str, ...] | None = None
    on_refusal: str = "raise"

    def checked(self) -> PromptArguments:
        """Choose the score; raise an error for options that do not go together."""
        find_on_refusal(self.on_refusal)
        self.options()
        known = PROMPT_SCORES if self.endpoint is None else ENDPOINT_SCORES
        given = [name for name in ("answers", "response") if getattr(self, name) is not None]
        name = self.score
        if name is None:
            if not given:
                raise InvalidInputError(
                    "no score was given; needed --answers with two answers, --response with a "
                    f"text, or --score with one of {', '.join(known)}."
                )
            name = given[0]
        needed = known.find(name).needs
        if given != ([] if needed is None else [needed]):
            options = " and ".join(f"--{option}" for option in given) or "neither"
            raise InvalidInputError(
                f"{options} given for the score {name!r}; needed "
                f"{'neither --answers nor --response' if needed is None else f'--{needed}'}."
            )
        of_tokenizer = SEGMENTERS.find(self.segmenter).of_tokenizer
        hidden = ABLATIONS.find(self.absent).edit is None
        if self.endpoint is not None and (of_tokenizer or hidden):
            raise InvalidInputError(
                f"an endpoint shows neither its tokens nor its attention; needed another "
                f"--segmenter than {self.segmenter}, or another --absent than {self.absent}."
            )
        if name == "kl" and hidden:
            raise InvalidInputError(
                "the score 'kl' reads the full prompt as well, which hiding from attention cannot "
                "show; needed another score or another --absent."
            )
        if self.endpoint is None and (self.chat or self.system is not None):
            raise InvalidInputError(
                "--chat and --system are for --endpoint; `spexlens context --chat` asks a model "
                "here by its chat template."
            )
        return PromptArguments(**{**vars(self), "score": name})

    def options(self) -> dict[str, Any]:
        """Read further fields of a request to an endpoint; raise an error for what is no field."""
        if self.option and self.endpoint is None:
            raise InvalidInputError("--option is for --endpoint: a field of its requests.")
        fields = {}
        for given in self.option or ():
            name, equals, text = given.partition("=")
            if not (name.strip() and equals):
                raise InvalidInputError(
                    f"--option {given!r} given; needed name=value, such as top_p=0.9."
                )
            try:
                fields[name.strip()] = json.loads(text)
            except (ValueError, RecursionError):
                fields[name.strip()] = text
        return fields

    def chosen(self) -> Any:
        """Make the score of arguments that were checked."""
        assert self.score is not None
        row = (PROMPT_SCORES if self.endpoint is None else ENDPOINT_SCORES)[self.score]
        words = {None: (), "answers": self.answers, "response": (self.response,)}[row.needs]
        return row.make(*(words or ()), **{name: getattr(self, name) for name in row.settings})


def local_game(arguments: PromptArguments, model: CausalLM | Seq2SeqLM) -> LensGame:
    """Make the game of a model that runs here."""
    from spexlens.lenses.text.game import prompt_game
    from spexlens.lenses.text.segmenters import segmenter_of

    return prompt_game(
        model, arguments.text, arguments.template, score=arguments.chosen(),
        segmenter=segmenter_of(arguments.segmenter, model.tokenizer), absent=arguments.absent,
        fillers=arguments.filler,
    )  # fmt: skip


def endpoint_game(arguments: PromptArguments) -> LensGame:
    """Make the game of a model behind an endpoint, which is asked the full prompt once."""
    from spexlens.lenses.base import LensGame
    from spexlens.lenses.endpoint.subject import EndpointSubject
    from spexlens.lenses.text.prompt import PromptLens
    from spexlens.models.endpoint.client import Endpoint

    lens = PromptLens(
        arguments.text, arguments.template, arguments.segmenter, arguments.absent,
        arguments.filler,
    )  # fmt: skip
    assert arguments.endpoint is not None
    endpoint = Endpoint(
        arguments.endpoint, arguments.model, arguments.chat, arguments.system,
        key_variable=arguments.key_variable, concurrency=arguments.concurrency,
        options=arguments.options(),
    )  # fmt: skip
    subject = EndpointSubject.prepare(
        endpoint,
        arguments.chosen(),
        lens.prompt,
        prices=arguments.prices,
        on_refusal=find_on_refusal(arguments.on_refusal),
    )
    return LensGame(lens, subject)
