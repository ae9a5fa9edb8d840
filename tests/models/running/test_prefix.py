"""A shared beginning: what follows it is as in a whole pass, and the cache stays as it was."""

import pytest
import torch

from spexlens.models.running.prefix import depends_on_length, shared_prefix
from tests.tiny_models import CONFIGS, tiny_model

IDS = torch.randint(3, 20, (3, 16), generator=torch.Generator().manual_seed(0))
SHARING = ["llama", "gpt2", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "mistral", "gpt_neox"]


@pytest.mark.parametrize("length", [1, 3, 4, 5, 12])  # around and beyond the window of 4
@pytest.mark.parametrize("architecture", [*SHARING, "bloom", "opt"])
@torch.inference_mode()
def test_what_follows_a_prefix_equals_a_whole_pass(architecture, length):
    model = tiny_model(architecture)
    whole = torch.cat([IDS[:1, :length].expand(3, -1), IDS[:, length:]], dim=1)
    expected = model(input_ids=whole).logits[:, length:]
    prefix = shared_prefix(model, whole[0, :length].tolist())
    for rows in (3, 1):  # twice with one prefix, and with another number of rows
        cache = prefix.for_rows(rows)
        logits = model(input_ids=whole[:rows, length:], past_key_values=cache).logits
        torch.testing.assert_close(logits, expected[:rows], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_passes_leave_the_cache_as_it_was():
    model = tiny_model("gemma2")
    cache = shared_prefix(model, [5, 6, 7, 8, 9, 10]).for_rows(3)
    before = [(layer.keys.clone(), layer.values.clone()) for layer in cache.layers]
    model(input_ids=IDS, past_key_values=cache)
    for layer, (keys, values) in zip(cache.layers, before, strict=True):
        assert torch.equal(layer.keys, keys)
        assert torch.equal(layer.values, values)
    assert cache.get_seq_length() == 6


def test_rotary_angles_that_change_with_the_length_are_known():
    changing = [name for name, config in CONFIGS.items() if depends_on_length(config())]
    assert changing == ["phi3"]
