"""Decodes what strangers send: images and zips of images.

Formats go by content, and every limit is looked at before the work that it limits. What does not hold is a Refusal
with a reason for programs and one sentence for people. Nothing is written to disk.
"""

import io
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator
from typing import IO

from PIL import Image
from PIL.ImageFile import ImageFile

from waymark import contract
from waymark.errors import WaymarkError
from waymark.serving import file_structure
from waymark.serving.limits import Limits

FORMATS = {  # by what the content begins with
    **{b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP", b"RIFF": "WEBP"},
    **dict.fromkeys((b"P4", b"P5", b"P6"), "PPM"),
}
# Pillow's own, in C. What is decoded in Python (plain PPM, BMP with run lengths) takes seconds, and holds up the rest.
DECODERS = ("jpeg", "zip", "raw")
ZIP_SIGNATURES = (b"PK\3\4", b"PK\5\6")
DIRECTORY_BYTES = 4 * 2**20  # of a zip's list of members; 4,000 long names are 1.5 MB
ENTRIES = 4  # to each image that an archive may hold: macOS adds a hidden file to each, others add folders
_COMMENTED_END = 2**16 + 98  # bytes; the end of a zip with the longest comment, and what zip64 puts in front of it
_IN_ZIP64 = 2**32 - 1  # for a size that only zip64's record can tell
_ENCRYPTED = 0x1 | 0x40  # general purpose bits 0 and 6, APPNOTE.TXT 4.4.4
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ZIP_DAMAGE = (*contract.DAMAGE, zipfile.BadZipFile, RuntimeError)


class Refusal(WaymarkError):  # noqa: N818 (an answer that the service gives, not a fault of it)
    """What is answered to something that is not accepted: a reason for programs, an HTTP status, one sentence."""

    def __init__(self, reason: str, status: int, message: str) -> None:
        super().__init__(message)
        self.reason, self.status = reason, status


def silence_pillow() -> None:
    """Keep Pillow's warnings about strangers' files out of the log; for the start of a process."""
    warnings.filterwarnings("ignore", module=r"PIL\.")


def picture(data: bytes, limits: Limits) -> Image.Image:
    """Decode an image to RGB as `waymark.contract.decode` does, or raise Refusal."""
    return decoded(opened(data, limits))


def opened(data: bytes, limits: Limits) -> ImageFile:
    """Read an image's header and hold it against the limits; no pixel is decoded yet."""
    if not data:
        raise Refusal("empty", 400, "the image has zero bytes")
    if len(data) > limits.image_bytes:
        raise Refusal("too_many_bytes", 413, f"the image is larger than {limits.image_bytes:,} bytes")
    format = next((FORMATS[signature] for signature in FORMATS if data.startswith(signature)), None)
    if format is None:
        raise Refusal("unsupported_format", 415, "this is no image in JPEG, PNG, binary PPM, WebP or BMP")
    if fault := file_structure.fault(data, format):
        raise Refusal("damaged", 400, f"the image {fault}")
    try:
        image = Image.open(io.BytesIO(data), formats=(format,))
    except Image.DecompressionBombError:
        raise _too_many_pixels(limits) from None
    except contract.DAMAGE:
        raise _damaged() from None
    if max(image.size) > limits.side or image.width * image.height > limits.pixels:
        raise _too_many_pixels(limits)
    # A photograph of several pictures (MPO) is its first one, as for every other reader of JPEG.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise Refusal("animated", 415, "the image has several frames; send one picture")
    if any(tile.codec_name not in DECODERS for tile in image.tile):
        raise Refusal("unsupported_format", 415, "PPM and BMP are accepted in whole bytes and uncompressed")
    return image


def decoded(image: Image.Image) -> Image.Image:
    """Decode what `opened` gave to RGB, and close it."""
    try:
        return contract.rgb(image)
    except contract.DAMAGE:
        raise _damaged() from None


def _damaged() -> Refusal:
    return Refusal("damaged", 400, "the image is damaged or cut short")


def _too_many_pixels(limits: Limits) -> Refusal:
    message = f"the image has more than {limits.pixels:,} pixels or a side of more than {limits.side:,}"
    return Refusal("too_many_pixels", 413, message)


def archive(data: bytes, limits: Limits) -> Iterator[tuple[str, Image.Image | Refusal]]:
    """Each image of a zip with its name, in the natural order of names, decoded when it is asked for.

    A member that is not accepted comes as its Refusal; a Refusal of the whole archive is raised at once. Folders and
    what macOS adds are left out.
    """
    if not data:
        raise Refusal("empty", 400, "the archive has zero bytes")
    if not data.startswith(ZIP_SIGNATURES):
        raise Refusal("unsupported_format", 415, "the archive is no zip")
    _check_directory(data, limits)
    opened_zip, members = unzipped(io.BytesIO(data))
    if len(members) > limits.images:
        raise Refusal("too_many_images", 413, f"an archive may hold {limits.images:,} images at most")
    unpacked = sum(member.file_size for member in members)
    if unpacked > min(limits.unpacked_bytes, max(limits.ratio * len(data), limits.image_bytes)):
        message = f"the archive unpacks to more than {limits.unpacked_bytes:,} bytes or {limits.ratio} times its size"
        raise Refusal("suspicious_archive", 413, message)
    return ((name, _picture_or_refusal(found, limits)) for name, found in contents(opened_zip, members, limits))


def unzipped(file: IO[bytes]) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """A zip and its images; Refusal where it is damaged or has none."""
    try:
        opened_zip = zipfile.ZipFile(file)
    except _ZIP_DAMAGE:
        raise _damaged_archive() from None
    members = [member for member in opened_zip.infolist() if not _skipped(_name(member))]
    if not members:
        raise Refusal("empty", 400, "the archive holds no image")
    return opened_zip, members


def contents(
    opened_zip: zipfile.ZipFile, members: list[zipfile.ZipInfo], limits: Limits
) -> Iterator[tuple[str, bytes | Refusal]]:
    """The name of each member and its bytes, which no decoder has seen, or why it is not accepted.

    They come in the natural order of names; of a name that is too long, its beginning counts.
    """
    seen: set[str] = set()
    for member in sorted(members, key=lambda member: natural(_name(member)[: limits.name_length + 1])):
        name = _name(member)
        try:
            if name in seen:
                raise Refusal("duplicate_name", 400, "the archive holds this name twice; this is not the first")
            seen.add(name)
            found: bytes | Refusal = _read(opened_zip, member, limits)
        except Refusal as refusal:
            found = refusal
        yield printable(name, limits.name_length), found


def _picture_or_refusal(found: bytes | Refusal, limits: Limits) -> Image.Image | Refusal:
    try:
        return found if isinstance(found, Refusal) else picture(found, limits)
    except Refusal as refusal:
        return refusal


def _read(opened_zip: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> bytes:
    if reason := _unsafe(_name(member), limits):
        raise Refusal("unsafe_name", 400, f"the name {reason}")
    if member.flag_bits & _ENCRYPTED:
        raise Refusal("encrypted", 400, "the member is encrypted; send it without a password")
    if member.compress_type not in _METHODS:
        raise Refusal("unsupported_format", 415, "the member is compressed by another method than deflate")
    if member.file_size > limits.image_bytes:
        raise Refusal("too_many_bytes", 413, f"the image is larger than {limits.image_bytes:,} bytes")
    try:
        with opened_zip.open(member) as file:
            data = file.read(member.file_size)  # a size bounds what is unfolded, whatever the stream holds
    except _ZIP_DAMAGE:
        raise Refusal("damaged", 400, "the member is damaged or cut short") from None
    if len(data) != member.file_size:
        raise Refusal("damaged", 400, "the member does not have the size that its archive tells")
    return data


def _check_directory(data: bytes, limits: Limits) -> None:
    """Refuse a list of members that is too long before `zipfile` makes an object of each."""
    end = data.rfind(b"PK\5\6", -_COMMENTED_END)
    if end < 0 or len(data) - end < 22 or (data[-22:-18] == b"PK\5\6" and end != len(data) - 22):
        raise _damaged_archive()
    size = struct.unpack_from("<L", data, end + 12)[0]
    if data[end - 20 : end - 16] == b"PK\6\7" and end >= 76:  # zip64: its own record is in front of the locator
        # Which of both sizes `zipfile` believes depends on it: the larger one has to be within the limit.
        size = max(struct.unpack_from("<Q", data, end - 36)[0], 0 if size == _IN_ZIP64 else size)
    if size > end:
        raise _damaged_archive()
    if size > DIRECTORY_BYTES or data.count(b"PK\1\2", -DIRECTORY_BYTES - _COMMENTED_END) > ENTRIES * limits.images:
        raise Refusal("too_many_images", 413, f"an archive may hold {limits.images:,} images at most")


def _damaged_archive() -> Refusal:
    return Refusal("damaged", 400, "the archive is damaged or cut short")


def _name(member: zipfile.ZipInfo) -> str:
    # zipfile cuts a name at its NUL; what stood behind must be seen to be refused.
    return member.orig_filename if "\0" in member.orig_filename else member.filename


def _skipped(name: str) -> bool:
    return name.endswith("/") or name.startswith("__MACOSX/") or name.rpartition("/")[2] == ".DS_Store"


def _unsafe(name: str, limits: Limits) -> str:
    if not name:
        return "is empty"
    if "\\" in name or "\0" in name or re.match(r"[A-Za-z]:", name):
        return "has a Windows path or a NUL in it"
    if name.startswith("/"):
        return "is absolute"
    if ".." in name.split("/"):
        return "leads out of the archive"
    return f"is longer than {limits.name_length} characters" if len(name) > limits.name_length else ""


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A key that sorts names as people do: img2 before img10."""
    parts = re.split(r"([0-9]+)", name)
    numbered = [part.lstrip("0") if index % 2 else part for index, part in enumerate(parts)]
    return [(len(part) if index % 2 else 0, part) for index, part in enumerate(numbered)], name


def printable(name: str, most: int) -> str:
    """A name fit to be echoed: what does not print is escaped, and `most` characters are kept."""
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in name[:most])
    return shown if len(shown) <= most and len(name) <= most else shown[: most - 1] + "…"
