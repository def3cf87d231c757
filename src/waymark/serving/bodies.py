"""Reads what requests hold: bodies within limits, images and zips in them, regions and numbers that hold.

A body is kept in memory, never on disk; all bodies together stay within a budget. Nothing here looks into an image.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from waymark.contract import Box
from waymark.serving import forms
from waymark.serving.batching import OverloadError
from waymark.serving.forms import Part
from waymark.serving.limits import Limits
from waymark.serving.statuses import STATUSES
from waymark.serving.uploads import ZIP_SIGNATURES, Refusal, printable

FORM_BYTES = 2**16  # that a form with one image may have around it
SPLIT_AT_ONCE = 2**16  # bytes, in two milliseconds whatever they are; a larger form may take 100, on a thread
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


class Reception:
    """Takes what requests send; lives on one event loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.in_flight = 0  # bytes of all bodies that are being received or answered

    @asynccontextmanager
    async def one(self, request: Request) -> AsyncIterator[SentImage]:
        """The one image of a request. Raises Refusal, and OverloadError where too much is in memory already."""
        boundary = forms.boundary(request.headers.get("content-type", ""))
        most = self.limits.image_bytes + (FORM_BYTES if boundary else 0)
        async with self._body(request, most) as body:
            roi = request.query_params.get("roi")
            if boundary is None:
                yield SentImage("image", body, roi)
                return
            parts = await _split(body, boundary, ("image", "roi"), 2)
            del body
            images = [part for part in parts if part.field == "image"]
            rois = [part.text for part in parts if part.field == "roi"]
            if len(images) != 1 or len(rois) > 1:
                raise Refusal("bad_request", 400, "the form has to have the field 'image' once, and 'roi' at most once")
            yield SentImage(self._name(images[0], "image"), images[0].data, rois[0] if rois else roi)

    @asynccontextmanager
    async def several(self, request: Request) -> AsyncIterator[SentImages]:
        """The images of a request, or its zip. Raises what `one` raises."""
        boundary = forms.boundary(request.headers.get("content-type", ""))
        async with self._body(request, self.limits.request_bytes) as body:
            if boundary is None:
                if body and not body.startswith(ZIP_SIGNATURES):
                    raise Refusal(
                        "unsupported_format", 415, "the body is no zip; send images as a form's field 'images'"
                    )
                yield SentImages([], body, [])
                return
            parts = await _split(body, boundary, ("images", "archive", "roi"), 2 * self.limits.images)
            del body
            yield self._sorted(parts)

    def _sorted(self, parts: list[Part]) -> SentImages:
        images = [part for part in parts if part.field == "images"]
        archives = [part.data for part in parts if part.field == "archive"]
        rois = [part.text for part in parts if part.field == "roi"]
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

    def _name(self, part: Part, otherwise: str) -> str:
        """The last part of the file's name, fit to be echoed."""
        name = re.split(r"[/\\]", part.filename)[-1].strip()
        return printable(name, self.limits.name_length) or otherwise

    @asynccontextmanager
    async def _body(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """The whole body, counted among what is in flight until the request is answered."""
        declared = request.headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,18}", declared):
            raise Refusal("bad_request", 400, "Content-Length is not a whole number")
        if int(declared) > most:
            raise _too_large(most)
        held = _Held(self, int(declared))
        try:
            yield await self._received(request, most, held)
        finally:
            self.in_flight -= held.size

    async def _received(self, request: Request, most: int, held: "_Held") -> bytes:
        chunks: list[bytes] = []
        clock, limits = asyncio.get_running_loop().time, self.limits
        last = clock() + limits.body_seconds
        enough = limits.piece_bytes
        try:
            async with asyncio.timeout_at(min(clock() + limits.piece_seconds, last)) as patience:
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
                    if held.size >= enough:
                        enough = held.size + limits.piece_bytes
                        patience.reschedule(min(clock() + limits.piece_seconds, last))
        except TimeoutError:
            raise Refusal("slow_body", 408, STATUSES["408"].said(limits)) from None


@dataclass
class _Held:
    """Bytes of one body, of which a request declares so many."""

    reception: Reception
    declared: int
    size: int = 0

    def add(self, size: int) -> None:
        limits = self.reception.limits
        small = max(self.declared, self.size + size) <= limits.small_bytes
        budget = limits.in_flight_bytes - (0 if small else limits.small_in_flight_bytes)
        if self.reception.in_flight + size > budget:
            raise OverloadError
        self.size += size
        self.reception.in_flight += size


async def _split(body: bytes, boundary: bytes, takes: tuple[str, ...], most: int) -> list[Part]:
    if len(body) > SPLIT_AT_ONCE:
        return await asyncio.to_thread(forms.parts, body, boundary, takes, most)
    return forms.parts(body, boundary, takes, most)


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
