"""Rows of answers as CSV, JSON or Parquet, written as they come: thousands of images in little memory."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from waymark import files
from waymark.errors import WaymarkError
from waymark.scoring.rows import Row

FORMATS = ("csv", "json", "parquet")
GROUP = 10_000  # rows of a Parquet row group at least


class Table:
    def write(self, rows: list[Row]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Write what is held back; the file itself stays open."""

    def abandon(self) -> None:
        """Write nothing any more."""


class _Csv(Table):
    """One line an image; the classes after the best one have columns of their own: label_2, class_name_2 and so on."""

    def __init__(self, file: BinaryIO, top: int) -> None:
        self._file, self._ranks = file, range(2, top + 1)
        self._lines(
            [
                [
                    *("path", "label", "class_name", "probability", "answered", "threshold"),
                    *(f"{key}_{rank}" for rank in self._ranks for key in ("label", "class_name", "probability")),
                    *("error_reason", "error_message", "model_version"),
                ]
            ]
        )

    def write(self, rows: list[Row]) -> None:
        self._lines(map(self._cells, rows))

    def _lines(self, lines: Iterable[Iterable[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._file.write(text.getvalue().encode())

    def _cells(self, row: Row) -> Iterator[Any]:
        yield from (row["path"], row["label"], row["class_name"], row["probability"])
        yield None if row["answered"] is None else str(row["answered"]).lower()
        yield row["threshold"]
        for rank in self._ranks:
            yield from row["top"][rank - 1].values() if row["top"] else (None, None, None)
        yield from (*_told(row["error"]).values(), row["model_version"])


def _told(error: dict[str, str] | None) -> dict[str, str | None]:
    """An error as two columns."""
    return {f"error_{key}": error[key] if error else None for key in ("reason", "message")}


class _Json(Table):
    """One array with an object a line: whole files load as JSON, and `grep` still finds its image."""

    def __init__(self, file: BinaryIO, top: int) -> None:
        self._file, self._separator = file, b"[\n"

    def write(self, rows: list[Row]) -> None:
        for row in rows:
            self._file.write(self._separator + json.dumps(row, ensure_ascii=False).encode())
            self._separator = b",\n"

    def close(self) -> None:
        self._file.write(b"\n]\n" if self._separator == b",\n" else b"[]\n")


class _Parquet(Table):
    """Like JSON, but that the error has two columns."""

    def __init__(self, file: BinaryIO, top: int) -> None:
        import pyarrow
        from pyarrow import parquet

        ranked = [("label", pyarrow.int32()), ("class_name", pyarrow.string()), ("probability", pyarrow.float64())]
        self._schema = pyarrow.schema(
            [
                ("path", pyarrow.string()),
                *ranked,
                ("answered", pyarrow.bool_()),
                ("threshold", pyarrow.float64()),
                ("top", pyarrow.list_(pyarrow.struct(ranked))),
                ("error_reason", pyarrow.string()),
                ("error_message", pyarrow.string()),
                ("model_version", pyarrow.string()),
            ]
        )
        self._batch, self._table = pyarrow.RecordBatch, pyarrow.Table
        self._writer = parquet.ParquetWriter(file, self._schema)
        self._held: list[Any] = []  # batches of Arrow, an eighth of what their rows take as objects

    def write(self, rows: list[Row]) -> None:
        flat = [{**row, **_told(row["error"])} for row in rows]
        self._held.append(self._batch.from_pylist(flat, self._schema))
        if sum(map(len, self._held)) >= GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(self._table.from_batches(self._held, self._schema))
            self._held = []

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        self._writer.is_open = False  # else it writes its footer when it is collected, to a file that is closed by then


_TABLES: dict[str, Callable[[BinaryIO, int], Table]] = {"csv": _Csv, "json": _Json, "parquet": _Parquet}


def format_of(output: Path | None, asked: str | None) -> str:
    """The format that was asked for, else the one that the output's name ends in, else CSV.

    Raises WaymarkError for a target that cannot be written, before any work is done for it.
    """
    if output is None:
        if asked == "parquet":
            raise WaymarkError("Parquet is not written to standard output; name a file with --output")
        return asked or "csv"
    if output.exists() and not output.is_file():
        raise WaymarkError(f"{output}: is not a file; name one with --output")
    suffix = output.suffix.lower().removeprefix(".")
    return asked or (suffix if suffix in FORMATS else "csv")


@contextmanager
def writing(kind: str, output: Path | None, top: int) -> Iterator[Callable[[list[Row]], None]]:
    """What takes rows with `top` classes each; `output` appears whole or not at all, standard output as rows come."""
    if output is None:
        with _finished(_TABLES[kind](sys.stdout.buffer, top)) as table:

            def write_through(rows: list[Row]) -> None:
                table.write(rows)
                sys.stdout.buffer.flush()

            yield write_through
        sys.stdout.buffer.flush()
        return
    with files.replacing() as part, part(output).open("wb") as file, _finished(_TABLES[kind](file, top)) as table:
        yield table.write


@contextmanager
def _finished(table: Table) -> Iterator[Table]:
    try:
        yield table
        table.close()
    except BaseException:
        table.abandon()
        raise
