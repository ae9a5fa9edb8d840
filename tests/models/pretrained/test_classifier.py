"""Classifiers of many architectures read in batches as transformers reads each text alone."""

import warnings

import numpy as np
import pytest
import torch

from spexlens.errors import InvalidInputError, SpexlensWarning
from spexlens.models.pretrained.classifier import SequenceClassifier
from spexlens.models.pretrained.encoder import Encoder, embeddings
from tests.tiny_models import CLASSIFIERS, tiny_classifier, tiny_tokenizer

TEXTS = ["good film", "the film was not very good , great fun", "bad", "e e", "plot : a b c d e"]
TOKENIZERS = {
    "plain": {},
    "end of text": {"after": ("<s>",)},
    "both": {"before": ("<s>",), "after": (".",)},
}
# Those that read at the end-of-text token do not run without one.
PAIRS = [
    (architecture, name)
    for architecture in CLASSIFIERS
    for name in (("end of text",) if architecture in ("bart", "t5") else ("plain", "both"))
]


def alone(model, tokenizer, texts):
    """Logits of transformers itself, one text a pass, nothing padded."""
    with torch.inference_mode():
        return np.concatenate(
            [model(**tokenizer(text, return_tensors="pt")).logits.numpy() for text in texts]
        )


def classifier(architecture, **given):
    return SequenceClassifier(tiny_classifier(architecture), tiny_tokenizer(**given), architecture)


@pytest.mark.filterwarnings("ignore:.*refuses several texts:spexlens.errors.SpexlensWarning")
@pytest.mark.parametrize(("architecture", "tokenizer"), PAIRS)
def test_batches_have_the_logits_of_transformers_alone(architecture, tokenizer):
    model = classifier(architecture, **TOKENIZERS[tokenizer])
    expected = alone(model.model, model.tokenizer, TEXTS)
    assert np.ptp(expected) > 0.1
    for order in (slice(None), slice(None, None, -1)):  # whichever texts come first are tried
        read = model.class_logits(TEXTS[order])
        np.testing.assert_allclose(read, expected[order], atol=2e-5 * np.ptp(expected))


def test_what_refuses_a_batch_is_read_one_by_one_and_says_so_once():
    model = classifier("gpt2, no padding")
    with pytest.warns(SpexlensWarning, match="GPT2ForSequenceClassification refuses.*pad_token_id"):
        model.class_logits(TEXTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.class_logits(TEXTS)


def test_little_padding_that_does_no_harm_is_no_proof_for_much():
    model = classifier("fnet")
    model.passes.state.pads, model.passes.state.padding = True, 0.1
    expected = alone(model.model, model.tokenizer, TEXTS)
    np.testing.assert_allclose(model.class_logits(TEXTS), expected, atol=1e-5)
    assert not model.passes.state.pads


@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_the_longest_text_that_is_taken_runs(architecture):
    model = classifier(architecture, after=("<s>",))
    limit = model.max_tokens
    if limit is None:
        assert architecture in ("t5", "xlnet", "bloom, no padding")
        limit = 100
    else:
        with pytest.raises(InvalidInputError, match=rf"1 more than the {limit} positions"):
            model.class_logits(["a " * limit])
    assert np.isfinite(model.class_logits(["a " * (limit - 1)])).all()
    assert limit == {"roberta": 61, "mpnet": 62}.get(architecture, limit)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlnet", "fnet", "llama, no padding"])
def test_embeddings_of_batches_are_those_of_each_text_alone(architecture):
    tokenizer = tiny_tokenizer(before=("<s>",))
    encoder = Encoder(tiny_classifier(architecture).base_model, tokenizer)
    for text, row in zip(TEXTS, embeddings(encoder, TEXTS), strict=True):
        with torch.inference_mode():
            mean = encoder.model(**tokenizer(text, return_tensors="pt"))[0][0].mean(dim=0)
        np.testing.assert_allclose(row, mean / mean.norm(), atol=1e-5)
