"""How much work a file's structure makes, before Pillow reads it.

Small files can be built of a million chunks, segments or passes, each of which is read in Python or decoded over all
pixels. Real ones have some dozens. Each check takes microseconds on those.
"""

import re
import struct

PNG_CHUNKS = 4096  # 3.5 million pixels in the 8 KiB chunks of libpng are a thousand
PNG_EXTRAS = 2 * 2**20  # bytes of all that is no pixels; text is four times as large in memory
PNG_COMPRESSED_TEXTS = 8  # each unpacks to a megabyte at most, and to four in memory
JPEG_SEGMENTS = 512  # before the pixels; an ICC profile of 4 MB is 64
JPEG_EXIFS = 2  # segments of 64 KiB, which Pillow joins and reads entry by entry; cameras write one
PHOTOSHOP_RESOURCES = 1000  # in a JPEG; Photoshop writes some thirty
JPEG_SCANS = 64  # progressive encoders write about ten; each is a pass over all pixels
PPM_HEADER = 512  # bytes; a comment is read byte by byte
_COMPRESSED_TEXTS = (b"zTXt", b"iTXt", b"iCCP")
_JPEG_SEGMENT = re.compile(rb"[^\xff]{0,64}\xff{1,64}([^\xff])", re.DOTALL)  # readers skip a little junk and padding
_STANDALONE = range(0xD0, 0xD8)  # restart markers have no length
_START_OF_SCAN = 0xDA
_PPM_WORDS = {b"P4": 3, b"P5": 4, b"P6": 4}  # of the header: kind, width, height and but for P4 the largest value


def fault(data: bytes, format: str) -> str:
    """Why an image file must not be opened; empty where it may."""
    checks = {"PNG": _png_fault, "JPEG": _jpeg_fault, "PPM": _ppm_fault}
    return checks[format](data) if format in checks else ""


def _png_fault(data: bytes) -> str:
    position, chunks, texts, extras = 8, 0, 0, 0  # behind the signature
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        chunks += 1
        texts += kind in _COMPRESSED_TEXTS
        extras += length if kind != b"IDAT" else 0
        if extras > PNG_EXTRAS:
            return f"has more than {PNG_EXTRAS:,} bytes beside its pixels"
        if chunks > PNG_CHUNKS or texts > PNG_COMPRESSED_TEXTS:
            return f"has more than {PNG_CHUNKS:,} chunks or {PNG_COMPRESSED_TEXTS} compressed texts"
    return ""


def _jpeg_fault(data: bytes) -> str:
    position = 2
    for _ in range(JPEG_SEGMENTS):
        found = _JPEG_SEGMENT.match(data, position)
        if not found:
            return "is cut short before its pixels"
        marker, position = found[1][0], found.end()
        if marker == _START_OF_SCAN:
            return _header_fault(data, position - 2)
        if marker not in _STANDALONE and marker != 0:
            position += int.from_bytes(data[position : position + 2], "big")
    return f"has more than {JPEG_SEGMENTS} segments before its pixels"


def _header_fault(data: bytes, start: int) -> str:
    """Of a JPEG whose pixels begin at `start`; in them, a byte of 255 is no marker but followed by 0."""
    if data.count(b"\xff\xda", start) > JPEG_SCANS:
        return f"has more than {JPEG_SCANS} passes over its pixels"
    if data.count(b"Exif\0\0", 0, start) > JPEG_EXIFS:
        return f"has more than {JPEG_EXIFS} EXIF segments"
    resources = data.count(b"8BIM", 0, start)
    return f"has more than {PHOTOSHOP_RESOURCES:,} Photoshop resources" if resources > PHOTOSHOP_RESOURCES else ""


def _ppm_fault(data: bytes) -> str:
    words = re.sub(rb"#[^\r\n]*", b"", data[:PPM_HEADER]).split()
    return "" if len(words) >= _PPM_WORDS[data[:2]] else f"has no header in its first {PPM_HEADER} bytes"
