"""The first two sentences of a report: the verdict, and the same in numbers of images."""

from waymark.judging.comparison import SIGNIFICANCE, Comparison
from waymark.reporting.document import Code, Strong, Text, join, parts
from waymark.reporting.findings import Findings
from waymark.reporting.results import has
from waymark.wording import count, per_cent, points, probability


def headline(findings: Findings) -> Text:
    """The report in one line."""
    if findings.judgement is not None:
        found = findings.judgement.comparison
        low, high = found.interval
        return (
            f"accuracy {per_cent(found.old_accuracy)} → {per_cent(found.new_accuracy)}, {points(found.difference)}"
            f" points (95 % interval {points(low)} to {points(high)}, {probability(found.p_value)}){_why(found)}"
        )
    said: list[Text] = [f"accuracy {per_cent(value)} at the {which}" for which, value in _accuracies(findings).items()]
    if "head" in _accuracies(findings) and not findings.new.is_run:
        said[-1] = (*parts(said[-1]), " (the committed figure: nothing was run here; ", Code("make repro"), ")")
    return join([findings.no_verdict, *said], "; ")


def _why(found: Comparison) -> str:
    """What a verdict rests on that the interval or p alone seems to deny."""
    holds_0, widened_holds_0 = (low <= 0 <= high for low, high in (found.interval, found.widened))
    is_rare = found.p_value < SIGNIFICANCE
    if found.verdict != "no real difference" or (holds_0 and not is_rare):
        return ""
    reasons = [] if is_rare else [f"p is not below {SIGNIFICANCE}"]
    if holds_0:
        reasons.append("the interval holds 0")
    elif widened_holds_0:
        reasons.append("the interval widened by seed_std holds 0")
    return f": {', and '.join(reasons)}"


def tally(findings: Findings) -> Text:
    """The same in numbers of images, and whether the head may be used at all."""
    said: list[Text] = []
    if findings.judgement is not None:
        found = findings.judgement.comparison
        said.append(
            f"Of the {count(found.images, 'test image')} that both have, {found.newly_right:,} are newly right and"
            f" {found.newly_wrong:,} newly wrong."
        )
    if failed := [gate.measure for gate in findings.gates if not gate.passed]:
        said.append((f"{len(failed)} of {len(findings.gates)} gates ", Strong("failed"), f": {', '.join(failed)}."))
    elif findings.gates:
        said.append(f"All {len(findings.gates)} gates passed.")
    return join(said, " ")


def _accuracies(findings: Findings) -> dict[str, float]:
    states = {"base": findings.old, "head": findings.new}
    figures = {which: state.metrics or {} for which, state in states.items()}
    return {which: each["accuracy"] for which, each in figures.items() if has(each, "accuracy")}
