"""What Prometheus is told: requests and their latency, batches, confidences, classes, doubts and refusals."""

from collections.abc import Iterable
from typing import Any

import bentoml

# BentoML's client keeps the counts of several workers together; it has to be the first to import prometheus_client.
_metrics = bentoml.metrics

LATENCY = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)  # seconds
BATCH = (1, 2, 4, 8, 16, 32, 64, 128)
CONFIDENCE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)


class Instruments:
    """One set a process."""

    def __init__(self) -> None:
        self._requests = _metrics.Counter("waymark_requests_total", "Requests by route and status", ["route", "status"])
        self._seconds = _metrics.Histogram("waymark_request_seconds", "Latency by route", ["route"], buckets=LATENCY)
        self._batches = _metrics.Histogram("waymark_batch_size", "Images in each run of the model", buckets=BATCH)
        self._confidence = _metrics.Histogram(
            "waymark_confidence", "Probability of the best class of each image", buckets=CONFIDENCE
        )
        self._classes = _metrics.Counter("waymark_predictions_total", "Images by best class", ["class_name"])
        self._not_sure = _metrics.Counter("waymark_not_sure_total", "Images whose best class is under the threshold")
        self._refused = _metrics.Counter("waymark_refused_total", "Refused inputs by reason", ["reason"])
        self._model = _metrics.Gauge(
            "waymark_model_info", "Which model answers", ["name", "version"], multiprocess_mode="max"
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, images: int) -> None:
        self._batches.observe(images)

    def answers(self, answers: Iterable[dict[str, Any]]) -> None:
        for answer in answers:
            self._confidence.observe(answer["probability"])
            self._classes.labels(answer["class_name"]).inc()
            if not answer["answered"]:
                self._not_sure.inc()

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def model(self, name: str, version: str) -> None:
        self._model.labels(name, version).set(1)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return bytes(_metrics.generate_latest())
