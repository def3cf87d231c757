"""The service's own description: OpenAPI 3.1, with the limits in force and an example of each answer."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from waymark.serving.handlers import Handlers
from waymark.serving.limits import Limits
from waymark.serving.model import TOP, ServedModel
from waymark.serving.statuses import STATUSES, Status

Json = dict[str, Any]

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/x-portable-pixmap")
BINARY: Json = {"type": "string", "format": "binary"}
ROI: Json = {
    "type": "string",
    "pattern": "^([0-9]{1,5}(,[0-9]{1,5}){3})?$",
    "description": "The box of what is shown: x1,y1,x2,y2 in pixels, the last column and row included. "
    "Without it, or where it is empty, the whole image is used.",
    "example": "5,6,38,41",
}
VERSION: Json = {
    "Model-Version": {
        "required": True,
        "description": "The first twelve digits of the SHA-256 of the model's contract, which names its ONNX file.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
    }
}
RETRY_AFTER: Json = {
    "Retry-After": {"required": True, "description": "Seconds.", "schema": {"type": "string", "pattern": "^[0-9]+$"}}
}


def document(model: ServedModel, limits: Limits) -> Json:
    """The description as JSON; with `model`'s classes, and `limits` in words where no schema can say them."""
    one = {"multipart/form-data": _form({"image": BINARY, "roi": ROI}, required=["image"]), **_raw(IMAGE_TYPES)}
    fields = {
        "images": {"type": "array", "items": BINARY, "minItems": 1, "maxItems": limits.images},
        # Without a pattern: one that does not hold is the error of its image, not of the request.
        "roi": {
            "type": "array",
            "items": {"type": "string"},
            "description": "None, or one x1,y1,x2,y2 for each image, in their order.",
        },
        "archive": BINARY | {"description": "One zip, in place of `images`."},
    }
    either = [{"required": ["images"]}, {"required": ["archive"], "not": {"required": ["roi"]}}]
    several = {"multipart/form-data": _form(fields, oneOf=either), **_raw(("application/zip",))}
    answer, batch, word = (_answer(model), *_answers(model))
    roi = _parameter("roi", ROI)
    classes = len(model.class_names)
    ranked = _whole(1, classes) | {"default": min(TOP, classes)}
    top = _parameter("top", ranked, "How many classes an answer ranks.")
    label = _parameter("label", _whole(0, classes - 1), "The class to explain; by default the best.")
    explained = {"Explained-Label": {"required": True, "schema": _whole(0, classes - 1)}}
    heat_map = {
        "description": "The image, red where covering it costs the class its probability.",
        "headers": VERSION | explained,
        "content": {"image/png": {"schema": BINARY}},
    }
    errors = ("400", "408", "413", "415", "503", "504")
    paths = {
        "/predict": _post("Classify one image", one, [top, roi], _json("Answer", answer), errors),
        "/predict_batch": _post("Classify several images, or a zip", several, [top], _json("Answers", batch), errors),
        "/spell": _post("Spell a word from images of letters", several, [top], _json("Word", word), (*errors, "409")),
        "/explain": _post("Show where the model looked", one, [label, roi], heat_map, errors),
        "/model": _get("Who answers", _json("Identity", {**model.description(limits), "card": "# Model card …"})),
        "/metrics": _get("Counts for Prometheus", _text("Prometheus' text format.") | {"headers": VERSION}),
        "/livez": _get("Whether the process lives", _text("It lives.")),
        "/readyz": _get("Whether it answers", _text("It answers.")),
    }
    responses = {code: _error(model, limits, status) for code, status in STATUSES.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Waymark: {model.name}",
            "version": model.version,
            "description": _words(model, limits),
        },
        "paths": paths,
        "components": {"schemas": _schemas(model), "responses": responses},
    }


def _words(model: ServedModel, limits: Limits) -> str:
    return (
        f"Answers which of {len(model.class_names)} classes an image shows. JPEG, PNG, PPM, WebP and BMP are read, by "
        "content, whatever the content type says; EXIF rotation is applied, alpha is laid over black, 16-bit samples "
        "keep their upper eight bits, CMYK and palettes are converted. Nothing is fetched from an address and nothing "
        f"is kept. Limits: {limits.image_bytes:,} bytes, {limits.side:,} px a side and {limits.pixels:,} pixels an "
        f"image, no animation; {limits.request_bytes:,} bytes and {limits.images:,} images a request; a zip unpacks "
        f"to {limits.unpacked_bytes:,} bytes and {limits.ratio} times its size at most; {limits.body_seconds:g} s to "
        f"send a body, {limits.piece_seconds:g} s for each {limits.piece_bytes:,} bytes of it, "
        f"{limits.answer_seconds:g} s to answer. A process answers {limits.singles} single images and "
        f"{limits.batches} requests with several or for a heat map at a time, and refuses more with 503. An image that "
        "is refused among several is an error in its place; where all of them are, the answer is a 400 with the reason "
        "of the first and with all `results` (`letters` of /spell). The header Model-Version of each answer names the "
        "model."
    )


