"""Scores of responses, texts and distributions against plain passes of the model."""

import numpy as np
import pytest

import spexlens as sx
from spexlens.errors import InvalidInputError
from spexlens.lenses.text.game import prompt_game
from spexlens.lenses.text.response_scores import (
    FullPromptKL,
    LogitFunction,
    Perplexity,
    ResponseLogProbability,
    TextFunction,
)
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import VOCABULARY, tiny_model, tiny_tokenizer

PROMPTS = ("Review: good film. Sentiment:", "Review: bad. Sentiment:", "good")
RESPONSE = "The film was good. The plot not very."


@pytest.fixture(scope="module")
def tiny():
    return CausalLM(tiny_model(), tiny_tokenizer(), name="tiny")


def test_a_response_keeps_its_sentences_behind_the_score(tiny):
    score = ResponseLogProbability(RESPONSE).resolve(tiny, PROMPTS[0])
    values = score.values(tiny, PROMPTS)
    ids = tiny.encode(RESPONSE, special_tokens=False)
    tokens = tiny.continuation_log_probabilities(PROMPTS, ids)
    assert tokens.shape[1] == 10
    expected = np.stack([tokens.sum(1), tokens[:, :5].sum(1), tokens[:, 5:].sum(1)], axis=1)
    np.testing.assert_allclose(values, expected)


def test_a_span_of_the_response_is_the_score(tiny):
    start = RESPONSE.index("plot")
    score = ResponseLogProbability(RESPONSE, (start, start + 8)).resolve(tiny, PROMPTS[0])
    ids = tiny.encode(RESPONSE, special_tokens=False)
    tokens = tiny.continuation_log_probabilities(PROMPTS, ids)
    np.testing.assert_allclose(score.values(tiny, PROMPTS)[:, 0], tokens[:, 6:8].sum(axis=1))
    assert score.description == "log p('plot not')"


def test_another_sentence_is_a_refit_of_the_same_run(tiny):
    game = prompt_game(tiny, "not very good", "{text} :", score=ResponseLogProbability(RESPONSE))
    ex = sx.explain(game, 8)
    assert ex.values.shape == (8, 3)
    second = sx.fit(ex.masks, ex.values[:, 2], ex.players)
    alone = prompt_game(
        tiny, "not very good", "{text} :",
        score=ResponseLogProbability(RESPONSE, (19, len(RESPONSE))),
    )  # fmt: skip
    np.testing.assert_allclose(second.predict(ex.masks), alone(ex.masks)[:, 0], atol=1e-6)


@pytest.mark.parametrize("score", [ResponseLogProbability, Perplexity])
def test_a_prompt_and_response_too_long_together_are_told_before_any_pass(tiny, score):
    with pytest.raises(InvalidInputError, match="6 more than the 64 positions"):
        prompt_game(tiny, "not good " * 20, "{text}:", score=score("very " * 29))


def test_minus_the_perplexity_is_minus_exp_of_the_mean_surprise(tiny):
    values = Perplexity("good film").resolve(tiny, PROMPTS[0]).values(tiny, PROMPTS)
    ids = tiny.encode("good film", special_tokens=False)
    tokens = tiny.continuation_log_probabilities(PROMPTS, ids)
    np.testing.assert_allclose(values, -np.exp(-(tokens[:, 0] + tokens[:, 1]) / 2))


def test_divergence_from_the_full_prompt(tiny):
    score = FullPromptKL().resolve(tiny, PROMPTS[0])
    values = score.values(tiny, PROMPTS)
    logs = tiny.next_token_log_probabilities(PROMPTS, range(len(VOCABULARY)))
    expected = [-(np.exp(logs[0]) * (logs[0] - row)).sum() for row in logs]
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert values[0] == pytest.approx(0, abs=1e-6)
    assert (values[1:] < -1e-3).all()


def test_a_users_function_of_logits(tiny):
    margin = LogitFunction(
        ("yes", "no", "good"), lambda z: z[:, 0] - z[:, 1:].max(axis=1), "margin"
    )
    score = margin.resolve(tiny, PROMPTS[0])
    logits = tiny.next_token_logits(PROMPTS, [VOCABULARY.index(w) for w in ("yes", "no", "good")])
    np.testing.assert_allclose(
        score.values(tiny, PROMPTS), logits[:, 0] - np.maximum(logits[:, 1], logits[:, 2])
    )
    with pytest.raises(InvalidInputError, match="a list"):
        LogitFunction("yes", np.sum, "s").resolve(tiny, PROMPTS[0])


def test_a_users_function_of_the_generated_text(tiny):
    score = TextFunction(lambda texts: [len(text.split()) for text in texts], "words", 3)
    values = score.resolve(tiny, PROMPTS[0]).values(tiny, PROMPTS)
    assert values.tolist() == [len(text.split()) for text in tiny.generate(PROMPTS, 3)]
    assert values.max() > 0


def test_scores_that_differ_have_other_identities(tiny):
    scores = [
        ResponseLogProbability(RESPONSE), ResponseLogProbability(RESPONSE, (0, 8)),
        Perplexity(RESPONSE), FullPromptKL(), LogitFunction(("yes",), np.sum, "s"),
        TextFunction(len, "length"), TextFunction(len, "length", 3),
    ]  # fmt: skip
    facts = [str(score.resolve(tiny, PROMPTS[0]).identity()) for score in scores]
    assert len(set(facts)) == len(facts)


def test_an_empty_response_is_an_error(tiny):
    with pytest.raises(InvalidInputError, match="is empty"):
        ResponseLogProbability(" ").resolve(tiny, PROMPTS[0])
