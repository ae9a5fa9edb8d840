"""Tokens hidden from a language model: whatever is read, against a pass with a mask of its own."""

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from spexlens.errors import InvalidInputError
from spexlens.models.hiding.language_model import check_hiding, hidden_from
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import tiny_model, tiny_tokenizer

PROMPT = "a film was not very good"
VISIBLE = np.random.default_rng(0).random((7, 6)) < 0.6
VISIBLE[0] = True


def plainly(lm, ids, visible):
    """All logits of a pass in which hidden tokens are masked, positions kept."""
    seen = torch.ones(1, len(ids), dtype=torch.long)
    seen[0, : len(visible)] = torch.tensor(visible).long()
    with torch.no_grad():
        positions = torch.arange(len(ids))[None]
        return lm.model(
            input_ids=torch.tensor([ids]), attention_mask=seen, position_ids=positions
        ).logits[0]


@pytest.mark.parametrize("batch_tokens", [1, 20, None])
def test_logits_and_continuations_are_those_of_masked_passes(batch_tokens):
    lm = CausalLM(tiny_model(), tiny_tokenizer(), batch_tokens=batch_tokens)
    visible = VISIBLE.copy()
    visible[:, -1] = True
    hidden = hidden_from(lm, visible)
    logits = hidden.next_token_logits([PROMPT] * 7, [3, 9])
    logs = hidden.continuation_log_probabilities([PROMPT] * 7, [5, 6, 7])
    ids = lm.encode(PROMPT)
    for row, one, several in zip(visible, logits, logs, strict=True):
        assert one == pytest.approx(plainly(lm, ids, row)[-1, [3, 9]].numpy(), abs=1e-4)
        after = plainly(lm, [*ids, 5, 6], row)[-3:].log_softmax(dim=-1)
        assert several == pytest.approx(after[[0, 1, 2], [5, 6, 7]].numpy(), abs=1e-4)
    assert np.ptp(logits, axis=0).min() > 0.1
    assert logits[0] == pytest.approx(lm.next_token_logits([PROMPT], [3, 9])[0], abs=1e-4)


def test_it_is_the_same_model_otherwise():
    lm = CausalLM(tiny_model(), tiny_tokenizer(), name="tiny")
    hidden = hidden_from(lm, VISIBLE)
    assert (hidden.name, hidden.encode("good")) == ("tiny", lm.encode("good"))
    states = hidden.last_hidden([PROMPT] * 7)
    logits = states @ lm.model.lm_head.weight.detach().double().numpy().T
    assert logits == pytest.approx(
        hidden.next_token_logits([PROMPT] * 7, range(logits.shape[1])), abs=1e-4
    )


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([PROMPT] * 3, "3 prompts, 1 of them different, were given for 7 rows"),
        ([PROMPT] * 6 + ["good"], "needed one prompt, the same for all"),
        (["a film"] * 7, "6 tokens are visible or hidden, and the prompt has 2"),
    ],
)
def test_rows_are_of_one_prompt(prompts, message):
    hidden = hidden_from(CausalLM(tiny_model(), tiny_tokenizer()), VISIBLE)
    with pytest.raises(InvalidInputError, match=message):
        hidden.next_token_logits(prompts, [3])


def test_nothing_is_generated():
    hidden = hidden_from(CausalLM(tiny_model(), tiny_tokenizer()), VISIBLE)
    with pytest.raises(InvalidInputError, match="absent='remove'"):
        hidden.generate([PROMPT] * 7, 3)


LONG = "a film was not very good , the plot was bad"
WINDOW = 4
SIZES = {
    "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 48, "head_dim": 8, "bos_token_id": 1,
    "eos_token_id": 1, "pad_token_id": 2, "initializer_range": 0.4,
    "max_position_embeddings": 64,
}  # fmt: skip


def model_of(kind, **sizes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**SIZES, **sizes)).eval()
    return CausalLM(model, tiny_tokenizer(), kind)


@pytest.mark.parametrize(
    "kind",
    ["mistral", "gemma2", "gemma3_text", "qwen2", "gpt_oss", "granite_swa", "phi3", "cohere2",
     "exaone4", "olmo3", "ministral"],
)  # fmt: skip
def test_the_window_of_a_model_is_kept_beside_what_is_hidden(kind):
    switch = {"use_sliding_window": True, "max_window_layers": 1} if kind == "qwen2" else {}
    lm = model_of(kind, sliding_window=WINDOW, **switch)
    ids = lm.encode(LONG)
    assert len(ids) > 2 * WINDOW
    check_hiding(lm, LONG)
    visible = np.ones((2, len(ids)), dtype=bool)
    visible[1, [3, len(ids) - 2]] = False
    found = hidden_from(lm, visible).next_token_logits([LONG] * 2, range(30))
    for row, logits in zip(visible, found, strict=True):
        expected = plainly(lm, ids, row)[-1, :30].numpy()
        assert logits == pytest.approx(expected, abs=1e-4 * float(np.ptp(expected)))
    assert found[0] == pytest.approx(lm.next_token_logits([LONG], range(30))[0], abs=1e-3)


def test_attention_in_chunks_is_refused_once_a_prompt_is_longer_than_a_chunk():
    lm = model_of(
        "llama4_text", attention_chunk_size=WINDOW, num_local_experts=1, intermediate_size_mlp=48
    )
    check_hiding(lm, "a film was")
    with pytest.raises(InvalidInputError, match="does not read 11 tokens as its attention mask"):
        check_hiding(lm, LONG)
