"""Forms are split in time that grows with their size alone; what no client writes is refused."""

import random
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waymark.serving import forms
from waymark.serving.forms import Part
from waymark.serving.uploads import Refusal

TAKES = ("images", "roi")
NAMED = b'form-data; name="images"'
SPLIT_SECONDS = 1.0  # where a parser that looks at each semicolon anew takes ten


def body(*dispositions: bytes, data: bytes = b"x", headers: bytes = b"") -> bytes:
    each = (b"--b\r\nContent-Disposition: " + head + headers + b"\r\n\r\n" + data + b"\r\n" for head in dispositions)
    return b"".join(each) + b"--b--\r\n"


def parts(sent: bytes, most: int = 2000) -> list[Part]:
    return forms.parts(sent, b"b", TAKES, most)


def refusal(sent: bytes) -> Refusal:
    with pytest.raises(Refusal) as refused:
        parts(sent)
    assert (refused.value.reason, refused.value.status) == ("bad_request", 400)
    return refused.value


HOSTILE = {
    "semicolons": NAMED + b";" * 8100,
    "semicolons in an open string": NAMED + b'; a="' + b";" * 8080,
    "semicolons in a string": NAMED + b'; a="' + b";" * 8080 + b'"',
    "escaped semicolons": NAMED + b"; " + rb"\";" * 2600,
    "escaped quotes": NAMED + b'; filename="' + rb"\"" * 4000 + b'"',
    "open strings": NAMED + b';"' * 4000,
    "parameters": NAMED + b";a=b" * 2000,
    "spaces": NAMED + b" " * 8100,
    "tabs before a wrong byte": NAMED + b";" + b"\t" * 8000 + b"=",
    "lines": NAMED + b"\r\na" * 2600,
}


@pytest.mark.parametrize("disposition", HOSTILE.values(), ids=HOSTILE)
def test_no_header_takes_long(disposition: bytes) -> None:
    sent = body(*[disposition] * 1999)
    assert len(sent) > 15_000_000
    began = time.process_time()
    refusal(sent)
    assert time.process_time() - began < SPLIT_SECONDS


def test_no_more_parts_are_looked_at_than_tell_that_there_are_too_many() -> None:
    assert len(parts(body(*[NAMED] * 3), most=3)) == 3
    assert len(parts(body(*[NAMED] * 4), most=3)) == 4
    assert len(parts(body(*[NAMED] * 4, *[HOSTILE["parameters"]] * 1000), most=3)) == 4


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b'form-data; name="images"; filename="a.png"', "a.png"),
        (b"form-data;name=images;filename=a.png", "a.png"),
        (b'form-data ; NAME = "images" ; filename = "a.png" ;', "a.png"),
        (b'form-data; filename="a;b=\\"c\\".png"; name="images"', 'a;b="c".png'),
        (rb'form-data; name="images"; filename="C:\signs\a.png"', r"C:\signs\a.png"),
        (rb'form-data; name="images"; filename="C:\\signs\\\"a\".png"', r'C:\signs\"a".png'),
        ('form-data; name="images"; filename="渋谷.png"'.encode(), "渋谷.png"),
        (b'form-data; name="images"; filename="a.png"; filename*=utf-8\'\'b.png', "a.png"),  # RFC 7578, 4.2
        (b'form-data; name="images"; filename="' + b"a" * 4096 + b'"', "a" * 4096),
        (b'form-data; name="images"', ""),
    ],
    ids=[
        "curl",
        "words",
        "spaces",
        "quotes",
        "browser's backslashes",
        "escapes",
        "Unicode",
        "RFC 5987",
        "4 KB",
        "none",
    ],
)
def test_names_are_read_as_clients_write_them(disposition: bytes, filename: str) -> None:
    assert parts(body(disposition)) == [Part("images", filename, b"x")]


@given(st.text(max_size=50))
def test_a_quoted_name_comes_back(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "").replace("\n", "")
    [part] = parts(body(f'form-data; name="images"; filename="{quoted}"'.encode(errors="replace")))
    assert part.filename == name.encode(errors="replace").decode().replace("\r", "").replace("\n", "")


