"""Text from data, such as names of classes and files, made harmless in a comment on GitHub and in a page.

GitHub makes links of `@name`, `#1`, `GH-1`, commit hashes and addresses after it has rendered the Markdown, so that a
backslash helps against none of them. It leaves alone what stands in code: so does all that is not plainly words.
"""

import html
import json
import re
import unicodedata
from typing import Any

NAME = 60  # characters of a name that are shown; its middle is left out beyond
_WORDS = re.compile(r"[^\W_]+([ (),./%'+-]+[^\W_]+)*[)%]?")
_LINKED = re.compile(r"[0-9a-f]{7}|-\d|www\.", re.IGNORECASE)  # a commit; a reference such as GH-1; an address
_JOINERS = "\u200c\u200d"  # that Persian and Indic words, and emoji, are spelled with
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def plain(value: Any, most: int = NAME) -> str:
    """`value` on one line of at most `most` characters, what cannot be seen in it replaced by �."""
    text = " ".join(str(value).split())
    text = "".join(character if _visible(character) else "\N{REPLACEMENT CHARACTER}" for character in text)
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def markdown(value: Any, most: int = NAME, *, is_code: bool = False) -> str:
    """`value` as text in a paragraph or in a cell of a table of GitHub's Markdown: plain words, or else code."""
    text = plain(value, most)
    if not text:
        return ""
    if not is_code and _WORDS.fullmatch(text) and not _LINKED.search(text):
        return _isolated(text)
    if not set(text) & set("`|\\"):
        return f"`{_isolated(text)}`"
    # Renderers differ in how these are escaped in code in a table; none takes an entity for what it stands for.
    return f"<code>{_isolated(''.join(_entity(character) for character in text))}</code>"


def markup(value: Any, most: int = NAME) -> str:
    """`value` as text, or as an attribute, in HTML."""
    return html.escape(_isolated(plain(value, most)))


def setting(value: Any) -> str:
    """A value of params.yaml as it would be written there; empty for one that is not there."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value or "''"
    return json.dumps(value, ensure_ascii=False, default=str)


def _visible(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")


def _isolated(text: str) -> str:
    """Words written from right to left must not turn round what stands beside them."""
    if any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in text):
        return _FIRST_STRONG_ISOLATE + text + _POP_ISOLATE
    return text


def _entity(character: str) -> str:
    return character if character.isalnum() or character == " " or ord(character) > 127 else f"&#{ord(character)};"
