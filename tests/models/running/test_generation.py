"""Greedy continuations in batches against one token at a time."""

import pytest
import torch

from spexlens.errors import InvalidInputError
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.running.generation import greedy
from tests.tiny_models import POSITIONS, tiny_model, tiny_tokenizer

PROMPTS = [
    "the film was",
    "good",
    "a b c d e a b c d e",
    "not very good , the plot was great fun",
    "",
]


def by_definition(model, tokenizer, prompt, new):
    ids = tokenizer(prompt)["input_ids"] or [tokenizer.bos_token_id]
    start = len(ids)
    with torch.no_grad():
        for _ in range(new):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == model.generation_config.eos_token_id:
                break
    return ids[start:]


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2", "bloom", "mamba", "lfm2"])
def test_batched_texts_equal_one_token_at_a_time(architecture):
    model, tokenizer = tiny_model(architecture), tiny_tokenizer()
    lm = CausalLM(model, tokenizer, batch_tokens=60)
    expected = [by_definition(model, tokenizer, prompt, 8) for prompt in PROMPTS]
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in expected]
    assert lm.generate([*PROMPTS, PROMPTS[0]], 8) == [*texts, texts[0]]
    assert len(set(texts)) > 1


def test_a_text_ends_with_its_end_token_and_sampling_settings_are_left_aside(monkeypatch):
    model = tiny_model()
    prompts = [[5, 6], [7], [8, 9, 10]]
    free = greedy(model, prompts, filler=2, max_new_tokens=6)
    end = free[0][2]
    settings = model.generation_config
    monkeypatch.setattr(settings, "eos_token_id", [end, 28])
    monkeypatch.setattr(settings, "do_sample", True)
    monkeypatch.setattr(settings, "repetition_penalty", 3.0)
    expected = [ids[: ids.index(end) + 1] if end in ids else ids for ids in free]
    assert greedy(model, prompts, filler=2, max_new_tokens=6) == expected
    assert len({len(ids) for ids in expected}) > 1
    assert model.generation_config is settings


def test_new_tokens_must_fit():
    lm = CausalLM(tiny_model(), tiny_tokenizer())
    with pytest.raises(InvalidInputError, match=f"2 tokens, and {POSITIONS} are to follow"):
        lm.generate(["a b"], POSITIONS)
    with pytest.raises(InvalidInputError, match="max_new_tokens = 0"):
        lm.generate(["a b"], 0)
