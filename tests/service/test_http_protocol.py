"""Connections that bring no request: held to limits on a real uvicorn, whose internals the limits rest on."""

import contextlib
import http.client
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from waymark.serving import http_protocol
from waymark.serving.http_protocol import HEAD_BYTES

HOST = "127.0.0.1"
PROTOCOL = "waymark.serving.http_protocol:LimitedProtocol"
PATIENCE = 10.0  # seconds, on a busy machine
Connect = Callable[[], socket.socket]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body; on /early without having read it."""
    length = 0
    while scope["path"] != "/early":
        message = await receive()
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect()` is a new connection to a uvicorn of this process."""
    with socket.create_server((HOST, 0)) as listening, contextlib.ExitStack() as opened:
        server = uvicorn.Server(uvicorn.Config(echo, http=PROTOCOL, lifespan="off", log_level="critical"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()

        def connected() -> socket.socket:
            return opened.enter_context(socket.create_connection(listening.getsockname(), timeout=PATIENCE))

        yield connected
        opened.close()
        server.should_exit = True
        thread.join()


def answered(connection: socket.socket) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def read_to_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(2**16), b""))


def head(size: int) -> bytes:
    """A request of `size` bytes without a body."""
    start = b"GET / HTTP/1.1\r\nX: "
    return start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"


def test_headers_up_to_the_limit_are_taken_again_and_again(connect: Connect) -> None:
    connection = connect()
    for _ in range(3):
        connection.sendall(head(HEAD_BYTES - 1))
        assert answered(connection) == (200, b"0")


@pytest.mark.parametrize("request_", [head(HEAD_BYTES + 1), b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * HEAD_BYTES])
def test_larger_headers_are_refused_and_the_connection_is_closed(connect: Connect, request_: bytes) -> None:
    connection = connect()
    connection.sendall(request_[: HEAD_BYTES + 1])
    status, body = answered(connection)
    assert status == 431
    assert json.loads(body)["error"]["reason"] == "too_many_bytes"
    with contextlib.suppress(ConnectionResetError):
        assert read_to_end(connection) == b""


def test_bodies_may_be_larger_than_headers_whole_and_in_chunks(connect: Connect) -> None:
    connection = connect()
    size = 20 * HEAD_BYTES
    connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size)
    assert answered(connection) == (200, b"%d" % size)
    connection.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * size + b"0\r\n\r\n")
    assert answered(connection) == (200, b"%d" % size)


def test_several_requests_sent_at_once_are_all_answered(connect: Connect) -> None:
    connection = connect()
    connection.sendall(head(HEAD_BYTES // 3) * 12 + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert read_to_end(connection).count(b"HTTP/1.1 200 OK\r\n") == 13


def test_endless_trailers_end_the_connection(connect: Connect) -> None:
    connection = connect()
    connection.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
    began = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < began + PATIENCE:
            connection.sendall(b"X: a\r\n" * 2**12)
        pytest.fail("still taken")


@pytest.mark.parametrize(
    ("start", "more"),
    [(b"", b""), (b"GET / HTTP/1.1\r\nX:", b"a"), (head(100) + b"GET /", b"a"), (head(100), b"\r\n")],
)
def test_headers_that_do_not_end_are_given_up_however_they_trickle(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, start: bytes, more: bytes
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    connection = connect()
    connection.sendall(start)
    connection.settimeout(0.02)
    began, said = time.monotonic(), b"first"
    with contextlib.suppress(ConnectionError):
        while said and time.monotonic() < began + PATIENCE:
            try:
                said = connection.recv(2**16)
            except TimeoutError:
                connection.sendall(more)
    assert 0.15 < time.monotonic() - began < PATIENCE


def test_a_request_that_takes_longer_than_its_headers_may_is_answered(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.1)
    connection = connect()
    connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na")
    time.sleep(0.3)
    connection.sendall(b"a")
    assert answered(connection) == (200, b"2")


def test_a_body_that_goes_on_after_its_answer_is_given_up(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    connection = connect()
    connection.sendall(b"POST /early HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
    assert answered(connection) == (200, b"0")
    began = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < began + PATIENCE:
            connection.sendall(b"a")
            time.sleep(0.02)
        pytest.fail("still taken")


def test_one_connection_too_many_is_told_so_and_closed(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "CONNECTIONS", 2)
    kept = [connect(), connect()]
    for connection in kept:
        connection.sendall(head(100))
        assert answered(connection) == (200, b"0")
    said = read_to_end(connect())
    assert said.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nretry-after: 1\r\n" in said
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["reason"] == "overloaded"
    kept[0].close()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        another = connect()
        another.sendall(head(100))
        with contextlib.suppress(ConnectionError):
            if answered(another) == (200, b"0"):
                break
    else:
        pytest.fail("no room was made")


def test_half_of_the_descriptors_are_left_for_other_things(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((100, 50), (10**6, 1000), (resource.RLIM_INFINITY, 1000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, resource.RLIM_INFINITY))
        assert http_protocol.most_connections() == most


def test_bentoml_holds_connections_to_these_limits(bentoml_url: str) -> None:
    host, _, port = bentoml_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(head(HEAD_BYTES + 1))
        assert answered(connection)[0] == 431
