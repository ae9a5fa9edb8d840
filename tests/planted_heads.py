"""A small transformer with a known circuit, trained in about a second."""

from functools import cache

import torch
from transformers import MistralConfig, MistralForCausalLM

from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import VOCABULARY, tiny_tokenizer

WORDS = ("good", "bad", "film", "plot", "yes", "no")
MOVER, BACKUPS = "L0.H1", ("L1.H0", "L1.H3")
_HEADS, _WIDTH, _PLANTED = 4, 32, ((1,), (0, 3))


@cache
def planted_lm() -> CausalLM:
    """Says the first of three words again. Attention sees one token back, so two heads in a row
    must carry it: L0.H1, and either of L1.H0 and L1.H3, which were trained with one of them off in
    two of three examples. The output of the other heads and of the MLPs is zero.
    """
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(0)
        model = MistralForCausalLM(
            MistralConfig(
                vocab_size=len(VOCABULARY), hidden_size=_WIDTH, intermediate_size=8,
                num_hidden_layers=2, num_attention_heads=_HEADS, num_key_value_heads=_HEADS,
                sliding_window=2, max_position_embeddings=8, bos_token_id=None, eos_token_id=None,
                pad_token_id=None, initializer_range=0.1,
            )
        )  # fmt: skip
        _train(model)
    return CausalLM(model.eval(), tiny_tokenizer(), "planted")


def _train(model: MistralForCausalLM) -> None:
    size = _WIDTH // _HEADS
    open_columns = torch.zeros(2, _WIDTH)
    for layer, planted in zip(model.model.layers, _PLANTED, strict=True):
        for head in planted:
            open_columns[layer.self_attn.layer_idx, head * size : (head + 1) * size] = 1
        layer.self_attn.o_proj.weight.data *= open_columns[layer.self_attn.layer_idx]
        layer.mlp.down_proj.weight.data.zero_()
        layer.mlp.requires_grad_(False)
    words = torch.tensor([VOCABULARY.index(word) for word in WORDS])
    optimiser = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=1e-2)
    off = torch.ones(3, 1, _WIDTH)
    off[0, :, :size], off[1, :, -size:] = 0, 0
    for _ in range(150):
        ids = words[torch.randint(len(words), (128, 3))]
        gates = off[torch.randint(3, (128,))]
        hook = model.model.layers[1].self_attn.o_proj.register_forward_pre_hook(
            lambda _, args, gates=gates: (args[0] * gates,)
        )
        loss = torch.nn.functional.cross_entropy(model(ids).logits[:, -1], ids[:, 0])
        hook.remove()
        optimiser.zero_grad()
        loss.backward()
        for layer, columns in zip(model.model.layers, open_columns, strict=True):
            layer.self_attn.o_proj.weight.grad *= columns
        optimiser.step()
        if loss < 0.02:
            break
