"""The sections of a report on results: figures, classes and images that moved, size, latency and gates."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from waymark.judging.comparison import Comparison
from waymark.judging.differences import LESS_IS_BETTER, Difference
from waymark.reporting.document import MOST, Code, Data, Paragraph, Row, Section, Strong, Table, literal
from waymark.reporting.findings import Findings, Judgement
from waymark.reporting.snapshot import Snapshot
from waymark.wording import count, per_cent, points, signed

NOT_FIGURES = ("images", "split_sha256")


def has(figures: Mapping[str, Any], name: str) -> bool:
    """Whether a report in JSON has a number of this name."""
    return type(figures.get(name)) in (int, float)


def metrics(findings: Findings) -> Section | None:
    if findings.judgement is not None:
        judged = findings.judgement
        table = Table(
            ("Metric (↓ less is better)", "Base", "Head", "Difference", "95 % interval", "Verdict"),
            tuple(_judged(each) for each in judged.differences),
            numbers=(1, 2, 3, 4),
        )
        return Section("Metrics", (table, *_parts(findings), Paragraph(_basis(judged))))
    figures = [state.metrics or {} for state in (findings.old, findings.new)]
    names = [name for name in dict.fromkeys([*figures[1], *figures[0]]) if any(has(each, name) for each in figures)]
    rows = (Row((name.replace("_", " "), *_plain(figures, name))) for name in names if name not in NOT_FIGURES)
    table = Table(("Metric", "Base", "Head", "Difference"), tuple(rows), numbers=(1, 2, 3))
    return Section("Metrics", (table, *_parts(findings))) if table.rows else None


def _judged(each: Difference) -> Row:
    interval = f"{signed(each.low, 4)} to {signed(each.high, 4)}"
    values = (f"{each.old:.4f}", f"{each.new:.4f}", signed(each.difference, 4))
    verdict = each.verdict if each.verdict == "no real difference" else Strong(each.verdict)
    return Row((each.name.replace("_", " ") + " ↓" * (each.name in LESS_IS_BETTER), *values, interval, verdict))


def _plain(figures: list[Mapping[str, Any]], name: str) -> tuple[str, str, str]:
    old, new = (each[name] if has(each, name) else None for each in figures)
    values = ["" if value is None else f"{value:.4f}" for value in (old, new)]
    return values[0], values[1], "" if old is None or new is None else signed(new - old, 4)


def _parts(findings: Findings) -> tuple[Table, ...]:
    """The other parts of a test, such as another signer's hands, which no verdict counts."""
    olds, news = (
        {name: part for name, part in (state.metrics or {}).items() if isinstance(part, Mapping)}
        for state in (findings.old, findings.new)
    )
    own = next((part for part in (findings.new.metrics or {}).values() if isinstance(part, Mapping)), None)
    rows = []
    for name, part in news.items():
        if part is own:
            continue  # the data set's own test, whose figures stand above
        old, new, difference = _plain([olds.get(name, {}), part], "accuracy")
        rows.append(Row((Data(name), f"{part.get('images', 0):,}", old, new, difference)))
    heads = ("Also tested on", "Images", "Base’s accuracy", "Head’s accuracy", "Difference")
    return (Table(heads, tuple(rows), numbers=(1, 2, 3, 4)),) if rows else ()


def _basis(judged: Judgement) -> str:
    found, paired = judged.comparison, judged.paired
    apart = [
        count(number, "image") + where
        for number, where in (
            (paired.only_old, " only in the base’s test"),
            (paired.only_new, " only in the head’s test"),
            (paired.relabelled, " under another label"),
        )
        if number
    ]
    return (
        f"Judged on the {count(found.images, 'test image')} that both have, in {count(found.groups, 'group')}"
        + (f" (left out: {', '.join(apart)})" if apart else "")
        + ". Accuracy is called better or worse only where chance rarely makes such a difference: an exact McNemar p"
        " under 0.05, and a 95 % interval without 0 even when widened by what another seed changes, here"
        f" {_interval(found)} points."
    )


def _interval(found: Comparison) -> str:
    return " to ".join(points(end) for end in found.widened)


