"""Putting a report together: what a reviewer wants to know, in that order."""

from collections.abc import Sequence

from waymark.reporting import causes, headline, results
from waymark.reporting.document import Code, Data, Document, Paragraph, Section, Text, literal
from waymark.reporting.findings import Findings
from waymark.reporting.snapshot import Snapshot
from waymark.wording import count


def compose(findings: Findings, notes: Sequence[Text] = ()) -> Document:
    """`notes` are sentences on the two revisions that stand at the top."""
    sections: list[Section | None] = [
        results.metrics(findings),
        causes.parameters(findings),
        causes.data(findings),
        causes.sources(findings),
        *results.images(findings),
        results.classes(findings),
        results.size(findings),
        results.gates(findings),
        causes.stages(findings),
    ]
    judged, tally = findings.judgement, headline.tally(findings)
    return Document(
        verdict=judged.comparison.verdict if judged else "no verdict",
        headline=headline.headline(findings),
        blocks=(
            *([Paragraph(tally)] if tally else []),
            *(Paragraph(note, is_warning=True) for note in _notes(findings, notes)),
            Paragraph(_who(findings)),
        ),
        sections=tuple(section for section in sections if section is not None),
    )


def _who(findings: Findings) -> Text:
    return ("Base: ", *_title(findings.old), ". Head: ", *_title(findings.new), ".")


def _title(state: Snapshot) -> tuple[Data | str, ...]:
    return (literal(state.name), f" ({state.commit[:7]})") if state.commit else (Data(state.name),)


def _notes(findings: Findings, more: Sequence[Text]) -> list[Text]:
    notes: list[Text] = []
    if findings.old.dataset != findings.new.dataset and findings.old.dataset and findings.new.dataset:
        old, new = findings.old.dataset, findings.new.dataset
        notes.append(("Another data set: the base has ", Data(old), ", the head ", Data(new), "."))
    notes += more
    if findings.missing_commits:
        notes.append(
            (
                f"The base has {count(findings.missing_commits, 'commit')} that the head does not build on: what they"
                " changed stands here the wrong way round. Merge the base first, or take as base the commit that ",
                Code("git merge-base"),
                " names.",
            )
        )
    return notes
