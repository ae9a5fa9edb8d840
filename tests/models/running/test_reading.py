"""Reading a pass at chosen columns: those of the full logits, and nothing left on the model."""

import pytest
import torch

from spexlens.models.running.reading import outputs_at
from tests.tiny_models import tiny_model

IDS = torch.randint(3, 20, (2, 6), generator=torch.Generator().manual_seed(0))
COLUMNS = torch.tensor([[1, 4], [0, 5]])
ROWS = torch.arange(2)[:, None]


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2", "opt", "mamba"])
@torch.inference_mode()
def test_logits_are_those_of_a_full_pass(architecture):
    model = tiny_model(architecture)
    outputs = outputs_at(model, IDS, COLUMNS)
    torch.testing.assert_close(outputs.logits, model(IDS).logits[ROWS, COLUMNS])
    assert outputs.hidden.shape == (2, 2, 32)


@torch.inference_mode()
def test_a_model_that_names_no_unembedding_is_read_from_all_its_logits(monkeypatch):
    model = tiny_model()
    expected = outputs_at(model, IDS, COLUMNS).logits
    monkeypatch.setattr(type(model), "get_output_embeddings", lambda self: None)
    outputs = outputs_at(model, IDS, COLUMNS)
    torch.testing.assert_close(outputs.logits, expected)
    assert outputs.hidden is None


@torch.inference_mode()
def test_the_hook_is_gone_after_an_error():
    model = tiny_model()
    with pytest.raises(IndexError):
        outputs_at(model, IDS, COLUMNS + 9)
    assert not model.lm_head._forward_pre_hooks
    assert model(IDS).logits.shape == (2, 6, model.config.vocab_size)
