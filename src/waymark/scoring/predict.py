"""`waymark predict`: a row for each image, by the model here or by a running service, in little memory."""

import logging
import os
import queue
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from waymark.scoring import finding, tables
from waymark.scoring.finding import Found, Sent
from waymark.scoring.rows import Row, Scorer
from waymark.serving import model

REFUSED = 3  # exit code where some images have an error in place of an answer
LEAVE_SECONDS = 2.0  # for what is under way when the command gives up; the model here takes a tenth of it
BROKEN_PIPE = 141  # what a shell reports of a command whose reader went away

logger = logging.getLogger(__name__)


def run(
    arguments: Sequence[str],
    *,
    kind: str | None = None,
    output: Path | None = None,
    top: int | None = None,
    url: str | None = None,
    threads: int | None = None,
) -> int:
    """Write a row for each image that `arguments` mean; the exit code is 0, REFUSED or BROKEN_PIPE.

    Raises WaymarkError where the command cannot be meant, before anything is written, and where the service is gone.
    """
    kind = tables.format_of(output, kind)
    found = finding.find(arguments)
    outcomes: Counter[str] = Counter()
    versions: set[str] = set()
    try:
        with closing(_scorer(url, top)) as scorer, tables.writing(kind, output, scorer.top) as write:
            for rows in _rows(scorer, found, threads or model.cores(), quiet=output is None and sys.stdout.isatty()):
                write(rows)
                outcomes.update(map(_outcome, rows))
                versions.update(row["model_version"] for row in rows)
    except BrokenPipeError:  # as in `waymark predict … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    logger.info(_summary(outcomes, found.skipped))
    if len(versions) > 1:
        logger.warning("the service changed its model on the way: %s", ", ".join(sorted(versions)))
    return REFUSED if outcomes["refused"] else 0


def _scorer(url: str | None, top: int | None) -> Scorer:
    if url is not None:
        from waymark.scoring.remote import Service

        return Service(url, top)
    from waymark.scoring.local import LocalModel

    return LocalModel(Path(), top)


def _rows(scorer: Scorer, found: Found, threads: int, *, quiet: bool) -> Iterator[list[Row]]:
    with tqdm(total=len(found.files), desc="predict", unit=" images", delay=2, disable=quiet or None) as bar:

        def also(images: int) -> None:
            bar.total = (bar.total or 0) + images

        for rows in in_order(scorer.rows, chunks(finding.read(found.files, scorer.limits, also), scorer), threads):
            yield rows
            bar.update(len(rows))


def chunks(images: Iterable[Sent], scorer: Scorer) -> Iterator[list[Sent]]:
    """As many images together as the scorer takes at once, by number and by bytes; a single one may be larger."""
    chunk: list[Sent] = []
    held = 0
    for image in images:
        size = len(image.data) if isinstance(image.data, bytes) else 0
        if chunk and (len(chunk) == scorer.images_at_once or held + size > scorer.bytes_at_once):
            yield chunk
            chunk, held = [], 0
        chunk.append(image)
        held += size
    if chunk:
        yield chunk


def in_order(work: Callable[[list[Sent]], list[Row]], given: Iterable[list[Sent]], threads: int) -> Iterator[list[Row]]:
    """What `work` makes of each chunk, in their order, on `threads` threads that run no further than two ahead."""
    tasks: queue.SimpleQueue[tuple[Future[list[Row]], list[Sent]] | None] = queue.SimpleQueue()
    waiting: deque[Future[list[Row]]] = deque()
    # Daemons: Python waits at its end for the threads of an executor, and one may wait two minutes for an answer.
    workers = [threading.Thread(target=_work, args=(work, tasks), daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        for chunk in given:
            waiting.append(Future())
            tasks.put((waiting[-1], chunk))
            if len(waiting) > threads + 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        deadline = time.monotonic() + LEAVE_SECONDS
        for _ in workers:
            tasks.put(None)
        for worker in workers:
            worker.join(max(deadline - time.monotonic(), 0))


def _work(
    work: Callable[[list[Sent]], list[Row]], tasks: "queue.SimpleQueue[tuple[Future[list[Row]], list[Sent]] | None]"
) -> None:
    while task := tasks.get():
        future, chunk = task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work(chunk))
            except BaseException as error:  # whatever it is, who waits for the rows must be told
                future.set_exception(error)


def _outcome(row: Row) -> str:
    if row["error"]:
        return "refused"
    return "answered" if row["answered"] else "not sure"


def _summary(outcomes: Counter[str], skipped: int) -> str:
    parts = [f"{outcomes.total():,} images: {outcomes['answered']:,} answered, {outcomes['not sure']:,} not sure"]
    parts.append(f"{outcomes['refused']:,} refused")
    if skipped:
        parts.append(f"{skipped:,} other files skipped")
    return ", ".join(parts)
