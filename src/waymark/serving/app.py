"""The service as one ASGI application, which BentoML mounts."""

import contextlib
import gc
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from waymark.serving import description, page, reference, uploads
from waymark.serving.batching import OverloadError
from waymark.serving.handlers import Handlers
from waymark.serving.instruments import Instruments
from waymark.serving.limits import LIMITS, Limits
from waymark.serving.model import ServedModel
from waymark.serving.uploads import Refusal

logger = logging.getLogger(__name__)

Handler = Callable[[Handlers, Request], Awaitable[Response]]


class Endpoint:
    """A route that counts its requests, and turns what goes wrong into one sentence of JSON.

    It is an ASGI application of its own: Starlette's wrapper of plain functions costs a tenth of a request.
    """

    def __init__(self, path: str, method: str, handler: Handler) -> None:
        """`method` is the one that the route takes, or "" where it takes every one."""
        self.path, self.handler = path, handler
        self.methods = {"GET": ("GET", "HEAD"), "": ()}.get(method, (method,))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request = Request(scope, receive)
        handlers: Handlers = scope["app"].state.handlers
        response = await self._answer(handlers, request)
        await response(scope, receive, send)
        handlers.instruments.request(self.path, response.status_code, time.perf_counter() - began)

    async def _answer(self, handlers: Handlers, request: Request) -> Response:
        if self.methods and request.method not in self.methods:
            allowed = ", ".join(self.methods)
            message = f"this address takes {allowed} only"
            return handlers.refuse(405, "method_not_allowed", message, {"Allow": allowed})
        try:
            return await self.handler(handlers, request)
        except Refusal as refusal:
            return handlers.refuse(refusal.status, refusal.reason, str(refusal))
        except OverloadError:
            return handlers.refuse_as("503", {"Retry-After": "1"})
        except TimeoutError:
            return handlers.refuse_as("504")
        except Exception:
            logger.exception("%s failed", self.path)
            return handlers.refuse_as("500")


async def _unknown(handlers: Handlers, _: Request) -> Response:
    return handlers.refuse_as("404")


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("/predict", "POST", Handlers.predict),  # the busiest one first
    ("/predict_batch", "POST", Handlers.predict_batch),
    ("/spell", "POST", Handlers.spell),
    ("/explain", "POST", Handlers.explain),
    ("/model", "GET", Handlers.describe_model),
    ("/metrics", "GET", Handlers.metrics),
    ("/openapi.json", "GET", description.openapi),
    ("/docs", "GET", reference.docs),
    *page.ROUTES,
)


def create(load: Callable[[], ServedModel], limits: Limits = LIMITS) -> Starlette:
    """The application; `load` brings the model when it starts."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        uploads.silence_pillow()
        model = load()
        app.state.handlers = handlers = Handlers(model, limits, Instruments())
        handlers.instruments.model(model.name, model.version)
        _calm_collector()
        yield
        handlers.answering.close()

    routes = [Route(path, Endpoint(path, method, handler)) for path, method, handler in ROUTES]
    everything_else = Route("/{path:path}", Endpoint("other", "", _unknown))  # BentoML's own pages, too
    return Starlette(routes=[*routes, everything_else], lifespan=lifespan)


def _calm_collector() -> None:
    """Leave what was loaded alone, and collect seldom: full collections were most of the 99th percentile of latency."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