def classes(findings: Findings) -> Section | None:
    if (judged := findings.judgement) is None:
        return None
    moved = judged.movers[judged.movers["difference"].abs() > 1e-9]
    if moved.empty:
        return Section("Classes", (Paragraph("The recall of every class is as before."),))
    columns = ["label", "images", "old_recall", "new_recall", "difference"]
    rows = tuple(
        Row((Data(judged.class_names[label]), f"{images:,}", per_cent(old), per_cent(new), points(difference)))
        for label, images, old, new, difference in _rows(moved.head(MOST), columns)
    )
    heads = ("Class", "Images", "Base’s recall", "Head’s recall", "Difference, points")
    table = Table(heads, rows, numbers=(1, 2, 3, 4), what="class", more=len(moved) - len(rows))
    return Section(f"Classes that moved: {len(moved)} of {len(judged.movers)}", (table,), folded=True)


def images(findings: Findings) -> list[Section]:
    if (judged := findings.judgement) is None:
        return []
    sections = []
    for title, rows, model, taken in (
        ("Newly right", judged.paired.newly_right, "old", "Base took it for"),
        ("Newly wrong", judged.paired.newly_wrong, "new", "Head takes it for"),
    ):
        heads = ("Image", "Class", taken, "Head’s confidence")
        shown = _images(rows.head(MOST), model, judged.class_names)
        table = Table(heads, shown, numbers=(3,), what="image", more=len(rows) - len(shown))
        sections.append(Section(f"{title}: {count(len(rows), 'image')}", (table,) if table.rows else (), folded=True))
    return [section for section in sections if section.blocks]


def _images(rows: pd.DataFrame, model: str, names: tuple[str, ...]) -> tuple[Row, ...]:
    columns = ["member", "label", f"{model}_predicted", "new_confidence", "new_row"]
    return tuple(
        Row((literal(member), Data(names[label]), Data(names[predicted]), f"{confidence:.3f}"), picture=row)
        for member, label, predicted, confidence, row in _rows(rows, columns)
    )


def _rows(table: pd.DataFrame, columns: list[str]) -> Iterable[tuple[Any, ...]]:
    return zip(*(table[column].tolist() for column in columns), strict=True)


def size(findings: Findings) -> Section | None:
    old, new = findings.old, findings.new
    rows = []
    if old.onnx_bytes or new.onnx_bytes:
        sizes = ["" if state.onnx_bytes is None else f"{state.onnx_bytes / 1e6:.2f} MB" for state in (old, new)]
        rows.append(Row(("ONNX file", *sizes, _ratio(old.onnx_bytes, new.onnx_bytes))))
    if findings.latency:
        before, after = (each.milliseconds for each in findings.latency)
        rows.append(Row(("Latency of one image", f"{before:.2f} ms", f"{after:.2f} ms", _ratio(before, after))))
    if not rows:
        return None
    return Section("Size and latency", (Table(("", "Base", "Head", "Change"), tuple(rows), (1, 2, 3)), _how(findings)))


def _ratio(old: float | None, new: float | None) -> str:
    if not old or not new:
        return ""
    return "the same" if old == new else f"{signed(100 * (new / old - 1), 1)} %"


def _how(findings: Findings) -> Paragraph:
    if findings.latency:
        calls = min(each.calls for each in findings.latency)
        return Paragraph(
            f"Latency: the median of {calls} calls of each in turns, on the machine that wrote this. A few per cent are"
            " noise."
        )
    if _same_model(findings.old, findings.new):
        return Paragraph("Both have the same ONNX file: the latency is the same.")
    return Paragraph("Latency was not measured: both ONNX files have to be at hand.")


def _same_model(old: Snapshot, new: Snapshot) -> bool:
    if old.contract is None or new.contract is None:
        return False
    return old.contract.onnx_sha256 == new.contract.onnx_sha256


def gates(findings: Findings) -> Section | None:
    if findings.new.metrics is None:
        return None
    if not findings.gates:
        return Section("Gates", (Paragraph(("Not checked: ", Code("params.yaml"), " of the head does not set them.")),))
    rows = tuple(
        Row(
            (
                Code(gate.key),
                gate.measure,
                f"{'at least' if gate.at_least else 'at most'} {gate.limit:g}{gate.unit}",
                f"{gate.value:g}{gate.unit}",
                "passed" if gate.passed else Strong("failed"),
            )
        )
        for gate in findings.gates
    )
    return Section("Gates", (Table(("Gate", "Measure", "Limit", "Value", ""), rows, numbers=(2, 3)),))
