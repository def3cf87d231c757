"""What an upload takes of memory at most, together with its own bytes: each is decoded in a process of its own."""

import io
import math
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from waymark.serving.limits import LIMITS, MB

DECODE = """
import io, sys
from pathlib import Path
from PIL import Image
from waymark.serving import uploads
from waymark.serving.limits import LIMITS

def highest():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

def reason(data):
    try:
        if data.startswith(b"PK"):
            return ", ".join(getattr(found, "reason", "decoded") for _, found in uploads.archive(data, LIMITS))
        uploads.picture(data, LIMITS)
        return "decoded"
    except uploads.Refusal as refusal:
        return refusal.reason

for format in ("JPEG", "PNG", "PPM", "WEBP", "BMP"):
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, format)
    reason(small.getvalue())
before = highest()
found = reason(Path(sys.argv[1]).read_bytes())
print(found, highest() - before)
"""
SIDE = math.isqrt(LIMITS.pixels)


def largest(mode: str) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    image = Image.fromarray(noise).resize((SIDE, SIDE))
    return Image.fromarray(np.asarray(image.convert("L")) * np.uint16(257)) if mode == "I;16" else image.convert(mode)


def encoded(mode: str, format: str, *, turned: bool = False, **options: object) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    if turned:
        exif[ExifTags.Base.Orientation] = 6
    largest(mode).save(buffer, format, exif=exif, **options)
    return buffer.getvalue()


def keyed() -> bytes:
    buffer = io.BytesIO()
    largest("RGB").save(buffer, "PNG", compress_level=1, transparency=(1, 2, 3))
    return buffer.getvalue()


def zeros(count: int) -> bytes:
    """So many bytes of 0 as a bare DEFLATE stream."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(bytes(count // 100)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return block * 100 + b"\x03\0"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = b"".join(extra) + chunk(b"IDAT", b"\x78\xda" + pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def zipped(stated: int, stream: bytes, entries: int = 1) -> bytes:
    """A zip whose directory lists one deflated member over and over."""
    sizes = struct.pack("<LLL", 0, len(stream), stated)
    local = struct.pack("<4sHHHHH", b"PK\3\4", 20, 0, 8, 0, 0) + sizes + struct.pack("<HH", 1, 0) + b"a"
    entry = struct.pack("<4sHHHHHH", b"PK\1\2", 20, 20, 0, 8, 0, 0) + sizes
    directory = (entry + struct.pack("<HHHHHLL", 1, 0, 0, 0, 0, 0, 0) + b"a") * entries
    told = min(entries, 65535)
    end = struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, told, told, len(directory), len(local) + len(stream), 0)
    return local + stream + directory + end


WIDE = zlib.compress("😀".encode() + b"a" * (2**20 - 8))  # text of which each character takes 4 bytes of memory
TEXTS = [chunk(b"iTXt", b"%d\0\1\0\0\0" % number + WIDE) for number in range(8)]
CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    "U1": (lambda: png(30_000, 30_000, zeros(30_001 * 30_000)), "too_many_pixels"),
    "U3": (lambda: png(SIDE, SIDE, zeros(SIDE * SIDE + 4000), *TEXTS), "decoded"),
    "U3 64 MB": (lambda: png(8, 8, zeros(100), chunk(b"zTXt", b"a\0\0\x78\xda" + zeros(64 * MB))), "damaged"),
    "progressive CMYK": (lambda: encoded("CMYK", "JPEG", progressive=True), "decoded"),
    "lossless WebP": (lambda: encoded("RGBA", "WEBP", lossless=True, method=0, quality=0), "decoded"),
    "Z1": (lambda: zipped(2**32 - 2, zeros(1000 * MB) * 10), "suspicious_archive"),
    "Z1 that states less": (lambda: zipped(9 * MB, zeros(1000 * MB) * 10), "damaged"),
    "Z4": (lambda: zipped(0, b"\x03\0", entries=100_001), "too_many_images"),
    "Z4 32 MB": (lambda: zipped(0, b"\x03\0", entries=680_000), "too_many_images"),
}
MODES: dict[str, tuple[Callable[[], bytes], str]] = {
    "RGBA": (lambda: encoded("RGBA", "PNG", compress_level=1, turned=True), "decoded"),
    "LA": (lambda: encoded("LA", "PNG", compress_level=1), "decoded"),
    "a transparent colour": (keyed, "decoded"),
    "16 bits": (lambda: encoded("I;16", "PNG", compress_level=1, turned=True), "decoded"),
    "progressive": (lambda: encoded("RGB", "JPEG", progressive=True, subsampling=0, turned=True), "decoded"),
    "WebP": (lambda: encoded("RGBA", "WEBP", method=0, turned=True), "decoded"),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the highest memory of a process")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        *(pytest.param(*case, id=name, marks=pytest.mark.slow) for name, case in CASES.items()),
        *(pytest.param(*case, id=name, marks=pytest.mark.long) for name, case in MODES.items()),
    ],
)
def test_memory_grows_by_less_than_100_mb(tmp_path: Path, make: Callable[[], bytes], reason: str) -> None:
    sent = tmp_path / "sent"
    sent.write_bytes(make())
    command = [sys.executable, "-W", "ignore", "-c", DECODE, str(sent)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found, growth = answer.rsplit(maxsplit=1)
    print(f"{found}, {sent.stat().st_size / MB:.1f} MB sent, {int(growth) / MB:.1f} MB more memory")
    assert found == reason
    assert int(growth) < 100 * MB
