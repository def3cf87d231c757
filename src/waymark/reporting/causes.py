"""The sections of a report on causes: which parameters, data, sources and stages differ."""

import numpy as np
import pandas as pd

from waymark.reporting.changes import Change, StageRun
from waymark.reporting.data_changes import ImageChanges
from waymark.reporting.document import Data, Paragraph, Part, Row, Section, Table, Text, join, listed, literal, parts
from waymark.reporting.findings import Findings
from waymark.wording import count

HASH = 12  # characters of a SHA-256 that are shown
EXAMPLES = 6  # images that are named of each kind of change
NAMED = 3  # files that no stage reads are named where they are no more


def parameters(findings: Findings) -> Section:
    rows = tuple(Row((literal(each.name), literal(each.old), literal(each.new))) for each in findings.parameters)
    if not rows:
        return Section("Parameters", (Paragraph("The same."),))
    return Section("Parameters", (Table(("Key", "Base", "Head"), rows, what="parameter"),))


def data(findings: Findings) -> Section:
    blocks: list[Paragraph | Table] = []
    if findings.old.dataset != findings.new.dataset:
        said: Text = ("Another data set: ", Data(findings.old.dataset), " → ", Data(findings.new.dataset), ".")
        return Section("Data", (Paragraph(said),))
    if findings.archives:
        rows = tuple(Row((literal(each.name), *_hashes(each))) for each in findings.archives)
        blocks.append(Table(("Archive", "Hash at the base", "Hash at the head"), rows, what="archive"))
    if findings.images is not None:
        blocks += _images(findings.images)
    blocks += _split(findings)
    return Section("Data", tuple(blocks or [Paragraph(_nothing(findings))]))


def _nothing(findings: Findings) -> str:
    old, new = (state.stages.get("validate", {}).get("outs") for state in (findings.old, findings.new))
    if not old or not new:
        return "Not known at both."
    return "The same." if old == new else "What differs cannot be told: a manifest is not at hand."


def _hashes(change: Change) -> tuple[Text, Text]:
    return tuple(literal(text[:HASH]) if text else "–" for text in (change.old, change.new))  # type: ignore[return-value]


def _images(changed: ImageChanges) -> list[Paragraph | Table]:
    said: list[Text] = [
        (f"{count(len(rows), 'image')} {what}", *_by_split(rows))
        for rows, what in (
            (changed.added, "added"),
            (changed.removed, "removed"),
            (changed.relabelled, "relabelled"),
            (changed.moved, "moved to another split"),
            (changed.redrawn, "replaced by another picture"),
        )
        if len(rows)
    ]
    if not said:
        return [Paragraph("The same images, under the same labels.")]
    blocks: list[Paragraph | Table] = [Paragraph((*parts(join(said, "; ")), "."))]
    for rows, column, heads in (
        (changed.relabelled, "class_name", ("Relabelled", "Base’s class", "Head’s class")),
        (changed.moved, "split", ("Moved", "Base’s split", "Head’s split")),
    ):
        if len(rows):
            blocks.append(_examples(rows, heads, ("new_member", f"old_{column}", f"new_{column}")))
    for rows, head, which in (
        (changed.added, "Added", ""),
        (changed.removed, "Removed", ""),
        (changed.redrawn, "Replaced", "new_"),
    ):
        if len(rows):
            columns = (f"{which}member", f"{which}class_name", f"{which}split")
            blocks.append(_examples(rows, (head, "Class", "Split"), columns))
    return blocks


def _examples(rows: pd.DataFrame, heads: tuple[str, ...], columns: tuple[str, ...]) -> Table:
    """A few of the rows, evenly spaced: in their order stand those of one class together."""
    chosen = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, EXAMPLES).round().astype(int))]
    told = tuple(
        Row((literal(member), Data(old), Data(new)))
        for member, old, new in chosen[list(columns)].itertuples(index=False)
    )
    return Table(heads, told, what="image", more=len(rows) - len(told))


def _by_split(rows: pd.DataFrame) -> tuple[Part, ...]:
    if "split" not in rows.columns:
        return ()
    counts = rows["split"].value_counts(sort=False)
    each: list[Text] = [(f"{number:,} in ", Data(split)) for split, number in counts.items()]
    return (" (", *parts(listed(each)), ")")


def _split(findings: Findings) -> list[Paragraph | Table]:
    """Images a split, where images changed sides; a split is drawn anew by another seed, too."""
    old, new = findings.old.split or {}, findings.new.split or {}
    if not old or not new or old.get("split_sha256") == new.get("split_sha256"):
        return []
    before, after = (each.get(str(each.get("split")), {}).get("images", {}) for each in (old, new))
    rows = tuple(
        Row((Data(name), *(f"{each[name]:,}" if name in each else "–" for each in (before, after))))
        for name in dict.fromkeys([*after, *before])
        if before.get(name) or after.get(name)
    )
    return [
        Paragraph("The images are divided otherwise into train, val and test."),
        Table(("Images", "Base", "Head"), rows, numbers=(1, 2)),
    ]


def sources(findings: Findings) -> Section:
    others = [Paragraph(_others(findings.other_files))] if findings.other_files else []
    if not findings.sources:
        return Section("Code", (Paragraph("What the stages read is the same."), *others))
    rows = tuple(
        Row((literal(each.path, 100), _lines(each.added, "+"), _lines(each.removed, "−"), _ran_with(each.stages)))
        for each in findings.sources
    )
    table = Table(("Source", "Lines added", "Lines removed", "Stages that ran with it"), rows, (1, 2), what="file")
    return Section("Code", (table, *others))


def _others(files: tuple[str, ...]) -> Text:
    said = f"{count(len(files), 'other file')} changed that no stage reads"
    if len(files) > NAMED:
        return f"{said}."
    return (f"{said}: ", *parts(join([literal(path, 100) for path in files])), ".")


def _lines(number: int | None, sign: str) -> str:
    return "" if number is None else f"{sign}{number:,}" if number else "0"


def _ran_with(stages: tuple[str, ...]) -> Text:
    return listed([Data(name) for name in stages]) if stages else "none yet"


def stages(findings: Findings) -> Section:
    changed = {run.name for run in findings.stages}
    same = [name for name in findings.new.stages if name not in changed]
    rows = tuple(Row((Data(run.name), _why(run), _paths(run.outputs) or "–")) for run in findings.stages)
    blocks: list[Paragraph | Table] = []
    if rows:
        blocks.append(Table(("Stage", "Ran because of", "Outputs that differ"), rows, what="stage"))
    if same:
        blocks.append(Paragraph(("As before: ", *parts(listed([Data(name) for name in same])), ".")))
    return Section("Stages that ran", tuple(blocks or [Paragraph("None.")]), folded=bool(rows))


def _why(run: StageRun) -> Text:
    if run.only_in:
        return "new: the base has no run of it" if run.only_in == "new" else "the head has no run of it"
    reasons: list[Text] = []
    if run.command:
        reasons.append("its command")
    for kind, names in (("parameters", run.params), ("sources", run.sources), ("data", run.data)):
        if names:
            reasons.append((f"{kind} ", *parts(_paths(names))))
    return join(reasons, "; ") if reasons else "nothing that DVC knows of: the same input gave another output"


def _paths(names: tuple[str, ...]) -> Text:
    return listed([literal(name, 100) for name in names], most=4)
