"""What a model allows is found by trying; what it does not allow is not done."""

import pytest

from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import tiny_model, tiny_tokenizer

ATTENTION = ["llama", "gpt2", "qwen2", "gemma2", "gemma3", "mistral", "gpt_neox", "bloom", "opt"]
EXPECTED = {
    **dict.fromkeys(ATTENTION, (True, True, True)),
    "mamba": (True, False, True),
    "lfm2": (True, True, True),
    "phi3": (False, False, True),
    "bert": (False, False, False),
}


@pytest.mark.parametrize("architecture", EXPECTED)
def test_every_architecture_is_run_the_fastest_way_that_is_right(architecture):
    lm = CausalLM(tiny_model(architecture), tiny_tokenizer())
    lm.next_token_logits(["a b", "a b c"], [4])
    ways = lm.passes.state.ways
    assert (ways.padded, ways.shared, ways.causal) == EXPECTED[architecture]


def test_one_prompt_needs_nothing_tried():
    lm = CausalLM(tiny_model(), tiny_tokenizer())
    lm.next_token_logits(["a b", "a b"], [4])
    assert lm.passes.state.ways is None
