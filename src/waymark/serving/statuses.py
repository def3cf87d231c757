"""Which errors the service answers with: what each status means, its reasons, and what is said."""

from dataclasses import asdict
from typing import NamedTuple

from waymark.serving.limits import Limits


class Status(NamedTuple):
    """`example` is what is said for the first of `reasons`, with the fields of Limits in braces."""

    meaning: str
    reasons: tuple[str, ...]
    example: str

    def said(self, limits: Limits) -> str:
        return self.example.format(**asdict(limits))


STATUSES = {
    "400": Status(
        "The request or an image in it is damaged or incomplete.",
        ("empty", "damaged", "bad_request", "encrypted", "unsafe_name", "duplicate_name"),
        "the image has zero bytes",
    ),
    "404": Status(
        "There is nothing at this address.",
        ("not_found",),
        "there is nothing at this address; /docs lists what there is",
    ),
    "405": Status(
        "The address takes another method.",
        ("method_not_allowed",),
        "this address takes POST only",
    ),
    "408": Status(
        "The body came too slowly.",
        ("slow_body",),
        "the body came too slowly; {piece_bytes:,} bytes of it have to come within {piece_seconds:g} s, "
        "and all of it within {body_seconds:g} s",
    ),
    "409": Status(
        "The classes of this model are no letters.",
        ("not_letters",),
        "the classes of this model are no letters; ask /predict_batch",
    ),
    "413": Status(
        "Something is larger than the limits allow.",
        ("too_many_bytes", "too_many_pixels", "too_many_images", "suspicious_archive"),
        "the request is larger than {image_bytes:,} bytes",
    ),
    "415": Status(
        "Not a format that is read here.",
        ("unsupported_format", "unsupported_content_type", "animated"),
        "this is no image in JPEG, PNG, binary PPM, WebP or BMP",
    ),
    "500": Status(
        "A fault of the service; its log tells what.",
        ("internal",),
        "something went wrong in the service; its log tells what",
    ),
    "503": Status(
        "Too much is waiting already; the header Retry-After says when to try again.",
        ("overloaded",),
        "too much is waiting already; try again in a second",
    ),
    "504": Status(
        "The answer takes longer than the limit.",
        ("too_slow",),
        "the answer takes longer than {answer_seconds:g} s; send less at a time",
    ),
}
