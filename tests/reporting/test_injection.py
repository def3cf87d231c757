"""No text from data, from a file or from a person becomes markup, a link, a mention or a picture."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from waymark.git import FileChange
from waymark.reporting import escaping, markdown, page
from waymark.reporting.composing import compose
from waymark.reporting.document import Document
from waymark.reporting.findings import examine
from waymark.reporting.snapshot import Snapshot

Build = Callable[..., Snapshot]

TABLE_TAGS = {"table", "thead", "tbody", "tr", "th", "td"}
MARKDOWN_TAGS = TABLE_TAGS | {"p", "strong", "code", "h3", "details", "summary", "b", "blockquote"}
PAGE_TAGS = TABLE_TAGS | {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "h2", "p", "div"),
    *("strong", "code", "ul", "li", "img", "dl", "dt", "dd"),
}
PAGE_ATTRIBUTES = {
    *("lang", "charset", "name", "content", "http-equiv", "class", "scope", "tabindex", "role", "aria-label"),
    *("src", "alt"),
}
# What GitHub makes links, mentions and pictures of after it has rendered the Markdown, outside code.
LINKED = re.compile(
    r"(?<![A-Za-z0-9])@[A-Za-z0-9]|#\d|\bGH-\d|://|\bwww\.|:\w+:|[\w.]@[\w]|\b[A-Z]+-\d|\b[0-9a-f]{7,40}\b",
    re.IGNORECASE,
)
HOSTILE = [
    "| a | b |",
    "a\\|b",
    "`code`",
    "```\nfence",
    "<script>alert(1)</script>",
    "</td></table></details><img src=x onerror=alert(1)>",
    "@everyone",
    "fixes #123",
    "octo/repo#1",
    "GH-12",
    "see 0123456789abcdef0123456789abcdef01234567",
    "https://example.com/",
    "www.example.com",
    "[link](https://example.com)",
    "![picture](https://example.com/a.png)",
    "[reference]: https://example.com",
    "<!-- comment -->",
    "--> after",
    "# Heading\n\n- list",
    "---",
    "1. one",
    "**bold** _it_ ~~no~~",
    "$`x`$ $y$",
    ":rocket:",
    "&lt;b&gt; &#96;",
    "a\u202eb\u2066c\u0000d\ue000",
    "me@example.com",
    "\ud800",
    "\\",
    "`",
    "",
    " ",
    "x" * 5_000,
    "<" * 5_000,
    "إشارة توقف",
]
text = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(), max_size=40),
    st.lists(st.sampled_from([*"`|\\<>&[]()!*_~#@:$-=+.\n\r\t ab1"]), max_size=30).map("".join),
)


class Rendered(HTMLParser):
    """The elements of a page, and its text inside code and outside."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.comments: list[str] = []
        self.cells: list[str] = []
        self.words = ""  # outside code
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attributes:
            self.attributes.setdefault(name, set()).add(value or "")
        self._open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        if "td" in self._open:
            self.cells[-1] += data
        if not {"code", "style"} & set(self._open):
            self.words += data


def as_github(written: str) -> Rendered:
    return Rendered(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(written))


@given(text, text)
@settings(max_examples=300, deadline=None)
def test_text_in_a_table_is_one_cell_that_says_it(one: str, other: str) -> None:
    cells = " | ".join(escaping.markdown(each) for each in (one, other))
    rendered = as_github(f"| a | b | c |\n|---|---|---|\n| {cells} | end |\n")
    assert rendered.cells == [shown(one), shown(other), "end"]
    assert rendered.tags <= TABLE_TAGS | {"code"}
    assert not LINKED.search(rendered.words)


@given(text, text)
@settings(max_examples=200, deadline=None)
def test_text_in_a_paragraph_says_itself(one: str, other: str) -> None:
    rendered = as_github(f"Base: {escaping.markdown(one)}, {escaping.markdown(other, is_code=True)}.\n")
    assert rendered.words.startswith("Base: ")
    assert rendered.tags <= {"p", "code"}
    assert not LINKED.search(rendered.words)


@given(text)
def test_text_in_a_page_says_itself(one: str) -> None:
    said = escaping.markup(one)
    rendered = Rendered(f'<p>{said}</p><img alt="{said}">')
    assert rendered.tags == {"p", "img"}
    assert rendered.words == shown(one)
    assert rendered.attributes == {"alt": {shown(one)}}


def shown(value: str) -> str:
    text = escaping.plain(value)
    return escaping._isolated(text)


@given(data=st.data())
@settings(max_examples=20, deadline=None, phases=(Phase.generate,))  # to shrink 40 texts takes minutes
def test_report_on_hostile_text_has_its_own_elements_only(data: st.DataObject, build: Build) -> None:
    check(compose(examine(*hostile(data.draw, build))))


@pytest.mark.parametrize("name", HOSTILE)
def test_report_on_a_hostile_name_has_its_own_elements_only(name: str, build: Build) -> None:
    old, new = (
        build(
            f"rev {name}",
            wrong,
            class_names=(name, "b", "c", "d"),
            members=[name] * 5,
            params={"lr": name, name: wrong},
            stages={name: {"cmd": str(wrong), "deps": [{"path": name, "md5": str(wrong)}]}},
        )
        for wrong in ([0, 1], [1, 2])
    )
    check(compose(examine(old, new, [FileChange(name, 1, 1)])))


def check(document: Document) -> None:
    rendered = as_github(markdown.render(document))
    assert rendered.tags <= MARKDOWN_TAGS
    assert rendered.attributes.keys() <= {"style"}  # the renderer's own: how a table's numbers stand
    assert rendered.comments == []
    assert not LINKED.search(rendered.words)
    shown = Rendered(page.render(document, {0: "data:image/jpeg;base64,", 1: "data:image/jpeg;base64,"}))
    assert shown.tags <= PAGE_TAGS
    assert shown.attributes.keys() <= PAGE_ATTRIBUTES
    assert shown.attributes.get("src", set()) <= {"data:image/jpeg;base64,"}


def hostile(draw: Callable[..., Any], build: Build) -> tuple[Snapshot, Snapshot, list[FileChange]]:
    """Two states in which every text that comes from a data set, a file or a person is drawn."""
    states = []
    for wrong in ((0, 7, 8), (1, 7, 9)):
        manifest = pd.DataFrame(
            {column: draw(st.lists(text, min_size=2, max_size=2)) for column in ("archive", "member", "class_name")}
        ).assign(split=draw(text), bytes_sha256=None, pixels_sha256=["a", draw(text)])
        states.append(
            build(
                draw(text),
                wrong,
                class_names=draw(st.lists(text, min_size=4, max_size=4, unique=True)),
                members=draw(st.lists(text, min_size=2, max_size=2)),
                params={"dataset": "folder", draw(text): draw(text)},
                stages={draw(text): {"cmd": draw(text), "deps": [{"path": draw(text), "md5": draw(text)}], "outs": []}},
                archives={draw(text): {"sha256": draw(text)}},
                manifest=manifest,
                split={"split": "grouped", "split_sha256": draw(text), "grouped": {"images": {draw(text): 1}}},
                metrics={"accuracy": 0.5, draw(text): {"images": 3, "accuracy": 1.0}, "b": {"accuracy": 1.0}},
            )
        )
    return states[0], states[1], [FileChange(draw(text), 1, None)]
