"""A probe on a gated encoder."""

import numpy as np
import pytest
import torch

from spexlens.errors import InvalidInputError
from spexlens.lenses.components.game import component_game
from spexlens.lenses.components.probe_score import ProbeScore
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.encoder import pooled
from tests.models.pretrained.test_encoder import tiny_encoder
from tests.tiny_models import tiny_model, tiny_tokenizer

TEXTS = ["good film", "bad film", "not very good", "a b c d"]
LABELS = np.array([1, 0, 0, 1])
WEIGHTS = np.random.default_rng(0).normal(size=32)


def test_margins_are_signed_by_the_labels():
    encoder = tiny_encoder()
    score = ProbeScore(WEIGHTS, 0.5, LABELS)
    game = component_game(encoder, TEXTS, "heads", score=score, absent="mean")
    values = game(np.array([[True] * 8, [False] * 8]))
    with torch.no_grad():
        outputs = [
            float(pooled(encoder.model, torch.tensor([encoder.tokenizer(t)["input_ids"]])) @
                  torch.tensor(WEIGHTS, dtype=torch.float32)) + 0.5
            for t in TEXTS
        ]  # fmt: skip
    expected = np.array(outputs) * (2 * LABELS - 1)
    np.testing.assert_allclose(values[0, 1:], expected, atol=1e-4)
    assert not np.allclose(values[1], values[0], atol=0.01)
    right = component_game(
        encoder, TEXTS, score=ProbeScore(WEIGHTS, 0.5, LABELS, accuracy=True), absent="mean"
    )
    assert np.array_equal(right(np.ones((1, 8), dtype=bool))[0, 1:], expected > 0)


def test_the_identity_holds_probe_and_labels():
    def identity(bias, labels):
        return ProbeScore(WEIGHTS, bias, labels).resolve(tiny_encoder(), TEXTS).identity()

    assert identity(0.5, LABELS) == identity(0.5, LABELS)
    assert identity(0.5, LABELS) != identity(0.6, LABELS)
    assert identity(0.5, LABELS) != identity(0.5, 1 - LABELS)


def test_labels_that_do_not_fit_are_told():
    with pytest.raises(InvalidInputError, match="not all 0 or 1"):
        ProbeScore(WEIGHTS, 0.0, np.array([1, -1]))
    with pytest.raises(InvalidInputError, match="3 labels given for 4 texts"):
        component_game(tiny_encoder(), TEXTS, score=ProbeScore(WEIGHTS, 0.0, LABELS[:3]))


def test_a_language_model_is_refused():
    lm = CausalLM(tiny_model(), tiny_tokenizer(), "llama")
    with pytest.raises(InvalidInputError, match=r"llama is no Encoder.*such as 'margin'"):
        component_game(lm, TEXTS, score=ProbeScore(WEIGHTS, 0.0, LABELS))


def test_scores_of_next_tokens_are_refused():
    with pytest.raises(InvalidInputError, match="tiny is an encoder; needed a ProbeScore"):
        component_game(tiny_encoder(), TEXTS, score="kl")
