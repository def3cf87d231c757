"""Temperature scaling finds the temperature that was planted."""

import numpy as np
import pytest
from scipy.special import softmax

from waymark.judging.calibration import fit_temperature


@pytest.mark.parametrize("planted", [0.5, 1.0, 3.0])
def test_the_planted_temperature_is_found(planted: float) -> None:
    generator = np.random.default_rng(0)
    calibrated = generator.normal(0, 2, (20_000, 5))
    labels = (softmax(calibrated, axis=1).cumsum(axis=1) > generator.random((20_000, 1))).argmax(axis=1)
    assert fit_temperature((calibrated * planted).astype(np.float32), labels) == pytest.approx(planted, rel=0.03)


def test_right_answers_alone_never_make_the_model_certain() -> None:
    logits = np.tile(np.array([[4.0, 0.0]], np.float32), (98, 1))
    temperature = fit_temperature(logits, np.zeros(98, np.int64))
    assert softmax(logits[0] / temperature)[0] == pytest.approx(99 / 100, abs=1e-4)
