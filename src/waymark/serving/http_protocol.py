"""What a connection may cost where there is no request yet: limits that uvicorn's HTTP protocol has none for.

The application sees a request once its headers are complete, and holds it to `limits` from then on. Before that uvicorn
keeps as many headers as are sent, waits for the rest for ever, and takes connections until there is no descriptor left.
"""

import asyncio
import http
import json
import sys
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 2**16  # of a request's line and headers; also of trailers, and of what else is no part of a body
HEAD_SECONDS = 10.0  # for a request's line and headers to be complete; uvicorn itself ends what is idle after 5
CONNECTIONS = 1000  # of one process; each costs a descriptor, and some 10 KB


class LimitedProtocol(HttpToolsProtocol):
    """One connection. uvicorn takes it by name: `uvicorn.config.HTTP_PROTOCOLS["auto"]`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._outside = 0  # bytes since the last that belonged to a body, or ended a request's headers
        self._patience: asyncio.TimerHandle | None = None  # runs while no request is being answered, and none complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= most_connections():
            self.transport = transport
            self._refuse(503, "overloaded", "too many connections are open; try again in a second", "retry-after: 1")
            return
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and not self.transport.is_closing():
            # No further than the limit at a time, so that headers are refused for their length, not for how they came.
            piece = data[: HEAD_BYTES - self._outside]
            self._outside += len(piece)
            super().data_received(piece)
            if self._outside >= HEAD_BYTES:
                self._refuse(431, "too_many_bytes", f"the headers of a request may have {HEAD_BYTES:,} bytes")
            data = data[len(piece) :]
        if self._patience is None and not self._answering:  # the next request's first bytes, or the rest of a body
            self._wait_for_headers()

    def on_headers_complete(self) -> None:
        self._outside = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._outside = 0
        super().on_body(body)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_headers(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, status: int, reason: str, message: str, *headers: str) -> None:
        """Answer as the application does, if nothing else is on its way on this connection; then close it."""
        if not self._answering:
            body = json.dumps({"error": {"reason": reason, "message": message}}).encode()
            head = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}", "content-type: application/json"]
            head += [f"content-length: {len(body)}", "connection: close", *headers, "", ""]
            self.transport.write("\r\n".join(head).encode() + body)
        self.transport.close()


def most_connections() -> int:
    """CONNECTIONS, or half of the descriptors that the process may have where those are fewer."""
    if sys.platform == "win32":
        return CONNECTIONS
    import resource

    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if descriptors == resource.RLIM_INFINITY else min(CONNECTIONS, descriptors // 2)
