"""/docs: the service's description as a plain page, which needs nothing from elsewhere."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from waymark.serving import description, page
from waymark.serving.handlers import Handlers

Json = dict[str, Any]


async def docs(handlers: Handlers, _: Request) -> Response:
    text = "\n".join(_page(description.document(handlers.model, handlers.limits)))
    return Response(text, headers={**handlers.headers, **page.HEADERS}, media_type="text/html")


def _page(document: Json) -> Iterator[str]:
    title = escape(document["info"]["title"])
    yield "<!doctype html>"
    yield f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<link rel="stylesheet" href="/app/style.css"></head><body class="reference"><main>'
    yield f"<h1>{title}</h1><p>{escape(document['info']['description'])}</p>"
    yield '<p><a href="/openapi.json">The same for programs</a>, and <a href="/app">a page to try it</a>.</p>'
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p>{escape(operation['summary'])}.</p>"
            yield from _operation(operation, document)
            yield "</section>"
    yield "</main></body></html>"


def _operation(operation: Json, document: Json) -> Iterator[str]:
    if parameters := operation.get("parameters"):
        yield "<h3>Query</h3><dl>"
        yield from (
            f"<dt><code>{escape(each['name'])}</code></dt><dd>{escape(each['description'])}</dd>" for each in parameters
        )
        yield "</dl>"
    if body := operation.get("requestBody"):
        yield "<h3>Body</h3><dl>"
        for media_type, content in body["content"].items():
            fields = ", ".join(f"<code>{escape(name)}</code>" for name in content["schema"].get("properties", ()))
            said = f"with {fields}" if fields else "the bytes as they are"
            yield f"<dt><code>{media_type}</code></dt><dd>{said}</dd>"
        yield "</dl>"
    yield "<h3>Answers</h3><dl>"
    for code, answer in operation["responses"].items():
        if "$ref" in answer:
            answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        yield f"<dt><code>{code}</code></dt><dd>{escape(answer['description'])}{_example(answer)}</dd>"
    yield "</dl>"


def _example(answer: Json) -> str:
    """The example of a good answer; those of errors say no more than their descriptions."""
    example = answer.get("content", {}).get("application/json", {}).get("example")
    if example is None or "error" in example:
        return ""
    return f"<pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"
