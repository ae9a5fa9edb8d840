"""Identities of models: another wherever values can differ.

That they are the same in every process is tested by a program, in `tests/cli/test_app.py`.
"""

import copy
import time

import pytest
import torch

from spexlens.core.game import fingerprint
from spexlens.core.interventions import Needs
from spexlens.errors import InvalidInputError
from spexlens.lenses.base import LensGame
from spexlens.lenses.text.game import prompt_game
from spexlens.lenses.text.prompt import PromptLens
from spexlens.lenses.text.scores import ScoredLM, TokenScore
from spexlens.models.pretrained import identity
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.identity import model_identity, tokenizer_hash, weights_hash
from tests.tiny_models import CONFIGS, spaced_tokenizer, tiny_model, tiny_tokenizer


@pytest.fixture
def model():
    return copy.deepcopy(tiny_model("llama"))


def test_a_copy_has_the_same_identity_and_other_names_do_not_count(model):
    before = model_identity(model, tiny_tokenizer())
    other = copy.deepcopy(model)
    other.config.name_or_path = "elsewhere"
    assert model_identity(other, tiny_tokenizer()) == before
    assert all(isinstance(fact, str) for fact in before.values())


def test_every_change_of_a_model_is_another_identity(model):
    tokenizer = tiny_tokenizer()
    seen = [model_identity(model, tokenizer)]
    assert model_identity(tiny_model("qwen2"), tokenizer) not in seen
    with torch.no_grad():
        model.lm_head.weight[3, 5] += 1e-3  # in place, on a model that was hashed before
    seen.append(model_identity(model, tokenizer))
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() * 2)
    seen.append(model_identity(model, tokenizer))
    seen.append(model_identity(copy.deepcopy(model).bfloat16(), tokenizer))
    model.config.rms_norm_eps *= 2
    seen.append(model_identity(model, tokenizer))
    seen.append(model_identity(model, spaced_tokenizer()))
    assert len({tuple(identity.items()) for identity in seen}) == len(seen)


def test_a_tokenizer_is_known_by_what_it_does_not_by_its_last_call():
    before = tokenizer_hash(tiny_tokenizer())
    used = tiny_tokenizer()
    used(["a b", "a"], padding=True, truncation=True, max_length=1)
    assert tokenizer_hash(used) == before
    used.add_tokens(["new"])
    assert tokenizer_hash(used) != before
    assert tokenizer_hash(tiny_tokenizer(bos=False)) != before


def test_weights_are_hashed_once_and_forgotten_with_their_model(monkeypatch, model):
    first = weights_hash(model)
    monkeypatch.setattr("hashlib.sha256", lambda: pytest.fail("the weights were hashed again"))
    assert weights_hash(model) == first


@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_architecture_has_an_identity(architecture):
    assert len(weights_hash(tiny_model(architecture))) == 64


def test_every_part_of_a_prompt_game_counts():
    model = CausalLM(tiny_model(), tiny_tokenizer())
    games = [
        prompt_game(model, text, template, answers=answers)
        for text, template, answers in (
            ("not bad", "Review: {text} :", ("yes", "no")),
            ("not good", "Review: {text} :", ("yes", "no")),
            ("not bad", "Review {text} :", ("yes", "no")),
            ("not bad", "Review: {text} :", ("no", "yes")),
        )
    ]
    scores = TokenScore((4, 5), (1.0, -1.0), True, "log p"), TokenScore((4, 5), (1, 1), True, "")
    games += [LensGame(games[0].lens, ScoredLM(model, score)) for score in scores]
    assert len({fingerprint(game) for game in games}) == len(games)


def test_a_part_without_identity_is_told():
    class Silent:
        needs = Needs({"inputs": ()})

        def evaluate(self, interventions):
            raise AssertionError("the subject was run")

        describe = evaluate

    game = LensGame(PromptLens("not bad"), Silent())
    with pytest.raises(InvalidInputError, match="Silent does not say"):
        fingerprint(game)


@pytest.mark.real_model
def test_a_real_model_is_hashed_in_seconds(smollm2):
    model = CausalLM(smollm2.model, smollm2.tokenizer)
    identity._WEIGHTS.pop(model.model, None)  # another test may have asked
    start = time.perf_counter()
    first = model.identity()
    assert time.perf_counter() - start < 10
    start = time.perf_counter()
    assert model.identity() == first
    assert time.perf_counter() - start < 1
