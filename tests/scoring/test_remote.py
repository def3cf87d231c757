"""A service that is busy, breaks off, changes its model or is none: what its client makes of it."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from waymark.errors import WaymarkError
from waymark.scoring import predict
from waymark.scoring.finding import Sent
from waymark.scoring.remote import Service
from waymark.serving.limits import LIMITS, Limits

VERSION = "0123456789ab"


def description(limits: Limits = LIMITS) -> bytes:
    return json.dumps({"version": VERSION, "classes": ["a", "b"], "limits": asdict(limits)}).encode()


class Scripted(ThreadingHTTPServer):
    """Answers as a service that has its bad moments; each of `moments` is for one request of images."""

    told = description()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.moments: list[tuple[int, Any]] = []
        self.asked: list[int] = []  # images of each request
        self.silent_to: int | None = None  # a request of so many images gets no answer
        self.silence = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that is cut is meant."""


class Answer(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.answer(200 if self.path == "/model" else 404, self.server.told)

    def do_POST(self) -> None:
        images = self.rfile.read(int(self.headers["Content-Length"])).count(b'name="images"')
        self.server.asked.append(images)
        if images == self.server.silent_to:
            self.server.silence.wait(60)
        status, document = self.server.moments.pop(0) if self.server.moments else (200, answers(images))
        self.answer(status, document if isinstance(document, bytes) else json.dumps(document).encode())

    def answer(self, status: int, body: bytes) -> None:
        if status == 0:
            self.connection.close()
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


def answers(images: int, version: str = VERSION) -> dict[str, Any]:
    best = {"label": 1, "class_name": "b", "probability": 0.9}
    answer = {**best, "answered": True, "threshold": 0.5, "top": [best]}
    return {"results": [{"name": "x", **answer}] * images, "errors": 0, "model": {"name": "m", "version": version}}


def refusal(reason: str) -> dict[str, Any]:
    return {"error": {"reason": reason, "message": f"it is {reason}"}, "model": {"name": "m", "version": VERSION}}


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with Scripted() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def asked(scripted: Scripted, images: int) -> list[str]:
    """What the rows say to so many images: the class or the reason."""
    rows = Service(scripted.url, top=1, patience=1).rows([Sent(str(number), b"x") for number in range(images)])
    assert [row["path"] for row in rows] == [str(number) for number in range(images)]
    assert {row["model_version"] for row in rows} == {VERSION}
    return [row["error"]["reason"] if row["error"] else row["class_name"] for row in rows]


def test_chunks_hold_no_more_than_may_be_sent_at_once(scripted: Scripted) -> None:
    scripted.told = description(replace(LIMITS, images=3, request_bytes=2000))
    service = Service(scripted.url, top=None)
    sizes = [100, 300, 101, 1, 1, 1, 1, 900, 1]
    images = [Sent(str(number), bytes(size)) for number, size in enumerate(sizes)]
    chunks = [
        [len(image.data) for image in chunk if isinstance(image.data, bytes)]
        for chunk in predict.chunks(images, service)
    ]
    assert chunks == [[100, 300], [101, 1, 1], [1, 1], [900], [1]]  # three images, a quarter of 2,000 bytes


def test_a_busy_service_is_asked_again(scripted: Scripted) -> None:
    scripted.moments = [(503, refusal("overloaded")), (0, b""), (502, b"<h1>Bad gateway</h1>")]
    assert asked(scripted, 2) == ["b", "b"]
    assert scripted.asked == [2, 2, 2, 2]


def test_what_is_refused_together_is_asked_in_halves(scripted: Scripted) -> None:
    slow = (504, refusal("too_slow"))
    scripted.moments = [slow, (200, answers(2)), (500, refusal("internal")), slow, (200, answers(1))]
    assert asked(scripted, 4) == ["b", "b", "too_slow", "b"]
    assert scripted.asked == [4, 2, 2, 1, 1]


def test_a_service_that_stays_busy_is_given_up(scripted: Scripted) -> None:
    scripted.moments = [(503, refusal("overloaded"))] * 20
    with pytest.raises(WaymarkError) as ended:
        asked(scripted, 1)
    assert str(ended.value) == f"{scripted.url}: answers 503 (Service Unavailable) for 1 s; try again later"


def test_a_model_that_changes_on_the_way_is_told(
    scripted: Scripted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(130):  # in two requests
        (tmp_path / f"{number}.png").write_bytes(b"x")
    scripted.moments = [(200, answers(128)), (200, answers(2, version="ffffffffffff"))]
    with caplog.at_level(logging.INFO):
        assert predict.run([str(tmp_path)], top=1, output=tmp_path / "rows.csv", threads=1, url=scripted.url) == 0
    assert caplog.messages == [
        "130 images: 130 answered, 0 not sure, 0 refused",
        f"the service changed its model on the way: {VERSION}, ffffffffffff",
    ]
    assert [line.rpartition(",")[2] for line in (tmp_path / "rows.csv").read_text().splitlines()[128:]] == [
        *(VERSION, "ffffffffffff", "ffffffffffff"),
    ]


@pytest.mark.slow
def test_the_command_that_gives_up_does_not_wait_for_other_answers(scripted: Scripted, tmp_path: Path) -> None:
    for number in range(130):  # in two requests at once
        (tmp_path / f"{number}.png").write_bytes(b"x")
    scripted.silent_to, scripted.moments = 2, [(200, b"<h1>It works!</h1>")]
    command = [sys.executable, "-m", "waymark.cli", "predict", str(tmp_path), "--url", scripted.url]
    try:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20)
    finally:
        scripted.silence.set()
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {scripted.url}: is no Waymark service (POST /predict_batch gave status 200 and no answer of one)\n"
    )


@pytest.mark.parametrize("told", [b"<h1>It works!</h1>", b"[]", b'{"version": "1"}'])
def test_what_is_no_waymark_is_told_apart(scripted: Scripted, told: bytes) -> None:
    scripted.told = told
    with pytest.raises(WaymarkError) as ended:
        Service(scripted.url, top=None)
    assert str(ended.value) == (
        f"{scripted.url}: is no Waymark service (GET /model gave status 200 and no answer of one)"
    )


@pytest.mark.parametrize("said", [b"", {"results": []}, answers(1), answers(2) | {"results": [{}, {}]}])
def test_answers_that_fit_no_question_end_it(scripted: Scripted, said: object) -> None:
    scripted.moments = [(200, said)]
    with pytest.raises(WaymarkError, match=r"is no Waymark service \(POST /predict_batch gave status 200"):
        asked(scripted, 2)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://127.0.0.1:1/", "http://127.0.0.1:1: cannot be reached (Connection refused)"),
        ("127.0.0.1:3000", "--url 127.0.0.1:3000: expected an address such as http://127.0.0.1:3000"),
        ("http://", "--url http://: expected an address such as http://127.0.0.1:3000"),
        ("http://[::1", "http://[::1: cannot be asked (Failed to parse: '[::1' is not a valid host or port)"),
    ],
)
def test_an_address_where_nothing_is_is_told(address: str, sentence: str) -> None:
    with pytest.raises(WaymarkError) as ended:
        Service(address, top=None)
    assert str(ended.value) == sentence
