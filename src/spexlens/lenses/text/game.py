"""The game of a text: pieces of it are absent, a language model or a classifier reads the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spexlens.errors import InvalidInputError
from spexlens.lenses.base import LensGame
from spexlens.lenses.text.ablations import ABLATIONS
from spexlens.lenses.text.attention import Attending, AttentionLens
from spexlens.lenses.text.classifier import ClassMargin, ScoredClassifier
from spexlens.lenses.text.prompt import SLOT, PromptLens, filled
from spexlens.lenses.text.scores import ScoredLM, TextScore
from spexlens.lenses.text.segmenters import Segmenter, tokens
from spexlens.lenses.text.sequence_scores import chosen_score
from spexlens.lenses.text.spans import Span
from spexlens.models.base import Classifier, LanguageModel, SeveralClasses

if TYPE_CHECKING:
    from spexlens.models.hiding.classifier import HidingClassifier
    from spexlens.models.pretrained.causal_lm import CausalLM
    from spexlens.models.pretrained.seq2seq import Seq2SeqLM


def prompt_game(
    model: LanguageModel | Classifier,
    text: str,
    template: str = SLOT,
    *,
    answers: tuple[str, str] | None = None,
    score: TextScore | None = None,
    label: str | None = None,
    against: str | None = None,
    segmenter: str | Segmenter | Sequence[Span] = "words",
    absent: str = "remove",
    fillers: str | Sequence[str] | None = None,
    pinned: Sequence[int | str] = (),
) -> LensGame:
    """Make the game of leaving words out of a text: how far a model prefers one answer or class.

    Everything is checked here, before the first forward pass. To look at a part, compose it:
    `LensGame(PromptLens(…), ScoredLM(model, score.resolve(model, lens.prompt)))`.

    Parameters
    ----------
    model : LanguageModel or Classifier
        For instance `spexlens.load_model("smollm2")`, `SequenceClassifier.load(folder)`, or
        `fit_probe(Encoder.load("minilm"), texts, labels)`.
    text : str
        What is explained; its pieces are the players.
    template : str, default "{text}"
        The prompt around it, best ending where the answer follows: "Review: {text}\\nSentiment:".
    answers : (positive, negative), optional
        Of a language model. The value of a mask is logit(positive) - logit(negative) of the
        answers' first tokens, or, where both begin with the same token, the log-odds of the two as
        whole sequences.
    score : TextScore, optional
        Of a language model: any other score of `spexlens.lenses.text.scores` or
        `spexlens.lenses.text.response_scores`, such as
        `ResponseLogProbability(" It was fine.")`. Either this or `answers`.
    label, against : str, optional
        Of a classifier: see `ClassMargin`. The one output of a reward or regression model needs no
        label.
    segmenter, fillers, pinned
        See `PromptLens`. The fillers of "mask" are a classifier's own mask token.
    absent : str, default "remove"
        What an absent piece becomes: a key of `spexlens.lenses.text.ablations.ABLATIONS`. With
        "hide" it stays in the text, at its place, and no other token attends to it. Nothing merges
        or moves then; what it costs is that the model is run in a state it was never trained in.

    Returns
    -------
    LensGame

    Raises
    ------
    InvalidInputError
        For a template without its slot, an empty text, answers that cannot be told apart, an
        unknown class, a prompt the model cannot run (longer than its context, or, where the whole
        text is removed, empty for a model without a beginning-of-text token), "mask" without a mask
        token, or "hide" for a model that does not read such masks, found by a short trial.
    """
    hidden = ABLATIONS.find(absent).edit is None
    if hidden and fillers is not None:
        raise InvalidInputError(f"fillers = {fillers!r} given; hidden pieces stay as they are.")
    if absent == "mask" and fillers is None and isinstance(model, Classifier):
        fillers = model.mask_token
    edit = "remove" if hidden else absent
    lens = PromptLens(text, template, segmenter, edit, fillers, pinned)
    subject: ScoredLM | ScoredClassifier
    if isinstance(model, Classifier):
        labels = model.labels
        if label is None and len(labels) == 1:
            (label,) = labels
        if label is None or answers is not None or score is not None:
            raise InvalidInputError(
                f"{model.name} is a classifier; needed label=, one of {', '.join(labels)}, "
                "and neither answers nor a score."
            )
        independent = isinstance(model, SeveralClasses) and model.several_classes
        margin = ClassMargin(label, against).resolve(labels, independent)
        model.count_tokens([lens.prompt])  # an error for one that cannot be run
        subject = ScoredClassifier(model, margin)
    else:
        if label is not None or against is not None:
            raise InvalidInputError(
                f"label = {label!r}, against = {against!r} given; {model.name} is a language "
                "model: needed answers=(positive, negative), or a score."
            )
        nothing = np.zeros((int(not hidden), len(lens.spans)), dtype=bool)
        model.count_tokens([lens.prompt, *(filled(template, one) for one in lens.texts(nothing))])
        subject = ScoredLM(model, chosen_score(answers, score).resolve(model, lens.prompt))
    return _hiding(lens, subject) if hidden else LensGame(lens, subject)


def _hiding(pieces: PromptLens, subject: ScoredLM | ScoredClassifier) -> LensGame:
    """Make the game of hiding pieces from attention; the model is tried on it first."""
    from spexlens.models.hiding.classifier import (
        HiddenFromClassifier,
        HidingClassifier,
        check_hiding_from,
    )
    from spexlens.models.hiding.language_model import check_hiding, hidden_from
    from spexlens.models.hiding.seq2seq import hidden_from_seq2seq
    from spexlens.models.pretrained.causal_lm import CausalLM
    from spexlens.models.pretrained.seq2seq import Seq2SeqLM

    model = subject.model
    if isinstance(model, Seq2SeqLM):
        lens = _attention(pieces, model)
        check_hiding_from(model, pieces.prompt, lens.owners >= 0)
        return LensGame(lens, Attending(subject, hidden_from_seq2seq))
    if isinstance(model, HidingClassifier):
        lens = _attention(pieces, model)
        check_hiding_from(model, pieces.prompt, lens.owners >= 0)
        return LensGame(lens, Attending(subject, HiddenFromClassifier))
    if isinstance(model, CausalLM):
        lens = _attention(pieces, model)
        check_hiding(model, pieces.prompt)
        return LensGame(lens, Attending(subject, hidden_from))
    raise InvalidInputError(
        f"{model.name} is a {type(model).__name__}, whose attention is out of reach; needed a "
        "CausalLM or a classifier that runs here to hide pieces from it, or another absent=."
    )


def _attention(pieces: PromptLens, model: CausalLM | Seq2SeqLM | HidingClassifier) -> AttentionLens:
    tokens(model.tokenizer)  # an error for a tokenizer that does not tell offsets
    return AttentionLens.of(pieces, model.tokenizer, model.token_spans(pieces.prompt))
