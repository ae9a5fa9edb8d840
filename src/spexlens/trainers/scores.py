"""What is read off a trained model at a test point: margin, log-odds, probability, loss.

The one table of scores. A larger value always speaks for the test point's label, except for `loss`
and `prediction`, which are what their names say.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spexlens.core.masks import FloatArray, IntArray
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.trainers.base import OutputKind, TrainingData

LEAST_PROBABILITY = 1e-6  # of a class no tree or neighbour votes for, before a logarithm

Score = Callable[[FloatArray, IntArray], FloatArray]


def margin(outputs: FloatArray, codes: IntArray) -> FloatArray:
    """Output of the label's class minus the largest of the others, `(m, q)`."""
    own = _own(outputs, codes)
    others = outputs.copy()
    others[:, np.arange(len(codes)), codes] = -np.inf
    gap: FloatArray = own - others.max(axis=2)
    return gap


def log_odds(log_probabilities: FloatArray, codes: IntArray) -> FloatArray:
    """`log p - log (1 - p)` of the label's class, `(m, q)`, in nats."""
    own = _own(log_probabilities, codes)
    others = log_probabilities.copy()
    others[:, np.arange(len(codes)), codes] = -np.inf
    odds: FloatArray = own - _log_sum(others)
    return odds


def probability(log_probabilities: FloatArray, codes: IntArray) -> FloatArray:
    """Probability of the label's class, `(m, q)`."""
    share: FloatArray = np.exp(_own(log_probabilities, codes))
    return share


def loss(log_probabilities: FloatArray, codes: IntArray) -> FloatArray:
    """Cross-entropy `-log p` of the label's class, `(m, q)`, in nats."""
    return -_own(log_probabilities, codes)


SCORES: dict[str, Score] = {
    "margin": margin,
    "log_odds": log_odds,
    "probability": probability,
    "loss": loss,
}
REGRESSION_SCORES = ("prediction", "loss")


def check_score(name: str, output: OutputKind) -> None:
    """An error where the score does not exist, or needs what the trainer does not give."""
    if output == "predictions":
        if name not in REGRESSION_SCORES:
            raise UnknownNameError("score of a regression", name, REGRESSION_SCORES)
    elif name not in SCORES:
        raise UnknownNameError("score", name, SCORES)
    elif output == "decisions" and name != "margin":
        raise InvalidInputError(
            f"score {name!r} needs probabilities, which this trainer does not give; use 'margin'."
        )


def score_outputs(
    name: str, outputs: FloatArray, output: OutputKind, data: TrainingData
) -> FloatArray:
    """The score of every subset and test point.

    Parameters
    ----------
    name : str
        A key of `SCORES`; for a regression `prediction`, or `loss` (squared error).
    outputs : float array (m, q, c)
        As a trainer returns them.
    output : str
        What they mean.
    data : TrainingData
        Holds the labels of the test points.

    Returns
    -------
    float array (m, q)
    """
    check_score(name, output)
    if output == "predictions":
        predicted = outputs[:, :, 0]
        return predicted if name == "prediction" else (predicted - data.test_targets()) ** 2
    codes = data.test_codes()
    if name == "probability" and output == "probabilities":
        return _own(outputs, codes)
    if name != "margin":
        outputs = _log_probabilities(outputs, output)
    return SCORES[name](outputs, codes)


def _log_probabilities(outputs: FloatArray, output: OutputKind) -> FloatArray:
    if output == "logits":
        normalised: FloatArray = outputs - _log_sum(outputs)[:, :, None]
        return normalised
    clipped = np.maximum(outputs, LEAST_PROBABILITY)
    logs: FloatArray = np.log(clipped / clipped.sum(axis=2, keepdims=True))
    return logs


def _own(outputs: FloatArray, codes: IntArray) -> FloatArray:
    own: FloatArray = outputs[:, np.arange(len(codes)), codes]
    return own


def _log_sum(logits: FloatArray) -> FloatArray:
    top = logits.max(axis=2, keepdims=True)
    total: FloatArray = (top + np.log(np.exp(logits - top).sum(axis=2, keepdims=True)))[:, :, 0]
    return total
