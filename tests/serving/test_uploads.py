"""Each image that could hurt the service is refused with its reason; every other one is decoded as in training."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import ExifTags, Image

from waymark import contract
from waymark.serving.limits import LIMITS, Limits
from waymark.serving.uploads import Refusal, decoded, opened, picture, printable

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 4), dtype=np.uint8))
PNG = b"\x89PNG\r\n\x1a\n"


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def refusal(data: bytes, limits: Limits = LIMITS) -> Refusal:
    with pytest.raises(Refusal) as refused:
        picture(data, limits)
    return refused.value


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(count: int) -> bytes:
    """So many bytes of 0, compressed, made in a moment; `count` goes by hundreds."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(bytes(count // 100)) + deflate.flush(zlib.Z_FULL_FLUSH)
    adler32 = (count % 65521) << 16 | 1
    return b"\x78\xda" + block * 100 + b"\x03\0" + adler32.to_bytes(4, "big")


def png(width: int, height: int, *extra: bytes, pixels: bytes = b"") -> bytes:
    """A grey PNG with `extra` chunks before its pixels, which are black where they are not given."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = pixels or zlib.compress(bytes((width + 1) * height), 1)
    return PNG + header + b"".join(extra) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def apng(frames: int) -> bytes:
    """As its header declares; a frame more or less has no pixels of its own."""
    return png(8, 8, chunk(b"acTL", struct.pack(">II", frames, 0)))


def rotated(format: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encoded(NOISE.convert("RGB"), format, exif=exif)


def jpeg(*segments: bytes, **options: object) -> bytes:
    data = encoded(NOISE.convert("RGB"), "JPEG", **options)
    return data[:2] + b"".join(segments) + data[2:]


def jpeg_of_many_passes(passes: int) -> bytes:
    data = jpeg(progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:-2] + data[last:-2] * passes + data[-2:]


MODES = {
    "JPEG": ("RGB", "L", "1", "CMYK"),
    "PNG": ("RGB", "L", "1", "RGBA", "LA", "P", "I;16"),
    "PPM": ("RGB", "L", "1", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("RGB", "L", "1", "RGBA", "P"),
}


@pytest.mark.parametrize(("format", "mode"), [(format, mode) for format in MODES for mode in MODES[format]])
def test_an_image_is_decoded_as_in_training(format: str, mode: str) -> None:  # U16
    grey = Image.fromarray(np.asarray(NOISE.convert("L")).astype(np.uint16) * 257)
    data = encoded(
        grey if mode == "I;16" else NOISE.convert(mode) if "A" in mode else NOISE.convert("RGB").convert(mode), format
    )
    found = picture(data, LIMITS)
    assert found.mode == "RGB"
    assert found.tobytes() == contract.decode(data).tobytes()


U16 = {
    "U16 16-bit": (encoded(Image.fromarray(np.full((4, 4), 0x1234, np.uint16))), (0x12, 0x12, 0x12)),
    "U16 CMYK": (encoded(Image.new("CMYK", (4, 4), (0, 0, 0, 255)), "JPEG"), (0, 0, 0)),
    "U16 palette with alpha": (encoded(Image.new("P", (4, 4)), transparency=b"\0"), (0, 0, 0)),
    "U16 half transparent": (encoded(Image.new("RGBA", (4, 4), (200, 100, 50, 128))), (100, 50, 25)),
}


@pytest.mark.parametrize(("data", "pixel"), U16.values(), ids=U16)
def test_what_is_no_plain_rgb_is_converted_as_documented(data: bytes, pixel: tuple[int, int, int]) -> None:
    assert picture(data, LIMITS).getpixel((2, 2)) == pixel


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_rotation_is_applied(format: str) -> None:  # U16
    assert picture(rotated(format), LIMITS).size == (48, 64)


def test_a_photograph_of_several_pictures_is_its_first() -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert picture(data, LIMITS).tobytes() == contract.decode(encoded(first, "JPEG")).tobytes()


REFUSED: dict[str, tuple[Callable[[], bytes], str, int]] = {
    "zero bytes": (lambda: b"", "empty", 400),
    "U1 30,000 × 30,000 PNG of one colour": (
        lambda: png(30_000, 30_000, pixels=zeros(30_001 * 30_000)),
        "too_many_pixels",
        413,
    ),
    "a side over 4,096 px": (lambda: png(4097, 1), "too_many_pixels", 413),
    "a pixel too many": (lambda: png(1871, 1871), "too_many_pixels", 413),
    "U3 PNG with a 64 MB text": (lambda: png(8, 8, chunk(b"tEXt", bytes(64 * 2**20))), "too_many_bytes", 413),
    "U3 PNG with a 64 MB text, compressed": (
        lambda: png(8, 8, chunk(b"zTXt", b"a\0\0" + zeros(64_000_000))),
        "damaged",
        400,
    ),
    "U3 PNG with a 9 MB text": (lambda: png(8, 8, chunk(b"tEXt", bytes(9 * 2**20))), "damaged", 400),
    "U3 PNG with many compressed texts": (
        lambda: png(8, 8, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**20)))] * 9),
        "damaged",
        400,
    ),
    "U4 GIF with 10,000 frames": (
        lambda: b"GIF89a\1\0\1\0\0\0\0" + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0" * 10_000 + b";",
        "unsupported_format",
        415,
    ),
    "U4 APNG with 10,000 frames": (lambda: apng(10_000), "animated", 415),
    "U4 WebP with 2 frames": (
        lambda: encoded(NOISE, "WEBP", save_all=True, append_images=[NOISE.rotate(180)]),
        "animated",
        415,
    ),
    "U7 SVG with a script": (
        lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "unsupported_format",
        415,
    ),
    "U13 a URL": (lambda: b"http://127.0.0.1/stop.png", "unsupported_format", 415),
    "EPS, for which Pillow starts Ghostscript": (
        lambda: encoded(NOISE.convert("RGB"), "EPS"),
        "unsupported_format",
        415,
    ),
    "TIFF": (lambda: encoded(NOISE, "TIFF"), "unsupported_format", 415),
    "plain PPM, read word by word": (lambda: b"P3 1 1 255 1 2 3", "unsupported_format", 415),
    "PPM of 7 bits, read sample by sample": (lambda: b"P6 1 1 127\n\1\2\3", "unsupported_format", 415),
    "BMP with run lengths": (
        lambda: (
            b"BM"
            + struct.pack("<IHHI", 0, 0, 0, 1078)
            + struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 8, 1, 0, 0, 0, 256, 0)
            + bytes(1024)
            + b"\x08\1" * 8
        ),
        "unsupported_format",
        415,
    ),
    "PNG of 5,000 chunks": (lambda: png(8, 8, *[chunk(b"abCd", b"")] * 5000), "damaged", 400),
    "JPEG of 1,000 segments": (lambda: jpeg(b"\xff\xfe\0\2" * 1000), "damaged", 400),
    "JPEG with 1,000 bytes of junk": (lambda: jpeg(b"\xff\xfe\0\2" + b"a" * 1000), "damaged", 400),
    "JPEG with 3 EXIF segments": (lambda: jpeg(b"\xff\xe1\0\x08Exif\0\0" * 3), "damaged", 400),
    "JPEG with 5,000 Photoshop resources": (
        lambda: jpeg(b"\xff\xed\xea\x72Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000),
        "damaged",
        400,
    ),
    "JPEG of 100 passes": (lambda: jpeg_of_many_passes(100), "damaged", 400),
    "PPM with a comment of 1 MB": (lambda: b"P6 #" + bytes(2**20) + b"\n1 1 255\n\1\2\3", "damaged", 400),
    "PPM of sizes that are no numbers": (lambda: b"P6 a b 255\n\1\2\3", "damaged", 400),
}


@pytest.mark.parametrize(("make", "reason", "status"), REFUSED.values(), ids=REFUSED)
def test_what_could_hurt_is_refused(make: Callable[[], bytes], reason: str, status: int) -> None:
    refused = refusal(make())
    assert (refused.reason, refused.status) == (reason, status)
    # one sentence that does not tell what the service is made of, or where it runs
    assert not any(part in str(refused) for part in (".", "\n", "0x", "/", "PIL", "Pillow"))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "PPM", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9], ids=lambda share: f"U5 cut at {share:.0%}")
def test_a_truncated_image_is_refused(format: str, share: float) -> None:
    data = encoded(NOISE.convert("RGB"), format)
    refused = refusal(data[: int(len(data) * share)])
    assert (refused.reason, refused.status) == ("damaged", 400)


def test_a_progressive_jpeg_with_all_that_cameras_write_is_accepted() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "camera" * 5000
    data = jpeg(progressive=True, exif=exif, icc_profile=bytes(600_000), comment=b"a picture", dpi=(300, 300))
    assert picture(data, LIMITS).size == NOISE.size


def test_bytes_are_counted_before_anything_is_read() -> None:
    data = encoded(NOISE)
    assert refusal(data, Limits(image_bytes=len(data) - 1)).reason == "too_many_bytes"
    assert picture(data, Limits(image_bytes=len(data))).size == NOISE.size


def test_the_largest_image_is_accepted() -> None:
    assert picture(png(1870, 1871), LIMITS).size == (1870, 1871)
    assert picture(png(4096, 1), LIMITS).size == (4096, 1)


def test_an_opened_image_has_its_size_before_a_pixel_is_decoded() -> None:
    found = opened(png(8, 8, pixels=b"no pixels at all"), LIMITS)
    assert found.size == (8, 8)
    with pytest.raises(Refusal) as refused:
        decoded(found)
    assert refused.value.reason == "damaged"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("stop.png", "stop.png"),
        ("Zürich 渋谷.png", "Zürich 渋谷.png"),
        ("a\0b\n.png", r"a\x00b\n.png"),
        ("a" * 4096, "a" * 19 + "…"),
        ("\n" * 20, r"\n" * 9 + "\\…"),
        ("", ""),
    ],
    ids=["plain", "Unicode", "U10 NUL", "U10 4 KB", "U10 long when escaped", "U10 empty"],
)
def test_a_name_is_echoed_short_and_printable(name: str, shown: str) -> None:
    assert printable(name, 20) == shown
