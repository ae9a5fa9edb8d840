"""Packing prompts into batches: every row once, within the bound, no batch that could be joined."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spexlens.models.running.batching import (
    batches,
    common_prefix,
    evaluating,
    left_padded,
    right_padded,
)

lengths = st.lists(st.integers(1, 40), max_size=60)


@settings(deadline=None)
@given(lengths, st.integers(1, 200), st.booleans())
def test_every_row_is_in_one_batch_within_the_bound(lengths, batch_tokens, padded):
    packed = batches(lengths, batch_tokens, padded=padded)
    assert sorted(row for batch in packed for row in batch) == list(range(len(lengths)))
    for batch in packed:
        longest = max(lengths[row] for row in batch)
        assert len(batch) == 1 or len(batch) * longest <= batch_tokens
        assert padded or {lengths[row] for row in batch} == {longest}


@settings(deadline=None)
@given(lengths, st.integers(1, 200))
def test_batches_are_full_and_the_longest_come_first(lengths, batch_tokens):
    packed = batches(lengths, batch_tokens)
    for batch, after in pairwise(packed):
        longest = max(lengths[row] for row in batch)
        assert (len(batch) + 1) * longest > batch_tokens
        assert min(lengths[row] for row in batch) >= max(lengths[row] for row in after)


def test_a_batch_holds_at_most_max_rows():
    assert batches([3, 3, 3, 2, 2], batch_tokens=100, max_rows=2) == [[0, 1], [2, 3], [4]]


@given(st.lists(st.lists(st.integers(0, 1), max_size=6), min_size=1, max_size=5))
def test_the_common_prefix_is_the_longest_that_all_begin_with(sequences):
    shared = common_prefix(sequences)
    assert all(ids[:shared] == sequences[0][:shared] for ids in sequences)
    longer = {tuple(ids[: shared + 1]) for ids in sequences}
    assert len(longer) > 1 or min(map(len, sequences)) == shared


@given(st.lists(st.lists(st.integers(3, 9), min_size=1, max_size=6), min_size=1, max_size=5))
def test_right_padding_keeps_the_tokens_at_their_columns(sequences):
    padded = right_padded(sequences, filler=0)
    assert padded.shape == (len(sequences), max(map(len, sequences)))
    for row, ids in zip(padded.tolist(), sequences, strict=True):
        assert row[: len(ids)] == ids
        assert set(row[len(ids) :]) <= {0}


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(3, 9), min_size=1, max_size=6), min_size=1, max_size=5))
def test_left_padding_keeps_the_tokens_their_mask_and_their_positions(sequences):
    inputs = left_padded(sequences, filler=0)
    assert {rows.shape for rows in inputs.values()} == {(len(sequences), max(map(len, sequences)))}
    for row, ids in enumerate(sequences):
        real = inputs["attention_mask"][row] == 1
        assert inputs["input_ids"][row][real].tolist() == ids
        assert inputs["position_ids"][row][real].tolist() == list(range(len(ids)))
        assert real[-len(ids) :].all()
        assert (inputs["input_ids"][row][~real] == 0).all()


def test_modes_are_restored_after_an_error():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout())
    model[1].eval()
    inside = []

    def fail_while_evaluating():
        with evaluating(model):
            inside.extend(module.training for module in model.modules())
            raise ValueError("within")

    with pytest.raises(ValueError, match="within"):
        fail_while_evaluating()
    assert inside == [False, False, False]
    assert [module.training for module in model.modules()] == [True, True, False]
