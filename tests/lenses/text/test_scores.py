"""Scores: answers become the right tokens, values are what the tokens' logits say."""

import numpy as np
import pytest

from spexlens.core.interventions import Interventions
from spexlens.errors import InvalidInputError, SpexlensWarning
from spexlens.lenses.text.scores import (
    LogitDifference,
    LogProbability,
    ScoredLM,
    TokenScore,
    answer_tokens,
)
from spexlens.lenses.text.sequence_scores import AnswerLogOdds
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import VOCABULARY, spaced_tokenizer, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def spaced():
    """Encodes as GPT-2 does; never run."""
    return CausalLM(tiny_model(), spaced_tokenizer(), name="spaced")


@pytest.fixture(scope="module")
def tiny():
    return CausalLM(tiny_model(), tiny_tokenizer(), name="tiny")


@pytest.mark.parametrize(
    ("prompt", "answer", "separator", "expected"),
    [
        ("Sentiment:", "positive", None, " positive"),
        ("Sentiment:", " positive", None, " positive"),
        ("Sentiment:", "positive", "", "positive"),
        ("Sentiment:\n", "positive", None, "positive"),
        ("Sentiment: (", "positive", None, "positive"),
        ('Sentiment: "', "positive", None, "positive"),
        ('{"Sentiment":"', "positive", None, "positive"),
        ('"Sentiment"', "positive", None, " positive"),
        ("don't", "positive", None, " positive"),
        ("", "positive", None, "positive"),
    ],
)
def test_an_answer_is_the_token_that_follows_its_prompt(
    spaced, prompt, answer, separator, expected
):
    (token,) = answer_tokens(spaced, prompt, answer, separator)
    assert spaced.token_text(token) == expected


def test_special_tokens_of_the_prompt_are_not_taken_for_the_answers(tiny):
    tokenizer = tiny_tokenizer()
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    model = CausalLM(tiny.model, tokenizer)
    assert model.encode("good")[0] == 1
    assert answer_tokens(model, "good", "bad") == (VOCABULARY.index("bad"),)


def test_an_answer_that_merges_with_the_prompts_end_is_told(spaced):
    with pytest.warns(SpexlensWarning, match=r"'Sentiment: '.*scored as 'positive'"):
        (token,) = answer_tokens(spaced, "Sentiment: ", "positive")
    assert spaced.token_text(token) == "positive"


def test_the_first_of_several_tokens_is_scored_with_a_warning(spaced):
    with pytest.warns(SpexlensWarning, match=r"'goody' has 2 tokens \[' good', 'y'\]") as told:
        score = LogitDifference("goody", "negative").resolve(spaced, "Sentiment:")
    assert len(told) == 1
    assert [spaced.token_text(token) for token in score.token_ids] == [" good", " negative"]
    with pytest.warns(SpexlensWarning, match="'goody'"):
        LogProbability("goody").resolve(spaced, "Sentiment:")


def test_the_same_answer_twice_is_an_error_for_sequences_too(spaced):
    with pytest.raises(InvalidInputError, match="the same tokens"):
        AnswerLogOdds("positive", " positive").resolve(spaced, "Sentiment:")


def test_log_odds_of_sequences_are_the_difference_of_their_log_probabilities(tiny):
    score = AnswerLogOdds("good film", "bad plot").resolve(tiny, PROMPTS[0])
    for prompt, value in zip(PROMPTS, score.values(tiny, PROMPTS), strict=True):
        expected = 0.0
        for sign, words in ((1, ("good", "film")), (-1, ("bad", "plot"))):
            text = prompt
            for word in words:
                (row,) = tiny.next_token_log_probabilities([text], [VOCABULARY.index(word)])
                expected += sign * row[0]
                text += f" {word}"
        assert value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("other", ["positive", "positively", " positive"])
def test_answers_with_the_same_first_token_are_an_error(spaced, other):
    with pytest.raises(InvalidInputError, match="same token ' positive'"):
        LogitDifference("positive", other).resolve(spaced, "Sentiment:")


@pytest.mark.parametrize("answer", ["", "  "])
def test_an_empty_answer_is_an_error(spaced, answer):
    with pytest.raises(InvalidInputError, match="answer"):
        LogProbability(answer).resolve(spaced, "Sentiment:")


PROMPTS = ("Review: good film. Sentiment:", "Review: bad. Sentiment:", "good")


def test_logit_difference_is_the_difference_of_the_logits(tiny):
    score = LogitDifference("positive", "negative").resolve(tiny, PROMPTS[0])
    assert score.description == "logit('positive') - logit('negative')"
    ids = [VOCABULARY.index("positive"), VOCABULARY.index("negative")]
    logits = tiny.next_token_logits(PROMPTS, ids)
    np.testing.assert_allclose(score.values(tiny, PROMPTS), logits[:, 0] - logits[:, 1])
    swapped = LogitDifference("negative", "positive").resolve(tiny, PROMPTS[0])
    np.testing.assert_allclose(swapped.values(tiny, PROMPTS), logits[:, 1] - logits[:, 0])


def test_log_probabilities_sum_to_one_and_differ_by_the_logit_difference(tiny):
    values = {
        word: LogProbability(word).resolve(tiny, PROMPTS[0]).values(tiny, PROMPTS)
        for word in VOCABULARY[3:]
    }
    special = tiny.next_token_log_probabilities(PROMPTS, [0, 1, 2])
    total = sum(np.exp(value) for value in values.values()) + np.exp(special).sum(axis=1)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    difference = LogitDifference("yes", "no").resolve(tiny, PROMPTS[0]).values(tiny, PROMPTS)
    np.testing.assert_allclose(values["yes"] - values["no"], difference, atol=1e-5)


def test_the_subject_scores_inputs_and_describes_without_running(tiny):
    score = TokenScore((3, 4), (2.0, -0.5), False, "2 a - b/2")
    subject = ScoredLM(tiny, score)
    interventions = Interventions(inputs=PROMPTS)
    logits = tiny.next_token_logits(PROMPTS, [3, 4])
    np.testing.assert_allclose(subject.evaluate(interventions), logits @ [2.0, -0.5])
    never_run = ScoredLM(CausalLM(_Unrunnable(), tiny.tokenizer, "tiny"), score)
    assert never_run.describe(interventions) == {"model": "tiny", "score": "2 a - b/2"}
    assert never_run.tokens(interventions).tolist() == [7, 6, 1]


class _Unrunnable:
    """A model with a config and nothing to run."""

    config = tiny_model().config


@pytest.mark.parametrize(
    "others", [{"gates": np.ones((3, 2))}, {"gates": np.ones((3, 2)), "inputs": PROMPTS}]
)
def test_interventions_it_cannot_run_are_an_error(tiny, others):
    subject = ScoredLM(tiny, TokenScore((3,), (1.0,), False, "a"))
    with pytest.raises(InvalidInputError, match=r"gates on components.*; ScoredLM runs"):
        subject.evaluate(Interventions(**others))


def test_a_tokenizer_that_closes_texts_is_no_reason_to_warn(recwarn):
    closing = CausalLM(tiny_model(), tiny_tokenizer(before=("<s>",), after=(".",)), name="tiny")
    assert answer_tokens(closing, "the film was", "very good") == tuple(
        map(VOCABULARY.index, ("very", "good"))
    )
    assert not recwarn.list
