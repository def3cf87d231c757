"""What a report consists of, before it is Markdown or HTML: sections of paragraphs and tables.

A `str` is this package's own words and stands as it is; `Data` and `Code` are made harmless when they are written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from waymark.reporting.escaping import NAME

MOST = 100  # rows of a table: what a person looks through


@dataclass(frozen=True)
class Data:
    """Text from a data set, a file or a person."""

    value: object
    most: int = NAME  # characters that are shown
    is_code: bool = False  # set as code even where it is plain words


@dataclass(frozen=True)
class Code:
    """A command or a file name of this package's own."""

    text: str


@dataclass(frozen=True)
class Strong:
    """A verdict, of this package's own words."""

    text: str


Part = str | Data | Code | Strong
Text = Part | tuple[Part, ...]


@dataclass(frozen=True)
class Paragraph:
    text: Text
    is_warning: bool = False


@dataclass(frozen=True)
class Row:
    cells: tuple[Text, ...]
    picture: int | None = None  # its row in the new test's prepared array, where the row is an image of it


@dataclass(frozen=True)
class Table:
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    numbers: tuple[int, ...] = ()  # columns that are set to the right
    what: str = "row"  # for "and 7 more images": one of them
    more: int = 0  # rows beyond MOST, which are left out of every kind of page


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Paragraph | Table, ...]
    folded: bool = False  # in Markdown: its title is seen, the rest where a reader asks for it


@dataclass(frozen=True)
class Document:
    verdict: str  # "better", "worse", "no real difference" or "no verdict"
    headline: Text  # a sentence that begins with it
    blocks: tuple[Paragraph | Table, ...]  # between the headline and the first section
    sections: tuple[Section, ...]


def literal(value: object, most: int = NAME) -> Data:
    """A path, a key, a value, a revision."""
    return Data(value, most, is_code=True)


def parts(text: Text) -> tuple[Part, ...]:
    return text if isinstance(text, tuple) else (text,)


def join(texts: Sequence[Text], between: str = ", ") -> Text:
    joined: tuple[Part, ...] = ()
    for text in texts:
        joined += ((between,) if joined else ()) + parts(text)
    return joined


def listed(texts: Sequence[Text], most: int = 12) -> Text:
    """The first of them, and how many more there are."""
    more = (f" and {len(texts) - most:,} more",) if len(texts) > most else ()
    return (*parts(join(texts[:most])), *more)
