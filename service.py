"""The service that `bentoml serve`, `bentoml build` and `waymark package` take."""

import os
from functools import partial
from pathlib import Path

import bentoml

from waymark.serving import app, model

load = partial(model.load, Path(__file__).parent, threads=len(os.sched_getaffinity(0)))


@bentoml.service(
    name="waymark",
    workers=1,
    traffic={"timeout": 60},
    metrics={"enabled": False},  # the application has its own /metrics
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(app.create(load))
class Waymark:
    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Once, before any worker starts: a model that is missing or not the contract's stops here."""
        load()
