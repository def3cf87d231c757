"""Gates: each names its value and its limit, and none is passed by what cannot be measured."""

from pathlib import Path
from typing import Any

import pytest

from waymark import params
from waymark.errors import WaymarkError
from waymark.judging import gates
from waymark.params import Params

METRICS = {"accuracy": 0.95, "min_class_recall": 0.5, "expected_calibration_error": 0.05}
LIMITS = {
    "gate_min_accuracy": 0.95,
    "gate_min_class_recall": 0.5,
    "gate_max_ece": 0.05,
    "gate_max_latency_ms": 12.5,
    "gate_max_megabytes": 3.0,
}


@pytest.fixture(scope="module")
def limits() -> Params:
    return params.load(Path(__file__).resolve().parents[2] / "params.yaml").model_copy(update=LIMITS)


def failed(limits: Params, onnx_bytes: int = 3_000_000, latency_ms: float = 12.5, **metrics: Any) -> list[str]:
    checked = gates.check(limits, METRICS | metrics, onnx_bytes, latency_ms)
    assert [gate.key for gate in checked] == list(LIMITS)
    return [str(gate) for gate in checked if not gate.passed]


def test_a_model_on_every_limit_passes(limits: Params) -> None:
    assert failed(limits) == []


def test_each_gate_that_is_missed_is_named_with_value_and_limit(limits: Params) -> None:
    assert failed(limits, accuracy=0.949999) == ["accuracy 0.949999 (gate_min_accuracy: at least 0.95)"]
    assert failed(limits, min_class_recall=0.499999, expected_calibration_error=0.050001) == [
        "lowest recall of a class 0.499999 (gate_min_class_recall: at least 0.5)",
        "calibration error 0.050001 (gate_max_ece: at most 0.05)",
    ]
    assert failed(limits, latency_ms=12.501) == ["latency 12.501 ms (gate_max_latency_ms: at most 12.5 ms)"]
    assert failed(limits, onnx_bytes=3_001_000) == ["size 3.001 MB (gate_max_megabytes: at most 3 MB)"]


def test_what_is_no_number_passes_no_gate(limits: Params) -> None:
    nan = float("nan")
    assert len(failed(limits, latency_ms=nan, accuracy=nan, min_class_recall=nan, expected_calibration_error=nan)) == 4


def test_without_a_latency_that_gate_is_left_out(limits: Params) -> None:
    checked = gates.check(limits, METRICS, 1, None)
    assert [gate.key for gate in checked] == [key for key in LIMITS if key != "gate_max_latency_ms"]


def test_metrics_that_lack_a_number_are_named(limits: Params) -> None:
    with pytest.raises(WaymarkError) as refused:
        gates.check(limits, {"accuracy": 0.9, "min_class_recall": None}, 1, 1.0)
    assert str(refused.value) == (
        "reports/metrics.json: lacks min_class_recall (gate_min_class_recall), expected_calibration_error "
        "(gate_max_ece); `dvc repro` measures it anew"
    )
