"""Derivatives by gates: equal to finite differences, and nothing left of them."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from spexlens.errors import NoDerivativeError
from spexlens.lenses.components.game import component_game
from spexlens.lenses.components.probe_score import ProbeScore
from spexlens.lenses.components.questions import Question
from spexlens.models.gating.runner import gated_runner
from spexlens.models.gating.sites import SITES
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.models.pretrained.test_encoder import tiny_encoder
from tests.tiny_models import tiny_model, tiny_tokenizer

STEP = 2.0**-10  # exact in the float32 of gates; some norms round to float32 whatever the weights
QUESTIONS = (
    Question("the film was", "good", ("bad",), reference="the plot was"),
    Question("a b c d", "e", ("a",), reference="b b c d"),
)


def precise(architecture):
    return CausalLM(deepcopy(tiny_model(architecture)).double(), tiny_tokenizer(), architecture)


def differences(game, gates, step):
    """Central differences of the mean over the questions, one gate after the other."""
    subject = game.subject
    columns = []
    for site in range(gates.shape[1]):
        ends = []
        for sign in (1, -1):
            moved = gates.copy()
            moved[:, site] += sign * step
            ends.append(subject.runner.run(moved, subject.score.values)[:, :, 0].mean(axis=1))
        columns.append((ends[0] - ends[1]) / (2 * step))
    return np.stack(columns, axis=1)


def check(game, step=STEP):
    masks = np.random.default_rng(0).random((3, len(game.players))) < 0.6
    masks[:, [0, -1]] = (
        True  # a norm of nothing at all, as in Gemma 2, is too steep for differences
    )
    found = game.sensitivities(masks)
    wanted = differences(game, masks.astype(float), step)
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


@pytest.mark.parametrize(
    "architecture", ["llama", "gpt2", "gemma2", "gpt_neox", "bloom", "opt", "phi3", "qwen3"]
)
def test_heads_of_every_family(architecture):
    # The step of OPT is small, as a ReLU may have its kink nearby.
    check(
        component_game(precise(architecture), QUESTIONS),
        2.0**-13 if architecture == "opt" else STEP,
    )


@pytest.mark.parametrize("kind", [kind for kind in SITES if kind not in ("heads", "neurons")])
def test_every_kind_of_site(kind):
    check(component_game(precise("llama"), QUESTIONS, kind))


@pytest.mark.parametrize("absent", ["zero", "mean", "resample"])
@pytest.mark.parametrize("rescale", [False, True])
def test_every_replacement(absent, rescale):
    names = ["L0.H0", "L0.H2", "L1.H1"]
    check(component_game(precise("llama"), QUESTIONS, names, absent=absent, rescale=rescale))


@pytest.mark.parametrize("score", ["margin", "log-probability", "kl", "loss"])
def test_every_smooth_score(score):
    # Layer 1 alone: what comes before is computed once, outside autograd.
    game = component_game(
        precise("llama"), QUESTIONS, [f"L1.H{head}" for head in range(4)], score=score
    )
    assert game.subject.runner.early is not None
    check(game)


def test_a_probe_on_an_encoder():
    encoder = replace(tiny_encoder(), model=deepcopy(tiny_encoder().model).double())
    score = ProbeScore(np.random.default_rng(0).normal(size=32), 0.5, np.array([1, 0]))
    check(component_game(encoder, ["good film", "a b c d"], score=score))
    right = replace(score, accuracy=True)
    assert component_game(encoder, ["good film", "bad"], score=right).sensitivity_cost == 0


def test_single_precision_and_small_batches():
    exact = component_game(precise("llama"), QUESTIONS)
    lm = CausalLM(tiny_model(), tiny_tokenizer(), "tiny")
    masks = np.random.default_rng(0).random((5, 8)) < 0.5
    wanted = exact.sensitivities(masks)
    for tokens in (None, 4):
        found = component_game(lm, QUESTIONS, batch_tokens=tokens).sensitivities(masks)
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


def test_nothing_is_left_of_a_gradient_and_a_callers_mode_does_not_matter():
    model = deepcopy(tiny_model())
    first = next(model.parameters())
    first.requires_grad_(False)
    game = component_game(CausalLM(model, tiny_tokenizer(), "tiny"), QUESTIONS)
    trained = [weight.requires_grad for weight in model.parameters()]
    assert set(trained) == {True, False}
    masks = np.ones((2, 8), dtype=bool)
    values = game(masks)
    wanted = game.sensitivities(masks)
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            np.testing.assert_array_equal(game.sensitivities(masks), wanted)
    assert [weight.requires_grad for weight in model.parameters()] == trained
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(module._forward_pre_hooks for module in model.modules())
    np.testing.assert_array_equal(game(masks), values)
    assert game.sensitivities(masks[:0]).shape == (0, 8)


def test_a_score_by_jumps_says_that_it_has_no_derivative():
    game = component_game(precise("llama"), QUESTIONS, score="accuracy")
    assert game.sensitivity_cost == 0
    with pytest.raises(NoDerivativeError, match=r"share of questions.*'margin'"):
        game.sensitivities(np.ones((1, 8), dtype=bool))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_model_that_autograd_cannot_pass_says_so(mode):
    model = deepcopy(tiny_model())
    model.lm_head.forward = mode()(model.lm_head.forward)
    game = component_game(CausalLM(model, tiny_tokenizer(), "tiny"), QUESTIONS)
    with pytest.raises(NoDerivativeError):
        game.sensitivities(np.ones((1, 8), dtype=bool))
    assert all(weight.requires_grad for weight in model.parameters())


def test_what_does_not_fit_in_memory_is_run_in_smaller_batches():
    lm = CausalLM(deepcopy(tiny_model()), tiny_tokenizer(), "tiny")
    sites = SITES["heads"].sites(lm.model)
    runner = gated_runner(lm.passes, sites, lm.token_ids(["the film was"]))
    tokens = len(runner.sequences[0])

    def readout(net, ids, numbers):
        if torch.is_grad_enabled() and len(ids) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return net(input_ids=ids).logits[:, -1, :1]

    gates = np.ones((5, len(sites)))
    with pytest.warns(UserWarning, match="did not fit in memory"):
        found = runner.slopes(gates, readout)
    np.testing.assert_allclose(found[0, 0], found[4, 0], rtol=1e-4, atol=1e-6)
    assert runner.passes.state.backward.tokens == 5 * tokens // 2
    assert runner.passes.state.limit.tokens is None
