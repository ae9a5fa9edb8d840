"""`spexlens tiny FIT`: a command whose game is slow to measure, or whose fit never ends."""

import hashlib
import sys
import time
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, ClassVar

import typer

import spexlens as sx
from spexlens.algorithms.base import FitCost, random_design
from spexlens.algorithms.regression import Lasso
from spexlens.cli.app import main
from spexlens.cli.lazy import COMMANDS
from spexlens.cli.options import RunOptions, with_options
from spexlens.cli.running import explain_and_show


def say(word):
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def sleep():
    say("ready")
    time.sleep(60)


def compute():
    """Stay in C, where Python sees no signal, a minute or more."""
    say("ready")
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


def no_memory():
    raise MemoryError("of the fit")


@dataclass(frozen=True)
class Slow:
    fit: str
    name: ClassVar[str] = "slow"
    any_masks: ClassVar[bool] = True
    exact: ClassVar[bool] = False
    design = staticmethod(random_design)

    def recover(self, design, values):
        {"sleep": sleep, "compute": compute, "memory": no_memory}[self.fit]()
        return Lasso().recover(design, values)

    def fit_cost(self, n, ablations):
        return FitCost()


def value(masks):
    return 2.0 * masks[:, 0] + masks[:, 1]


def slow_value(masks):
    say("ready")
    time.sleep(0.3)
    return value(masks)


@with_options
def tiny(fit: Annotated[str, typer.Argument()], options: RunOptions):
    """Example: spexlens tiny sleep"""
    game = sx.FunctionGame(slow_value if fit == "measure" else value, 12, name="tiny")
    COMMAND_ALGORITHM["make"] = lambda: Slow(fit)
    explain_and_show(game, options, "tiny", {"fit": fit})


COMMAND_ALGORITHM = {}


class Row:
    name, description = "slow", "nothing, for ever"

    @staticmethod
    def make():
        return COMMAND_ALGORITHM.get("make", lambda: Slow("sleep"))()


if __name__ == "__main__":
    sx.ALGORITHMS.add(Row)
    sys.modules["spexlens.cli.tiny"] = module = ModuleType("spexlens.cli.tiny")
    module.tiny = tiny
    COMMANDS["tiny"] = ("tiny", "Nothing.")
    main()
