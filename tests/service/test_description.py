"""The service does what its OpenAPI description says, whatever is sent."""

import io
import zipfile
from collections import Counter
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.specs.openapi.schemas import OpenApiSchema

from waymark.serving import app
from waymark.serving.limits import LIMITS

ASKED = ("/model", "/metrics")
TOLD = ("/predict", "/predict_batch", "/spell", "/explain")
CHECKS = {
    # No schema can say which bytes are an image with that region, and not every broken rule survives being put into a
    # form: a list of one text is sent as the text itself. What is refused stands in test_hostile_requests.
    "positive_data_acceptance": {"enabled": False},
    "negative_data_rejection": {"enabled": False},
}


def picture(number: int, kind: str) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


PICTURES = [picture(number, kind) for number, kind in enumerate(("PNG", "JPEG", "WEBP", "BMP", "PPM"))]
ARCHIVES = [zipped({"1.bmp": PICTURES[3]}), zipped({"a.png": PICTURES[0], "b.txt": b"no"}), zipped({})]


@st.composite
def uploads(draw: st.DrawFn, likely: list[bytes]) -> bytes:
    """Mostly one of `likely`, sometimes cut or with a changed byte; or another kind of file, or noise."""
    sound = st.sampled_from(likely)
    data = draw(sound | sound | sound | st.sampled_from([*PICTURES, *ARCHIVES]) | st.binary(max_size=200))
    if data and draw(st.integers(0, 5)) == 5:
        place = draw(st.integers(0, len(data) - 1))
        data = draw(st.sampled_from([data[:place], data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]]))
    return data


@pytest.fixture(scope="module")
def described(letters_url: str) -> OpenApiSchema:
    schemathesis.openapi.format("binary", uploads([*PICTURES, *ARCHIVES]))
    for kind in ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/x-portable-pixmap"):
        schemathesis.openapi.media_type(kind, uploads(PICTURES))
    schemathesis.openapi.media_type("application/zip", uploads(ARCHIVES))
    schemathesis.openapi.media_type("application/octet-stream", uploads([*PICTURES, *ARCHIVES]))
    return schemathesis.openapi.from_url(
        f"{letters_url}/openapi.json", config=schemathesis.Config.from_dict({"checks": CHECKS})
    )


def attack(described: OpenApiSchema, path: str, mode: GenerationMode, examples: int) -> Counter[int]:
    """Send requests that the description allows, or, where `mode` is NEGATIVE, forbids; how many got which status.

    Fails at a 5xx, and at a status, content type, header or body that is not described.
    """
    statuses: Counter[int] = Counter()
    operation = described[path]["GET" if path in ASKED else "POST"]

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), keep=st.booleans())
    def send(case: schemathesis.Case[Any], keep: bool) -> None:
        if mode is GenerationMode.POSITIVE and not keep:
            case.query.pop("roi", None)  # most regions lie outside these small pictures
        response = case.call_and_validate()
        statuses[response.status_code] += 1

    send()
    return statuses


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", TOLD)
def test_requests_are_answered_as_described(described: OpenApiSchema, path: str, mode: GenerationMode) -> None:
    statuses = attack(described, path, mode, 30)
    assert {400} < statuses.keys() <= {200, 400, 413, 415}
    if mode is GenerationMode.POSITIVE:
        assert statuses[200] >= 3  # else the answers would hardly be looked at


@pytest.mark.parametrize("path", ASKED)
def test_what_is_told_is_as_described(described: OpenApiSchema, path: str) -> None:
    assert attack(described, path, GenerationMode.POSITIVE, 1) == {200: 1}


@pytest.mark.long
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", TOLD)
def test_thousands_of_requests_are_answered_as_described(
    described: OpenApiSchema, path: str, mode: GenerationMode
) -> None:
    print(f"{path}, {mode.value}: {attack(described, path, mode, 2000)}")


def test_the_limits_in_force_are_published(letters_url: str) -> None:
    document = requests.get(f"{letters_url}/openapi.json", timeout=10).json()
    said = document["info"]["description"]
    for limit in (LIMITS.image_bytes, LIMITS.request_bytes, LIMITS.side, LIMITS.pixels, LIMITS.images):
        assert f"{limit:,}" in said
    form = document["paths"]["/predict_batch"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["images"]["maxItems"] == LIMITS.images
    top, _ = document["paths"]["/predict"]["post"]["parameters"]
    assert top["schema"] == {"type": "integer", "minimum": 1, "maximum": 5, "default": 5}


def test_what_is_refused_among_several_and_how_many_are_taken_at_a_time_is_said(letters_url: str) -> None:
    said = requests.get(f"{letters_url}/openapi.json", timeout=10).json()["info"]["description"]
    assert "where all of them are, the answer is a 400 with the reason of the first and with all `results`" in said
    assert f"answers {LIMITS.singles} single images and {LIMITS.batches} requests with several" in said
    assert f"{LIMITS.piece_seconds:g} s for each {LIMITS.piece_bytes:,} bytes" in said


def test_the_examples_of_errors_are_in_the_words_of_the_service(letters_url: str) -> None:
    document = requests.get(f"{letters_url}/openapi.json", timeout=10).json()
    asked = {
        "400": ("POST", "predict", b""),
        "404": ("GET", "nothing", b""),
        "405": ("GET", "predict", b""),
        "413": ("POST", "predict", bytes(LIMITS.image_bytes + 1)),
        "415": ("POST", "predict", b"GIF89a"),
    }
    for status, (method, path, data) in asked.items():
        response = requests.request(method, f"{letters_url}/{path}", data=data, timeout=10)
        example = document["components"]["responses"][status]["content"]["application/json"]["example"]
        assert (response.status_code, response.json()) == (int(status), example)
    several = document["paths"]["/predict_batch"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    cut = requests.post(f"{letters_url}/predict", data=PICTURES[0][:-30], timeout=10).json()
    assert cut["error"] == several["results"][1]["error"]


def test_every_route_but_the_page_is_described(letters_url: str) -> None:
    described = requests.get(f"{letters_url}/openapi.json", timeout=10).json()["paths"].keys()
    routes = {path for path, _, _ in app.ROUTES if path != "/" and not path.startswith("/app")}
    assert described == routes - {"/openapi.json", "/docs"} | {"/livez", "/readyz"}  # these two are BentoML's


def test_each_example_is_as_its_schema_says(letters_url: str) -> None:
    document = requests.get(f"{letters_url}/openapi.json", timeout=10).json()
    schemas = document["components"]["schemas"]
    for methods in document["paths"].values():
        for operation in methods.values():
            for content in operation["responses"]["200"]["content"].values():
                if "example" in content:
                    schema = {**content["schema"], "components": {"schemas": schemas}}
                    jsonschema_rs.validate(schema, content["example"])


def test_docs_shows_every_address_and_loads_nothing_from_elsewhere(letters_url: str) -> None:
    page = requests.get(f"{letters_url}/docs", timeout=10).text
    for path in requests.get(f"{letters_url}/openapi.json", timeout=10).json()["paths"]:
        assert f" {path}</code></h2>" in page
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page
