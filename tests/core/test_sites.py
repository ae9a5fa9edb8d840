import pytest

from spexlens.core.sites import site_grid


@pytest.mark.parametrize(
    "players", [[], ["never"], ["L0.H1", "never"], ["L0.H1", "L0.H1"], ["L0.", "L0.H1"]]
)
def test_players_that_are_not_all_components_of_their_own_have_no_map(players):
    assert site_grid(players) is None


def test_rows_are_layers_and_columns_parts_in_natural_order():
    grid = site_grid(["L10.H2", "L2.H10", "L2.MLP", "L10.H10"])
    assert grid.layers == (2, 10)
    assert grid.parts == ("H2", "H10", "MLP")
    assert grid.cells == ((1, 0), (0, 1), (0, 2), (1, 1))
