"""The games of `spexlens prompt`: a text read by a model here, or by one behind an endpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spexlens.cli.asked import Asked
from spexlens.cli.running import loading
from spexlens.errors import InvalidInputError
from spexlens.lenses.text.ablations import ABLATIONS
from spexlens.lenses.text.prompt import SLOT
from spexlens.lenses.text.segmenters import SEGMENTERS, Segmenter

if TYPE_CHECKING:
    from spexlens.lenses.base import LensGame
    from spexlens.models.pretrained.causal_lm import CausalLM
    from spexlens.models.pretrained.seq2seq import Seq2SeqLM


@dataclass(frozen=True)
class PromptArguments(Asked):
    """What is asked of which model; `spexlens prompt --help` tells each."""

    text: str = ""
    template: str = "{text}"
    segmenter: str = "words"
    absent: str = "remove"
    filler: str | None = None
    chat: bool = False
    system: str | None = None

    def checked(self) -> PromptArguments:
        """Choose the score; raise an error for options that do not go together."""
        name = self.score_name()
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
        if self.system is not None and not self.chat:
            raise InvalidInputError("--system is for chats; needed --chat beside it.")
        if self.chat and self.endpoint is None and hidden:
            raise InvalidInputError(
                f"--absent {self.absent} given for a chat of a model here; needed another one, or "
                "a template of your own without --chat."
            )
        return replace(self, score=name)

    def chosen(self) -> Any:
        """Make the score of arguments that were checked."""
        assert self.score is not None
        return self.made_score(self.score)


def local_game(arguments: PromptArguments, model: CausalLM | Seq2SeqLM) -> LensGame:
    """Make the game of a model that runs here."""
    from spexlens.lenses.text.game import prompt_game
    from spexlens.lenses.text.segmenters import segmenter_of

    segmenter = segmenter_of(arguments.segmenter, model.tokenizer)
    if arguments.chat:
        return _local_chat(arguments, model, segmenter)
    return prompt_game(
        model, arguments.text, arguments.template, score=arguments.chosen(), segmenter=segmenter,
        absent=arguments.absent, fillers=arguments.filler,
    )  # fmt: skip


def _local_chat(
    arguments: PromptArguments, model: CausalLM | Seq2SeqLM, segmenter: str | Segmenter
) -> LensGame:
    """Make the game of a text in the user's message, by the model's own chat template."""
    from spexlens.lenses.text.chat import chat_game
    from spexlens.lenses.text.prompt import PromptLens

    lens = PromptLens(arguments.text, arguments.template, segmenter, arguments.absent)
    before = len(arguments.template.partition(SLOT)[0])
    spans = [(before + start, before + end) for start, end in lens.spans]
    system = [] if arguments.system is None else [{"role": "system", "content": arguments.system}]
    messages = [*system, {"role": "user", "content": lens.prompt}]
    return chat_game(
        model, messages, score=arguments.chosen(), within=[len(messages) - 1],
        segmenter=lambda content: spans, absent=arguments.absent, fillers=arguments.filler,
    )  # fmt: skip


def endpoint_game(arguments: PromptArguments, store: Path | None = None) -> LensGame:
    """Make the game of a model behind an endpoint; see `prepared_game`."""
    from spexlens.cli.endpoint_games import prepared_game
    from spexlens.lenses.text.prompt import PromptLens

    lens = PromptLens(
        arguments.text, arguments.template, arguments.segmenter, arguments.absent,
        arguments.filler,
    )  # fmt: skip
    endpoint = arguments.made_endpoint(chat=arguments.chat, system=arguments.system)
    return prepared_game(arguments, lens, lens.prompt, arguments.chosen(), endpoint, store)


def game_of_text(
    arguments: PromptArguments, store: Path | None = None, *, trusted: bool = False
) -> LensGame:
    """Make the game of arguments that were checked, here or on an endpoint."""
    with loading(arguments.endpoint or arguments.model):
        if arguments.endpoint is not None:
            return endpoint_game(arguments, store)
        from spexlens.models.zoo import load_model

        return local_game(arguments, load_model(arguments.model, trust_remote_code=trusted))
