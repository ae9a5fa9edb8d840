"""Pipelines that read texts: vectoriser and classifier are both fitted to each subset."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline

from spexlens.errors import InvalidInputError
from spexlens.trainers.base import OutputKind, TrainingData
from spexlens.trainers.estimator import Estimator, SklearnEstimator


@dataclass(frozen=True, repr=False)
class Texts:
    """Texts by number; written as a hash of them all, which is what a store's key needs."""

    texts: tuple[str, ...]
    digest: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        content = hashlib.sha256()
        for text in self.texts:
            content.update(f"{len(text)} {text}".encode())
        object.__setattr__(self, "digest", content.hexdigest())

    def __repr__(self) -> str:
        return f"<{len(self.texts)} texts {self.digest}>"

    def __deepcopy__(self, memo: Any) -> Texts:
        """Give itself: it never changes, and scikit-learn copies an estimator for every fit."""
        return self


class TextRows(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns rows that hold the number of a text into the texts: the first step of a pipeline."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts

    def fit(self, X: Any, y: Any = None) -> TextRows:
        """Learn nothing."""
        return self

    def transform(self, X: Any) -> list[str]:
        """Look the texts up."""
        return [self.texts.texts[int(number)] for number in np.asarray(X)[:, 0]]

    def __sklearn_is_fitted__(self) -> bool:
        return True


def text_pipeline(
    pipeline: SklearnEstimator,
    texts: Sequence[str],
    labels: Sequence[Any],
    test_texts: Sequence[str],
    test_labels: Sequence[Any],
    *,
    output: OutputKind | None = None,
    jobs: int = 1,
) -> tuple[Estimator, TrainingData]:
    """Make the trainer and data of a scikit-learn estimator that reads texts.

    All of it is fitted to each subset alone: words of texts that are left out are not known.

    Parameters
    ----------
    pipeline : scikit-learn estimator
        From texts to labels, such as `make_pipeline(TfidfVectorizer(), LogisticRegression())`.
    texts : sequence of str (N,)
    labels : sequence (N,)
    test_texts : sequence of str (q,)
    test_labels : sequence (q,)
    output, jobs
        See `Estimator`.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.naive_bayes import MultinomialNB
    >>> model = make_pipeline(CountVectorizer(), MultinomialNB())
    >>> trainer, data = text_pipeline(
    ...     model, ["good", "fine", "bad"], ["yes", "yes", "no"], ["good"], ["yes"]
    ... )
    >>> trainer.prepare(data).train(np.ones((1, 3), bool), 0).outputs.argmax().item()
    1
    """
    every = (*texts, *test_texts)
    if not every or not all(isinstance(text, str) for text in every):
        raise InvalidInputError("texts that are no strings were given; needed strings.")
    rows = np.arange(len(every), dtype=np.float64)[:, None]
    data = TrainingData(rows[: len(texts)], labels, rows[len(texts) :], test_labels)  # type: ignore[arg-type]
    return Estimator(reading(pipeline, Texts(every)), output, jobs), data


def reading(pipeline: SklearnEstimator, texts: Texts) -> SklearnEstimator:
    """Put the looking up of texts before a pipeline that reads them."""
    made: SklearnEstimator = make_pipeline(TextRows(texts), pipeline)
    return made
