"""Steps of a study: an error of a later one carries what the earlier ones paid for."""

import numpy as np
import pytest

import spexlens as sx
from spexlens.cli.options import RunOptions
from spexlens.cli.running import explain_and_show
from spexlens.errors import AblationError, InterruptedRunError, InvalidInputError
from spexlens.studies.levels import explain_by_levels
from spexlens.studies.pruning import pruning_curve
from spexlens.studies.removal import flips, measured_curve
from spexlens.studies.selection import greedy

WEIGHTS = np.arange(1.0, 13.0)


def truth(masks):
    return masks @ WEIGHTS[: masks.shape[1]] - 10


class Ending:
    """A game that ends with an error at its ablation number `last`."""

    def __init__(self, error, last, n=8):
        self.error, self.last, self.asked = error, last, 0
        self.players = tuple(map(str, range(n)))

    def __call__(self, masks):
        self.asked += len(masks)
        if self.asked > self.last:
            raise self.error
        return truth(masks)


@pytest.mark.parametrize("error", [RuntimeError("of the game"), KeyboardInterrupt()])
@pytest.mark.parametrize("last", [1, 9, 16, 22])
def test_greedy_keeps_the_values_of_all_rounds(error, last):
    whole, ends = 1 + 8 + 7 + 6 + 5, np.cumsum([1, 8, 7, 6, 5])
    game = Ending(error, last)
    kind = InterruptedRunError if isinstance(error, KeyboardInterrupt) else AblationError
    seen = []
    with pytest.raises(kind) as told:
        greedy(game, 4, progress=lambda done, total: seen.append((done, total)))
    assert len(told.value.masks) == max(end for end in ends if end <= last)
    assert (told.value.values == truth(told.value.masks)).all()
    assert {total for _, total in seen} == {whole}


def test_flips_keep_the_values_of_all_sizes():
    run = sx.explain(sx.FunctionGame(truth, 8), 256, "exact")
    game = Ending(RuntimeError("of the game"), 1 + 8)
    with pytest.raises(AblationError) as told:
        flips(game, run)
    assert len(told.value.masks) == 9
    assert (told.value.values == truth(told.value.masks)).all()


def test_what_is_wrong_with_measured_values_is_told_with_them():
    run = sx.explain(sx.FunctionGame(truth, 8), 256, "exact")
    with pytest.raises(InvalidInputError, match="column = 3 given for a game of 1") as told:
        measured_curve(sx.FunctionGame(truth, 8), run, (1, 2), column=3)
    assert len(told.value.masks) == 6
    with pytest.raises(InvalidInputError, match="one column a question") as told:
        pruning_curve(run, sx.FunctionGame(truth, 8), (0.5,))
    assert (told.value.values == truth(told.value.masks)).all()


@pytest.mark.parametrize("error", [RuntimeError("of the second"), KeyboardInterrupt()])
def test_an_error_of_a_level_carries_the_levels_before(error):
    made = []

    def game_of(spans):
        made.append(spans)
        return Ending(error, 0 if len(made) > 1 else 8, len(spans))

    kind = InterruptedRunError if isinstance(error, KeyboardInterrupt) else AblationError
    with pytest.raises(kind) as told:
        explain_by_levels("a. b.\n\nc. d.\n\ne. f.", game_of, 60, algorithm="lasso", rng=0)
    (level,) = told.value.levels
    assert len(level.explanation.masks) == 8
    assert "are on this error as .levels" in "".join(told.value.__notes__)


def test_ctrl_c_in_a_removal_curve_leaves_the_run_and_all_values(tmp_path):
    game = Ending(KeyboardInterrupt(), 256 + 4)
    options = RunOptions(
        budget="256", algorithm="exact", removal=3, batch_size=4, out=tmp_path, json=True
    )
    with pytest.raises(InterruptedRunError) as told:
        explain_and_show(game, options, "tiny", {})
    run = sx.load(tmp_path / "run.json")
    assert len(run.masks) == 256
    assert run.removal is None
    assert f"The run is saved: spexlens show {tmp_path / 'run.json'}" in told.value.__notes__[0]
    with np.load(tmp_path / "partial.npz") as kept:
        assert len(kept["masks"]) == 260
        assert (kept["values"] == truth(kept["masks"])).all()
