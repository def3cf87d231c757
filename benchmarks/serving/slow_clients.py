"""Clients that send a byte a second (L6, known as Slowloris), and ordinary requests beside them."""

import asyncio
import collections
import contextlib

import uvloop

from serving import open_loop
from serving.clients import HOST
from serving.closed_loop import calm
from serving.open_loop import Outcomes

CLIENTS = 64
SECONDS = 30.0


def beside(
    port: int, request: bytes, rate: float, clients: int = CLIENTS, seconds: float = SECONDS
) -> tuple[Outcomes, dict[str, int]]:
    """How ordinary requests fare, and how many of the slow ones end in which way."""

    async def both() -> tuple[Outcomes, list[str]]:
        slow = [asyncio.create_task(_dribble(port, request, seconds, number)) for number in range(clients)]
        await asyncio.sleep(0.5)
        outcomes = await open_loop.send(port, [request], rate, seconds)
        return outcomes, await asyncio.gather(*slow)

    with calm():
        outcomes, ends = uvloop.run(both())
    return outcomes, dict(collections.Counter(ends))


async def _dribble(port: int, request: bytes, seconds: float, number: int) -> str:
    """Send half of the clients' headers, the other half's body, byte by byte; what came of it."""
    reader, writer = await asyncio.open_connection(HOST, port)
    at_once = 0 if number % 2 else request.index(b"\r\n\r\n") + 4
    writer.write(request[:at_once])
    answer = asyncio.create_task(reader.readline())
    with contextlib.suppress(OSError):
        for position in range(at_once, at_once + int(seconds)):
            done, _ = await asyncio.wait([answer], timeout=1.0)
            if done:
                break
            writer.write(request[position : position + 1])
    status = "still open"
    if answer.done():
        status = f"ended with {answer.result().decode('latin-1').strip() or 'nothing'}"
    answer.cancel()
    writer.close()
    return status
