"""Great Expectations' Data Docs as one page that opens offline and is the same bytes for the same verdict.

The sections are Great Expectations' own renderings. Its page around them is not used: it loads styles, scripts, fonts
and a logo from six hosts, and shows times and random identifiers.
"""

import copy
import html
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waymark.judging.expectations import Outcome, Verdict

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult

_TABLES = {"images": "Images, one row each", "classes": "Classes, one row each"}
_UUID = re.compile(r"-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNKEPT = re.compile(r'\s(?:data-[\w-]+|aria-[\w-]+|style|onclick)="[^"]*"')  # hooks of scripts that are not there

# The look of the few Bootstrap and Font Awesome classes that the sections use.
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #1a7f37; --bad: #cf222e; --care: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #f85149; --care: #d29922; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
h5 { font-size: 1rem; margin: 1.5rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
td, th { border-top: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; } td:first-child { white-space: nowrap; } td ul { margin: .3rem 0; padding-left: 1.2rem; }
td table { font-size: .85em; }
.badge { font: .9em ui-monospace, monospace; background: var(--soft); border-radius: 4px; padding: .1em .35em; }
.text-success, .holds { color: var(--good); } .text-danger, .error { color: var(--bad); }
.text-warning, .warning { color: var(--care); } .known { opacity: .8; font-size: .9em; }
.fas { font-style: normal; } .fa-check-circle::before { content: "✔"; }
.fa-times::before { content: "✘"; } .fa-exclamation-triangle::before { content: "⚠"; }
"""


def write(verdict: Verdict, dataset: str, folder: Path) -> None:
    """Write index.html into a new `folder`: our own summary first, then Great Expectations' sections by table."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        (partial / "index.html").write_text(page(verdict, dataset), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def page(verdict: Verdict, dataset: str) -> str:
    broken, warnings = len(verdict.broken), len(verdict.warnings)
    state = f'<span class="error">{broken} broken</span>' if broken else '<span class="holds">none broken</span>'
    worst_first = sorted(verdict.outcomes, key=lambda outcome: (outcome.success, not outcome.stops))
    rows = "\n".join(map(_summary_row, worst_first))
    sections = "\n".join(
        f"<h2>{_TABLES[table]}</h2>\n{_sections(result)}" for table, result in verdict.pages.items() if result.results
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(dataset)}: validation</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Validation of <em>{html.escape(dataset)}</em></h1>
<p>{len(verdict.outcomes)} expectations: <strong>{state}</strong>, {warnings} with a warning.</p>
<table class="summary">
<thead><tr><th>Status</th><th>What must hold</th><th>Rows against it</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{sections}
</body>
</html>
"""


def _summary_row(outcome: Outcome) -> str:
    kind = "holds" if outcome.success else outcome.expectation.severity
    mark = {"holds": "✔ holds", "warning": "⚠ warning", "error": "✘ broken"}[kind]
    offenders = "".join(f"<li>{html.escape(offender)}</li>" for offender in outcome.offenders)
    known = outcome.expectation
    groups = ", ".join(known.excepted_groups)
    reason = f"Except {groups}: {known.because}" if groups else known.because
    return (
        f'<tr><td class="{kind}">{mark}</td><td>{html.escape(known.guards)}'
        + (f'<div class="known">{html.escape(reason)}</div>' if reason else "")
        + (f"<ul>{offenders}</ul>" if offenders else "")
        + f"</td><td>{outcome.unexpected_count:,}</td></tr>"
    )


def _sections(result: "ExpectationSuiteValidationResult") -> str:
    """Great Expectations' section of each column, without what changes from run to run."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaSectionView

    escaped = copy.deepcopy(result)
    for one in escaped.results:
        one.result = _escaped(one.result)
    document = ValidationResultsPageRenderer().render(escaped).to_json_dict()
    view: Any = DefaultJinjaSectionView()  # its methods have no types
    return "\n".join(
        _steady(view.render({"section": section, "section_loop": {"index": number}}))
        for number, section in enumerate(_without_overview(document), start=1)
    )


def _escaped(value: Any) -> Any:
    """Great Expectations puts values into its markup as they are, and member names come from outside."""
    match value:
        case str():
            return html.escape(value)
        case dict():
            return {key: _escaped(item) for key, item in value.items()}
        case list() | tuple():
            return [_escaped(item) for item in value]
    return value


def _without_overview(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The overview holds run times and batch identifiers; the summary above says what else it does."""
    return (section for section in document["sections"] if section.get("section_name") != "Overview")


def _steady(fragment: str) -> str:
    lines = _UNKEPT.sub("", _UUID.sub("", fragment)).splitlines()
    return "\n".join(stripped for line in lines if (stripped := line.strip()))
