"""Maps, energies, edges and groups of hand-made interactions."""

import csv
import json

import numpy as np
import pytest

from spexlens.core.interactions import Interactions
from spexlens.core.spectrum import FourierSpectrum
from spexlens.errors import InvalidInputError
from spexlens.lenses.components.results import edges, groups, layer_energy, layer_map, write_edges
from spexlens.models.gating.sites import Site

SITES = [
    Site(f"L{layer}.H{h}", layer, f"m{layer}", "input") for layer, h in ((0, 0), (0, 1), (3, 0))
]
NAMES = [site.name for site in SITES]
EFFECTS = Interactions.from_dict(
    {(0,): 1.0, (2,): -2.0, (0, 1): 0.5, (1, 2): -3.0, (0, 1, 2): 0.25}, "FBII", NAMES
)


def test_a_map_has_a_row_a_layer_and_no_number_where_no_head_is():
    found = layer_map(EFFECTS, SITES)
    assert found.layers == (0, 3)
    np.testing.assert_array_equal(found.effects, [[1, 0], [-2, np.nan]])
    np.testing.assert_array_equal(found.involvement, [[0.75, 3.75], [3.25, np.nan]])


def test_energy_within_and_across_layers():
    spectrum = FourierSpectrum.from_dict({(): 9.0, (0,): 5.0, (0, 1): 1.0, (1, 2): 2.0}, 3)
    found = layer_energy(spectrum, SITES)
    assert (found.within, found.across) == (1, 4)
    assert found.within_share == pytest.approx(0.2)
    assert found.expected_within == pytest.approx(1 / 3)
    assert found.by_distance == (1, 0, 0, 4)
    assert np.isnan(layer_energy(spectrum.up_to_order(1), SITES).within_share)


def test_edges_are_ranked_named_and_written(tmp_path):
    found = edges(EFFECTS, SITES)
    assert [(e.source, e.target, e.effect, e.kind) for e in found] == [
        ("L0.H1", "L3.H0", -3.0, "redundant"),
        ("L0.H0", "L0.H1", 0.5, "cooperative"),
    ]
    assert len(edges(EFFECTS, SITES, top=1)) == 1
    rows = json.loads(write_edges(tmp_path / "e.json", found).read_text())
    assert rows[0]["source_layer"] == 0
    with write_edges(tmp_path / "e.csv", found).open() as file:
        table = list(csv.DictReader(file))
    assert [row["effect"] for row in table] == ["-3.0", "0.5"]
    assert list(table[0]) == list(rows[0])
    with pytest.raises(InvalidInputError, match=r"\.csv or \.json"):
        write_edges(tmp_path / "e.txt", found)


def test_groups_join_what_the_strongest_sets_share():
    effects = Interactions.from_dict(
        {(0, 1): 5.0, (2, 3): 4.0, (1, 4): 3.0, (3, 5): 0.1}, "FBII", list("abcdef")
    )
    assert groups(effects, 3) == (("a", "b", "e"), ("c", "d"))
    assert groups(effects, 4) == (("a", "b", "e"), ("c", "d", "f"))


def test_sites_that_do_not_fit_are_told():
    with pytest.raises(InvalidInputError, match="2 sites given for 3 players"):
        layer_map(EFFECTS, SITES[:2])
    with pytest.raises(InvalidInputError, match="no layer"):
        layer_map(EFFECTS, [*SITES[:2], Site("x", None, "x", "output")])
