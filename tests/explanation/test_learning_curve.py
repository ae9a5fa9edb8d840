import math

import pytest

import spexlens as sx
from spexlens.explanation.learning_curve import CurveStep, LearningCurve


def curve(law, sizes, half_width=0.01):
    steps = (CurveStep(m, law(m), law(m) - half_width, law(m) + half_width, 0.3) for m in sizes)
    return LearningCurve(tuple(steps))


@pytest.mark.parametrize("exponent", [0.4, 0.8, 1.2])
def test_a_power_law_is_carried_on(exponent):
    def law(ablations):
        return 0.9 - 3.0 * ablations**-exponent

    known = curve(law, [100, 150, 225, 340, 500, 750])
    assert known.predict(1500) == pytest.approx(law(1500), abs=0.02)
    assert known.gain_of_doubling() == pytest.approx(law(1500) - law(750), abs=0.02)


def test_a_prediction_never_exceeds_a_perfect_fit_nor_falls():
    steep = curve(lambda m: min(0.2 + m / 1000, 0.95), [100, 200, 400, 700])
    assert 0.95 <= steep.predict(100_000) <= 1.0
    falling = curve(lambda m: 0.5 - m / 10_000, [100, 200, 400])
    assert falling.gain_of_doubling() == pytest.approx(0.0, abs=1e-9)


def test_few_or_undefined_steps_predict_nothing():
    assert math.isnan(curve(lambda m: 0.5, [100, 200]).gain_of_doubling())
    assert math.isnan(LearningCurve(()).gain_of_doubling())
    assert math.isnan(curve(lambda m: math.nan, [1, 2, 3, 4]).predict(9))
    with pytest.raises(sx.InvalidInputError, match="at least 1"):
        curve(lambda m: 0.5, [100]).predict(0)


def test_plain_values_restore_a_curve():
    known = curve(lambda m: math.nan if m < 100 else 0.5, [50, 100, 200])
    again = LearningCurve.from_list(known.to_list())
    assert again.steps[1:] == known.steps[1:]
    assert math.isnan(again.steps[0].r2)
