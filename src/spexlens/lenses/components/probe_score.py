"""What is read off a gated sentence encoder: a linear probe on its embedding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.masks import FloatArray, IntArray, read_only
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.lenses.components.questions import Question
from spexlens.lenses.components.scores import QuestionScore
from spexlens.models.pretrained.encoder import Encoder, pooled

try:
    import torch
except ImportError as error:
    raise MissingExtraError("scores of a gated model", "torch", "llm") from error


@dataclass(frozen=True, eq=False)
class ProbeScore:
    """How far a linear probe on the embedding is on the side of each text's label.

    Parameters
    ----------
    weights : float array (d,)
        Of a probe that was fitted to the full model's embeddings.
    bias : float
    labels : int array (P,)
        1 for the positive side, 0 for the negative.
    accuracy : bool, default False
        Whether the value is 1 or 0, right or wrong, instead of the signed margin.
    """

    weights: FloatArray
    bias: float
    labels: IntArray
    accuracy: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", read_only(np.asarray(self.weights, dtype=np.float64)))
        labels = np.asarray(self.labels)
        if labels.ndim != 1 or not np.isin(labels, (0, 1)).all():
            raise InvalidInputError("labels given that are not all 0 or 1; needed one a text.")
        object.__setattr__(self, "labels", read_only(labels.astype(np.int64)))

    def resolve(self, model: Any, questions: Sequence[Question], /) -> QuestionScore:
        """Give the probe the questions' labels; an error unless it fits the model and them."""
        if not isinstance(model, Encoder):
            raise InvalidInputError(
                f"a ProbeScore was given, which reads embeddings, and {model.name} is no Encoder; "
                "needed a score of next tokens, such as 'margin'."
            )
        if len(self.labels) != len(questions):
            raise InvalidInputError(
                f"{len(self.labels)} labels given for {len(questions)} texts; needed one for each."
            )
        weights = torch.tensor(self.weights, dtype=torch.float32)
        signs = torch.tensor(2.0 * self.labels - 1, dtype=torch.float32)

        def readout(net: Any, ids: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
            outputs = pooled(net, ids) @ weights.to(ids.device) + self.bias
            margins = outputs * signs[list(numbers)].to(ids.device)
            return ((margins > 0).float() if self.accuracy else margins)[:, None]

        content = self.weights.tobytes() + np.float64(self.bias).tobytes() + self.labels.tobytes()
        digest = hashlib.sha256(content).hexdigest()
        facts = {"score": "probe", "accuracy": self.accuracy, "content": digest}
        told = "share of texts on the right side" if self.accuracy else "margin of a probe"
        return QuestionScore(told, facts, readout, smooth=not self.accuracy)
