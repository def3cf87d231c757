"""The clients that load the service measure what they say."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from serving.open_loop import Outcomes

from serving import clients, load, open_loop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def serving(respond: Respond) -> asyncio.Server:
    """A server that answers each request with what `respond` writes."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            await respond(writer)
        writer.close()

    return await asyncio.start_server(connected, clients.HOST, 0)


def port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


def outcomes(due: list[float], waited: list[float], status: list[int]) -> Outcomes:
    return Outcomes(0.0, np.array(due), np.array(waited), np.array(status), np.zeros(len(due)))


def test_an_answer_in_pieces_is_whole_and_its_connection_is_used_again() -> None:
    async def respond(writer: asyncio.StreamWriter) -> None:
        for byte in ANSWER:
            writer.write(bytes([byte]))
            await writer.drain()

    async def main() -> None:
        async with await serving(respond) as server:
            pool = clients.Pool(port(server))
            for _ in range(3):
                assert await pool.ask(clients.get("/")) == (200, b"hello")
            assert len(pool._idle) == 1
            pool.close()

    asyncio.run(main())


def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        writer.close()

    async def main() -> None:
        async with await serving(respond) as server:
            pool = clients.Pool(port(server))
            assert [(await pool.ask(clients.get("/"))).body for _ in range(3)] == [b"hello"] * 3
            assert pool._idle == []

    asyncio.run(main())


def test_waiting_counts_from_when_a_request_was_due_however_late_it_is_answered() -> None:
    """A server that stalls once: who waits for answers before sending sees one slow request, an open model many."""

    async def main() -> None:
        stalled = asyncio.Event()

        async def respond(writer: asyncio.StreamWriter) -> None:
            if not stalled.is_set():
                stalled.set()
                await asyncio.sleep(0.2)
                freed.set()
            await freed.wait()
            writer.write(ANSWER)

        freed = asyncio.Event()
        async with await serving(respond) as server:
            found = await open_loop.send(port(server), [clients.get("/")], 200.0, 0.5)
        during = found.of(found.due < found.due[0] + 0.1)
        assert len(during.due) > 5
        assert (during.waited > 0.1).all()
        assert found.errors == 0

    asyncio.run(main())


def test_the_same_seed_gives_the_same_arrivals_at_the_rate_that_was_asked_for() -> None:
    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(ANSWER)

    async def arrivals(rate: float | Callable[[float], float]) -> Outcomes:
        async with await serving(respond) as server:
            return await open_loop.send(port(server), [clients.get("/")], rate, 0.3)

    constant = asyncio.run(arrivals(500.0))
    assert len(constant.due) == 131  # 150 on the average
    assert constant.due.tolist() == asyncio.run(arrivals(500.0)).due.tolist()
    changing = asyncio.run(arrivals(lambda second: 1000.0 if second < 0.1 else 50.0))
    assert (changing.due < 0.1).sum() > 5 * (changing.due >= 0.1).sum()


def test_a_connection_that_breaks_is_an_error_and_refusals_keep_their_status() -> None:
    answers = [ANSWER, b"", ANSWER.replace(b"200", b"503")]

    async def respond(writer: asyncio.StreamWriter) -> None:
        answer = answers.pop(0)
        writer.write(answer)
        if not answer:
            writer.close()

    async def main() -> None:
        async with await serving(respond) as server:
            found = await open_loop.send(
                port(server), [clients.get("/")], 10.0, 0.3, seed=13
            )  # three, a tenth of a second apart
        assert found.status.tolist() == [200, open_loop.NO_ANSWER, 503]
        assert found.errors == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("waited", "status", "seconds"),
    [
        ([0.01] * 6, [200] * 6, 0.0),
        ([0.01, 0.01, 0.01, 0.2, 0.01, 0.01], [200] * 6, 1.0),
        ([0.01] * 6, [200, 200, 503, 503, 503, 200], 1.5),
    ],
)
def test_recovered_is_from_the_first_second_in_which_nothing_was_slow_or_failed(
    waited: list[float], status: list[int], seconds: float
) -> None:
    due = [9.6, 9.9, 10.1, 10.6, 11.1, 12.4]
    assert load.recovery(outcomes(due, waited, status), end=10.0) == pytest.approx(seconds)
