"""What the service refuses: as one sentence of JSON that gives nothing away, with the next good request answered."""

import hashlib
import http.client
import io
import json
import re
import socket
import struct
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import requests
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from waymark import contract, paths
from waymark.serving.limits import LIMITS
from waymark.serving.statuses import STATUSES

if TYPE_CHECKING:
    from tests.service.conftest import Serve, WriteModel

LEAKS = re.compile(r'Traceback|File "|\.py\b|site-packages|/home/|/tmp/|/usr/|[Pp]ython|uvicorn|[Ss]tarlette|[Bb]ento')
FORM = "multipart/form-data; boundary=x"


def png(width: int = 20, height: int = 20) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (255, 0, 0)).save(file, "PNG")
    return file.getvalue()


def bomb() -> bytes:
    """30,000 × 30,000 px in one colour: U1."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    header = struct.pack(">LLBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(3751 * 30_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zipped(*names: str, data: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data or png())
    return file.getvalue()


GIF = b"GIF89a\1\0\1\0\0\0\0;"
IMAGE: dict[str, Any] = {"files": {"image": ("a.png", png())}}
PICKLE = "application/vnd.bentoml+pickle"
BOMB = bomb()
SEMICOLONS = b'--x\r\nContent-Disposition: form-data; name="roi"; a="' + b";" * 8080 + b"\r\n\r\n\r\n"


def chunked(megabytes: int) -> Iterator[bytes]:
    """A body without a length."""
    yield from [bytes(2**20)] * megabytes


def typed(content_type: str, data: bytes = b"x") -> dict[str, Any]:
    return {"data": data, "headers": {"Content-Type": content_type}}


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    *(("predict?top=" + top, IMAGE, 400, "bad_request") for top in ("0", "6", "-1", "x", "", "1.0", "²", "9" * 5000)),
    *(("explain?label=" + label, IMAGE, 400, "bad_request") for label in ("5", "-1", "x", "", "9" * 5000)),
    *(("predict?roi=" + roi, IMAGE, 400, "bad_request") for roi in ("0,0,20,5", "5,0,4,9", "-1,0,4,4", "1,2,3", "x")),
    ("predict_batch?top=0", {"files": [("images", png())]}, 400, "bad_request"),
    ("predict", {"files": {"picture": png()}}, 400, "bad_request"),
    ("predict", {"files": [("image", png()), ("image", png())]}, 400, "bad_request"),
    ("predict", {"files": {"images": png()}}, 400, "bad_request"),
    ("predict_batch", {"files": {"image": png()}}, 400, "bad_request"),
    ("predict_batch", {"files": [("images", png()), ("archive", zipped("a.png"))]}, 400, "bad_request"),
    ("predict_batch", {"files": [("images", png()), *[("roi", (None, "0,0,1,1"))] * 2]}, 400, "bad_request"),
    ("predict", typed("multipart/form-data", b"--x--"), 400, "bad_request"),  # no boundary
    ("predict", typed(FORM, b"nothing of a form"), 400, "bad_request"),
    ("predict", typed(FORM, SEMICOLONS * 1200), 400, "bad_request"),
    ("predict_batch", typed(FORM, SEMICOLONS * 1900), 400, "bad_request"),
    ("predict", typed(FORM + ';"' * 2000), 400, "bad_request"),
    ("predict", typed(FORM, b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\ncut'), 400, "bad_request"),
    ("predict", {}, 400, "empty"),
    ("predict", {"files": {"image": ("a.png", b"")}}, 400, "empty"),
    ("predict_batch", {}, 400, "empty"),
    ("spell", {"data": zipped()}, 400, "empty"),  # Z12
    ("predict", {"data": png()[:-30]}, 400, "damaged"),
    ("predict_batch", {"data": zipped("a.png", "b.png")[:-30]}, 400, "damaged"),
    ("predict_batch", {"data": zipped("../../a.png")}, 400, "unsafe_name"),  # Z6
    ("predict", {"data": GIF}, 415, "unsupported_format"),
    ("predict", {"data": b'<svg xmlns="http://www.w3.org/2000/svg"/>'}, 415, "unsupported_format"),  # U7
    ("predict", {"data": zipped("a.png")}, 415, "unsupported_format"),
    ("predict_batch", {"data": png()}, 415, "unsupported_format"),
    *(("predict", typed(kind), 415, "unsupported_content_type") for kind in ("application/x-pickle", PICKLE)),  # U14
    ("spell", typed(PICKLE), 415, "unsupported_content_type"),
    ("predict", typed("application/json", b"[" * 10_000), 415, "unsupported_content_type"),  # U15
    ("predict", typed("application/json", b'{"image": NaN}'), 415, "unsupported_content_type"),
    ("predict", {"data": {"image": "http://127.0.0.1/"}}, 415, "unsupported_content_type"),  # as an HTML form sends it
    ("predict", {"data": BOMB}, 413, "too_many_pixels"),
    ("explain", {"data": png(4097, 1)}, 413, "too_many_pixels"),
    ("predict", {"data": bytes(LIMITS.image_bytes + 1)}, 413, "too_many_bytes"),  # U11
    ("predict", {"data": chunked(11)}, 413, "too_many_bytes"),  # U11: chunked, without a length
    ("predict_batch", {"data": chunked(32)}, 413, "too_many_bytes"),
    ("predict_batch", {"files": [("images", b"x")] * 1100}, 413, "too_many_images"),
    ("predict_batch", {"data": zipped("a.png", data=bytes(60_000_000))}, 413, "suspicious_archive"),  # Z1
]


@pytest.fixture(params=["letters_url", "bentoml_url"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def refused(response: requests.Response, status: int, reason: str) -> requests.Response:
    """It is refused in the service's own words, and gives away nothing of what it is made of."""
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/json"), response.text
    document = response.json()
    message = document["error"]["message"]
    described = STATUSES[str(status)]
    assert document["error"]["reason"] == reason
    assert reason in described.reasons
    assert message == described.example or len(described.reasons) > 1 or status in (404, 405, 504)  # these differ
    assert "\n" not in message
    assert 10 < len(message) < 200
    assert response.headers["Model-Version"] == document["model"]["version"]
    assert not LEAKS.search(response.text + json.dumps(dict(response.headers)))
    assert "Server" not in response.headers
    return response


