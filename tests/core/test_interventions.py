import numpy as np
import pytest

from spexlens.core.interventions import Interventions, Needs
from spexlens.errors import InvalidInputError

NEEDS = Needs({"gates": (3,)}, {"pictures": (4, 5, 3)})


class Reader:
    """Who needs them."""


def pictures(*shape):
    return np.zeros((2, *shape), dtype=np.float32)


def test_what_is_needed_and_what_may_be_there_passes():
    gates = np.ones((2, 3))
    assert NEEDS.take(Interventions(gates=gates), Reader())[0] is gates
    NEEDS.check(Interventions(gates=gates, pictures=pictures(4, 5, 3)), Reader())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"gates": np.ones((2, 7))}, r"writes gates on components \(7\);"),
        ({"gates": np.ones((2, 3)), "pictures": pictures(5, 4, 3)}, r"pictures \(5 x 4 x 3\);"),
        ({"pictures": pictures(4, 5, 3)}, r"writes edited pictures \(4 x 5 x 3\);"),
        ({"gates": np.ones((2, 3)), "subsets": np.ones((2, 9), dtype=bool)}, r"examples \(9\);"),
    ],
)
def test_parts_and_shapes_that_do_not_belong_together_are_told_with_both_sides(given, told):
    runs = r" Reader runs gates on components \(3\), perhaps edited pictures \(4 x 5 x 3\)"
    with pytest.raises(InvalidInputError, match=told + runs):
        NEEDS.check(Interventions(**given), Reader())


def test_parts_are_of_one_length():
    with pytest.raises(InvalidInputError, match=r"'inputs': 1, 'gates': 2"):
        Interventions(inputs=("a",), gates=np.ones((2, 3)))
    with pytest.raises(InvalidInputError, match="at least one part"):
        Interventions()
