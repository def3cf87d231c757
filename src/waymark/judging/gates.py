"""What params.yaml asks of a model before it may be the champion: its gates, each one number against one limit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from waymark import paths
from waymark.errors import WaymarkError
from waymark.params import Params

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Gate:
    key: str  # of params.yaml
    measure: str
    value: float
    limit: float
    unit: str = ""

    @property
    def at_least(self) -> bool:
        return self.key.startswith("gate_min_")

    @property
    def passed(self) -> bool:
        """NaN, as of a test without images, passes nothing."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        bound = "at least" if self.at_least else "at most"
        return f"{self.measure} {self.value:g}{self.unit} ({self.key}: {bound} {self.limit:g}{self.unit})"


def check(params: Params, metrics: Mapping[str, Any], onnx_bytes: int, latency_ms: float | None) -> list[Gate]:
    """Hold a model against the gates of `params`; without a latency against all but that one.

    `metrics` is what reports/metrics.json holds. Raises WaymarkError where it lacks what a gate asks for.
    """
    asked = {
        "gate_min_accuracy": ("accuracy", "accuracy"),
        "gate_min_class_recall": ("lowest recall of a class", "min_class_recall"),
        "gate_max_ece": ("calibration error", "expected_calibration_error"),
    }
    missing = [f"{name} ({key})" for key, (_, name) in asked.items() if not isinstance(metrics.get(name), int | float)]
    if missing:
        raise WaymarkError(f"{paths.METRICS}: lacks {', '.join(missing)}; `dvc repro` measures it anew")
    gates = [Gate(key, measure, metrics[name], getattr(params, key)) for key, (measure, name) in asked.items()]
    if latency_ms is not None:
        gates.append(Gate("gate_max_latency_ms", "latency", latency_ms, params.gate_max_latency_ms, " ms"))
    megabytes = round(onnx_bytes / MEGABYTE, 3)
    gates.append(Gate("gate_max_megabytes", "size", megabytes, params.gate_max_megabytes, " MB"))
    return gates
