"""What a request may hold. The description publishes these numbers; `uploads`, `forms` and `bodies` enforce them."""

from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    image_bytes: int = 10 * MB  # one image as it is sent, a member of an archive included
    request_bytes: int = 32 * MB  # the whole body of a request with several images
    side: int = 4096  # px; the longest that `validate` accepts in training data, too
    pixels: int = 3_500_000  # of one image: WebP's decoder holds 16 bytes for each and the file four times, 96 MB
    images: int = 1000  # in one request, or members in one archive
    unpacked_bytes: int = 256 * MB  # all members of an archive together
    ratio: int = 200  # unpacked over packed bytes of an archive; DEFLATE itself reaches 1,032
    name_length: int = 255  # characters of an image's name
    body_seconds: float = 20  # to receive a whole body
    piece_bytes: int = 100_000  # of a body; so many more, or its end, have to come ...
    piece_seconds: float = 5  # ... within this time: what stalls must not be held for long
    answer_seconds: float = 30  # to answer once it is there
    in_flight_bytes: int = 256 * MB  # bodies of all requests of a process together; more are refused at once
    small_bytes: int = 256_000  # of a body that is a small one ...
    small_in_flight_bytes: int = 32 * MB  # ... for which so much of `in_flight_bytes` is kept
    singles: int = 128  # single images that a worker is answering: room for a hundred callers; no more is decoded
    batches: int = 16  # requests with several images, or for a heat map, that a worker is answering or that wait there
    waiting: int = 2048  # images that wait for the model; more are refused at once


LIMITS = Limits()
