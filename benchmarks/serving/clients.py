"""HTTP clients that cost little, for load on a server of the same machine: one kept connection, and a pool of them.

A request is bytes that were made once. What is read of an answer is its status and its length; that is enough to
measure with, and takes a tenth of the time that a complete client takes.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

HOST = "127.0.0.1"
KEPT = 2.0  # seconds; uvicorn closes what was idle for five, and a request sent just then is lost
BOUNDARY = "waymark-benchmark"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)


class Answer(NamedTuple):
    status: int
    body: bytes


def post(path: str, body: bytes, content_type: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def form(path: str, field: str, files: Mapping[str, bytes]) -> bytes:
    """A POST of a multipart form with one file a part, by name."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in files.items()
    ]
    body = b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
    return post(path, body, f"multipart/form-data; boundary={BOUNDARY}")


class Connection(asyncio.Protocol):
    """One request at a time. `open` is False once it cannot take another."""

    def __init__(self) -> None:
        self.open = False
        self.transport: asyncio.Transport
        self._buffer = b""
        self._needed = 0  # bytes of the whole answer; 0 until its head is there
        self._waiting: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # uvloop's is no subclass
        self.open = True

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._needed:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[: end + 2]
            length = _LENGTH.search(head)
            assert length, "an answer without Content-Length"
            self._needed = end + 4 + int(length[1])
            if _CLOSE.search(head):
                self.open = False
        if len(self._buffer) < self._needed:
            return
        answer, waiting = self._buffer, self._waiting
        body = self._needed - int(_LENGTH.search(answer)[1])  # type: ignore[index]
        self._buffer, self._needed, self._waiting = b"", 0, None
        if not self.open:
            self.transport.close()
        if waiting and not waiting.done():
            waiting.set_result(Answer(int(answer[9:12]), answer[body:]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionResetError("closed before the answer"))

    async def ask(self, request: bytes) -> Answer:
        """Raises OSError where the connection ends before the answer does."""
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._waiting

    def close(self) -> None:
        self.open = False
        self.transport.close()


class Pool:
    """Kept connections to one server, as many as requests are under way at once."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[tuple[Connection, float]] = []

    async def ask(self, request: bytes) -> Answer:
        connection = await self._take()
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if connection.open:
            self._idle.append((connection, time.monotonic()))
        return answer

    async def _take(self) -> Connection:
        while self._idle:
            connection, since = self._idle.pop()
            if connection.open and time.monotonic() < since + KEPT:
                return connection
            connection.close()
        _, opened = await asyncio.get_running_loop().create_connection(Connection, HOST, self.port)
        return opened

    def close(self) -> None:
        for connection, _ in self._idle:
            connection.close()
        self._idle.clear()
