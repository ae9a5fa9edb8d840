"""`CausalLM`: batched scores against one plain forward pass a prompt, and its errors."""

import copy
import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from spexlens.errors import InvalidInputError, SpexlensError, SpexlensWarning
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import ARCHITECTURES, POSITIONS, VOCABULARY, tiny_model, tiny_tokenizer

TOKENS = [VOCABULARY.index(word) for word in ("positive", "negative", "yes")]
PROMPTS = [
    "Review: the film was very good. Sentiment:",
    "good",
    "Review: bad. Sentiment:",
    "not very good, not very bad, the plot was great fun",
    "good",
    "a b c d e a b c d e a b c d e",
]
# All begin with the same 13 tokens; the second is nothing but these.
_HEAD = "the film was not very good , the plot was great fun ."
SHARING = [f"{_HEAD} {rest}".strip() for rest in ("a b", "", "c d e a b c", "a", "c d", "a b c d")]
SETS = {"apart": PROMPTS, "sharing": SHARING, "with an empty one": ["", *SHARING]}


def one_by_one(model, tokenizer, prompts):
    """All next-token logits by definition: every prompt alone, unpadded, without options."""
    rows = []
    with torch.no_grad():
        for prompt in prompts:
            ids = tokenizer(prompt)["input_ids"] or [tokenizer.bos_token_id]
            rows.append(model(input_ids=torch.tensor([ids])).logits[0, -1].double().numpy())
    return np.stack(rows)


@pytest.mark.parametrize("after", [("<s>",), (".", "<pad>")])
@pytest.mark.parametrize("before", [(), ("<s>",)])
def test_prompts_are_read_at_their_own_end(before, after):
    """Whatever a tokenizer puts behind a text, and once what it puts before it."""
    lm = CausalLM(tiny_model(), tiny_tokenizer(before=before, after=after))
    plain = tiny_tokenizer()
    written = [" ".join([*before, prompt]) for prompt in PROMPTS]
    expected = one_by_one(lm.model, plain, written)[:, TOKENS]
    for given in (PROMPTS, written):
        np.testing.assert_allclose(lm.next_token_logits(given, TOKENS), expected, atol=1e-4)
        assert lm.count_tokens(given).tolist() == [len(plain(one)["input_ids"]) for one in written]
    as_written = lm.as_written().next_token_logits(PROMPTS, TOKENS)
    np.testing.assert_allclose(
        as_written, one_by_one(lm.model, plain, PROMPTS)[:, TOKENS], atol=1e-4
    )
    assert lm.as_written().identity() != lm.identity()


@functools.cache
def expected_logits(architecture, prompts):
    return one_by_one(tiny_model(architecture), tiny_tokenizer(), prompts)[:, TOKENS]


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.fixture
def tiny():
    return CausalLM(tiny_model(), tiny_tokenizer(), name="tiny")


@pytest.mark.parametrize("batch_tokens", [1, 20, 10_000])
@pytest.mark.parametrize("prompts", SETS.values(), ids=SETS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_batched_logits_equal_one_by_one(architecture, prompts, batch_tokens):
    model, tokenizer = tiny_model(architecture), tiny_tokenizer()
    lm = CausalLM(model, tokenizer, batch_tokens=batch_tokens)
    expected = expected_logits(architecture, tuple(prompts))
    values = lm.next_token_logits(prompts, TOKENS)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, atol=1e-4, rtol=0)
    # The tolerance means something only because the prompts' logits differ by far more.
    assert np.ptp(expected, axis=0).min() > 0.1


def test_log_probabilities_are_normalised_over_the_vocabulary(tiny):
    expected = log_softmax(one_by_one(tiny.model, tiny.tokenizer, PROMPTS))
    values = tiny.next_token_log_probabilities(PROMPTS, TOKENS)
    np.testing.assert_allclose(values, expected[:, TOKENS], atol=1e-4, rtol=0)