def test_a_part_has_the_headers_of_a_part_and_no_more() -> None:
    assert len(parts(body(NAMED, headers=b"\r\nContent-Type: image/png" * 7))) == 1
    assert str(refusal(body(NAMED, headers=b"\r\nContent-Type: image/png" * 8))).startswith("the form is cut short")
    refusal(body(NAMED + b";a=b" * 8))
    refusal(body(NAMED, headers=b"\r\nX: " + b"a" * forms.PART_HEADERS))


def test_the_longest_names_of_a_full_request_fit() -> None:
    named = NAMED + b'; filename="' + "渋".encode() * 255 + b'"'
    assert len(parts(body(*[named] * 1000, *[b'form-data; name="roi"'] * 1000))) == 2000


SOUND = body(NAMED)


@pytest.mark.parametrize("cut", range(len(SOUND) - 2))
def test_a_form_cut_anywhere_is_refused(cut: int) -> None:
    assert parts(SOUND) == parts(SOUND[:-2]) == [Part("images", "", b"x")]
    refusal(SOUND[:cut])


@pytest.mark.parametrize(
    "sent",
    [
        b"preamble " + SOUND,
        SOUND.replace(b"--b\r\n", b"--bc\r\n"),
        SOUND.replace(b"x\r\n", b"x\r\n--b \r\n"),
        SOUND.replace(b'"images"', b'images"'),
    ],
    ids=["preamble", "another boundary", "boundary in the data", "a quote too few"],
)
def test_a_malformed_form_is_refused(sent: bytes) -> None:
    refusal(sent)


def test_a_form_damaged_anyhow_is_read_or_refused() -> None:
    source = random.Random(0)
    pieces = [b"\r\n", b"--b", b"--", b"\r\n\r\n", b'name="images"', b'"', b";", b":", b"=", b"\0", b"\xff", b"\\"]
    fates = Counter[str]()
    for _ in range(2000):
        changed = bytearray(SOUND * 2)
        for _ in range(source.randrange(1, 5)):
            at = source.randrange(len(changed))
            changed[at : at + source.randrange(8)] = source.choice(pieces)
        try:
            fates[type(parts(bytes(changed))[0]).__name__] += 1
        except Refusal as refused:
            fates[refused.reason] += 1
    assert fates.keys() == {"Part", "bad_request"}


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=b", b"b"),
        ('Multipart/Form-Data;charset=utf-8;BOUNDARY="b ;="', b"b ;="),
        ("multipart/form-data; boundary=" + "b" * 70, b"b" * 70),
        ("image/png; " + "a" * 1000, None),
        ("", None),
    ],
)
def test_the_boundary_is_read_from_the_content_type(content_type: str, boundary: bytes | None) -> None:
    assert forms.boundary(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 71,
        "multipart/form-data; boundary*=utf-8''b",
        'multipart/form-data; boundary="b',
        "multipart/form-data; boundary=b" + ';"' * 2**18,
        "multipart/form-data; boundary=b;" + " " * 1024,
        "image/png;" + "a" * 1024,
    ],
    ids=["none", "empty", "long", "RFC 5987", "open", "512 KB", "1 KB", "1 KB of an image"],
)
def test_a_content_type_that_tells_no_boundary_or_too_much_is_refused(content_type: str) -> None:
    began = time.process_time()
    with pytest.raises(Refusal) as refused:
        forms.boundary(content_type)
    assert (refused.value.reason, refused.value.status) == ("bad_request", 400)
    assert time.process_time() - began < 0.1


def test_what_curl_sends_unasked_is_refused_with_what_to_ask_of_it() -> None:
    with pytest.raises(Refusal, match=r'-F image=@FILE.*-H "Content-Type: image/png"$') as refused:
        forms.boundary("application/x-www-form-urlencoded")
    assert (refused.value.reason, refused.value.status) == ("unsupported_content_type", 415)
