"""Hiding tokens from attention: against a definition by positions, on several architectures."""

import numpy as np
import pytest
import torch

from spexlens.core.masks import all_masks
from spexlens.errors import InvalidInputError
from spexlens.lenses.text.attention import AttentionLens
from spexlens.lenses.text.game import prompt_game
from spexlens.lenses.text.prompt import PromptLens
from spexlens.lenses.text.response_scores import FullPromptKL, ResponseLogProbability, TextFunction
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import VOCABULARY, tiny_model, tiny_tokenizer

TEMPLATE = "Review: {text} Sentiment:"


def tiny(architecture="llama"):
    return CausalLM(tiny_model(architecture), tiny_tokenizer(), name=architecture)


def test_every_token_has_the_player_its_characters_belong_to():
    lens = AttentionLens.of(
        PromptLens("not, very good", TEMPLATE, pinned=["very"]), tiny_tokenizer()
    )
    assert lens.players == ("not,", "good")
    assert lens.owners.tolist() == [-1, -1, 0, 0, -1, 1, -1, -1]
    visible = lens.intervene(np.array([[False, True]])).visible
    assert visible.astype(int).tolist() == [[1, 1, 0, 0, 1, 1, 1, 1]]


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen2", "gpt_neox"])
def test_values_equal_a_pass_without_the_tokens_at_their_old_positions(architecture):
    lm = tiny(architecture)
    game = prompt_game(lm, "not good", TEMPLATE, answers=("yes", "no"), absent="hide")
    masks = all_masks(2)
    ids = torch.tensor([lm.encode(game.lens.pieces.prompt)])
    yes, no = VOCABULARY.index("yes"), VOCABULARY.index("no")
    for mask, value in zip(masks, game(masks), strict=True):
        seen = torch.tensor([[1, 1, *map(int, mask), 1, 1]])
        with torch.no_grad():
            logits = lm.model(
                input_ids=ids, attention_mask=seen, position_ids=torch.arange(6)[None]
            ).logits[0, -1]
        assert value == pytest.approx(float(logits[yes] - logits[no]), abs=1e-4)
    assert np.ptp(game(masks)) > 0.05
    assert not lm.model.training


@pytest.mark.parametrize("architecture", ["opt", "mamba", "lfm2"])
def test_models_that_look_back_or_count_otherwise_are_refused(architecture):
    with pytest.raises(InvalidInputError, match="use absent='remove'"):
        prompt_game(tiny(architecture), "not good", TEMPLATE, answers=("yes", "no"), absent="hide")


def test_special_tokens_that_are_not_run_are_not_counted():
    written = CausalLM(tiny_model(), tiny_tokenizer(before=("<s>",), after=(".",)), name="tiny")
    template = f"<s> {TEMPLATE}"
    values = [
        prompt_game(lm, "not good", template, answers=("yes", "no"), absent="hide")(all_masks(2))
        for lm in (tiny(), written, written.as_written())
    ]
    np.testing.assert_allclose(values[1:], [values[0]] * 2, atol=1e-5)


def test_a_hidden_token_still_sees_itself():
    game = prompt_game(tiny(), "film", "Review: {text}", answers=("yes", "no"), absent="hide")
    values = game(all_masks(1))
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_a_response_is_scored_with_tokens_hidden():
    lm = tiny()
    response = "very good fun ."
    game = prompt_game(
        lm, "not good", TEMPLATE, score=ResponseLogProbability(response), absent="hide"
    )
    full = game(np.ones((1, 2), dtype=bool))
    ids = lm.encode(response, special_tokens=False)
    plain = lm.continuation_log_probabilities([game.lens.pieces.prompt], ids).sum()
    assert full[0] == pytest.approx(plain, abs=1e-5)
    assert game.tokens(all_masks(2)).tolist() == [6] * 4


@pytest.mark.parametrize(
    ("score", "message"),
    [(FullPromptKL(), "reads another prompt"), (TextFunction(len, "n"), "generated")],
)
def test_scores_that_cannot_be_read_so_are_errors(score, message):
    game = prompt_game(tiny(), "not good", TEMPLATE, score=score, absent="hide")
    with pytest.raises(InvalidInputError, match=message):
        game(np.ones((1, 2), dtype=bool))


def test_its_identity_is_not_that_of_removal():
    game = prompt_game(tiny(), "not good", TEMPLATE, answers=("yes", "no"), absent="hide")
    assert game.identity()["lens"]["lens"] == "attention"
    assert game.describe()["tokens"] == 6
