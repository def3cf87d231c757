"""The manifest: one row an image, as the archives list it and as its pixels turn out to be."""

import hashlib
import io
import math
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import imagehash
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import ExifTags, Image
from tqdm import tqdm

from waymark.contract import DAMAGE, FORMATS, ImageError, decode
from waymark.datasets.archives import ArchiveError
from waymark.datasets.base import Dataset, Read, Record
from waymark.datasets.workers import pool
from waymark.errors import WaymarkError

CHUNK = 256  # images a task: long enough to hide the hand-over, short enough for an even end
MAX_SIDE = 4096  # px; a larger image is measured by its header only, so that it cannot fill the memory
THUMBNAIL = 12  # px; enough to tell two signs of one place from two alike, see datasets/near_duplicates.py
SCHEMA = pa.schema(
    [
        ("archive", pa.string()),
        ("member", pa.string()),
        ("row", pa.string()),
        ("split", pa.string()),
        ("part", pa.string()),
        ("label", pa.int16()),
        ("class_name", pa.string()),
        ("group", pa.string()),
        ("frame", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("roi_x1", pa.int32()),
        ("roi_y1", pa.int32()),
        ("roi_x2", pa.int32()),
        ("roi_y2", pa.int32()),
        ("bytes_sha256", pa.string()),
        # of "<width>x<height>" and the RGB samples, whatever the file format
        ("pixels_sha256", pa.string()),
        ("brightness", pa.float64()),  # mean luma, 0 to 255
        ("contrast", pa.float64()),  # standard deviation of the luma
        ("mode", pa.string()),  # samples as stored, in Pillow's words: RGB, L, CMYK, I;16, …
        ("orientation", pa.int16()),  # EXIF's, 1 to 8; 1 where the picture stands upright or nothing is said
        # What near-duplicates are found by: 64 bits of its lowest frequencies, and a THUMBNAIL-sided RGB picture.
        ("perceptual_hash", pa.string()),
        ("thumbnail", pa.binary()),
        ("problem", pa.string()),  # what is wrong with the entry in itself; empty where nothing is
    ]
)
_NULLABLE = {pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype()}


def build(dataset: Dataset, folder: Path, workers: int) -> pd.DataFrame:
    """Index the archives in `folder`, then decode and measure each image in `workers` processes.

    The frame has the columns of SCHEMA, in the index's order, and does not depend on the number of workers. An entry
    that cannot be read or decoded has its reason under `problem`. Raises WaymarkError where the archives cannot be
    read as this data set at all.
    """
    records, class_names = list(dataset.index(folder)), dataset.class_names(folder)
    chunks = [records[start : start + CHUNK] for start in range(0, len(records), CHUNK)]
    with tqdm(total=len(records), desc="manifest", unit=" images", disable=None) as bar:
        rows: list[dict[str, Any]] = []
        for measured in _measured(dataset, folder, class_names, chunks, workers):
            rows += measured
            bar.update(len(measured))
    return _frame(pa.Table.from_pylist(rows, schema=SCHEMA))


def write(manifest: pd.DataFrame, path: Path) -> None:
    """Write parquet whose bytes depend on the rows and the pyarrow version only."""
    table = pa.Table.from_pandas(manifest, schema=SCHEMA, preserve_index=False).replace_schema_metadata(None)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        pq.write_table(table, partial, compression="zstd", compression_level=9, version="2.6")
        partial.replace(path)
    except OSError as error:
        raise WaymarkError(f"{path}: cannot be written ({error.strerror or error}); free some space") from None
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path) -> pd.DataFrame:
    """Read what `write` wrote; WaymarkError where it is missing, damaged or of other columns."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise WaymarkError(f"{path}: cannot be read ({error}); run `dvc repro validate`") from None
    if table.schema.remove_metadata() != SCHEMA:
        raise WaymarkError(f"{path}: has other columns than this version's manifest; run `dvc repro validate`")
    return _frame(table)


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper=_NULLABLE.get)
    return frame


def _measured(
    dataset: Dataset, folder: Path, class_names: tuple[str, ...], chunks: list[list[Record]], workers: int
) -> Iterator[list[dict[str, Any]]]:
    if workers == 1 or len(chunks) < 2:
        with dataset.open(folder) as read_member:
            for chunk in chunks:
                yield [_row(record, class_names, read_member) for record in chunk]
        return
    with pool(min(workers, len(chunks)), _Worker.start, dataset, folder, class_names) as processes:
        try:
            yield from processes.map(_Worker.rows, chunks)
        except BrokenProcessPool:
            raise WaymarkError(
                f"{folder}: a process that decodes images was killed, most likely for want of memory; free some"
            ) from None


class _Worker:
    """What a worker process keeps between tasks: the archives, opened once."""

    class_names: tuple[str, ...]
    read: Read
    opened = ExitStack()

    @classmethod
    def start(cls, dataset: Dataset, folder: Path, class_names: tuple[str, ...]) -> None:
        cls.class_names = class_names
        cls.read = staticmethod(cls.opened.enter_context(dataset.open(folder)))

    @classmethod
    def rows(cls, chunk: list[Record]) -> list[dict[str, Any]]:
        return [_row(record, cls.class_names, cls.read) for record in chunk]


def _row(record: Record, class_names: tuple[str, ...], read_member: Read) -> dict[str, Any]:
    known = record.label is not None and 0 <= record.label < len(class_names)
    row: dict[str, Any] = {
        "archive": record.archive,
        "member": record.member,
        "row": record.row,
        "split": record.split,
        "part": record.part,
        "label": record.label,
        "class_name": class_names[record.label or 0] if known else None,
        "group": record.group,
        "frame": record.frame,
        "problem": record.problem,
    }
    if record.roi:
        row |= dict(zip(("roi_x1", "roi_y1", "roi_x2", "roi_y2"), record.roi, strict=True))
    if record.problem:
        return row
    try:
        row |= _facts(read_member(record.archive, record.member))
    except ArchiveError as error:
        row["problem"] = error.reason
    except ImageError as error:
        row["problem"] = str(error)
    declared, found = record.declared_size, (row.get("width"), row.get("height"))
    if not row["problem"] and declared and declared != found:
        row["problem"] = f"is {found[0]}×{found[1]} px where its row says {declared[0]}×{declared[1]}"
    return row


def _facts(data: bytes) -> dict[str, Any]:
    """Hashes, size and light of one image; ImageError where it does not decode."""
    facts: dict[str, Any] = {"bytes_sha256": hashlib.sha256(data).hexdigest()} | _header(data)
    if max(facts.get("width", 0), facts.get("height", 0)) > MAX_SIDE:
        return facts
    image = decode(data)
    pixels = hashlib.sha256(f"{image.width}x{image.height}".encode() + image.tobytes()).hexdigest()
    brightness, contrast = _light(image)
    return facts | {
        "width": image.width,
        "height": image.height,
        "pixels_sha256": pixels,
        "brightness": brightness,
        "contrast": contrast,
        "perceptual_hash": str(imagehash.phash(image)),
        "thumbnail": image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX).tobytes(),
    }


def _header(data: bytes) -> dict[str, Any]:
    """What the file says of its picture before a pixel is decoded; nothing where `decode` will say why."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
            said = {"width": image.width, "height": image.height, "mode": image.mode}
            return said | {"orientation": orientation if 1 <= orientation <= 8 else 1}
    except DAMAGE:
        return {}


def _light(image: Image.Image) -> tuple[float, float]:
    """Mean and standard deviation of the luma (ITU-R 601), from whole numbers: the same digits on every machine."""
    counts = image.convert("L").histogram()
    pixels = sum(counts)
    total = sum(level * count for level, count in enumerate(counts))
    squares = sum(level * level * count for level, count in enumerate(counts))
    return round(total / pixels, 3), round(math.sqrt(pixels * squares - total * total) / pixels, 3)
