"""Encoder-decoders read text games: batches equal plain passes, words removed or hidden."""

import numpy as np
import pytest
import torch

import spexlens as sx
from spexlens.errors import InvalidInputError
from spexlens.models import CausalLM, Seq2SeqLM, load_model
from tests.models.zoo_of_seq2seq import (
    SEEDED,
    TEMPLATE,
    TEXT,
    checks,
    plain_logits,
    tiny_lm,
    tiny_seq2seq,
)
from tests.tiny_models import tiny_model, tiny_tokenizer


@pytest.mark.parametrize(
    "kind", ["t5", "bart", "mt5", "fsmt", "led", "longt5", "t5gemma", "switch_transformers"]
)
def test_a_kind_is_right(kind):
    """All 23 kinds: `python -m tests.models.zoo_of_seq2seq`."""
    found = checks(kind)
    assert max(found["removal"], found["hiding"], found["response"]) < 1e-4
    assert found["generation"]


def test_answers_are_the_decoders_own_tokens():
    """They do not join with the prompt, and no space goes before them."""
    lm = tiny_lm("t5")
    assert lm.answer_ids("not good") == lm.tokenizer.convert_tokens_to_ids(["not", "good"])
    score = sx.lenses.LogitDifference("yes", "no").resolve(lm, "the film was")
    assert score.description == "logit('yes') - logit('no')"
    whole = sx.lenses.AnswerLogOdds("very good", "very bad")
    (value,) = sx.prompt_game(lm, TEXT, score=whole)(np.ones((1, 12), dtype=bool))
    ids = [lm.answer_ids(answer) for answer in ("very good", "very bad")]
    first, second = (plain_logits(lm, TEXT, [answer[0]])[-1, answer[1]] for answer in ids)
    assert value == pytest.approx(first - second, abs=1e-4)


def test_a_response_longer_than_the_prompts_room_is_no_concern_of_the_encoder():
    lm = tiny_lm("bart")
    prompt, response = " ".join(["a"] * 50), " ".join(["b"] * 40)
    assert lm.count_tokens([prompt]) + 40 > lm.max_tokens == 64
    score = sx.lenses.ResponseLogProbability(response)
    assert sx.prompt_game(lm, prompt, score=score)(np.ones((1, 50), dtype=bool))[0] < 0
    with pytest.raises(InvalidInputError, match="needs 70 positions in the decoder"):
        lm.continuation_log_probabilities(["a"], [3] * 70)
    with pytest.raises(InvalidInputError, match="more than the 64 positions"):
        lm.next_token_logits([" ".join(["a"] * 70)], [3])


def test_a_decoder_that_masks_its_own_beginning_is_not_scored_in_one_pass():
    """FSMT masks padding tokens in the answer: started by one, its first token sees nothing."""
    lm = Seq2SeqLM(tiny_seq2seq("fsmt"), tiny_tokenizer(after=("<s>",)), start=[2])
    with pytest.raises(InvalidInputError, match="its start is its padding token"):
        lm.continuation_log_probabilities([TEXT], [3, 4, 5])
    assert lm.next_token_logits([TEXT], [3]).shape == (1, 1)


def test_a_forced_first_token_comes_before_the_answer():
    model = tiny_seq2seq("mbart")
    model.generation_config.forced_bos_token_id = 5
    forced = Seq2SeqLM(model, tiny_tokenizer(after=("<s>",)))
    assert forced.start == (2, 5)
    free = Seq2SeqLM(model, forced.tokenizer, start=[2])
    values = [lm.next_token_logits([TEXT], [3, 4]) for lm in (forced, free)]
    assert not np.allclose(*values)
    np.testing.assert_allclose(values[0][0], plain_logits(forced, TEXT)[-1, [3, 4]], atol=1e-4)
    assert forced.identity() != free.identity()


def test_a_decoder_without_a_beginning_is_told():
    model = tiny_seq2seq("t5")
    model.config.decoder_start_token_id = None
    model.generation_config.decoder_start_token_id = None
    model.generation_config.bos_token_id = None
    with pytest.raises(InvalidInputError, match=r"start=\[…\]"):
        Seq2SeqLM(model, tiny_tokenizer())
    assert Seq2SeqLM(model, tiny_tokenizer(), start=[2]).start == (2,)
    with pytest.raises(InvalidInputError, match="each within 0"):
        Seq2SeqLM(model, tiny_tokenizer(), start=[2000])


def test_hiding_needs_a_token_that_stays_and_one_prompt():
    bare = Seq2SeqLM(tiny_seq2seq("t5"), tiny_tokenizer())
    with pytest.raises(InvalidInputError, match="may see none"):
        sx.prompt_game(bare, TEXT, answers=("yes", "no"), absent="hide")
    lm = tiny_lm("t5")
    hidden = lm.seeing(np.ones((2, 5), dtype=bool))
    with pytest.raises(InvalidInputError, match="needed one prompt"):
        hidden.next_token_logits(["a b c d", "a b c e"], [3])
    with pytest.raises(InvalidInputError, match="the prompt has 3"):
        hidden.next_token_logits(["a b"] * 2, [3])
    with pytest.raises(InvalidInputError, match="generated text"):
        hidden.generate(["a b c d"] * 2, 3)


def test_an_explanation_of_a_saved_encoder_decoder(tmp_path):
    lm = tiny_lm("t5")
    lm.model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert isinstance(loaded, Seq2SeqLM)
    assert loaded.start == (2,)
    games = [sx.prompt_game(model, TEXT, TEMPLATE, answers=("yes", "no")) for model in (lm, loaded)]
    np.testing.assert_allclose(games[1](SEEDED), games[0](SEEDED), atol=1e-4)
    ex = sx.explain(games[1], budget=64, algorithm="lasso", rng=0)
    assert len(ex.values) == 62  # full and empty input apart
    with pytest.raises(InvalidInputError, match=r"encoder-decoder.*Seq2SeqLM\.load"):
        CausalLM.load(tmp_path)


def test_a_model_of_one_part_is_no_encoder_decoder(tmp_path):
    tiny_model("llama").save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    assert isinstance(load_model(tmp_path), CausalLM)
    with pytest.raises(InvalidInputError, match=r"no encoder-decoder.*CausalLM\.load"):
        Seq2SeqLM.load(tmp_path)


def test_what_cannot_be_done_with_two_parts_is_told():
    lm = tiny_lm("t5")
    with pytest.raises(InvalidInputError, match="Of an encoder-decoder the words"):
        sx.component_game(lm, ["the film was"], "heads")
    with pytest.raises(InvalidInputError, match="needed a CausalLM"):
        sx.chat_game(lm, [{"role": "user", "content": "a"}], answers=("yes", "no"))


def test_the_model_is_left_as_it_was():
    lm = tiny_lm("bart")
    own = lm.model.generation_config
    lm.model.train()
    lm.generate(["a b"], 2)
    lm.next_token_logits(["a b", "a"], [3])
    assert lm.model.generation_config is own
    assert lm.model.training
    assert all(weight.requires_grad for weight in lm.model.parameters())
    assert not torch.is_inference_mode_enabled()
