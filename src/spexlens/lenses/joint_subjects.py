"""Subjects that run several kinds of ablation at once.

`GatedPrompts` runs edited prompts through a language model with gated components. `TrainedReader`
trains a classifier on a subset and lets it read a text, perhaps edited, through an encoder, perhaps
gated: so training examples, words of the test text and heads of the encoder meet in one value.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from spexlens.core.game import identity_of
from spexlens.core.interventions import Interventions
from spexlens.core.masks import BoolArray, FloatArray, IntArray, unique_masks
from spexlens.errors import InvalidInputError, MissingExtraError, SpexlensWarning
from spexlens.lenses.scores import ResolvedScore, Score
from spexlens.lenses.training_subject import Retraining, Tally
from spexlens.models.causal_lm import CausalLM
from spexlens.models.encoder import Encoder
from spexlens.models.gated_rows import GatedRows, GatedView, gated_embeddings, gated_rows
from spexlens.models.prompt_tokens import PromptTokens
from spexlens.models.reference import MEAN
from spexlens.models.sites import Site
from spexlens.trainers.base import Trainer, TrainingData
from spexlens.trainers.scores import check_score, score_outputs

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
    rows : GatedRows
    score : ResolvedScore
    """

    model: CausalLM
    rows: GatedRows
    score: ResolvedScore

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """The score `(m,)` of every prompt under its gates."""
        inputs, gates = self._parts(interventions)
        return self.score.values(GatedView(self.model, self.rows, gates), inputs)

    def tokens(self, interventions: Interventions, /) -> IntArray:
        """Tokens `(m,)` of every prompt."""
        return self.model.count_tokens(self._parts(interventions)[0])

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Model, score, what absent components become, and tokens; nothing is run."""
        return {
            "model": self.model.name,
            "score": self.score.description,
            "replacement": self.rows.replacement.kind,
            "tokens": int(self.tokens(interventions).sum()),
        }

    def identity(self) -> dict[str, Any]:
        """Model, score, and what absent components become."""
        return {
            "model": identity_of(self.model),
            "score": self.score.identity(),
            "replacement": self.rows.replacement.identity(),
        }

    def _parts(self, interventions: Interventions) -> tuple[tuple[str, ...], FloatArray]:
        if interventions.inputs is None or interventions.gates is None:
            raise InvalidInputError(_unrunnable(interventions, "inputs and gates"))
        if interventions.subsets is not None:
            raise InvalidInputError(_unrunnable(interventions, "inputs and gates"))
        self.rows.check(interventions.gates)
        return interventions.inputs, interventions.gates


def gated_prompts(
    model: CausalLM,
    prompt: str,
    score: Score,
    sites: Sequence[Site],
    *,
    replacement: str = "zero",
    references: Sequence[str] = (),
    batch_tokens: int | None = None,
) -> GatedPrompts:
    """The subject of a game over the words of a prompt and the components of a model.

    Parameters
    ----------
    model : CausalLM
    prompt : str
        The full prompt, on which the score's words become tokens and the gates are tested.
    score : Score
        Such as `LogitDifference("positive", "negative")`.
    sites : sequence of Site
        The component lens's.
    replacement : "zero" or "mean"
        What an absent component gives: nothing, or its mean over the references.
    references : sequence of str
        For "mean"; the prompt by default.
    batch_tokens : int, optional
        Tokens in a pass.

    Raises
    ------
    InvalidInputError
        For a model, prompt, score, site or replacement that does not fit.
    """
    tokens = PromptTokens(model.tokenizer, model.name, model.max_tokens)
    rows = gated_rows(
        model.model,
        sites,
        tokens.sequences([prompt])[0],
        replacement=replacement,
        references=tokens.sequences(list(references)) if references else (),
        batch_tokens=batch_tokens,
        prepacked=model.prepacked,
    )
    return GatedPrompts(model, rows, score.resolve(model, prompt))


class TextFeatures(Protocol):
    """Turns texts, each perhaps under gates of its own, into features."""

    def __call__(self, texts: Sequence[str], gates: FloatArray | None, /) -> FloatArray:
        """Features `(m, d)` of texts `(m,)` under gates `(m, sites)`."""
        ...

    def identity(self) -> dict[str, Any]:
        """What the features depend on."""
        ...


@dataclass(frozen=True, eq=False)
class EncoderFeatures:
    """Sentence embeddings of an encoder, with gates where sites are given.

    Attributes
    ----------
    encoder : Encoder
    rows : GatedRows
    """

    encoder: Encoder
    rows: GatedRows

    @staticmethod
    def of(
        encoder: Encoder,
        sites: Sequence[Site],
        *,
        replacement: str = "zero",
        references: Sequence[str] = (),
    ) -> EncoderFeatures:
        """Features under gates on `sites`; replacement "mean" needs `references`, some texts."""
        tokens = PromptTokens(encoder.tokenizer, encoder.name, encoder.max_tokens)
        (probe,) = tokens.sequences([_PROBE])
        if replacement == MEAN and not references:
            raise InvalidInputError(
                "no reference texts were given; needed at least one to take means over."
            )
        rows = gated_rows(
            encoder.model, sites, probe, replacement=replacement,
            references=tokens.sequences(list(references)) if references else (),
        )  # fmt: skip
        return EncoderFeatures(encoder, rows)

    def __call__(self, texts: Sequence[str], gates: FloatArray | None) -> FloatArray:
        """Embeddings `(m, d)`; all gates open where None are given."""
        if gates is None:
            gates = np.ones((len(texts), len(self.rows.sites)))
        return gated_embeddings(self.encoder, self.rows, list(texts), gates)

    def identity(self) -> dict[str, Any]:
        """The encoder's, and what absent components become."""
        return {
            "encoder": identity_of(self.encoder),
            "replacement": self.rows.replacement.identity(),
        }


