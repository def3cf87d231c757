"""Reads requests from strangers: bodies and multipart forms within limits, regions and numbers that hold.

A body is kept in memory, never on disk; all bodies together stay within a budget. Nothing here looks into an image.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from waymark.contract import Box
from waymark.serving.batching import OverloadError
from waymark.serving.limits import Limits
from waymark.serving.uploads import ZIP_SIGNATURES, Refusal, printable

FORM_BYTES = 2**16  # that a form with one image may have around it
HEADER_BYTES = 2**13  # before the data of a part: a file name of 4 KB is shortened, not refused
TEXT_BYTES = 2**10  # of a field that is no image
RAW_TYPES = ("", "application/octet-stream", "application/zip", "application/x-zip-compressed")
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_BOX = re.compile(r"(-?[0-9]{1,9}),(-?[0-9]{1,9}),(-?[0-9]{1,9}),(-?[0-9]{1,9})", re.ASCII)


@dataclass(frozen=True)
class SentImage:
    name: str
    data: bytes
    roi: str | None


@dataclass(frozen=True)
class SentImages:
    """Either `images`, with no region or one for each, or `archive`."""

    images: list[tuple[str, bytes]]
    archive: bytes | None
    rois: list[str]


@dataclass
class _Part:
    field: str
    filename: str
    data: bytes


class Reception:
    """Takes what requests send; lives on one event loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.in_flight = 0  # bytes of all bodies that are being received or answered

    @asynccontextmanager
    async def one(self, request: Request) -> AsyncIterator[SentImage]:
        """The one image of a request. Raises Refusal, and OverloadError where too much is in memory already."""
        boundary = _boundary(request)
        most = self.limits.image_bytes + (FORM_BYTES if boundary else 0)
        async with self._body(request, most) as body:
            roi = request.query_params.get("roi")
            if boundary is None:
                yield SentImage("image", body, roi)
                return
            parts = self._parts(body, boundary, ("image", "roi"))
            del body
            images = [part for part in parts if part.field == "image"]
            rois = [_text(part) for part in parts if part.field == "roi"]
            if len(images) != 1 or len(rois) > 1:
                raise Refusal("bad_request", 400, "the form has to have the field 'image' once, and 'roi' at most once")
            yield SentImage(self._name(images[0], "image"), images[0].data, rois[0] if rois else roi)

    @asynccontextmanager
    async def several(self, request: Request) -> AsyncIterator[SentImages]:
        """The images of a request, or its zip. Raises what `one` raises."""
        boundary = _boundary(request)
        async with self._body(request, self.limits.request_bytes) as body:
            if boundary is None:
                if body and not body.startswith(ZIP_SIGNATURES):
                    raise Refusal(
                        "unsupported_format", 415, "the body is no zip; send images as a form's field 'images'"
                    )
                yield SentImages([], body, [])
                return
            parts = self._parts(body, boundary, ("images", "archive", "roi"))
            del body
            yield self._sorted(parts)

    def _sorted(self, parts: list[_Part]) -> SentImages:
        images = [part for part in parts if part.field == "images"]
        archives = [part.data for part in parts if part.field == "archive"]
        rois = [_text(part) for part in parts if part.field == "roi"]
        if bool(images) == bool(archives) or len(archives) > 1:
            message = "the form has to have the field 'images', once for each image, or the field 'archive' once"
            raise Refusal("bad_request", 400, message)
        if len(images) > self.limits.images:
            raise Refusal("too_many_images", 413, f"a request may hold {self.limits.images:,} images at most")
        if rois and len(rois) != len(images):
            message = f"the form has {len(rois)} fields 'roi' and {len(images)} images; give one to each image or none"
            raise Refusal("bad_request", 400, message)
        named = [(self._name(part, f"image {number}"), part.data) for number, part in enumerate(images, 1)]
        return SentImages(named, archives[0] if archives else None, rois)

    def _name(self, part: _Part, otherwise: str) -> str:
        """The last part of the file's name, fit to be echoed."""
        name = re.split(r"[/\\]", part.filename)[-1].strip()
        return printable(name, self.limits.name_length) or otherwise

    @asynccontextmanager
    async def _body(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """The whole body, counted among what is in flight until the request is answered."""
        held = _Held(self)
        try:
            yield await self._received(request, most, held)
        finally:
            self.in_flight -= held.size

    async def _received(self, request: Request, most: int, held: "_Held") -> bytes:
        declared = request.headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,18}", declared):
            raise Refusal("bad_request", 400, "Content-Length is not a whole number")
        if int(declared) > most:
            raise _too_large(most)
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                while True:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal("bad_request", 400, "the request ended before its body did")
                    chunk = message.get("body", b"")
                    held.add(len(chunk))
                    if held.size > most:
                        raise _too_large(most)
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        except TimeoutError:
            seconds = f"{self.limits.body_seconds:g}"
            raise Refusal("slow_body", 408, f"the body did not arrive within {seconds} s; send less") from None

    def _parts(self, body: bytes, boundary: bytes, takes: tuple[str, ...]) -> list[_Part]:
        """Split a form, RFC 2046, 5.1.1. A parser that steps through it can be kept busy for seconds; this cannot."""
        delimiter = b"\r\n--" + boundary
        most = 2 * self.limits.images
        if body.startswith(delimiter[2:]):
            body = b"\r\n" + body
        preamble, *pieces = body.split(delimiter, most + 2)
        if len(pieces) > most + 1:
            raise Refusal("too_many_images", 413, f"a form may have {most:,} fields at most")
        if preamble or not pieces or not pieces[-1].startswith(b"--"):
            raise _damaged_form()
        return [_part(piece, takes) for piece in pieces[:-1]]


