"""What every engine of the table must do that can be made by its name alone."""

import numpy as np
import pytest

import spexlens as sx
from spexlens.ablation.engines import FailedBatchError, find_engine
from spexlens.ablation.evaluate import evaluate
from spexlens.core.masks import all_masks

MASKS = all_masks(8)


def two_outputs(masks):
    return np.stack([masks.sum(axis=1), masks[:, 0]], axis=1)


GAME = sx.FunctionGame(two_outputs, 8)


def made(row):
    return None if row.needs else find_engine(row.name.upper())


def run_of(row, game=GAME, allow=lambda count: count, size=10):
    return made(row).run(game, MASKS, size, allow)


def check_it_gives_the_game_s_values(row):
    if made(row):
        values = evaluate(GAME, MASKS, batch_size=10, engine=row.name)
        assert (values == two_outputs(MASKS)).all()


def check_every_mask_is_run_once_in_batches_no_larger_than_asked(row):
    if made(row):
        batches = list(run_of(row))
        rows = np.concatenate([batch.rows for batch in batches])
        assert sorted(rows.tolist()) == list(range(len(MASKS)))
        assert max(len(batch.rows) for batch in batches) <= 10
        assert all(batch.seconds >= 0 for batch in batches)
        for batch in batches:
            assert (batch.values == two_outputs(MASKS[batch.rows])).all()


def check_no_batch_starts_that_is_not_allowed(row):
    left = 25

    def allow(count):
        nonlocal left
        granted = min(count, left)
        left -= granted
        return granted

    if made(row):
        rows = np.concatenate([batch.rows for batch in run_of(row, allow=allow)])
        assert len(set(rows.tolist())) == len(rows) == 25


def check_a_batch_that_fails_says_which_and_why(row):
    def broken(masks):
        if masks.all(axis=1).any():
            raise RuntimeError("too hot")
        return masks.sum(axis=1)

    if made(row):
        game = sx.FunctionGame(broken, 8)
        with pytest.raises(FailedBatchError) as failure:
            list(run_of(row, game))
        assert MASKS[failure.value.rows].all(axis=1).any()
        with pytest.raises(sx.errors.AblationError, match="RuntimeError: too hot"):
            evaluate(game, MASKS, batch_size=10, engine=row.name)


def check_closing_a_run_ends_it(row):
    asked = []

    def counted(masks):
        asked.append(len(masks))
        return masks.sum(axis=1)

    if made(row):
        run = run_of(row, sx.FunctionGame(counted, 8), size=1)
        next(run)
        run.close()
        assert len(asked) < len(MASKS)


def check_the_row_tells_what_it_is_or_needs(row):
    assert row.description
    if row.needs:
        with pytest.raises(sx.InvalidInputError, match=f"engine = {row.name!r} given"):
            find_engine(row.name)
