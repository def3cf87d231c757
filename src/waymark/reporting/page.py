"""A report as a page that needs no other file, with pictures of the images that moved."""

import html
from collections.abc import Mapping

from waymark.judging.markup import document as html_document
from waymark.reporting import escaping
from waymark.reporting.document import Code, Data, Document, Paragraph, Row, Section, Strong, Table, Text, parts
from waymark.reporting.page_style import STYLE
from waymark.wording import count

SHOWN = 60  # pictures a table
Thumbnails = Mapping[int, str]  # data URI by row number of the head's test


def render(document: Document, thumbnails: Thumbnails) -> str:
    blocks = "\n".join(_block(block, thumbnails) for block in document.blocks)
    sections = "\n".join(_section(section, thumbnails) for section in document.sections)
    kind = document.verdict.replace(" ", "-")
    headline = inline(document.headline)
    body = f"""<header>
<p class="verdict {kind}">{document.verdict.capitalize()}</p>
<p class="headline">{headline[:1].upper()}{headline[1:]}</p>
{blocks}
</header>
<main>
{sections}
</main>"""
    return html_document(f"Report: {document.verdict.capitalize()}", STYLE, body)


def inline(text: Text) -> str:
    written = []
    for part in parts(text):
        match part:
            case Data(value, most, is_code):
                said = escaping.markup(value, most)
                written.append(f"<code>{said}</code>" if is_code and said else said)
            case Code(code):
                written.append(f"<code>{html.escape(code)}</code>")
            case Strong(words):
                written.append(f'<strong class="{words}">{words}</strong>')
            case _:
                written.append(html.escape(part))
    return "".join(written)


def _section(section: Section, thumbnails: Thumbnails) -> str:
    blocks = "\n".join(_block(block, thumbnails) for block in section.blocks)
    return f"<section>\n<h2>{html.escape(section.title)}</h2>\n{blocks}\n</section>"


def _block(block: Paragraph | Table, thumbnails: Thumbnails) -> str:
    if isinstance(block, Paragraph):
        start = '<p class="care">' if block.is_warning else "<p>"
        return f"{start}{inline(block.text)}</p>"
    shown = [row for row in block.rows[:SHOWN] if row.picture in thumbnails]
    if not shown:
        return _table(block)
    cards = "\n".join(_card(block.heads, row, thumbnails) for row in shown)
    return f'<ul class="cards">\n{cards}\n</ul>{_more(block, len(shown))}'


def _card(heads: tuple[str, ...], row: Row, thumbnails: Thumbnails) -> str:
    """An image, named by its first cell, with its other cells under it."""
    assert row.picture is not None
    told = "".join(
        f"<div><dt>{html.escape(head)}</dt><dd>{inline(cell)}</dd></div>"
        for head, cell in zip(heads[1:], row.cells[1:], strict=True)
    )
    return f'<li><img src="{thumbnails[row.picture]}" alt=""><p>{inline(row.cells[0])}</p><dl>{told}</dl></li>'


def _table(table: Table) -> str:
    side = [' class="number"' if column in table.numbers else "" for column in range(len(table.heads))]
    heads = "".join(
        f'<th scope="col"{kind}>{html.escape(head)}</th>' for kind, head in zip(side, table.heads, strict=True)
    )
    rows = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{inline(cell)}</td>" for kind, cell in zip(side, row.cells, strict=True)) + "</tr>"
        for row in table.rows
    )
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(table.heads[0])}">'
    return (
        f"{region}<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
        f"{_more(table, len(table.rows))}"
    )


def _more(table: Table, shown: int) -> str:
    more = table.more + len(table.rows) - shown
    return f'<p class="more">… and {html.escape(count(more, f"more {table.what}"))}</p>' if more else ""
