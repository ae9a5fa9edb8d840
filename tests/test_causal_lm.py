"""`CausalLM`: batched scores against one plain forward pass a prompt, and its errors."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.models.causal_lm import CausalLM

from .tiny_models import ARCHITECTURES, POSITIONS, VOCABULARY, tiny_model, tiny_tokenizer

TOKENS = [VOCABULARY.index(word) for word in ("positive", "negative", "yes")]
PROMPTS = [
    "Review: the film was very good. Sentiment:",
    "good",
    "Review: bad. Sentiment:",
    "not very good, not very bad, the plot was great fun",
    "good",
    "a b c d e a b c d e a b c d e",
]


def one_by_one(model, tokenizer, prompts):
    """All next-token logits by definition: every prompt alone, unpadded, without options."""
    rows = []
    with torch.no_grad():
        for prompt in prompts:
            ids = tokenizer(prompt)["input_ids"]
            rows.append(model(input_ids=torch.tensor([ids])).logits[0, -1].double().numpy())
    return np.stack(rows)


@pytest.fixture
def tiny():
    return CausalLM(tiny_model(), tiny_tokenizer(), name="tiny")


@pytest.mark.parametrize("batch_tokens", [1, 20, 10_000])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_batched_logits_equal_one_by_one(architecture, batch_tokens):
    model, tokenizer = tiny_model(architecture), tiny_tokenizer()
    lm = CausalLM(model, tokenizer, batch_tokens=batch_tokens)
    expected = one_by_one(model, tokenizer, PROMPTS)[:, TOKENS]
    values = lm.next_token_logits(PROMPTS, TOKENS)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, atol=1e-4, rtol=0)
    # The tolerance means something only because the prompts' logits differ by far more.
    assert np.ptp(expected, axis=0).min() > 0.1


def test_log_probabilities_are_normalised_over_the_vocabulary(tiny):
    logits = one_by_one(tiny.model, tiny.tokenizer, PROMPTS)
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    values = tiny.next_token_log_probabilities(PROMPTS, TOKENS)
    np.testing.assert_allclose(values, expected[:, TOKENS], atol=1e-4, rtol=0)


def test_full_batches_run_fewer_passes_and_equal_prompts_run_once(tiny):
    shapes = []
    with watched(tiny.model, shapes):
        CausalLM(tiny.model, tiny.tokenizer, batch_tokens=30).next_token_logits(PROMPTS, TOKENS)
    lengths = sorted({prompt: len(tiny.encode(prompt)) for prompt in PROMPTS}.values())
    assert sum(rows for rows, _ in shapes) == len(lengths) == 5
    assert all(rows * width <= 30 for rows, width in shapes)
    assert len(shapes) < 5


def test_a_model_without_positions_is_never_padded():
    bloom = tiny_model("bloom")
    lm = CausalLM(bloom, tiny_tokenizer())
    shapes = []
    with watched(bloom, shapes):
        lm.next_token_logits(["a b", "c d", "a", "b c d"], TOKENS)
    assert sorted(shapes) == [(1, 1), (1, 3), (2, 2)]


def test_only_the_last_position_reaches_the_head(tiny):
    widths = []
    hook = tiny.model.lm_head.register_forward_pre_hook(
        lambda _, inputs: widths.append(inputs[0].shape[1])
    )
    try:
        tiny.next_token_logits(PROMPTS, TOKENS)
    finally:
        hook.remove()
    assert widths
    assert set(widths) == {1}


def test_a_model_in_training_is_scored_in_eval_mode_and_left_as_it_was():
    torch.manual_seed(0)
    sizes = {"vocab_size": len(VOCABULARY), "n_embd": 16, "n_layer": 1, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(**sizes, n_positions=16, resid_pdrop=0.9, embd_pdrop=0.9))
    model.train()
    model.transformer.drop.eval()
    lm = CausalLM(model, tiny_tokenizer())
    first, second = (lm.next_token_logits(["good film"], TOKENS) for _ in range(2))
    assert np.array_equal(first, second)
    assert model.training
    assert model.transformer.h[0].training
    assert not model.transformer.drop.training
    with pytest.raises(InvalidInputError, match="17 tokens"):
        lm.next_token_logits(["a " * 17], TOKENS)
    assert model.training


def test_an_empty_prompt_is_bos(tiny):
    bos = tiny.next_token_logits(["<s>"], TOKENS)
    assert np.array_equal(tiny.next_token_logits([""], TOKENS), bos)
    assert tiny.count_tokens(["", "good film"]).tolist() == [1, 2]


def test_an_empty_prompt_without_bos_is_an_error():
    lm = CausalLM(tiny_model(), tiny_tokenizer(bos=False), name="tiny")
    with pytest.raises(InvalidInputError, match="beginning-of-text"):
        lm.next_token_logits(["good", " "], TOKENS)


def test_a_prompt_beyond_the_positions_is_an_error(tiny):
    at_most = "a " * POSITIONS
    assert tiny.max_tokens == POSITIONS
    assert np.isfinite(tiny.next_token_logits([at_most], TOKENS)).all()
    with pytest.raises(InvalidInputError, match=f"{POSITIONS + 1} tokens; tiny has {POSITIONS}"):
        tiny.next_token_logits(["good", at_most + "b"], TOKENS)


@pytest.mark.parametrize("tokens", [[], [-1], [len(VOCABULARY)]])
def test_token_ids_must_be_in_the_vocabulary(tiny, tokens):
    with pytest.raises(InvalidInputError, match="token ids"):
        tiny.next_token_logits(["good"], tokens)


@pytest.mark.parametrize(("prompts", "message"), [("good", "one string"), ([], "no prompts")])
def test_prompts_must_be_a_list(tiny, prompts, message):
    with pytest.raises(InvalidInputError, match=message):
        tiny.next_token_logits(prompts, TOKENS)


def test_a_batch_holds_a_token_at_least(tiny):
    with pytest.raises(InvalidInputError, match="batch_tokens = 0"):
        CausalLM(tiny.model, tiny.tokenizer, batch_tokens=0)


def test_the_name_is_the_models_own_by_default():
    named = SimpleNamespace(config=SimpleNamespace(name_or_path="owner/name"))
    assert CausalLM(named, None).name == "owner/name"
    assert CausalLM(tiny_model(), None).name == "LlamaForCausalLM"


def test_load_from_a_folder_gives_the_same_values(tiny, tmp_path):
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    loaded = CausalLM.load(tmp_path)
    assert loaded.name == str(tmp_path)
    assert np.array_equal(
        loaded.next_token_logits(PROMPTS, TOKENS), tiny.next_token_logits(PROMPTS, TOKENS)
    )
    half = CausalLM.load(str(tmp_path), dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    rough = half.next_token_logits(PROMPTS, TOKENS)
    assert np.corrcoef(rough.ravel(), tiny.next_token_logits(PROMPTS, TOKENS).ravel())[0, 1] > 0.99


def test_load_refuses_a_model_without_a_language_model_head(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=32, **sizes, intermediate_size=16)).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(InvalidInputError, match=r"lacks .* weights"):
        CausalLM.load(tmp_path)


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(UnknownNameError, match="smollm2"):
        CausalLM.load("no-such-model")
    with pytest.raises(InvalidInputError, match="dtype = 'int8'"):
        CausalLM.load(tmp_path, dtype="int8")
    with pytest.raises(InvalidInputError, match="device = 'nowhere'"):
        CausalLM.load(tmp_path, device="nowhere")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InvalidInputError, match="could be loaded from"):
        CausalLM.load(tmp_path)


class watched:  # noqa: N801 - reads as the context it is
    """Notes the shape of every batch the model runs."""

    def __init__(self, model, shapes):
        self.model, self.shapes = model, shapes

    def __enter__(self):
        def note(_, args, kwargs):
            self.shapes.append(tuple(kwargs["input_ids"].shape))

        self.hook = self.model.register_forward_pre_hook(note, with_kwargs=True)

    def __exit__(self, *_):
        self.hook.remove()