@pytest.mark.parametrize("prompts", [PROMPTS, SHARING])
@pytest.mark.parametrize("architecture", ["llama", "gemma2", "lfm2"])
def test_continuations_equal_the_product_of_their_tokens(architecture, prompts):
    model, tokenizer = tiny_model(architecture), tiny_tokenizer()
    lm = CausalLM(model, tokenizer, batch_tokens=40)
    words = ["yes", "very", "good"]
    expected = [
        log_softmax(one_by_one(model, tokenizer, [" ".join([p, *words[:j]]) for p in prompts]))[
            :, VOCABULARY.index(words[j])
        ]
        for j in range(len(words))
    ]
    values = lm.continuation_log_probabilities(prompts, [VOCABULARY.index(w) for w in words])
    np.testing.assert_allclose(values, np.transpose(expected), atol=1e-4, rtol=0)
    first = lm.next_token_log_probabilities(prompts, [VOCABULARY.index("yes")])
    np.testing.assert_allclose(values[:, :1], first, atol=1e-4, rtol=0)


def test_a_model_that_looks_ahead_has_no_continuations():
    lm = CausalLM(tiny_model("bert"), tiny_tokenizer())
    assert lm.continuation_log_probabilities(["good film"], [4]).shape == (1, 1)
    with pytest.raises(InvalidInputError, match="causal"):
        lm.continuation_log_probabilities(["good film"], [4, 5])


def test_a_continuation_must_fit_behind_the_prompt(tiny):
    prompts = ["good", "a " * (POSITIONS - 2)]
    assert tiny.continuation_log_probabilities(prompts, [4, 5, 6]).shape == (2, 3)
    with pytest.raises(InvalidInputError, match=f"{POSITIONS - 2} tokens, and 3 are to follow"):
        tiny.continuation_log_probabilities(prompts, [4, 5, 6, 7])


@pytest.mark.parametrize("prompts", [PROMPTS, SHARING])
def test_the_last_hidden_state_is_what_the_logits_are_made_of(tiny, prompts):
    hidden = tiny.last_hidden(prompts)
    logits = hidden @ tiny.model.lm_head.weight.detach().double().numpy().T
    assert hidden.shape == (len(prompts), 32)
    np.testing.assert_allclose(
        logits, one_by_one(tiny.model, tiny.tokenizer, prompts), atol=1e-4, rtol=0
    )


def test_half_the_memory_gives_half_the_batch_is_told_once_and_changes_no_value(tiny, monkeypatch):
    forward = type(tiny.model).forward

    def small(self, input_ids, **options):
        if input_ids.numel() > 24:
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, input_ids, **options)

    expected = tiny.next_token_logits(PROMPTS, TOKENS)
    shapes = []
    monkeypatch.setattr(type(tiny.model), "forward", functools.wraps(forward)(small))
    lm = CausalLM(tiny.model, tiny.tokenizer)
    with watched(tiny.model, shapes), pytest.warns(SpexlensWarning, match="did not fit") as told:
        values = lm.next_token_logits(PROMPTS, TOKENS)
    np.testing.assert_allclose(values, expected, atol=1e-5, rtol=0)
    assert len(told) == 1
    failed = [rows * width for rows, width in shapes if rows * width > 24]
    assert failed == sorted(failed, reverse=True)
    shapes.clear()
    with watched(tiny.model, shapes):
        lm.next_token_logits(PROMPTS, TOKENS)
    assert max(rows * width for rows, width in shapes) <= 24  # it remembers
    with pytest.raises(SpexlensError, match="single prompt does not fit"):
        lm.next_token_logits(["good", "a " * 25], TOKENS)