def answered(url: str) -> None:
    response = requests.post(f"{url}/predict?top=1", data=png(), timeout=30)
    assert (response.status_code, response.json().get("class_name")) == (200, "A")


@pytest.mark.parametrize(
    ("path", "request_", "status", "reason"),
    REFUSED,
    ids=[f"{number} {path[:20]} {reason}" for number, (path, _, _, reason) in enumerate(REFUSED)],
)
def test_what_is_not_accepted_gets_a_reason_and_the_next_request_its_answer(
    letters_url: str, path: str, request_: dict[str, Any], status: int, reason: str
) -> None:
    refused(requests.post(f"{letters_url}/{path}", timeout=30, **request_), status, reason)
    answered(letters_url)


@pytest.mark.parametrize(
    "path", ["nothing", "predict/", "docs.json", "static_content/index.html", "app/../x", "%00", "a" * 9999]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_there_is_nothing_at_an_unknown_address(url: str, path: str, method: str) -> None:
    refused(requests.request(method, f"{url}/{path}", timeout=10), 404, "not_found")


@pytest.mark.parametrize("label", ["5", "-1", "x", "", "1.0", "1/2", "%D9%A1", "9" * 4000, "9" * 5000])
def test_a_class_that_is_none_has_no_picture(url: str, label: str) -> None:
    refused(requests.get(f"{url}/app/classes/{label}.png", timeout=10), 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["predict", "predict_batch", "spell", "explain"])
def test_what_takes_images_is_posted_to(url: str, path: str, method: str) -> None:
    response = requests.request(method, f"{url}/{path}", timeout=10)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    if method != "HEAD":
        refused(response, 405, "method_not_allowed")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["", "model", "metrics", "openapi.json", "docs", "app"])
