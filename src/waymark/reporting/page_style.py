"""The look of a report: the data page's colours and lettering, and what only a report has."""

from waymark.judging import data_page_style

STYLE = (
    data_page_style.STYLE
    + """
:root { --good: #00705a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --good: #4fd1a5; --bad: #ff9a8d; } }
.verdict { font-size: 1.75rem; font-weight: 650; letter-spacing: -.01em; margin: 0; }
.better { color: var(--good); } .worse, .failed { color: var(--bad); }
.headline { font-size: 1.125rem; margin: .25rem 0 1rem; }
p code, td code { display: inline; font-size: .85em; color: inherit; font-weight: 400; }
th, td, th:first-child { text-align: left; }
td:first-child { font-weight: 600; min-width: 9rem; overflow-wrap: anywhere; }
th.number, td.number { text-align: right; } td.number { white-space: nowrap; }
.more { color: var(--quiet); font-size: .875rem; }
.cards { grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: .75rem; padding: 0; list-style: none; }
.cards li { border: 1px solid var(--line); border-radius: 8px; padding: .75rem; }
.cards img { width: 96px; image-rendering: pixelated; }
.cards p { margin: .5rem 0; font-size: .75rem; color: var(--quiet); overflow-wrap: anywhere; }
dl { margin: 0; font-size: .875rem; display: grid; gap: .35rem; }
dt { color: var(--quiet); font-size: .75rem; } dd { margin: 0; overflow-wrap: anywhere; }
"""
)
