"""What Prometheus is told: requests and their latency, batches, confidences, classes, doubts and refusals."""

import os
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

LATENCY = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)  # seconds
BATCH = (1, 2, 4, 8, 16, 32, 64, 128)
CONFIDENCE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)


class Instruments:
    """One set an application.

    Under BentoML, which names a folder for it, the counts of all its workers are kept together.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own = self._registry
        self._requests = Counter("waymark_requests", "Requests by route and status", ["route", "status"], registry=own)
        self._seconds = Histogram(
            "waymark_request_seconds", "Latency by route", ["route"], buckets=LATENCY, registry=own
        )
        self._batches = Histogram("waymark_batch_size", "Images in each run of the model", buckets=BATCH, registry=own)
        self._confidence = Histogram(
            "waymark_confidence", "Probability of each image's best class", buckets=CONFIDENCE, registry=own
        )
        self._classes = Counter("waymark_predictions", "Images by their best class", ["class_name"], registry=own)
        self._not_sure = Counter("waymark_not_sure", "Images whose best class is under the threshold", registry=own)
        self._refused = Counter("waymark_refused", "Refused inputs by reason", ["reason"], registry=own)
        self._model = Gauge(
            "waymark_model_info", "Which model answers", ["name", "version"], multiprocess_mode="max", registry=own
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
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
