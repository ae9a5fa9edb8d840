"""Text classifiers: models with a classification head, and sentence encoders with a probe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray, read_only
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.pretrained.base import Pretrained
from spexlens.models.pretrained.encoder import Encoder, embeddings, pooled
from spexlens.models.pretrained.loading import CLASSIFIER
from spexlens.models.running.masked import read_masked, slopes_masked

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a text classifier", "torch", "llm") from error

_FEWEST = 8  # texts a probe is fitted to


@dataclass(frozen=True, eq=False)
class SequenceClassifier(Pretrained):
    """A model of transformers with a classification head, or with one output as of reward models.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        As of `AutoModelForSequenceClassification`.
    tokenizer, name, batch_tokens, replicas, prepacked, compiled
        See `spexlens.models.pretrained.base.Pretrained`.

    Notes
    -----
    A text's logits equal those of a plain pass of it alone, up to rounding. Where padding would
    change them, only texts of one length share a pass; a model that refuses several texts in one
    pass, as decoders without a padding token do, reads them one by one.
    """

    kind = CLASSIFIER

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes as the model's config names them."""
        names = self.model.config.id2label
        return tuple(str(names[i]) for i in range(len(names)))

    @property
    def several_classes(self) -> bool:
        """Whether the config says that outputs are no alternatives: many labels, or regression."""
        kind = getattr(self.model.config, "problem_type", None)
        return kind in ("multi_label_classification", "regression")

    def class_logits(self, texts: Sequence[str]) -> FloatArray:
        """Compute logits `(m, k)`; equal texts are run once, shorter ones are padded and masked."""
        return self.token_logits(self.token_ids(texts))

    def token_logits(
        self, sequences: Sequence[Sequence[int]], visible: BoolArray | None = None
    ) -> FloatArray:
        """Compute logits `(m, k)` of token ids; of t each, `visible` `(m, t)` are attended."""
        return read_masked(self.passes, self.filler, sequences, _logits, visible)

    def slopes(
        self, texts: Sequence[str], pull: Callable[[FloatArray], FloatArray]
    ) -> list[FloatArray]:
        """See `spexlens.models.base.DifferentiableClassifier`."""
        return slopes_masked(self.passes, self.filler, self.token_ids(texts), _logits, pull)


def _logits(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=ids, attention_mask=mask).logits
    return logits


@dataclass(frozen=True, eq=False)
class ProbedEncoder:
    """A sentence encoder with a linear probe on its mean-pooled embedding of length 1.

    Parameters
    ----------
    encoder : Encoder
        For instance `Encoder.load("minilm")`.
    weights : float array (k, d)
    bias : float array (k,)
    labels : tuple of str (k,)
    """

    encoder: Encoder
    weights: FloatArray
    bias: FloatArray
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", read_only(np.asarray(self.weights, dtype=np.float64)))
        object.__setattr__(self, "bias", read_only(np.asarray(self.bias, dtype=np.float64)))
        k = len(self.labels)
        if self.weights.ndim != 2 or len(self.weights) != k or self.bias.shape != (k,):
            raise InvalidInputError(
                f"weights {self.weights.shape} and bias {self.bias.shape} were given for {k} "
                f"labels; needed ({k}, d) and ({k},)."
            )

    @property
    def name(self) -> str:
        """The encoder's, and that it is probed."""
        return f"{self.encoder.name} with a probe"

    @property
    def mask_token(self) -> str | None:
        """Give the encoder's."""
        return self.encoder.mask_token

    @property
    def tokenizer(self) -> Any:
        """The encoder's."""
        return self.encoder.tokenizer

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the encoder's token ids."""
        return self.encoder.token_ids(texts)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Give the encoder's token spans."""
        return self.encoder.token_spans(text)

    def count_tokens(self, texts: Sequence[str]) -> IntArray:
        """Count the tokens as the encoder does."""
        return self.encoder.count_tokens(texts)

    def class_logits(self, texts: Sequence[str]) -> FloatArray:
        """Compute the logits `(m, k)` of the probe."""
        return self.token_logits(self.token_ids(texts))

    def token_logits(
        self, sequences: Sequence[Sequence[int]], visible: BoolArray | None = None
    ) -> FloatArray:
        """Compute logits `(m, k)` of token ids; of t each, `visible` `(m, t)` are attended.

        The mean that is the embedding leaves out the others too.
        """
        logits: FloatArray = self.encoder.token_embeddings(sequences, visible) @ self.weights.T
        return logits + self.bias

    def slopes(
        self, texts: Sequence[str], pull: Callable[[FloatArray], FloatArray]
    ) -> list[FloatArray]:
        """See `spexlens.models.base.DifferentiableClassifier`; through the embedding."""

        def by_embedding(embedding: FloatArray) -> FloatArray:
            return pull(embedding @ self.weights.T + self.bias) @ self.weights

        encoder = self.encoder
        ids = encoder.token_ids(texts)
        return slopes_masked(encoder.passes, encoder.filler, ids, pooled, by_embedding)

    def identity(self) -> dict[str, Any]:
        """Hash the encoder, and give the probe's numbers."""
        return {
            "encoder": self.encoder.identity(),
            "weights": self.weights.tolist(),
            "bias": self.bias.tolist(),
        }


def fit_probe(encoder: Encoder, texts: Sequence[str], labels: Sequence[str]) -> ProbedEncoder:
    """Fit a logistic probe on an encoder's embeddings, ridge penalty 1 on embeddings of length 1.

    Parameters
    ----------
    encoder : Encoder
    texts : sequence of str (N,)
        At least 8, and two classes; a thousand give a probe worth explaining.
    labels : sequence of str (N,)

    Returns
    -------
    ProbedEncoder
        Its logits of two classes are minus and plus half the log-odds.
    """
    from sklearn.linear_model import LogisticRegression

    names = sorted(set(labels))
    if len(texts) != len(labels) or len(texts) < _FEWEST or len(names) < 2:
        raise InvalidInputError(
            f"{len(texts)} texts with {len(labels)} labels of {len(names)} classes were given; "
            f"needed one label a text, at least {_FEWEST} texts and 2 classes."
        )
    fitted = LogisticRegression(C=10.0, max_iter=1000).fit(embeddings(encoder, texts), labels)
    weights, bias = fitted.coef_, fitted.intercept_
    if len(names) == 2:
        weights, bias = np.vstack([-weights, weights]) / 2, np.hstack([-bias, bias]) / 2
    return ProbedEncoder(encoder, weights, bias, tuple(names))
