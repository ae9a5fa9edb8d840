import sys

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import sample_masks
from spexlens.proxies.arithmetic import NumpyArithmetic, TorchArithmetic, arithmetic_for
from spexlens.proxies.gaussian_process import Learning, condition, learn
from tests.strategies import random_sparse

pytest.importorskip("torch")


@pytest.fixture(params=["numpy", "torch"])
def do(request):
    return NumpyArithmetic() if request.param == "numpy" else TorchArithmetic("cpu")


def test_factorisations_by_their_definitions(do):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    matrix, right = root @ root.T + np.eye(6), rng.normal(size=(6, 3))
    inverse = np.linalg.inv(matrix)
    factor = do.factor(do.array(matrix.copy()))
    lower = np.tril(do.numpy(factor)).copy()
    assert lower @ lower.T == pytest.approx(matrix)
    assert do.numpy(do.solve(factor, do.array(right))) == pytest.approx(inverse @ right)
    assert do.numpy(do.solve(factor, do.array(right[:, 0]))) == pytest.approx(inverse @ right[:, 0])
    half = do.numpy(do.half_solve(factor, do.array(right)))
    assert half.T @ half == pytest.approx(right.T @ inverse @ right)
    part = np.array(do.numpy(do.half_inverse(factor)))
    assert part + part.T == pytest.approx(inverse)
    assert do.factor(do.array(-matrix)) is None
    assert do.numpy(do.exponential(do.array(right.copy()))) == pytest.approx(np.exp(right))
    assert do.finite(do.array(right))
    assert not do.finite(do.array(np.append(right, np.inf)))


def test_a_process_on_tensors_is_the_one_on_arrays():
    rng = np.random.default_rng(1)
    truth = random_sparse(12, 15, 2, rng)
    masks, unseen = sample_masks(12, 120, rng), sample_masks(12, 50, rng)
    values = np.stack([truth(masks) + 0.1 * rng.normal(size=120), masks[:, 0]], axis=1)
    pairs = [sx.Supports.from_sets([(0, 1), (1, 2)], 12)]
    found = [
        learn(masks, values, families=pairs, learning=Learning(device=device))
        for device in (None, "cpu")
    ]
    assert found[1].kernel.relevances == pytest.approx(found[0].kernel.relevances, rel=1e-6)
    assert found[1].noise == pytest.approx(found[0].noise, rel=1e-6)
    processes = [condition(masks, values, found[0], device=device) for device in (None, "cpu")]
    for one, two in zip(*(process.predict(unseen) for process in processes), strict=True):
        assert one == pytest.approx(two)
    one, two = (process.spectrum() for process in processes)
    assert one.coefficients == pytest.approx(two.coefficients)
    assert one.std_errors == pytest.approx(two.std_errors, rel=1e-6)


def test_devices_are_named_and_the_automatic_one_loads_nothing(monkeypatch):
    assert arithmetic_for(None) == NumpyArithmetic()
    assert arithmetic_for("cpu") == TorchArithmetic("cpu")
    monkeypatch.delitem(sys.modules, "torch")
    assert arithmetic_for("auto") == NumpyArithmetic()
    assert "torch" not in sys.modules


def test_a_device_that_is_not_there_is_told():
    with pytest.raises(sx.InvalidInputError, match="cannot be used here"):
        TorchArithmetic("nonsense")
