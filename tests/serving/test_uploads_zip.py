"""A zip is answered member by member, in the natural order of names; what could hurt is refused as a whole."""

import io
import struct
import time
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from waymark.serving.limits import LIMITS, Limits
from waymark.serving.uploads import Refusal, archive


def image(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (shade % 256, shade // 256, 0)).save(buffer, "PNG")
    return buffer.getvalue()


SOUND = image(7)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


def named(name: str, data: bytes = SOUND) -> bytes:
    """A zip of one member with the same name in both of its places."""
    raw = name.encode()
    flags = 0x800 if not name.isascii() else 0
    sizes = struct.pack("<LLL", zlib.crc32(data), len(data), len(data))
    local = struct.pack("<4sHHHHH", b"PK\3\4", 20, flags, 0, 0, 0) + sizes + struct.pack("<HH", len(raw), 0) + raw
    central = struct.pack("<4sHHHHHH", b"PK\1\2", 20, 20, flags, 0, 0, 0) + sizes
    central += struct.pack("<HHHHHLL", len(raw), 0, 0, 0, 0, 0, 0) + raw
    return local + data + central + end(1, len(central), len(local) + len(data))


def end(entries: int, size: int, offset: int) -> bytes:
    return struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, min(entries, 65535), min(entries, 65535), size, offset, 0)


def commented(comment: bytes) -> bytes:
    return zipped(("a.png", SOUND))[:-2] + struct.pack("<H", len(comment)) + comment


def flagged(data: bytes, flags: int) -> bytes:
    """General purpose bits of the first member, in both of its places."""
    changed = bytearray(data)
    changed[6:8] = struct.pack("<H", flags)
    at = data.index(b"PK\1\2") + 8
    changed[at : at + 2] = struct.pack("<H", flags)
    return bytes(changed)


def found(data: bytes, limits: Limits = LIMITS) -> dict[str, str]:
    """What became of each member by its name: its size, or the reason of its refusal."""
    return {
        name: each.reason if isinstance(each, Refusal) else f"{each.width} × {each.height}"
        for name, each in archive(data, limits)
    }


def refusal(data: bytes, limits: Limits = LIMITS) -> Refusal:
    """Of the archive as a whole, before any member is asked for."""
    with pytest.raises(Refusal) as refused:
        archive(data, limits)
    return refused.value


def deflated_zeros(count: int, blocks: int) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(bytes(count // blocks)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return block * blocks + b"\x03\0"


def bomb(members: int, each: int) -> bytes:
    """Members of `each` bytes of 0; their stated sizes are true, their checksums are not."""
    stream = deflated_zeros(each, 100)
    parts, directory, position = [], [], 0
    for number in range(members):
        name = f"{number:04d}.bmp".encode()
        sizes = struct.pack("<LLL", 0, len(stream), each)
        local = struct.pack("<4sHHHHH", b"PK\3\4", 20, 0, 8, 0, 0) + sizes + struct.pack("<HH", len(name), 0) + name
        directory.append(
            struct.pack("<4sHHHHHH", b"PK\1\2", 20, 20, 0, 8, 0, 0)
            + sizes
            + struct.pack("<HHHHHLL", len(name), 0, 0, 0, 0, 0, position)
            + name
        )
        parts += [local, stream]
        position += len(local) + len(stream)
    listed = b"".join(directory)
    return b"".join(parts) + listed + end(members, len(listed), position)


def many_members(count: int) -> bytes:
    """Entries without a name or data, and an end record of zip64: 65,535 is the most that the plain one can tell."""
    local = struct.pack("<4sHHHHHLLLHH", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    entry = struct.pack("<4sHHHHHHLLLHHHHHLL", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    record = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(entry) * count, len(local))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(local) + len(entry) * count, 1)
    return local + entry * count + record + locator + end(count, 2**32 - 1, 2**32 - 1)


def directory(*names: bytes, comment: bytes = b"") -> bytes:
    """Entries of a zip's list of members that have no data; the last one with a comment."""
    notes = [b""] * (len(names) - 1) + [comment]
    return b"".join(
        struct.pack("<4sHHHHHHLLL", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0)
        + struct.pack("<HHHHHLL", len(name), 0, len(note), 0, 0, 0, 0)
        + name
        + note
        for name, note in zip(names, notes, strict=True)
    )


def many_behind_half_of_zip64(count: int, stated: int) -> bytes:
    """Members behind a locator of zip64 whose record is none: it states a size that `zipfile` does not believe."""
    record = bytes(40) + struct.pack("<QQ", stated, 0)
    listed = directory(*[b""] * count, comment=record + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1))
    return b"PK\3\4" + listed + end(count, len(listed), 4)


def corrupted() -> bytes:
    data = bytearray(zipped(("a.png", SOUND)))
    data[data.index(SOUND) + 50] ^= 1
    return bytes(data)


def lying(stated: int) -> bytes:
    """The directory states another size than the member has."""
    data = bytearray(zipped(("a.png", SOUND), method=zipfile.ZIP_DEFLATED))
    at = data.index(b"PK\1\2") + 24
    data[at : at + 4] = struct.pack("<L", stated)
    return bytes(data)


WHOLE: dict[str, tuple[Callable[[], bytes], str, int]] = {
    "Z1 10 MB that unpack to 10 GB": (lambda: bomb(1000, 10_000_000), "suspicious_archive", 413),
    "Z4 100,001 members": (lambda: many_members(100_001), "too_many_images", 413),
    "Z4 1,001 members": (lambda: zipped(*[(f"{n}.png", SOUND) for n in range(1001)]), "too_many_images", 413),
    "a directory of 5 MB": (lambda: zipped(*[(f"{n}" + "a" * 60_000, b"") for n in range(84)]), "too_many_images", 413),
    "a comment like an end": (lambda: commented(b"PK\5\6" + b"x" * 100), "damaged", 400),  # zipfile takes it for one
    "Z12 empty zip": (lambda: zipped(), "empty", 400),
    "Z12 only a folder": (lambda: named("signs/", b""), "empty", 400),
    "Z13 zero bytes": (lambda: b"", "empty", 400),
    "not a zip": (lambda: b"\x1f\x8b tar.gz", "unsupported_format", 415),
    "cut in the middle": (lambda: zipped(("a.png", SOUND))[:80], "damaged", 400),
    "cut at its end": (lambda: zipped(("a.png", SOUND))[:-1], "damaged", 400),
    "a second end behind the first": (
        lambda: zipped(("a.png", SOUND))[:-4] + b"PK\5\6" + bytes(14) + b"PK\5\6",
        "damaged",
        400,
    ),
}


@pytest.mark.parametrize(("make", "reason", "status"), WHOLE.values(), ids=WHOLE)
def test_an_archive_that_could_hurt_is_refused_as_a_whole(make: Callable[[], bytes], reason: str, status: int) -> None:
    refused = refusal(make())
    assert (refused.reason, refused.status) == (reason, status)


@pytest.mark.parametrize("stated", [0, 46, 2**63])
@pytest.mark.parametrize("count", [5000, 100_000])
def test_a_list_of_members_that_is_too_long_is_not_read(
    count: int, stated: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: object) -> None:
        raise AssertionError("zipfile makes an object of each member")

    monkeypatch.setattr(zipfile, "ZipFile", read)
    expected = "damaged" if stated > 2**32 else "too_many_images"
    assert refusal(many_behind_half_of_zip64(count, stated)).reason == expected


MEMBERS: dict[str, tuple[Callable[[], bytes], dict[str, str]]] = {
    "Z3 zip in a zip": (lambda: zipped(("a.zip", zipped(("a.png", SOUND)))), {"a.zip": "unsupported_format"}),
    "no name": (lambda: named(""), {"": "unsafe_name"}),
    "Z6 leads out": (lambda: named("../a.png"), {"../a.png": "unsafe_name"}),
    "Z6 absolute": (lambda: named("/etc/a.png"), {"/etc/a.png": "unsafe_name"}),
    "Z6 Windows drive": (lambda: named("C:a.png"), {"C:a.png": "unsafe_name"}),
    "Z6 Windows path": (lambda: named("..\\a.png"), {"..\\a.png": "unsafe_name"}),
    "Z6 NUL": (lambda: named("a\0.png"), {r"a\x00.png": "unsafe_name"}),
    "U10 4 KB": (lambda: named("a" * 4096), {"a" * 254 + "…": "unsafe_name"}),
    "Z8 encrypted": (lambda: flagged(named("a.png"), 1), {"a.png": "encrypted"}),
    "Z8 strongly encrypted": (lambda: flagged(named("a.png"), 0x41), {"a.png": "encrypted"}),
    "Z11 Unicode": (lambda: named("Zürich/渋谷.png"), {"Zürich/渋谷.png": "4 × 4"}),
    "Z13 zero bytes": (lambda: named("a.png", b""), {"a.png": "empty"}),
    "Z14 CRC error": (corrupted, {"a.png": "damaged"}),
    "less than its header tells": (lambda: lying(len(SOUND) + 1), {"a.png": "damaged"}),
    "more than its header tells": (lambda: lying(len(SOUND) - 1), {"a.png": "damaged"}),
    "larger than an image may be": (
        lambda: zipped(("a.bmp", bytes(10_000_001)), ("b.png", SOUND)),
        {"a.bmp": "too_many_bytes", "b.png": "4 × 4"},
    ),
    "compressed by LZMA": (lambda: zipped(("a.png", SOUND), method=zipfile.ZIP_LZMA), {"a.png": "unsupported_format"}),
    "text": (lambda: named("labels.csv", b"a.png,1"), {"labels.csv": "unsupported_format"}),
}


@pytest.mark.parametrize(("make", "expected"), MEMBERS.values(), ids=MEMBERS)
def test_a_member_that_is_not_accepted_is_refused_by_its_name(
    make: Callable[[], bytes], expected: dict[str, str]
) -> None:
    assert found(make()) == expected


def test_of_two_members_of_one_name_the_second_is_refused() -> None:  # Z9
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped(("a.png", image(1)), ("a.png", image(2)))
    first, second = archive(data, LIMITS)
    assert (first[0], second[0]) == ("a.png", "a.png")
    assert isinstance(first[1], Image.Image)
    assert isinstance(second[1], Refusal)
    assert second[1].reason == "duplicate_name"


def test_one_bad_member_of_a_thousand_leaves_999_answers_in_order() -> None:  # Z10
    numbers = np.random.default_rng(0).permutation(1000)
    members = [(f"{number}.png", image(int(number)) if number != 500 else b"broken") for number in numbers]
    answers = list(archive(zipped(*members), LIMITS))
    assert [name for name, _ in answers] == [f"{number}.png" for number in range(1000)]
    for number, (_, each) in enumerate(answers):
        if number == 500:
            assert isinstance(each, Refusal)
        else:
            assert isinstance(each, Image.Image)
            assert each.getpixel((0, 0)) == (number % 256, number // 256, 0)


def test_zip64_is_read() -> None:  # Z11
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, file.open("a.png", "w", force_zip64=True) as member:
        member.write(SOUND)
    data = buffer.getvalue()
    assert found(data) == {"a.png": "4 × 4"}
    # … and with an end record of zip64, as Java and Go write it for streams
    plain = data[:-22]
    _, _, _, _, _, size, offset, _ = struct.unpack("<4sHHHHLLH", data[-22:])
    record = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(plain), 1)
    assert found(plain + record + locator + end(65535, 2**32 - 1, 2**32 - 1)) == {"a.png": "4 × 4"}


def test_names_are_in_the_order_of_their_numbers() -> None:
    names = ["2/b.png", "10/a.png", "a10.png", "a9.png", "a09.png", "2/a.png", "B.png"]
    expected = ["2/a.png", "2/b.png", "10/a.png", "B.png", "a09.png", "a9.png", "a10.png"]
    assert list(found(zipped(*((name, SOUND) for name in names)))) == expected


def test_long_names_are_sorted_by_their_beginnings_at_no_great_cost() -> None:
    listed = directory(*[b"1a" * 2050 + b"%d" % number for number in range(999)])
    began = time.process_time()
    answers = list(archive(b"PK\3\4" + listed + end(999, len(listed), 4), LIMITS))
    assert time.process_time() - began < 0.6  # where whole names took 1.2 s, and 290 MB
    assert {name for name, _ in answers} == {("1a" * 127) + "…"}
    assert {found.reason for _, found in answers if isinstance(found, Refusal)} == {"unsafe_name"}


def test_folders_and_what_macos_adds_are_left_out() -> None:
    hidden = [(name, b"no image") for name in ("signs/.DS_Store", "__MACOSX/signs/._a.png")]
    assert found(zipped(("signs/", b""), ("signs/a.png", SOUND), *hidden)) == {"signs/a.png": "4 × 4"}


def test_members_are_decoded_one_at_a_time() -> None:
    answers = archive(zipped(("a.png", SOUND), ("b.png", b"broken")), LIMITS)
    name, first = next(answers)
    assert name == "a.png"
    assert isinstance(first, Image.Image)


def test_a_small_archive_may_unpack_to_many_times_its_size() -> None:
    flat = io.BytesIO()
    Image.new("RGB", (500, 500)).save(flat, "BMP")
    data = zipped(("a.bmp", flat.getvalue()), method=zipfile.ZIP_DEFLATED)
    assert len(flat.getvalue()) > 300 * len(data)
    assert found(data) == {"a.bmp": "500 × 500"}
