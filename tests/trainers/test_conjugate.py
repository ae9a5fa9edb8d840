import numpy as np
import pytest

from spexlens.trainers.conjugate import descend
from spexlens.trainers.logistic import Logistic
from spexlens.trainers.newton import minimise, preconditioner
from tests.training_cases import blobs, subsets


def prepared(classes=2, C=1.0, **sizes):
    data = blobs(classes=classes, **sizes)
    return data, Logistic(C=C).prepare(data)


def descended(retrainer, chosen, goal, steps=40):
    precondition = preconditioner(retrainer.inverses, np.float32)
    goals = np.full(len(chosen), goal)
    start = retrainer.centre[None]
    return descend(retrainer.loss, chosen, start, precondition, goals, steps)


def optima(retrainer, chosen):
    masks = chosen.astype(float)
    start = np.repeat(retrainer.centre[None], len(masks), axis=0)
    goals = np.full(len(masks), 1e-13)
    found = minimise(retrainer.loss, masks, start, retrainer.inverses, goals, 50)
    return retrainer.loss.at(found.parameters, masks).value


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_the_gap_is_how_far_the_loss_is_above_its_minimum(classes, C):
    data, retrainer = prepared(classes, C, count=120)
    chosen = subsets(data, 12)
    for goal in (1e-1, 1e-3, 1e-5):
        near = descended(retrainer, chosen, goal)
        assert (near.gap <= goal).all()
        value = retrainer.loss.at(near.parameters, chosen.astype(float)).value
        above = value - optima(retrainer, chosen)
        assert (above < 3 * goal).all()
        assert (above > 0.1 * near.gap - 1e-8).all()


def test_a_good_start_and_preconditioner_need_few_steps():
    data, retrainer = prepared(count=200, features=40)
    assert (descended(retrainer, subsets(data, 20), 1e-7, steps=10).gap <= 1e-7).all()


def test_models_do_not_see_each_other():
    data, retrainer = prepared(3)
    chosen = subsets(data, 9)
    together = descended(retrainer, chosen, 1e-6)
    for row in range(9):
        alone = descended(retrainer, chosen[row : row + 1], 1e-6)
        scores = [retrainer.loss.design.forward(x.parameters) for x in (alone, together)]
        np.testing.assert_allclose(scores[0][0], scores[1][row], atol=5e-3)


def test_what_makes_no_progress_is_given_back_at_its_start():
    data, retrainer = prepared()
    chosen = subsets(data, 3)
    goals = np.full(3, 1e-9)
    uphill = descend(
        retrainer.loss, chosen, retrainer.centre[None], lambda g: np.full_like(g, np.nan), goals, 5
    )
    assert np.isinf(uphill.gap).all()
    np.testing.assert_array_equal(uphill.parameters, np.repeat(retrainer.centre[None], 3, axis=0))
