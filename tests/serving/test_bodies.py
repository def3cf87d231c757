"""Bodies and forms within limits: what is taken, and what each violation is refused with."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from waymark.serving.batching import OverloadError
from waymark.serving.bodies import Reception, SentImage, SentImages
from waymark.serving.limits import LIMITS, Limits
from waymark.serving.uploads import Refusal

SMALL = Limits(image_bytes=1000, request_bytes=5000, images=3, body_seconds=0.05, in_flight_bytes=3000)
FORM = "multipart/form-data; boundary=b"


def request(
    *chunks: bytes, content_type: str | None = None, length: str | None = None, query: str = "", stalls: bool = False
) -> Request:
    """A POST whose body comes in `chunks`; with `stalls` its end never comes."""
    left = list(chunks) or [b""]
    headers = [(b"content-type", content_type.encode("latin-1"))] if content_type is not None else []
    headers += [(b"content-length", length.encode())] if length is not None else []

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.sleep(60)
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left) or stalls}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": query.encode()}
    return Request(scope, receive)


def form(*parts: tuple[str, bytes], **options: Any) -> Request:
    """A form of `parts`, each with its Content-Disposition."""
    body = b"".join(b"--b\r\nContent-Disposition: %s\r\n\r\n%s\r\n" % (head.encode(), data) for head, data in parts)
    return request(body + b"--b--\r\n", content_type=FORM, **options)


def field(name: str, filename: str | None = None) -> str:
    return f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')


def one(asked: Request, limits: Limits = LIMITS) -> SentImage:
    async def read() -> SentImage:
        async with Reception(limits).one(asked) as sent:
            return sent

    return asyncio.run(read())


def several(asked: Request, limits: Limits = LIMITS) -> SentImages:
    async def read() -> SentImages:
        async with Reception(limits).several(asked) as sent:
            return sent

    return asyncio.run(read())


def refused(read: Callable[[], object]) -> tuple[str, int]:
    with pytest.raises(Refusal) as refusal:
        read()
    assert "\n" not in str(refusal.value)
    return refusal.value.reason, refusal.value.status


@pytest.mark.parametrize(
    "content_type",
    [None, "", "image/png", "application/octet-stream", "application/zip", "IMAGE/JPEG; x=y"],
    ids=["none", "empty", "U9 image/png", "bytes", "zip", "upper case"],
)
def test_a_body_by_itself_is_the_image_whatever_kind_it_says_it_is(content_type: str | None) -> None:
    sent = one(request(b"ab", b"c", content_type=content_type, query="roi=1,2,3,4"))
    assert sent == SentImage("image", b"abc", "1,2,3,4")


def test_a_form_has_an_image_and_a_region() -> None:
    asked = form((field("roi"), b"1,2,3,4"), (field("image", "stop.png"), b"\r\n--a\r\nbytes\r\n"))
    assert one(asked) == SentImage("stop.png", b"\r\n--a\r\nbytes\r\n", "1,2,3,4")


def test_a_form_as_clients_write_it_is_read() -> None:
    images = [("images", (f"{n}.png", bytes([n]) * n, "image/png")) for n in range(3)]
    sent = httpx.Request("POST", "http://service/", files=images, data={"roi": ["1", "2", "3"]})
    asked = request(sent.read(), content_type=sent.headers["content-type"], length=sent.headers["content-length"])
    expected = [("0.png", b""), ("1.png", b"\1"), ("2.png", b"\2\2")]
    assert several(asked) == SentImages(expected, None, ["1", "2", "3"])


def test_a_zip_comes_as_a_field_or_by_itself() -> None:
    assert several(form((field("archive", "a.zip"), b"PK\3\4"))) == SentImages([], b"PK\3\4", [])
    assert several(request(b"PK\3\4")) == SentImages([], b"PK\3\4", [])
    assert several(request(b"")) == SentImages([], b"", [])  # Z13: the decoder has the sentence for it
    assert refused(lambda: several(request(b"\x89PNG"))) == ("unsupported_format", 415)


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("../../x.png", "x.png"),
        ("C:\\\\signs\\\\x.png", "x.png"),
        ("a" * 4096 + ".png", "a" * 254 + "…"),
        ("a\0b.png", r"a\x00b.png"),
        ("", "image"),
        ("..", ".."),
        ("渋谷.png", "渋谷.png"),
    ],
    ids=["U10 ../../x.png", "U10 Windows path", "U10 4 KB", "U10 NUL", "U10 empty", "U10 ..", "Unicode"],
)
def test_a_file_name_is_reduced_to_what_can_be_echoed(filename: str, name: str) -> None:
    assert one(form((field("image", filename), b"x"))).name == name


def test_images_without_a_name_are_numbered() -> None:
    sent = several(form((field("images"), b"x"), (field("images", "b.png"), b"y"), (field("images", ""), b"z")))
    assert [name for name, _ in sent.images] == ["image 1", "b.png", "image 3"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.bentoml+pickle",
        "application/x-python-pickle",
        "application/pickle",
        "application/octet-stream+pickle",
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/mixed; boundary=b",
        "\x00",
    ],
)
def test_every_other_kind_of_content_is_refused_unread(content_type: str) -> None:  # U14, U15
    nested = request(b"[" * 10_000 + b"NaN" + b"]" * 10_000, content_type=content_type)
    assert refused(lambda: one(nested)) == ("unsupported_content_type", 415)
    assert refused(lambda: several(nested)) == ("unsupported_content_type", 415)


def never() -> Awaitable[Any]:
    raise AssertionError("the body must not be read")


def test_a_length_over_the_limit_is_refused_before_the_body_is_read() -> None:
    asked = request(length="1001")
    asked._receive = never
    assert refused(lambda: one(asked, SMALL)) == ("too_many_bytes", 413)


@pytest.mark.parametrize("length", ["-1", "1e3", "", "9" * 5000, "1,1"])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    assert refused(lambda: one(request(b"x", length=length))) == ("bad_request", 400)


def test_11_mb_in_chunks_without_a_length_are_refused_at_10_mb() -> None:  # U11
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 2**20
        return {"type": "http.request", "body": bytes(2**20), "more_body": read < 11 * 2**20}

    asked = request()
    asked._receive = receive
    assert refused(lambda: one(asked)) == ("too_many_bytes", 413)
    assert read == 10 * 2**20


def test_a_body_that_stalls_is_refused_in_time() -> None:
    assert refused(lambda: one(request(b"x", stalls=True), SMALL)) == ("slow_body", 408)


def test_a_client_that_hangs_up_is_refused() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    asked = request()
    asked._receive = receive
    assert refused(lambda: one(asked)) == ("bad_request", 400)


IMAGE = (field("image"), b"x")
IMAGES = (field("images"), b"x")
ROI = (field("roi"), b"0,0,1,1")


@pytest.mark.parametrize(
    "asked",
    [
        form(),
        form(IMAGE, IMAGE),
        form(IMAGE, ROI, ROI),
        form(ROI),
        form(IMAGE, (field("top"), b"3")),
        form(IMAGE, (field("roi"), b"1" * 1025)),
        form(("form-data", b"x")),
        form(("", b"x")),
    ],
    ids=["empty", "two images", "two regions", "no image", "unknown field", "long region", "no name", "no disposition"],
)
def test_a_form_that_is_no_image_and_region_is_refused(asked: Request) -> None:
    assert refused(lambda: one(asked)) == ("bad_request", 400)


@pytest.mark.parametrize(
    "asked",
    [
        form(),
        form(ROI),
        form(IMAGES, (field("archive"), b"PK")),
        form((field("archive"), b"PK"), (field("archive"), b"PK")),
        form((field("archive"), b"PK"), ROI),
        form(IMAGES, IMAGES, ROI),
    ],
    ids=["empty", "no image", "images and archive", "two archives", "archive with region", "a region too few"],
)
def test_a_form_that_is_neither_images_nor_archive_is_refused(asked: Request) -> None:
    assert refused(lambda: several(asked)) == ("bad_request", 400)


def test_more_files_than_allowed_are_refused_as_too_many() -> None:
    many = form(*[(field("images", f"{n}.png"), b"x") for n in range(1100)])
    assert refused(lambda: several(many)) == ("too_many_images", 413)
    far_too_many = form(*[(field("images"), b"")] * 100_000)
    assert refused(lambda: several(far_too_many)) == ("too_many_images", 413)
    full = several(form(*[IMAGES] * 1000, *[ROI] * 1000))
    assert (len(full.images), len(full.rois)) == (1000, 1000)


def test_all_bodies_together_stay_within_their_budget() -> None:
    async def serve() -> list[int]:
        reception = Reception(SMALL)
        held = []
        async with reception.one(request(bytes(1000))), reception.one(request(bytes(1000))):
            held.append(reception.in_flight)
            with pytest.raises(OverloadError):
                async with reception.several(request(b"PK\3\4", bytes(1000))):
                    pass
            held.append(reception.in_flight)
        held.append(reception.in_flight)
        async with reception.several(request(b"PK\3\4", bytes(2996))):
            held.append(reception.in_flight)
        with pytest.raises(Refusal):
            async with reception.one(request(bytes(500), stalls=True)):
                pass
        return [*held, reception.in_flight]

    assert asyncio.run(serve()) == [2000, 2000, 0, 3000, 0]


def test_large_bodies_leave_room_for_small_ones() -> None:
    limits = replace(SMALL, small_bytes=500, small_in_flight_bytes=1000)

    async def serve() -> None:
        reception = Reception(limits)

        async def refused(*chunks: bytes, length: str | None = None) -> None:
            with pytest.raises(OverloadError):
                async with reception.one(request(*chunks, length=length)):
                    pass

        async with reception.one(request(bytes(1000))), reception.one(request(bytes(1000))):
            await refused(bytes(501))
            await refused(bytes(300), bytes(201))
            await refused(b"x", bytes(500), length="501")  # with its first byte: it says that it is large
            assert reception.in_flight == 2000
            async with reception.one(request(bytes(500))), reception.one(request(bytes(500), length="500")):
                assert reception.in_flight == 3000
                await refused(b"x")
        assert reception.in_flight == 0

    asyncio.run(serve())


def arriving(chunks: int, seconds: float) -> Request:
    """A request with so many chunks of 100 bytes, and so long before each."""
    left = chunks

    async def receive() -> dict[str, Any]:
        nonlocal left
        await asyncio.sleep(seconds)
        left -= 1
        return {"type": "http.request", "body": bytes(100), "more_body": left > 0}

    asked = request()
    asked._receive = receive
    return asked


def test_a_body_has_to_keep_coming() -> None:
    limits = replace(SMALL, body_seconds=60, piece_bytes=100, piece_seconds=0.2)
    assert len(one(arriving(10, seconds=0.03), limits).data) == 1000  # longer than a piece may take
    too_slow = replace(limits, piece_bytes=1000)
    with pytest.raises(
        Refusal, match=r"^the body came too slowly; 1,000 bytes of it have to come within 0\.2 s"
    ) as slow:
        one(arriving(10, seconds=0.03), too_slow)
    assert (slow.value.reason, slow.value.status) == ("slow_body", 408)
