"""Whatever is done to images and zips, an image or a Refusal comes out: nothing else, and nothing slow."""

import io
import random
import time
import warnings
import zipfile
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import ExifTags, Image

from waymark.serving.limits import Limits
from waymark.serving.uploads import Refusal, archive, picture

LIMITS = Limits(image_bytes=200_000, pixels=200_000, images=20, unpacked_bytes=400_000)
REASONS = {
    *("empty", "damaged", "too_many_bytes", "too_many_pixels", "too_many_images", "suspicious_archive"),
    *("unsupported_format", "animated", "encrypted", "unsafe_name", "duplicate_name"),
}
NUMBERS = [b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0", b"\1", b"\xff\xda"]


def seeds() -> list[bytes]:
    """Small files of every format and mode, and zips of them."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 4), dtype=np.uint8))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.XResolution] = 72.0
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"comment"
    images = []
    for format, mode, options in (
        ("PNG", "RGB", {"exif": exif}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {"transparency": b"\0\x80"}),
        ("PNG", "1", {"dpi": (72, 72), "icc_profile": b"profile"}),
        ("PNG", "RGB", {"save_all": True, "append_images": [noise.convert("RGB").rotate(180)]}),
        ("JPEG", "RGB", {"exif": exif, "icc_profile": b"profile" * 20, "comment": b"comment"}),
        ("JPEG", "CMYK", {"progressive": True}),
        ("JPEG", "L", {"progressive": True, "restart_marker_blocks": 1}),
        ("MPO", "RGB", {"save_all": True, "append_images": [noise.convert("RGB").rotate(180)]}),
        ("WEBP", "RGB", {"exif": exif}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("WEBP", "RGBA", {"save_all": True, "append_images": [noise.rotate(180)]}),
        ("BMP", "RGB", {}),
        ("BMP", "P", {}),
        ("BMP", "RGBA", {}),
        ("PPM", "RGB", {}),
        ("PPM", "1", {}),
        ("PPM", "I", {}),
    ):
        buffer = io.BytesIO()
        source = noise if "A" in mode else noise.convert("RGB")
        grey = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024)
        (grey if mode == "I" else source.convert(mode)).save(buffer, format, **options)
        images.append(buffer.getvalue())
    zips = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as file:
            for number, data in enumerate(images[::4]):
                file.writestr(f"klasse {number}/ä{number}.png", data)
        zips.append(buffer.getvalue())
    return [*images, *zips * 4]


def mutated(data: bytes, others: list[bytes], source: random.Random) -> bytes:
    """Changed in one to eight places, half of them near its begin; PNG's checksums are mostly put right."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4, 8))):
        at = (
            source.randrange(len(changed) + 1) if source.random() < 0.5 else source.randrange(min(len(changed), 64) + 1)
        )
        match source.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << source.randrange(8)
            case 1:
                number = source.choice(NUMBERS)
                changed[at : at + len(number)] = number
            case 2:
                del changed[at : at + source.choice((1, 2, 4, 16, len(changed)))]
            case 3:
                changed[at:at] = changed[at : at + source.randrange(64)] * source.choice((1, 2, 50))
            case 4:
                other = source.choice(others)
                start = source.randrange(len(other))
                changed[at:at] = other[start : start + source.randrange(256)]
            case _:
                changed[at : at + 4] = source.randbytes(4)
    return with_checksums(bytes(changed)) if changed[:4] == b"\x89PNG" and source.random() < 0.7 else bytes(changed)


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what is in them now: else nothing behind the check is ever reached."""
    changed, position = bytearray(data), 8
    while position + 12 <= len(changed):
        end = position + 8 + int.from_bytes(changed[position : position + 4], "big")
        if end + 4 > len(changed):
            break
        changed[end : end + 4] = zlib.crc32(changed[position + 4 : end]).to_bytes(4, "big")
        position = end + 4
    return bytes(changed)


def fate(data: bytes) -> str:
    """What became of an upload: a reason, or that it was decoded; anything else is raised."""
    found: Image.Image | Refusal
    if data.startswith(b"PK"):
        try:
            for _, found in archive(data, LIMITS):
                checked(found)
        except Refusal as refusal:
            return checked(refusal)
        return "zip read"
    try:
        found = picture(data, LIMITS)
    except Refusal as refusal:
        found = refusal
    return checked(found)


def checked(found: Image.Image | Refusal) -> str:
    if isinstance(found, Refusal):
        assert found.reason in REASONS
        assert 400 <= found.status < 500
        return found.reason
    assert found.mode == "RGB"
    assert found.width * found.height <= LIMITS.pixels
    return "decoded"


def fuzz(count: int, seed: int) -> Counter[str]:
    source, files = random.Random(seed), seeds()
    fates: Counter[str] = Counter()
    for number in range(count):
        data = mutated(files[number % len(files)], files, source)
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as `silence_pillow` does in the service
            try:
                fates[fate(data)] += 1
            except Exception as error:
                raise AssertionError(f"input {number} of seed {seed}: {data.hex()}") from error
        assert time.perf_counter() - began < 2, f"input {number} of seed {seed} was slow: {data.hex()}"
    return fates


def test_seeds_are_read_as_they_are() -> None:
    assert Counter(map(fate, seeds())) == {"decoded": 16, "animated": 2, "zip read": 8}


def test_a_few_hundred_damaged_uploads_are_answered() -> None:
    fates = fuzz(400, seed=0)
    assert fates.total() == 400
    assert {"decoded", "damaged", "zip read"} < fates.keys()


@pytest.mark.long
def test_fifty_thousand_damaged_uploads_are_answered() -> None:
    fates: Counter[str] = Counter()
    for seed in range(1, 11):
        fates += fuzz(5000, seed)
    print(f"{fates.total():,} uploads: " + ", ".join(f"{name} {count:,}" for name, count in fates.most_common()))
    assert fates.total() == 50_000
