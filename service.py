"""The service that `bentoml serve`, `bentoml build` and `waymark package` take."""

import sys
from pathlib import Path

import bentoml
import uvicorn.config
from bentoml._internal.configuration.containers import BentoMLContainer

ROOT = Path(__file__).parent
if (ROOT / "waymark").is_dir():
    # In a Bento, which brings its own code. BentoML takes the tag `waymark:latest` for a module's name first, and finds
    # the package that is installed here.
    sys.modules.pop("waymark", None)

from waymark.errors import WaymarkError  # noqa: E402
from waymark.serving import app, container_image, model, processes  # noqa: E402

# Not uvloop, even where it is installed: it accepts one connection in each turn of the loop, so that under too much
# load newcomers wait in the kernel for seconds, where nothing can refuse them. asyncio's own takes all that have come:
# one worker may get nearly all of a hundred callers, and `limits.singles` has room for them.
uvicorn.config.LOOP_FACTORIES["auto"] = uvicorn.config.LOOP_FACTORIES["asyncio"]
uvicorn.config.HTTP_PROTOCOLS["auto"] = "waymark.serving.http_protocol:LimitedProtocol"


def load() -> model.ServedModel:
    """The model, with a worker's share of the cores: two workers with all of them each were a sixth slower, or more."""
    workers = BentoMLContainer.config.services.waymark.workers.get()  # with what BENTOML_CONFIG_OPTIONS say
    return model.load(ROOT, threads=max(model.cores() // workers, 1) if isinstance(workers, int) else 1)


@bentoml.service(
    name="waymark",
    image=container_image.image(),
    workers=2,  # BentoML looks every 10 s only whether one has died; until then the other answers
    http={"host": "127.0.0.1", "port": 3000},  # this machine only; within a container the image says otherwise
    traffic={"timeout": 60},
    metrics={"enabled": False},  # the application has its own /metrics
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(app.create(load))
class Waymark:
    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check() -> None:
        """Once, before any worker starts: a model that is missing or not the contract's stops here."""
        processes.begin_master()
        try:
            load()
        except WaymarkError as error:
            sys.exit(f"error: {error}")

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def begin(self) -> None:
        """In each worker."""
        processes.end_with_master()
