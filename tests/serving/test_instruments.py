"""What Prometheus reads: every count of the service, and nothing of the machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from waymark.serving.instruments import Instruments


def counts(text: bytes) -> dict[str, float]:
    """Each sample that is not zero; times of creation left out."""
    samples = [line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in samples if float(value) and "_created" not in name}


def answer(name: str, probability: float, answered: bool) -> dict[str, object]:
    return {"class_name": name, "probability": probability, "answered": answered}


def test_each_count_is_told() -> None:
    instruments = Instruments()
    instruments.model("signs", "ab12")
    instruments.request("/predict", 200, 0.25)
    instruments.request("/predict", 200, 0.5)
    instruments.request("/predict", 415, 0.001)
    instruments.batch(3)
    instruments.answers([answer("stop", 0.75, True), answer("stop", 0.25, False), answer("yield", 1.0, True)])
    instruments.refused("damaged")
    told = counts(instruments.text())
    assert {name: value for name, value in told.items() if "_bucket" not in name} == {
        'waymark_model_info{name="signs",version="ab12"}': 1,
        'waymark_requests_total{route="/predict",status="200"}': 2,
        'waymark_requests_total{route="/predict",status="415"}': 1,
        'waymark_request_seconds_count{route="/predict"}': 3,
        'waymark_request_seconds_sum{route="/predict"}': 0.751,
        "waymark_batch_size_count": 1,
        "waymark_batch_size_sum": 3,
        "waymark_confidence_count": 3,
        "waymark_confidence_sum": 2,
        'waymark_predictions_total{class_name="stop"}': 2,
        'waymark_predictions_total{class_name="yield"}': 1,
        "waymark_not_sure_total": 1,
        'waymark_refused_total{reason="damaged"}': 1,
    }
    assert told['waymark_batch_size_bucket{le="4.0"}'] == 1
    assert 'waymark_batch_size_bucket{le="2.0"}' not in told
    assert told['waymark_confidence_bucket{le="0.8"}'] == 2
    assert told['waymark_request_seconds_bucket{le="0.2",route="/predict"}'] == 1


def test_a_class_name_cannot_write_lines_of_its_own() -> None:
    instruments = Instruments()
    instruments.answers([answer('a"} 1\nfalse_total 9\n\\', 0.5, True)])
    assert not [line for line in instruments.text().splitlines() if line.startswith(b"false")]


def test_two_applications_count_apart() -> None:
    first, second = Instruments(), Instruments()
    first.batch(1)
    assert counts(second.text()) == {}


def test_nothing_of_the_machine_is_told() -> None:
    names = {line.split()[2] for line in Instruments().text().decode().splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith("waymark_") for name in names)


@pytest.mark.slow
def test_the_counts_of_several_workers_add_up(tmp_path: Path) -> None:
    worker = (
        "from waymark.serving.instruments import Instruments; i = Instruments(); i.batch(2); i.model('signs', 'ab12')"
    )
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for program in (worker, worker, f"{worker}; print(i.text().decode())"):
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    told = counts(done.stdout.strip())
    assert (told["waymark_batch_size_count"], told["waymark_batch_size_sum"]) == (3, 6)
    assert told['waymark_batch_size_bucket{le="+Inf"}'] == 3
