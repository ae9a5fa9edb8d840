import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from spexlens.proxies.ridge import leave_one_out_ridge

STRENGTHS = np.logspace(-2, 6, 33)


@pytest.mark.parametrize(("rows", "columns"), [(80, 20), (40, 90), (50, 50)])
@pytest.mark.parametrize("noise", [0.1, 3.0])
def test_equals_scikit_learns_leave_one_out(rows: int, columns: int, noise: float) -> None:
    rng = np.random.default_rng(rows)
    features = rng.choice([-1.0, 1.0], (rows, columns))
    features[:, -1] = features[:, 0]  # a repeated column
    values = 3 + features[:, :5] @ np.arange(1.0, 6) + noise * rng.normal(size=rows)
    expected = RidgeCV(STRENGTHS).fit(features, values)
    coefficients, intercept = leave_one_out_ridge(features, values, STRENGTHS)
    assert np.allclose(coefficients, expected.coef_, atol=1e-7)
    assert intercept == pytest.approx(expected.intercept_, abs=1e-7)


def test_is_the_strength_of_least_error_left_out_one_by_one() -> None:
    rng = np.random.default_rng(0)
    features, strengths = rng.normal(size=(12, 4)), np.array([0.1, 1.0, 10.0, 1e4])
    values = features @ [1.0, -1, 0, 0] + rng.normal(size=12)
    errors = []
    for strength in strengths:
        missed = 0.0
        for row in range(12):
            rest = np.arange(12) != row
            coefficients, intercept = leave_one_out_ridge(
                features[rest], values[rest], np.array([strength])
            )
            missed += float((values[row] - intercept - features[row] @ coefficients) ** 2)
        errors.append(missed)
    best = strengths[int(np.argmin(errors))]
    chosen, _ = leave_one_out_ridge(features, values, strengths)
    assert np.allclose(chosen, leave_one_out_ridge(features, values, np.array([best]))[0])


def test_constant_features_have_no_effect() -> None:
    coefficients, intercept = leave_one_out_ridge(np.ones((6, 2)), np.arange(6.0))
    assert np.allclose(coefficients, 0)
    assert intercept == pytest.approx(2.5)
