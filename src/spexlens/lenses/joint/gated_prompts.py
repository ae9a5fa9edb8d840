"""What joint games with heads as players run: a language model, or an encoder's features.

`GatedPrompts` runs edited prompts through a language model with gated components. `EncoderFeatures`
lets a `TrainedReader` read a text through an encoder with gated components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.game import identity_of
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import FloatArray, IntArray
from spexlens.core.slopes import Slopes
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.lenses.score import is_flat_at_full, is_smooth
from spexlens.lenses.text.scores import ResolvedTextScore, TextScore, text_slopes
from spexlens.models.gating.reader import GatedReader
from spexlens.models.gating.replacement import MEAN, refuse_resampling
from spexlens.models.gating.runner import GatedRunner, gated_runner
from spexlens.models.gating.sites import Site
from spexlens.models.pretrained.causal_lm import CausalLM, as_causal
from spexlens.models.pretrained.encoder import Encoder, pooled
from spexlens.models.pretrained.generative import Generative

try:
    import torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("joint games with a model", "torch", "llm") from error

_PROBE = "a short text"  # on which the gates of an encoder are tested


@dataclass(frozen=True, eq=False)
class GatedPrompts:
    """A language model that runs prompt i under gates i, and a score.

    Attributes
    ----------
    model : CausalLM
    runner : GatedRunner
    score : ResolvedTextScore
    """

    model: CausalLM
    runner: GatedRunner
    score: ResolvedTextScore

    @property
    def sites(self) -> tuple[Site, ...]:
        """The components that the gates are on."""
        return self.runner.sites

    @property
    def needs(self) -> Needs:
        """Edited texts, and a gate for every site."""
        return Needs({"inputs": (), "gates": (len(self.sites),)})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure the score `(m,)` of every prompt under its gates."""
        inputs, gates = self.needs.take(interventions, self)
        return self.score.values(self.model.read_by(GatedReader(self.runner, gates)), inputs)

    @property
    def flat_at_full(self) -> bool:
        """Whether the score is a divergence from the full input's."""
        return is_flat_at_full(self.score)

    @property
    def sensitivity_cost(self) -> int:
        """Three ablations: a pass forward and one back take no longer; 0 without a derivative."""
        return 3 if is_smooth(self.score) else 0

    def sensitivities(self, interventions: Interventions, /) -> Slopes:
        """Differentiate by a factor 1 on every token, and by every gate."""
        inputs, gates = self.needs.take(interventions, self)
        reading = self.model.read_by(GatedReader(self.runner, gates))
        return text_slopes(reading, self.score, inputs)

    def tokens(self, interventions: Interventions, /) -> IntArray:
        """Count the tokens `(m,)` of every prompt."""
        inputs, _ = self.needs.take(interventions, self)
        return self.model.count_tokens(inputs)

    def notes(self) -> tuple[str, ...]:
        """Tell where heads of one layer do not add up."""
        return self.runner.notes()

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell model, score, and what absent components become; nothing is run."""
        return {
            "model": self.model.name,
            "score": self.score.description,
            "absent": self.runner.replacement.kind,
        }

    def identity(self) -> dict[str, Any]:
        """Tell model, score, and what absent components become."""
        return {
            "model": identity_of(self.model),
            "score": self.score.identity(),
            "replacement": self.runner.replacement.identity(),
        }


def gated_prompts(
    model: Generative,
    prompt: str,
    score: TextScore,
    sites: Sequence[Site],
    *,
    absent: str = "zero",
    references: Sequence[str] = (),
    batch_tokens: int | None = None,
) -> GatedPrompts:
    """Make the subject of a game over the words of a prompt and the components of a model.

    Parameters
    ----------
    model : CausalLM
    prompt : str
        The full prompt, on which the score's words become tokens and the gates are tested.
    score : TextScore
        Such as `LogitDifference("positive", "negative")`.
    sites : sequence of Site
        The component lens's.
    absent : "zero" or "mean"
        What an absent component gives: nothing, or its mean over the references.
    references : sequence of str
        For "mean"; the prompt by default.
    batch_tokens : int, optional
        Tokens in a pass.

    Raises
    ------
    InvalidInputError
        For a model, prompt, score, site or way of being absent that does not fit.
    """
    model = as_causal(model)
    refuse_resampling(absent)
    runner = gated_runner(
        model.passes.alone(batch_tokens),
        sites,
        model.token_ids([prompt]),
        absent=absent,
        references=model.token_ids(references) if references else None,
    )
    return GatedPrompts(model, runner, score.resolve(model, prompt))


@dataclass(frozen=True, eq=False)
class EncoderFeatures:
    """Sentence embeddings of an encoder under gates, for a `TrainedReader`.

    Attributes
    ----------
    encoder : Encoder
    runner : GatedRunner
    """

    encoder: Encoder
    runner: GatedRunner

    @property
    def sites(self) -> tuple[Site, ...]:
        """The components that the gates are on."""
        return self.runner.sites

    @staticmethod
    def of(
        encoder: Encoder,
        sites: Sequence[Site],
        *,
        absent: str = "zero",
        references: Sequence[str] = (),
    ) -> EncoderFeatures:
        """Make features under gates on `sites`; absent="mean" needs `references`, texts."""
        refuse_resampling(absent)
        if absent == MEAN and not references:
            raise InvalidInputError(
                "no reference texts were given; needed at least one to take means over."
            )
        runner = gated_runner(
            encoder.passes,
            sites,
            encoder.token_ids([_PROBE]),
            absent=absent,
            references=encoder.token_ids(references) if references else None,
        )
        return EncoderFeatures(encoder, runner)

    def __call__(self, texts: Sequence[str], gates: FloatArray | None) -> FloatArray:
        """Compute embeddings `(m, d)`; all gates open where None are given."""
        if gates is None:
            gates = np.ones((len(texts), len(self.runner.sites)))
        return self.runner.run_rows(
            self.encoder.token_ids(texts), gates, lambda model, ids, _: pooled(model, ids)
        )

    def identity(self) -> dict[str, Any]:
        """Tell the encoder's identity, and what absent components become."""
        return {
            "encoder": identity_of(self.encoder),
            "replacement": self.runner.replacement.identity(),
        }
