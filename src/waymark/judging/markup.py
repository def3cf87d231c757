"""The phrases and elements that a page of HTML is put together from."""

import html
from collections.abc import Iterable
from typing import Any

import pandas as pd


def document(title: str, style: str, body: str) -> str:
    """A page that needs no other file and takes nothing from anywhere; title and body are markup already."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def section(anchor: str, title: str, body: str) -> str:
    return f'<section id="{anchor}"><h2>{title}</h2>{body}</section>'


def figure(title: str, body: str, caption: str) -> str:
    return f"<figure><h3>{title}</h3>{body}<figcaption>{caption}</figcaption></figure>"


def image(uri: str, description: str) -> str:
    return f'<img src="{uri}" alt="{text(description)}" title="{text(description)}" width="64" height="64">'


def text(value: Any) -> str:
    """Text from the data, harmless in markup; empty for what is missing."""
    return "" if value is None or pd.isna(value) else html.escape(" ".join(str(value).split()))


def lines(sentences: Iterable[str]) -> str:
    return "<br>".join(sentences)


def number(value: Any) -> str:
    return f"{int(value):,}"


def span(low: Any, high: Any) -> str:
    return number(low) if low == high else f"{number(low)}–{number(high)}"


def noun(count: int, one: str, several: str = "") -> str:
    return one if count == 1 else several or one + "s"