@dataclass
class _Held:
    """Bytes of one body."""

    reception: Reception
    size: int = 0

    def add(self, size: int) -> None:
        if self.reception.in_flight + size > self.reception.limits.in_flight_bytes:
            raise OverloadError
        self.size += size
        self.reception.in_flight += size


def _part(piece: bytes, takes: tuple[str, ...]) -> _Part:
    """One part with its headers: what stands between two delimiters."""
    end = piece.find(b"\r\n\r\n", 0, HEADER_BYTES)
    if end < 0 or not piece.startswith(b"\r\n"):
        raise _damaged_form()
    headers = [line.partition(b":") for line in piece[2:end].split(b"\r\n")]
    disposition = next((value for name, _, value in headers if name.lower() == b"content-disposition"), b"")
    options = parse_options_header(disposition.strip())[1]
    name = options.get(b"name", b"").decode("utf-8", "replace")
    if name not in takes:
        known = ", ".join(f"'{each}'" for each in takes)
        raise Refusal("bad_request", 400, f"the form has a field '{printable(name, 40)}'; this address takes {known}")
    return _Part(name, options.get(b"filename", b"").decode("utf-8", "replace"), piece[end + 4 :])


def _boundary(request: Request) -> bytes | None:
    """The boundary of a form, or None for a raw body; Refusal for every other kind of content."""
    header = request.headers.get("content-type", "")
    kind = header.partition(";")[0].strip().lower()
    if kind in RAW_TYPES or kind.startswith("image/"):
        return None
    if kind != "multipart/form-data":
        message = "send an image or a zip as multipart/form-data, or by itself as application/octet-stream"
        raise Refusal("unsupported_content_type", 415, message)
    boundary = parse_options_header(header)[1].get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:  # RFC 2046, 5.1.1
        raise Refusal("bad_request", 400, "the form's Content-Type has no valid boundary")
    return boundary


def _text(part: _Part) -> str:
    if len(part.data) > TEXT_BYTES:
        raise Refusal("bad_request", 400, f"the form's field '{part.field}' is longer than {TEXT_BYTES:,} bytes")
    return part.data.decode("utf-8", "replace")


def _damaged_form() -> Refusal:
    return Refusal("bad_request", 400, "the form is cut short or not valid multipart/form-data")


def _too_large(most: int) -> Refusal:
    return Refusal("too_many_bytes", 413, f"the request is larger than {most:,} bytes")


def whole_number(text: str | None, *, name: str, lowest: int, highest: int, default: int) -> int:
    """A whole number of a query, or `default` where it is not given."""
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or not lowest <= int(text) <= highest:
        raise Refusal("bad_request", 400, f"{name} has to be a whole number from {lowest} to {highest}")
    return int(text)


def box(text: str, width: int, height: int) -> Box:
    """A region as x1,y1,x2,y2 with the last column and row included; Refusal unless it lies in the image."""
    if found := _BOX.fullmatch(text):
        x1, y1, x2, y2 = map(int, found.groups())
        if 0 <= x1 <= x2 < width and 0 <= y1 <= y2 < height:
            return x1, y1, x2, y2
    message = f"roi has to be x1,y1,x2,y2 in whole numbers within this image of {width} × {height} pixels"
    raise Refusal("bad_request", 400, message)
