"""Passes: one state for all who run a model, kept by those of the first copy, not by copies."""

import copy
from contextlib import nullcontext

import pytest
import torch

from spexlens.errors import InvalidInputError
from spexlens.models.running.passes import Passes
from tests.tiny_models import tiny_model


def run(passes, lengths, padded=True, max_rows=None):
    """The batches that are run, and whether the model was ready in each."""
    seen = []

    def batch(model, rows):
        seen.append((rows, torch.is_inference_mode_enabled() and not model.training))
        return [lengths[row] * 10 for row in rows]

    values = passes.run(
        lengths,
        lambda model: nullcontext(lambda rows: batch(model, rows)),
        padded=padded,
        max_rows=max_rows,
    )
    assert values == [length * 10 for length in lengths]
    assert all(ready for _, ready in seen)
    return [rows for rows, _ in seen]


def test_rows_are_run_in_batches_of_a_model_that_is_ready_and_left_as_it_was():
    model = copy.deepcopy(tiny_model()).train()
    passes = Passes((model,), batch_tokens=10)
    assert run(passes, [2, 5, 4, 9]) == [[3], [1, 2], [0]]
    assert run(passes, [2, 5, 4, 9], padded=False) == [[3], [1], [2], [0]]
    assert run(passes, [2, 2, 2], max_rows=2) == [[0, 1], [2]]
    assert model.training
    assert not any("forward" in vars(module) for module in model.modules())


def test_those_of_the_first_copy_share_what_was_learnt():
    models = tiny_model(), copy.deepcopy(tiny_model())
    passes = Passes(models, batch_tokens=100, compiled=True)
    alone = passes.alone(20)
    assert (alone.models, alone.batch_tokens, alone.compiled) == (models[:1], 20, False)
    assert passes.alone().batch_tokens == 100
    passes.state.limit.tokens = 7
    assert (passes.tokens, alone.tokens) == (7, 7)
    run(alone, [1])
    assert passes.state.packed is alone.state.packed is not None


def test_a_copy_learns_anew():
    passes = Passes((tiny_model(),))
    passes.state.limit.tokens = 7
    assert copy.deepcopy(passes).tokens == 512


@pytest.mark.parametrize("tokens", [0, -3])
def test_a_batch_holds_a_token_at_least(tokens):
    with pytest.raises(InvalidInputError, match=f"batch_tokens = {tokens}"):
        Passes((tiny_model(),)).alone(tokens)