@dataclass(frozen=True, eq=False)
class TrainedReader:
    """Trains on a subset, then scores a text as it is read through the features.

    Equal subsets are trained on once a call, and equal readings made once: with a split-plot
    design most of the cost is what is cheap. The seed of a random trainer is 0.

    Parameters
    ----------
    trainer : Trainer
        Such as `spexlens.trainers.logistic.Logistic()`.
    data : TrainingData
        The examples; its test points are not used.
    features : TextFeatures
        The same that made `data.features`, all gates open.
    text : str
        What is read where no lens edits it.
    label : str or int
        The class that a larger value speaks for.
    score : str, default "margin"
        A key of `spexlens.trainers.scores.SCORES`.

    Attributes
    ----------
    tally : Tally
        What was trained so far; what deserves doubt is a `SpexlensWarning` when first seen.
    """

    trainer: Trainer
    data: TrainingData
    features: TextFeatures
    text: str
    label: Any
    score: str = "margin"
    tally: Tally = field(init=False, default_factory=Tally, repr=False)

    def __post_init__(self) -> None:
        if self.trainer.output == "predictions":
            raise InvalidInputError(
                f"the trainer {type(self.trainer).__name__} fits a regression; needed a classifier."
            )
        check_score(self.score, self.trainer.output)
        if self.label not in self.data.classes.tolist():
            raise InvalidInputError(
                f"label = {self.label!r} is none of the classes {self.data.classes.tolist()}."
            )

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """The score `(m,)` of every model trained on a subset, for its reading of the text."""
        subsets = self._subsets(interventions)
        readings, reading = self._readings(interventions)
        distinct, training = unique_masks(subsets)
        data = self._testing(readings)
        trained = self.trainer.prepare(data).train(distinct, 0)
        values = score_outputs(self.score, trained.outputs, self.trainer.output, data)
        absent = np.sum(self.data.class_counts(distinct) == 0, axis=1)
        empty = np.asarray(~distinct.any(axis=1))
        retraining = Retraining(values, None, trained.converged, absent, empty)
        for message in self.tally.add(retraining, seeds=1):
            warnings.warn(message, SpexlensWarning, stacklevel=2)
        picked: FloatArray = values[training, reading]
        return picked

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Trainer, score, and the examples; nothing is run."""
        self._subsets(interventions)
        return {
            "model": type(self.trainer).__name__,
            "score": f"{self.score} of {self.label!r}",
            "examples": self.data.count,
            "text": self.text,
        }

    def identity(self) -> dict[str, Any]:
        """Trainer, data, features, text, label and score."""
        return {
            "trainer": self.trainer.identity(),
            "data": self.data.identity(),
            "features": self.features.identity(),
            "text": self.text,
            "label": str(self.label),
            "score": self.score,
        }

    def _readings(self, interventions: Interventions) -> tuple[FloatArray, IntArray]:
        """Features `(k, d)` of the distinct readings, and which of them each ablation has."""
        count = interventions.count
        texts = interventions.inputs or (self.text,) * count
        gates = interventions.gates
        keys = [
            (text, b"" if gates is None else gates[row].tobytes()) for row, text in enumerate(texts)
        ]
        first = {key: row for row, key in reversed(list(enumerate(keys)))}
        number = {key: place for place, key in enumerate(first)}
        rows = list(first.values())
        features = self.features(
            [texts[row] for row in rows], None if gates is None else gates[rows]
        )
        return features, np.array([number[key] for key in keys], dtype=np.int64)

    def _testing(self, readings: FloatArray) -> TrainingData:
        """The examples, with the readings as test points."""
        labels = np.full(len(readings), self.label)
        return replace(self.data, test_features=readings, test_labels=labels)

    def _subsets(self, interventions: Interventions) -> BoolArray:
        if interventions.subsets is None:
            raise InvalidInputError(_unrunnable(interventions, "subsets"))
        if interventions.subsets.shape[1] != self.data.count:
            raise InvalidInputError(
                f"subsets of {interventions.subsets.shape[1]} examples given for "
                f"{self.data.count}; needed the lens of the same examples."
            )
        return interventions.subsets


def _unrunnable(interventions: Interventions, needed: str) -> str:
    given = [
        part for part in ("inputs", "gates", "subsets") if getattr(interventions, part) is not None
    ]
    return (
        f"the lenses write {', '.join(given)}, and this subject needs {needed}: they are not over "
        "the same subject. Use the subject that runs what the lenses write."
    )
