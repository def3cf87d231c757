"""The page at /app: plain HTML, CSS and JavaScript, served as they stand in this folder."""

import re
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from waymark.serving.handlers import Handlers
from waymark.serving.uploads import Refusal

# The page asks this service only, and nothing that an image, a name or another site brings along may run in it.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self)",
    "Cache-Control": "no-cache",
}
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = (
    *("app.js", "answers.js", "camera.js", "many.js", "pictures.js", "service.js"),
    *("style.css", "answers.css", "icon.svg"),
)
PICTURES = 'data-pictures="0"'  # in index.html, which has to know without a request how many pictures there are

_LABEL = re.compile("[0-9]{1,6}")  # Starlette's own {label:int} fails on numbers of thousands of digits


async def home(handlers: Handlers, _: Request) -> Response:
    return RedirectResponse("/app", headers=handlers.headers)


async def index(handlers: Handlers, _: Request) -> Response:
    known = f'data-pictures="{len(handlers.model.pictures)}"'
    return _reply(handlers, _file("index.html").replace(PICTURES.encode(), known.encode()), "text/html")


async def picture(handlers: Handlers, request: Request) -> Response:
    label = request.path_params["label"]
    found = handlers.model.picture(int(label)) if _LABEL.fullmatch(label) else None
    if found is None:
        raise Refusal("not_found", 404, "there is no picture of such a class")
    return _reply(handlers, found, "image/png")


def _handler(name: str) -> Callable[[Handlers, Request], Awaitable[Response]]:
    async def handler(handlers: Handlers, _: Request) -> Response:
        return _reply(handlers, _file(name), KINDS[Path(name).suffix])

    return handler


def _reply(handlers: Handlers, body: bytes, media_type: str) -> Response:
    return Response(body, headers={**handlers.headers, **HEADERS}, media_type=media_type)


@cache
def _file(name: str) -> bytes:
    return (Path(__file__).parent / name).read_bytes()


ROUTES = (
    ("/", "GET", home),
    ("/app", "GET", index),
    *((f"/app/{name}", "GET", _handler(name)) for name in FILES),
    ("/app/classes/{label}.png", "GET", picture),
)