def _schemas(model: ServedModel) -> Json:
    probability: Json = {"type": "number", "minimum": 0, "maximum": 1}
    ranked = {
        "label": _whole(0, len(model.class_names) - 1),
        "class_name": {"type": "string"},
        "probability": probability,
    }
    answer = {
        **ranked,
        "answered": {"type": "boolean", "description": "False: the service is not sure, as `probability` is too low."},
        "threshold": probability | {"description": "Of `probability`; under it the service is not sure."},
        "top": {"type": "array", "items": _ref("Ranked"), "description": "The most probable classes, best first."},
    }
    name: Json = {"type": "string", "description": "Of the file or of the zip's member."}
    each = {
        "oneOf": [
            _object({"name": name, **answer}),
            _object({"name": name, "error": _ref("Reason")}),
        ]
    }
    errors: Json = {"type": "integer", "minimum": 0, "description": "How many of them are errors."}
    return {
        "Ranked": _object(ranked),
        "Model": _object({"name": {"type": "string"}, "version": {"type": "string"}}),
        "Reason": _object({"reason": {"type": "string"}, "message": {"type": "string"}}),
        "Error": _object({"error": _ref("Reason"), "model": _ref("Model")}) | {"additionalProperties": True},
        "Answer": _object({**answer, "model": _ref("Model")}),
        "Each": each,
        "Answers": _object({"results": _list("Each"), "errors": errors, "model": _ref("Model")}),
        "Word": _object(
            {"word": {"type": "string"}, "letters": _list("Each"), "errors": errors, "model": _ref("Model")}
        ),
        "Identity": {"type": "object", "required": ["name", "version", "classes", "threshold", "hashes", "limits"]},
    }


def _answer(model: ServedModel) -> Json:
    """An example that this model could give."""
    ranked = [
        {"label": label, "class_name": name, "probability": probability}
        for (label, name), probability in zip(enumerate(model.class_names), (0.997, 0.002), strict=False)
    ]
    threshold = model.predictor.contract.threshold
    return {
        **ranked[0],
        "answered": threshold <= 0.997,
        "threshold": threshold,
        "top": ranked,
        "model": model.identity,
    }


def _answers(model: ServedModel) -> tuple[Json, Json]:
    answer = _answer(model)
    identity = answer.pop("model")
    each = [
        {"name": "1.png", **answer},
        {"name": "2.png", "error": {"reason": "damaged", "message": "the image is damaged or cut short"}},
    ]
    batch = {"results": each, "errors": 1, "model": identity}
    return batch, {"word": answer["class_name"], "letters": each, "errors": 1, "model": identity}


def _error(model: ServedModel, limits: Limits, status: Status) -> Json:
    example = {"error": {"reason": status.reasons[0], "message": status.said(limits)}, "model": model.identity}
    said = f"{status.meaning} Reasons: {', '.join(status.reasons)}."
    headers = VERSION | (RETRY_AFTER if "overloaded" in status.reasons else {})
    content = {"application/json": {"schema": _ref("Error"), "example": example}}
    return {"description": said, "headers": headers, "content": content}


def _post(summary: str, content: Json, parameters: list[Json], answer: Json, errors: tuple[str, ...]) -> Json:
    body = {"required": True, "content": content}
    return {
        "post": {
            "summary": summary,
            "parameters": parameters,
            "requestBody": body,
            "responses": {"200": answer, **_errors(*errors)},
        }
    }


def _get(summary: str, answer: Json) -> Json:
    return {"get": {"summary": summary, "responses": {"200": answer}}}


def _errors(*codes: str) -> Json:
    return {code: {"$ref": f"#/components/responses/{code}"} for code in sorted((*codes, "500"))}


def _json(name: str, example: Json) -> Json:
    content = {"application/json": {"schema": _ref(name), "example": example}}
    return {"description": name, "headers": VERSION, "content": content}


def _text(description: str) -> Json:
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}


def _form(properties: Json, **rules: Any) -> Json:
    return {"schema": {"type": "object", "properties": properties, "additionalProperties": False, **rules}}


def _raw(types: tuple[str, ...]) -> Json:
    return {each: {"schema": BINARY} for each in (*types, "application/octet-stream")}


def _parameter(name: str, schema: Json, description: str = "") -> Json:
    said = description or schema["description"]
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": said}


def _whole(lowest: int, highest: int) -> Json:
    return {"type": "integer", "minimum": lowest, "maximum": highest}


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(name: str) -> Json:
    return {"type": "array", "items": _ref(name)}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


async def openapi(handlers: Handlers, _: Request) -> Response:
    return handlers.reply(document(handlers.model, handlers.limits))
