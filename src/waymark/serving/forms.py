"""Splits multipart forms, in time that grows with their size alone, whatever they hold.

Parsers that step through a form, or look at each semicolon of a header anew, can be kept busy for seconds.
"""

import re
from dataclasses import dataclass

from waymark.serving.uploads import Refusal, printable

CONTENT_TYPE = 2**10  # characters; the longest boundary is 70
PART_HEADERS = 2**13  # bytes before the data of a part: a file name of 4 KB is shortened, not refused
ALL_HEADERS = 2**21  # bytes, of all parts together: 1,000 file names of 255 characters, and 1,000 regions
HEADER_LINES = 8  # of a part; clients write one to three
PARAMETERS = 8  # of a header; RFC 7578 knows three
TEXT_BYTES = 2**10  # of a field that is no image
RAW_TYPES = ("", "application/octet-stream", "application/zip", "application/x-zip-compressed")
# Possessive, so that what was matched is never tried in another way.
_PARAMETER = re.compile(
    rb'[ \t]*+;[ \t]*+(?:([^\s=;"]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]++|\\.)*+)"|([^;"]*+)))?+[ \t]*+', re.DOTALL
)


@dataclass(frozen=True)
class Part:
    field: str
    filename: str
    data: bytes

    @property
    def text(self) -> str:
        if len(self.data) > TEXT_BYTES:
            raise Refusal("bad_request", 400, f"the form's field '{self.field}' is longer than {TEXT_BYTES:,} bytes")
        return self.data.decode("utf-8", "replace")


def boundary(content_type: str) -> bytes | None:
    """The boundary of a form, or None for a raw body; Refusal for every other kind of content."""
    if len(content_type) > CONTENT_TYPE:
        raise Refusal("bad_request", 400, f"the header Content-Type is longer than {CONTENT_TYPE:,} characters")
    kind = content_type.partition(";")[0].strip().lower()
    if kind in RAW_TYPES or kind.startswith("image/"):
        return None
    if kind != "multipart/form-data":
        message = "send a form, as by curl -F image=@FILE, or a file by itself, as by curl --data-binary @FILE "
        raise Refusal("unsupported_content_type", 415, message + '-H "Content-Type: image/png"')
    found = _parameters(content_type.encode("latin-1", "replace")).get(b"boundary", b"")
    if not 1 <= len(found) <= 70:  # RFC 2046, 5.1.1
        raise Refusal("bad_request", 400, "the form's Content-Type has no valid boundary")
    return found


def parts(body: bytes, boundary: bytes, takes: tuple[str, ...], most: int) -> list[Part]:
    """The parts of a form that has the fields `takes`: `most` of them, or `most` + 1 where there are more.

    After RFC 2046, 5.1.1.
    """
    delimiter = b"\r\n--" + boundary
    if body.startswith(delimiter[2:]):
        body = b"\r\n" + body
    preamble, *pieces = body.split(delimiter, most + 2)
    if preamble or not pieces or (len(pieces) < most + 2 and not pieces[-1].startswith(b"--")):
        raise _damaged()
    found, left = [], ALL_HEADERS
    for piece in pieces[:-1]:
        end = piece.find(b"\r\n\r\n", 0, PART_HEADERS)
        left -= end
        if end < 0 or left < 0 or not piece.startswith(b"\r\n"):
            raise _damaged()
        found.append(_part(piece, end, takes))
    return found


def _part(piece: bytes, end: int, takes: tuple[str, ...]) -> Part:
    """One part, whose headers end at `end`."""
    lines = piece[2:end].split(b"\r\n", HEADER_LINES)
    if len(lines) > HEADER_LINES:
        raise _damaged()
    headers = {name.lower(): value for name, _, value in (line.partition(b":") for line in lines)}
    options = _parameters(headers.get(b"content-disposition", b""))
    name = options.get(b"name", b"").decode("utf-8", "replace")
    if name not in takes:
        known = ", ".join(f"'{each}'" for each in takes)
        raise Refusal("bad_request", 400, f"the form has a field '{printable(name, 40)}'; this address takes {known}")
    return Part(name, options.get(b"filename", b"").decode("utf-8", "replace"), piece[end + 4 :])


def _parameters(header: bytes) -> dict[bytes, bytes]:
    """What follows the first word of a header: name=value or name="value", each behind a semicolon."""
    found: dict[bytes, bytes] = {}
    position = header.find(b";")
    for _ in range(PARAMETERS):
        if position in (-1, len(header)):
            return found
        parameter = _PARAMETER.match(header, position)
        if not parameter:
            break
        name, quoted, plain = parameter.groups()
        if name:
            found[name.lower()] = plain.strip() if quoted is None else _unescaped(quoted)
        position = parameter.end()
    raise _damaged()


def _unescaped(quoted: bytes) -> bytes:
    r"""Without the backslashes of \\ and \"; any other stands for itself, as browsers write it in names of files."""
    return b"\\".join(piece.replace(b'\\"', b'"') for piece in quoted.split(b"\\\\"))


def _damaged() -> Refusal:
    return Refusal("bad_request", 400, "the form is cut short or not valid multipart/form-data")
