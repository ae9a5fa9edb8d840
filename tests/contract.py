"""What the contract tests run on: every algorithm of the table, by itself, with a quick setting.

An algorithm that joins `ALGORITHMS` is tested without a line here. `QUICK` may give it a cheaper
setting, `HARDEST_ORDER` the highest order of the sparse game that it must recover.
"""

from __future__ import annotations

import spexlens as sx
from spexlens.proxies.boosted_trees import TreeGrid

# The published cut at 95 % of the energy drops true terms by design; exact recovery needs more.
QUICK_PROXYSPEX = sx.ProxySPEX(TreeGrid((3,), (150,), (0.1,)), energy=0.999, threads=1)

QUICK: dict[str, sx.Algorithm] = {
    "proxyspex": QUICK_PROXYSPEX,
    "auto": sx.Auto((sx.KernelSPEX(), QUICK_PROXYSPEX, sx.Pairwise(), sx.Lasso())),
}
HARDEST_ORDER = {"lasso": 1, "pairwise": 2}
BUDGET = {"exact": 2**8, "spex": 240}


def algorithm(name: str) -> sx.Algorithm:
    return QUICK[name] if name in QUICK else sx.find_algorithm(name)