def test_what_tells_is_not_posted_to(url: str, path: str, method: str) -> None:
    response = refused(requests.request(method, f"{url}/{path}", timeout=10), 405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD"


def test_an_address_in_the_place_of_an_image_is_never_fetched(url: str) -> None:  # U13
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/a.png".encode()
        svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="' + address + b'"/></svg>'
        for data in (address, svg):
            refused(requests.post(f"{url}/predict", files={"image": data}, timeout=10), 415, "unsupported_format")
        with pytest.raises(TimeoutError):
            listening.accept()


@pytest.mark.slow
def test_good_requests_are_answered_while_hostile_ones_come_in(bentoml_url: str) -> None:
    hostile: list[tuple[str, dict[str, Any]]] = [
        ("predict", {"data": BOMB}),
        ("predict_batch", {"data": zipped(*(f"{n}.png" for n in range(400)))}),
        ("predict_batch", {"data": zipped(*(f"{n}.png" for n in range(200)), data=BOMB[:100_000])}),
        ("predict_batch", {"files": [("images", png()[:-20])] * 900}),
        ("explain", {"data": png(2000, 2000)}),
        ("predict", {"data": png(4096, 2048)}),
    ]

    def attack(number: int) -> int:
        path, sent = hostile[number % len(hostile)]
        return requests.post(f"{bentoml_url}/{path}", timeout=60, **sent).status_code

    with ThreadPoolExecutor(4) as attackers:
        statuses = attackers.map(attack, range(24))
        for _ in range(20):
            answered(bentoml_url)
        assert set(statuses) <= {200, 400, 413, 503}


@pytest.fixture(scope="module")
def strict_url(serve: "Serve", write_model: "WriteModel", tmp_path_factory: pytest.TempPathFactory) -> str:
    """Takes one image at a time, and no body for longer than half a second; its classes are no letters."""
    folder = write_model(tmp_path_factory.mktemp("strict") / "model", {"stop": (255, 0, 0), "yield": (0, 255, 0)})
    return serve(folder, replace(LIMITS, waiting=1, body_seconds=0.5, images=3))


def test_what_is_too_much_at_once_is_told_when_to_try_again(strict_url: str) -> None:
    two = [("images", png()), ("images", png())]
    response = refused(requests.post(f"{strict_url}/predict_batch", timeout=10, files=two), 503, "overloaded")
    assert response.headers["Retry-After"] == "1"
    assert requests.post(f"{strict_url}/predict", data=png(), timeout=10).json()["class_name"] == "stop"


def test_only_letters_are_spelled(strict_url: str) -> None:
    refused(requests.post(f"{strict_url}/spell", files={"images": png()}, timeout=10), 409, "not_letters")


def test_more_images_than_the_limit_are_refused(strict_url: str) -> None:
    names = [f"{number}.png" for number in range(4)]
    ways: list[dict[str, Any]] = [{"files": [("images", png()) for _ in names]}, {"data": zipped(*names)}]
    for sent in ways:
        refused(requests.post(f"{strict_url}/predict_batch", timeout=10, **sent), 413, "too_many_images")


@pytest.mark.slow
def test_a_body_that_trickles_in_is_cut_off(strict_url: str) -> None:
    host, port = strict_url.removeprefix("http://").split(":")
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nx"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert (response.status, json.load(response)["error"]["reason"]) == (408, "slow_body")


def test_what_takes_too_long_is_given_up(
    serve: "Serve", write_model: "WriteModel", tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = write_model(tmp_path_factory.mktemp("hasty") / "model", {"A": (255, 0, 0)})
    hasty = serve(folder, replace(LIMITS, answer_seconds=1e-6))
    for path in ("predict", "explain", "predict_batch"):
        field = "images" if path == "predict_batch" else "image"
        refused(requests.post(f"{hasty}/{path}", files={field: png()}, timeout=10), 504, "too_slow")
    assert requests.get(f"{hasty}/model", timeout=10).ok


def test_a_fault_of_the_model_is_told_without_its_details(
    serve: "Serve", write_model: "WriteModel", tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = write_model(tmp_path_factory.mktemp("broken") / "model", {str(label): (label,) * 3 for label in range(5)})
    break_model(folder)
    broken = serve(folder)
    for path, field in (("predict", "image"), ("explain", "image"), ("predict_batch", "images")):
        refused(requests.post(f"{broken}/{path}", files={field: png()}, timeout=10), 500, "internal")
    assert requests.get(f"{broken}/model", timeout=10).ok


def break_model(folder: Path) -> None:
    """Put a network in place that loads, and fails when it runs: 768 values do not fold into fives."""
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["images", "shape"], ["logits"])],
        "broken",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 5])],
        [numpy_helper.from_array(np.array([-1, 5], np.int64), "shape")],
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), folder / paths.ONNX)
    sha256 = hashlib.sha256((folder / paths.ONNX).read_bytes()).hexdigest()
    replace(contract.read(folder / paths.CONTRACT), onnx_sha256=sha256).write(folder / paths.CONTRACT)
