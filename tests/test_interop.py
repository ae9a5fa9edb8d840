import networkx as nx
import numpy as np
import pytest

import spexlens as sx
from spexlens.interop import from_shapiq, to_networkx, to_shapiq
from tests.strategies import random_sparse

NAMES = ("not", "bad", "at", "all", "<b>", "é")


def effects(index="FBII", order=None):
    spectrum = random_sparse(6, 12, 3, np.random.default_rng(0))
    return sx.compute_index(spectrum, index, order, NAMES)


SHARED = [row for row in sx.INDICES.values() if row.in_shapiq]


@pytest.mark.parametrize(
    ("index", "order"),
    [*((row.name, row.default_order) for row in SHARED), ("SII", 3), ("FBII", 3)],
)
def test_shapiq_holds_the_same_values_and_gives_them_back(index, order):
    pytest.importorskip("shapiq")
    given = effects(index, order)
    values = to_shapiq(given)
    assert values.n_players == 6
    for members, effect in given.items():
        assert values[members] == pytest.approx(effect)
    again = from_shapiq(values, NAMES)
    assert again.index == given.index
    assert again.players == NAMES
    assert again.to_dict() == pytest.approx(given.to_dict())


def test_an_index_of_order_1_gets_the_name_of_its_values_in_shapiq():
    pytest.importorskip("shapiq")
    given = effects("FBII", 1)
    assert to_shapiq(given).index == "BV"
    assert to_shapiq(given).dict_values == pytest.approx(given.to_dict())


def test_shapiq_s_own_values_are_read():
    shapiq = pytest.importorskip("shapiq")
    values = shapiq.InteractionValues(
        {(): 0.5, (0,): 1.0, (1, 2): -2.0}, index="k-SII", n_players=3, min_order=0, max_order=2,
        baseline_value=0.5,
    )  # fmt: skip
    read = from_shapiq(values)
    assert read.players == ("0", "1", "2")
    assert read.to_dict() == {(): 0.5, (0,): 1.0, (1, 2): -2.0}
    with pytest.raises(sx.InvalidInputError, match="2 player names"):
        from_shapiq(values, ["a", "b"])


def test_the_baseline_is_the_empty_set_s_effect_unless_given():
    pytest.importorskip("shapiq")
    given = effects("Moebius")
    assert to_shapiq(given).baseline_value == pytest.approx(given[()])
    assert to_shapiq(effects("BII"), baseline=3.0).baseline_value == 3.0


@pytest.mark.parametrize("index", ["Fourier", "Influence"])
def test_an_index_without_counterpart_is_refused(index):
    with pytest.raises(sx.InvalidInputError, match="shapiq has no index"):
        to_shapiq(effects(index))


def test_a_missing_shapiq_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "shapiq", None)
    with pytest.raises(sx.errors.MissingExtraError, match="shapiq"):
        to_shapiq(effects())


def test_the_graph_holds_every_set_with_its_effect():
    given = effects("FBII", 3)
    graph = to_networkx(given)
    assert [graph.nodes[i]["name"] for i in range(6)] == list(NAMES)
    for members, effect in given.items():
        if len(members) == 1:
            assert graph.nodes[members[0]]["effect"] == effect
        elif len(members) == 2:
            assert graph.edges[members]["effect"] == effect
            assert graph.edges[members]["weight"] == abs(effect)
        elif members:
            assert graph.nodes[members]["effect"] == effect
            assert sorted(graph[members]) == list(members)
    larger = int((given.supports.orders() > 2).sum())
    pairs = int((given.supports.orders() == 2).sum())
    assert graph.number_of_nodes() == 6 + larger
    assert graph.number_of_edges() == pairs + 3 * larger
    assert nx.is_weighted(graph)
