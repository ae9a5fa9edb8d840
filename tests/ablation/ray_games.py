"""Games that workers of Ray build; the module imports little, for each of them imports it."""

import os
import time

import numpy as np

from spexlens.core.game import FunctionGame
from spexlens.errors import RefusedPromptError
from tests.filtered_game import FilteredGame


def recorded_game(folder, name="recorded", players=8):
    """Sums of players, slowly; every process that builds it leaves its id in `folder`."""
    (folder / f"{os.getpid()}").touch()

    def function(masks):
        if players == 8 and not masks.any(axis=1).all():
            time.sleep(0.05)
        time.sleep(0.004 * len(masks))
        return masks @ (2.0 ** np.arange(players))

    return FunctionGame(function, players, name=name)


def broken_game():
    raise RuntimeError("no weights on this machine")


def filtered_game():
    return FilteredGame(
        lambda masks: masks.sum(axis=1), 8, refuses=lambda masks: masks[:, 0] & masks[:, 1],
        fails=lambda masks: masks[:, 2:].all(axis=1) & ~masks[:, 0],
        error=RefusedPromptError("filtered", "a prompt", 400),
    )  # fmt: skip
