"""State-space and other recurrent models in text games: right in batches, or refused.

A token's state depends on all before it, so padding in front would change it: prompts are padded
behind, and generation has prompts of one length in a batch.
"""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import spexlens as sx
from spexlens.errors import InvalidInputError
from spexlens.models import CausalLM
from tests.tiny_models import VOCABULARY, tiny_tokenizer

_SHARED = {
    "vocab_size": len(VOCABULARY), "hidden_size": 32, "num_hidden_layers": 2, "bos_token_id": 1,
    "eos_token_id": 1, "pad_token_id": 2, "initializer_range": 0.4,
}  # fmt: skip
_ATTENTION = {
    **_SHARED, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 64, "head_dim": 8,
}  # fmt: skip
_MAMBA2 = {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 4}
KINDS = {
    "mamba": {**_SHARED, "state_size": 8},
    "falcon_mamba": {**_SHARED, "state_size": 8},
    "mamba2": {**_SHARED, **_MAMBA2, "expand": 2},
    "rwkv": {**_SHARED, "attention_hidden_size": 32, "context_length": 64},
    "recurrent_gemma": {
        **_ATTENTION, "lru_width": 32, "attention_window_size": 8, "num_hidden_layers": 3,
        "block_types": ["recurrent", "recurrent", "attention"],
    },
    "bamba": {
        **_ATTENTION, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8,
        "mamba_n_groups": 2, "mamba_chunk_size": 4, "attn_layer_indices": [1],
    },
    "jamba": {
        **_ATTENTION, "mamba_d_state": 8, "mamba_dt_rank": 4, "num_experts": 2,
        "num_experts_per_tok": 1, "use_mamba_kernels": False, "attn_layer_period": 2,
        "attn_layer_offset": 1,
    },
    "xlstm": {
        **_SHARED, "num_heads": 4, "num_blocks": 2, "chunk_size": 8,
        "hidden_size": 128, "embedding_dim": 128,
        "mode": "inference", "chunkwise_kernel": "chunkwise--native_autograd",
        "sequence_kernel": "native_sequence__native", "step_kernel": "native",
    },
}  # fmt: skip
TEXT = "the film was not very good plot fun great a b c"
WORDS = TEXT.split()


def recurrent(kind):
    with torch.random.fork_rng(), torch.inference_mode(False):
        torch.manual_seed(0)
        config = AutoConfig.for_model(kind, **KINDS[kind])
        model = AutoModelForCausalLM.from_config(config).eval()
    return CausalLM(model, tiny_tokenizer(), name=kind)


def plain(lm, prompt, new=()):
    ids = torch.tensor([lm.encode(prompt) + list(new)])
    with torch.inference_mode():
        return lm.model(input_ids=ids, use_cache=False).logits[0, -1].double().numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_a_recurrent_model_reads_text_games_rightly_or_refuses(kind):
    lm = recurrent(kind)
    game = sx.prompt_game(lm, TEXT, "Review : {text}", answers=("yes", "no"))
    masks = np.random.default_rng(0).random((16, len(WORDS))) < 0.6
    yes, no = VOCABULARY.index("yes"), VOCABULARY.index("no")
    expected = []
    for mask in masks:
        kept = " ".join(word for word, there in zip(WORDS, mask, strict=True) if there)
        logits = plain(lm, f"Review : {kept}")
        expected.append(logits[yes] - logits[no])
    assert np.abs(game(masks) - expected).max() < 1e-4 * np.ptp(expected)
    assert len({mask.sum() for mask in masks}) > 3  # prompts of several lengths

    texts = [TEXT, "a b", "the film was very good", "b a"]
    together = lm.generate(texts, 3)
    for text, written in zip(texts, together, strict=True):
        new = []
        for _ in range(3):
            new.append(int(plain(lm, text, new).argmax()))
            if new[-1] == 1:
                break
        assert written == lm.tokenizer.decode(new, skip_special_tokens=True)

    with pytest.raises(InvalidInputError, match=r"attention mask.*absent='remove'"):
        sx.prompt_game(lm, TEXT, "Review : {text}", answers=("yes", "no"), absent="hide")
