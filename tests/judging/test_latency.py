"""The time of one image: a median of calls that take turns, and an end to it where a model is slow."""

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from waymark.judging import latency


class Timed:
    """Takes as long as it is told: the first calls, which are not timed, are much slower."""

    contract = SimpleNamespace(image_size=8)

    def __init__(self, seconds: float, calls: list["Timed"]) -> None:
        self.seconds, self.calls = seconds, calls

    def logits(self, images: NDArray[np.uint8]) -> None:
        assert images.shape == (1, 8, 8, 3)
        time.sleep(self.seconds if self.calls.count(self) >= latency.WARM else 0.02)
        self.calls.append(self)


def test_two_models_take_turns_and_each_has_its_own_median(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "CALLS", 21)
    calls: list[Any] = []
    quick, slow = Timed(0.0005, calls), Timed(0.005, calls)
    measured = latency.measure([quick, slow])  # type: ignore[list-item]
    assert calls == [quick, slow] * (latency.WARM + 21)
    assert [each.calls for each in measured] == [21, 21]
    assert 0.5 <= measured[0].milliseconds < measured[1].milliseconds >= 5


def test_a_slow_model_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "PATIENCE", 0.1)
    (measured,) = latency.measure([Timed(0.01, [])])  # type: ignore[list-item]
    assert measured.calls == latency.LEAST
