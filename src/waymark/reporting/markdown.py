"""A report as GitHub's Markdown, in fewer characters than a comment there may have."""

from waymark.reporting import escaping
from waymark.reporting.document import Code, Data, Document, Paragraph, Section, Strong, Table, Text, parts
from waymark.wording import count

LONGEST = 64_000  # bytes; GitHub takes 65,536 characters, and who posts it adds a line to find the comment by
ROWS = (20, 10, 5, 2, 1, 0)  # of a table
PAGE = "More, with pictures: `report.html`, beside this file or in the workflow’s artefact."


def verdict(document: Document) -> str:
    """The report in one line, which is also its first."""
    return f"{document.verdict.capitalize()}: {inline(document.headline)}"


def render(document: Document) -> str:
    """The report with as many rows of each table as there is room for."""
    for rows in ROWS:
        if len((text := _render(document, rows)).encode()) <= LONGEST:
            return text
    return f"{_headline(document)}\n\n{PAGE}\n"


def inline(text: Text) -> str:
    written = []
    for part in parts(text):
        match part:
            case Data(value, most, is_code):
                written.append(escaping.markdown(value, most, is_code=is_code))
            case Code(code):
                written.append(f"`{code}`")
            case Strong(words):
                written.append(f"**{words}**")
            case _:
                written.append(part)
    return "".join(written)


def _render(document: Document, rows: int) -> str:
    lines = [_headline(document), ""]
    for block in document.blocks:
        lines += _block(block, rows)
    for section in document.sections:
        lines += _section(section, rows)
    return "\n".join([*lines, PAGE]) + "\n"


def _headline(document: Document) -> str:
    return f"**{document.verdict.capitalize()}**: {inline(document.headline)}"


def _section(section: Section, rows: int) -> list[str]:
    lines = [line for block in section.blocks for line in _block(block, rows)]
    if section.folded:
        return [f"<details><summary><b>{section.title}</b></summary>", "", *lines, "</details>", ""]
    return [f"### {section.title}", "", *lines]


def _block(block: Paragraph | Table, rows: int) -> list[str]:
    if isinstance(block, Paragraph):
        return [f"> ⚠️ {inline(block.text)}" if block.is_warning else inline(block.text), ""]
    marks = ("---:" if column in block.numbers else "---" for column in range(len(block.heads)))
    lines = [_line(list(block.heads)), "|" + "|".join(marks) + "|"]
    lines += [_line([inline(cell) for cell in row.cells]) for row in block.rows[:rows]]
    more = block.more + max(len(block.rows) - rows, 0)
    return [*lines, "", *([f"… and {count(more, f'more {block.what}')}", ""] if more else [])]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
