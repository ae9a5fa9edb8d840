"""What every score of every table must do: the contract of `spexlens.lenses.score`, one sign."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

import spexlens as sx
from spexlens import lenses
from spexlens.core.masks import all_masks
from spexlens.errors import InvalidInputError
from spexlens.lenses.components.scores import ComparesWithFull
from spexlens.models.endpoint.client import Endpoint
from spexlens.models.endpoint.replies import Reply, Token
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.endpoint_server import ChosenServer, word_model
from tests.tiny_models import VOCABULARY, tiny_model, tiny_tokenizer
from tests.training_cases import blobs, line


class WordCounts:
    """Embeds texts by which words of the tiny vocabulary they hold."""

    name = "word counts"

    def __call__(self, texts):
        found = [[word in text for word in VOCABULARY] + [True] for text in texts]
        counts = np.array(found, dtype=float)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def verdict(request):
    return Reply(("Yes." if "good" in request.prompt.partition(":")[2] else "No.",))


SETTINGS = {
    "answer_tokens": 4,
    "pattern": "good",
    "field": "0=good",
    "embed": WordCounts(),
    "judge": "Is it kind: {answer}",
    "judge_model": SimpleNamespace(model="a judge", ask=verdict),
}
GOOD, BAD = '["good"]', '["bad"]'  # texts that every function of texts can read
WORDS = {"answers": ("good", "bad"), "response": (" good",), None: ()}
QUESTIONS = (sx.Question("the film was", "good", ("bad",)), sx.Question("a b c d", "e", ("a",)))
SITES = ("L0.H0", "L0.H1", "L1.H0")
OUTPUTS = {
    "logits": sx.trainers.Logistic(),
    "decisions": sx.trainers.Ridge(task="classification"),
    "probabilities": sx.trainers.NearestNeighbours(3),
    "predictions": sx.trainers.Ridge(),
}


def made(row, kind):
    if kind not in ("prompt", "endpoint"):
        return row.make()
    settings = {name: SETTINGS[name] for name in row.settings if name in SETTINGS}
    return row.make(*WORDS[row.needs], **settings)


def language_model():
    return CausalLM(tiny_model(), tiny_tokenizer(), "tiny")


@contextmanager
def server_of_one_answer():
    """A server whose samples are all the same; it draws where its echo is to be tried."""

    def answer(number, body):
        return word_model(body if body.get("logprobs") else {**body, "temperature": 0})

    with ChosenServer(answer) as server:
        yield Endpoint(server.url, "tiny", key_variable=None)


@contextmanager
def game_of(row, kind):
    score = made(row, kind)
    if kind == "prompt":
        yield sx.prompt_game(language_model(), "not a film", "{text} :", score=score)
    elif kind == "endpoint":
        lens = lenses.PromptLens("bad film a", "{text} the")
        with server_of_one_answer() as endpoint:
            subject = lenses.EndpointSubject.prepare(endpoint, score, lens.prompt)
            yield lenses.LensGame(lens, subject)
    elif kind == "component":
        yield sx.component_game(language_model(), QUESTIONS, SITES, score=score)
    else:
        trainer = OUTPUTS[next(iter(score.readings))]
        data = line(12) if trainer.output == "predictions" else blobs(12)
        groups, pinned = np.arange(12) % 3, np.arange(12) < 4
        yield sx.training_game(trainer, data, groups=groups, pinned=pinned, score=row.name)


def check_a_resolved_score_says_what_it_is_and_a_batch_equals_its_members(row, kind):
    with game_of(row, kind) as game:
        score = game.subject.score
        assert row.description
        assert score.description
        assert score.description in game.describe()["score"]
        assert json.loads(json.dumps(score.identity())) == score.identity()
        masks = all_masks(3)
        alone = np.concatenate([game(mask[None]) for mask in masks])
        np.testing.assert_allclose(game(masks), alone, rtol=1e-5, atol=1e-4)


def check_its_identity_is_its_own(row, kind):
    with game_of(row, kind) as game:
        own = str(game.subject.score.identity())
    for other in lenses.SCORES[kind].values():
        if other is not row:
            with game_of(other, kind) as game:
                assert str(game.subject.score.identity()) != own


# -- errors ----------------------------------------------------------------------------------------


class Unrunnable:
    """A language model with words and no way to run them."""

    name = "unrunnable"

    def encode(self, text, special_tokens=True):
        return [VOCABULARY.index(word) for word in text.split()]

    def token_text(self, token):
        return VOCABULARY[token]

    def count_tokens(self, prompts):
        return np.array([len(prompt.split()) for prompt in prompts])

    def next_token_logits(self, prompts, token_ids):
        raise AssertionError("a pass was run")

    next_token_log_probabilities = continuation_log_probabilities = next_token_logits
    generate = next_token_logits


def unreadable(row, kind):
    """A call that resolves the score where it cannot be read."""
    if kind == "component":
        return lambda: made(row, kind).resolve(SimpleNamespace(name="an encoder"), QUESTIONS)
    if kind == "training":
        score = made(row, kind)
        misfit = next(output for output in OUTPUTS if output not in score.readings)
        return lambda: score.resolve(misfit, blobs(8))
    # With no words to be wrong, a score needs the model's tokenizer.
    empty = {"answers": ("", "bad"), "response": (" ",), None: ()}[row.needs]
    nowhere = Endpoint("http://127.0.0.1:9/v1", "none", key_variable=None)
    model = Unrunnable() if kind == "prompt" else nowhere
    return lambda: row.make(*empty).resolve(model, "a film")


def check_what_cannot_be_read_is_an_error_before_anything_is_run(row, kind):
    resolve = unreadable(row, kind)
    with pytest.raises(InvalidInputError):
        resolve()


def check_a_component_score_resolves_without_a_pass(row, kind):
    if kind == "component":
        assert made(row, kind).resolve(Unrunnable(), QUESTIONS).description


# -- the sign --------------------------------------------------------------------------------------

STRENGTHS = range(4)  # of what is asked for; the largest is the original's


class Leaning(Unrunnable):
    """Its next word is "good" the more surely the more often the prompt says so."""

    tokenizer = VOCABULARY

    def next_token_logits(self, prompts, token_ids):
        strength = np.array([prompt.split().count("good") for prompt in prompts])
        return strength[:, None] * (np.array(token_ids) == VOCABULARY.index("good"))

    def next_token_log_probabilities(self, prompts, token_ids):
        logits = self.next_token_logits(prompts, range(len(VOCABULARY)))
        return log_softmax(logits, axis=1)[:, list(token_ids)]

    continuation_log_probabilities = next_token_log_probabilities

    def generate(self, prompts, max_new_tokens):
        return [GOOD if prompt.split().count("good") > 1 else BAD for prompt in prompts]


class LeaningNet(torch.nn.Module):
    """Its next token is token 3 the more surely the larger `strength` is."""

    def __init__(self, strength):
        super().__init__()
        self.strength = strength

    def get_output_embeddings(self):
        return None

    def forward(self, input_ids):
        logits = torch.zeros(*input_ids.shape, len(VOCABULARY))
        logits[..., 3] = self.strength - 1.5
        return SimpleNamespace(logits=logits)


def prompt_values(score):
    prompts = tuple("good " * strength + ":" for strength in STRENGTHS)
    return [score.resolve(Leaning(), prompts[-1]).values(Leaning(), prompts)]


def component_values(score):
    word, other = VOCABULARY[3:5]
    resolved = score.resolve(Unrunnable(), [sx.Question(f"{word} {word}", word, (other,))])
    ids = torch.tensor([[3, 3]])
    if isinstance(resolved, ComparesWithFull):
        full = resolved.reference(LeaningNet(STRENGTHS[-1]), ids, [0])
        resolved = resolved.against(full.double().numpy())
    return [[float(resolved.values(LeaningNet(s), ids, [0])) for s in STRENGTHS]]


def endpoint_values(score):
    count = getattr(score, "count", 1)
    values = []
    for strength in STRENGTHS:
        good, bad = log_softmax([float(strength), 1.5])
        values.append(
            score.values([
                Reply(
                    (GOOD,) * min(strength, count) + (BAD,) * (count - strength),
                    (Token("a", None), Token(" good", good)),
                    (Token(" good", good), Token(" bad", bad)),
                )
            ]).value
        )  # fmt: skip
    return [values]


def training_values(score):
    classes = blobs(8, test=1)
    label = classes.test_codes()[0]
    strengths = np.array([[s * float(c == label) for c in range(2)] for s in STRENGTHS])[:, None, :]
    target = line(8).test_targets()
    falling_short = (target - [[STRENGTHS[-1] - s] for s in STRENGTHS])[:, :, None]
    given = {
        "logits": (strengths, classes),
        "decisions": (strengths, classes),
        "probabilities": (softmax(strengths.astype(float), axis=2), classes),
        "predictions": (falling_short, line(8)),
    }
    return [
        score.resolve(output, given[output][1]).values(given[output][0])[:, 0]
        for output in score.readings
    ]


VALUES = {
    "prompt": prompt_values,
    "endpoint": endpoint_values,
    "component": component_values,
    "training": training_values,
}


def check_a_larger_value_is_more_of_what_is_asked_for_or_nearer_to_the_original(row, kind):
    for values in VALUES[kind](made(row, kind)):
        assert len(values) == len(STRENGTHS)
        assert (np.diff(values) >= 0).all()
        assert values[-1] > values[0]
