"""Scores of a gated model against plain passes of the same model."""

import numpy as np
import pytest
import torch

from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.components.game import component_game
from spexlens.lenses.components.questions import Question
from spexlens.lenses.components.scores import COMPONENT_SCORES, AnswerMargin, find_score
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import VOCABULARY, tiny_model, tiny_tokenizer

QUESTIONS = (
    Question("the film was", "good", ("bad", "great")),
    Question("a b c d", "e", ("a",)),
    Question("not very", "bad"),
)
ID = {word: i for i, word in enumerate(VOCABULARY)}


def game(score):
    return component_game(CausalLM(tiny_model(), tiny_tokenizer(), "tiny"), QUESTIONS, score=score)


def full(score):
    return game(score)(np.ones((1, 8), dtype=bool))[0, 1:]


def log_probabilities(closed=False):
    rows = []
    for question in QUESTIONS:
        ids = torch.tensor([[ID[word] for word in question.prompt.split()]])
        model = tiny_model()
        handles = [
            layer.self_attn.o_proj.register_forward_pre_hook(lambda _, args: (args[0] * 0,))
            for layer in (model.model.layers if closed else ())
        ]
        with torch.no_grad():
            rows.append(model(input_ids=ids).logits[0].double().log_softmax(dim=-1).numpy())
        for handle in handles:
            handle.remove()
    return rows


def test_margin_is_over_the_best_wrong_answer_or_any_other_token():
    last = [rows[-1] for rows in log_probabilities()]
    others = np.delete(last[2], ID["bad"]).max()
    expected = [
        last[0][ID["good"]] - max(last[0][ID["bad"]], last[0][ID["great"]]),
        last[1][ID["e"]] - last[1][ID["a"]],
        last[2][ID["bad"]] - others,
    ]
    np.testing.assert_allclose(full("margin"), expected, atol=1e-4)
    assert np.array_equal(full("accuracy"), np.array(expected) > 0)


def test_log_probability_and_loss():
    rows = log_probabilities()
    answers = [row[-1][ID[q.answer]] for row, q in zip(rows, QUESTIONS, strict=True)]
    np.testing.assert_allclose(full("log-probability"), answers, atol=1e-4)
    losses = [
        np.mean([row[t][ID[word]] for t, word in enumerate(q.prompt.split()[1:])])
        for row, q in zip(rows, QUESTIONS, strict=True)
    ]
    np.testing.assert_allclose(full("loss"), losses, atol=1e-4)


def test_kl_is_zero_for_the_full_model_and_minus_the_divergence_for_another():
    values = game("kl")(np.array([[True] * 8, [False] * 8]))
    np.testing.assert_allclose(values[0], 0, atol=1e-5)
    before, after = log_probabilities(), log_probabilities(closed=True)
    expected = [
        -(np.exp(p[-1]) * (p[-1] - q[-1])).sum() for p, q in zip(before, after, strict=True)
    ]
    np.testing.assert_allclose(values[1, 1:], expected, atol=1e-4)
    assert (values[1, 1:] < -0.01).all()


def test_scores_by_name_and_their_identities_differ():
    names = {str(game(name).subject.score.identity()) for name in COMPONENT_SCORES}
    assert len(names) == len(COMPONENT_SCORES) == 5
    assert find_score(AnswerMargin()) == AnswerMargin()
    with pytest.raises(
        UnknownNameError, match="known: margin, log-probability, accuracy, kl, loss"
    ):
        find_score("f1")
    for given in (3, AnswerMargin):
        with pytest.raises(UnknownNameError, match="unknown score"):
            find_score(given)


@pytest.mark.parametrize(
    ("question", "score", "told"),
    [
        (Question("the film"), "margin", "has no answer.*'kl' or 'loss'"),
        (Question("the film", "good", ("good",)), "accuracy", "same token 'good'"),
        (Question("film"), "loss", "one token; a loss needed two"),
    ],
)
def test_questions_that_do_not_fit_a_score_are_told(question, score, told):
    lm = CausalLM(tiny_model(), tiny_tokenizer(), "tiny")
    with pytest.raises(InvalidInputError, match=told):
        component_game(lm, [question], score=score)