def test_two_replicas_share_the_work_and_give_the_same_values(tiny):
    replica = copy.deepcopy(tiny.model)
    lm = CausalLM(tiny.model, tiny.tokenizer, batch_tokens=1, replicas=(replica,))
    prompts = [f"{_HEAD} {a} {b} {c}" for a in "abcde" for b in "abcde" for c in "abcde"]
    ran = {id(tiny.model): [], id(replica): []}
    with watched(tiny.model, ran[id(tiny.model)]), watched(replica, ran[id(replica)]):
        values = lm.next_token_logits(prompts, TOKENS)
    expected = CausalLM(tiny.model, tiny.tokenizer).next_token_logits(prompts, TOKENS)
    np.testing.assert_allclose(values, expected, atol=1e-5, rtol=0)
    assert all(ran.values())
    assert sum(len(shapes) for shapes in ran.values()) < 2 * len(prompts)


def test_a_compiled_model_gives_the_same_values_and_is_left_uncompiled(tiny):
    compiled = CausalLM(tiny.model, tiny.tokenizer, compiled=True)
    # Eager code behind torch.compile's own capture: no C++ compiler needed, and quick.
    with torch.compiler.set_stance("force_eager"):
        values = compiled.next_token_logits(SHARING, TOKENS)
    np.testing.assert_allclose(values, tiny.next_token_logits(SHARING, TOKENS), atol=1e-5)
    assert "forward" not in vars(tiny.model.model)


def test_a_copy_of_the_model_with_its_state_is_a_model(tiny):
    expected = tiny.next_token_logits(PROMPTS, TOKENS)
    assert np.array_equal(copy.deepcopy(tiny).next_token_logits(PROMPTS, TOKENS), expected)


def test_full_batches_run_fewer_passes_and_equal_prompts_run_once(tiny):
    lm = CausalLM(tiny.model, tiny.tokenizer, batch_tokens=30)
    lm.next_token_logits(PROMPTS, TOKENS)  # the first call tries things out
    shapes = []
    with watched(tiny.model, shapes):
        lm.next_token_logits(PROMPTS, TOKENS)
    lengths = sorted({prompt: len(tiny.encode(prompt)) for prompt in PROMPTS}.values())
    assert sum(rows for rows, _ in shapes) == len(lengths) == 5
    assert all(rows * width <= 30 for rows, width in shapes)
    assert len(shapes) < 5


def test_a_shared_beginning_is_run_once(tiny):
    tiny.next_token_logits(SHARING, TOKENS)
    shapes = []
    with watched(tiny.model, shapes):
        tiny.next_token_logits(SHARING, TOKENS)
    # The second prompt is nothing but the beginning: its last token is left to it.
    assert shapes == [(1, 12), (6, 7)]


def test_only_the_last_position_reaches_the_head(tiny):
    widths = []
    hook = tiny.model.lm_head.register_forward_hook(
        lambda _, inputs, logits: widths.append(logits.shape[1])
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


def test_a_prompt_beyond_the_positions_is_an_error(tiny):
    at_most = "a " * POSITIONS
    assert tiny.max_tokens == POSITIONS
    assert np.isfinite(tiny.next_token_logits([at_most], TOKENS)).all()
    with pytest.raises(InvalidInputError, match=f"{POSITIONS + 1} tokens, 1 more than the"):
        tiny.next_token_logits(["good", at_most + "b"], TOKENS)


@pytest.mark.parametrize("tokens", [[], [-1], [len(VOCABULARY)]])
def test_token_ids_must_be_in_the_vocabulary(tiny, tokens):
    with pytest.raises(InvalidInputError, match="token ids"):
        tiny.next_token_logits(["good"], tokens)


def test_a_batch_holds_a_token_at_least(tiny):
    with pytest.raises(InvalidInputError, match="batch_tokens = 0"):
        CausalLM(tiny.model, tiny.tokenizer, batch_tokens=0)


def test_the_name_is_the_models_own_by_default():
    named = SimpleNamespace(config=SimpleNamespace(name_or_path="owner/name"))
    assert CausalLM(named, None).name == "owner/name"
    assert CausalLM(tiny_model(), None).name == "LlamaForCausalLM"


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
