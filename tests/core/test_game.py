import numpy as np
import pytest

import spexlens as sx
from spexlens.core.game import as_values, fingerprint
from spexlens.core.masks import all_masks


def test_a_function_a_table_and_a_spectrum_are_games():
    spectrum = sx.FourierSpectrum.from_dict({(0,): 1.0}, n=3)
    masks = all_masks(3)
    function = sx.FunctionGame(spectrum, ["a", "b", "c"])
    table = sx.TableGame(masks, spectrum(masks), ["a", "b", "c"])
    for game in (spectrum, function, table):
        assert isinstance(game, sx.Game)
        assert np.allclose(game(masks), 1 - 2.0 * masks[:, 0])


def test_a_table_answers_in_any_order_and_with_repeats():
    masks = all_masks(4)
    values = np.arange(16.0)
    rows = np.array([3, 3, 0, 15])
    assert sx.TableGame(masks, values)(masks[rows]).tolist() == [3, 3, 0, 15]


def test_a_table_names_what_it_does_not_hold():
    table = sx.TableGame(all_masks(3)[:4], np.zeros(4))
    with pytest.raises(sx.InvalidInputError, match=r"1 of 1 masks are not in the table.*\[2\]"):
        table(np.array([[False, False, True]]))


def test_a_table_keeps_several_outputs():
    table = sx.TableGame(all_masks(1), np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert table(np.array([[True]])).tolist() == [[3.0, 4.0]]


def test_table_arrays_are_read_only():
    table = sx.TableGame(all_masks(2), np.zeros(4))
    with pytest.raises(ValueError, match="read-only"):
        table.values[0] = 1.0


def test_no_players_and_one_string_are_told():
    with pytest.raises(sx.InvalidInputError, match="n = 0"):
        sx.FunctionGame(len, [])
    with pytest.raises(sx.InvalidInputError, match="one string"):
        sx.FunctionGame(len, "never fails")


def test_a_nan_names_its_mask():
    masks = all_masks(3)
    values = np.zeros(8)
    values[5] = np.nan
    with pytest.raises(sx.InvalidInputError, match=r"mask 5, which keeps players \[0, 2\]"):
        as_values(values, masks)
    values[5] = np.inf
    with pytest.raises(sx.InvalidInputError, match="infinite"):
        as_values(values, masks)


@pytest.mark.parametrize("shape", [(7,), (8, 0), (8, 2, 2), ()])
def test_values_must_be_one_a_mask(shape):
    with pytest.raises(sx.InvalidInputError, match="8 masks have values of shape"):
        as_values(np.zeros(shape), all_masks(3))


def test_a_function_of_one_mask_is_called_for_each():
    game = sx.FunctionGame(lambda mask: float(mask[0]) + 2 * mask[1], 2, one=True)
    assert game(all_masks(2)) == [0.0, 1.0, 2.0, 3.0]


def test_a_function_of_one_mask_given_as_one_of_many_is_told():
    with pytest.raises(sx.InvalidInputError, match="one=True"):
        as_values(sx.FunctionGame(lambda mask: float(mask.sum()), 2)(all_masks(2)), all_masks(2))


@pytest.mark.parametrize("column", [0, 1])
def test_a_nan_is_told_in_any_output(column):
    values = np.zeros((8, 2))
    values[5, column] = np.nan
    with pytest.raises(sx.InvalidInputError, match=r"1 of 8 values .* at mask 5"):
        as_values(values, all_masks(3))


def test_tables_are_the_same_game_only_with_the_same_masks_values_and_players():
    masks, values = all_masks(3), np.arange(8.0)
    known = fingerprint(sx.TableGame(masks, values))
    assert fingerprint(sx.TableGame(masks.copy(), values.tolist())) == known
    others = (
        sx.TableGame(masks[::-1], values), sx.TableGame(masks, values + 1e-12),
        sx.TableGame(masks, values[:, None]), sx.TableGame(masks, values, ["a", "b", "c"]),
        sx.TableGame(masks[:4], values[:4]),
    )  # fmt: skip
    assert known not in {fingerprint(other) for other in others}
