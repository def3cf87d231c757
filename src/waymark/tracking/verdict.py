"""What is said of a candidate: how it does against the champion and the gates, in one paragraph and as tags."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from waymark.judging.gates import Gate
from waymark.judging.latency import Latency
from waymark.tracking.registry import Version
from waymark.wording import count, per_cent, points, probability

if TYPE_CHECKING:  # importing it takes two seconds
    from waymark.judging.comparison import Comparison, Paired
    from waymark.judging.resampling import Interval


@dataclass(frozen=True)
class Verdict:
    """All that decides; `promotes` says how."""

    model: str  # the registered model's name
    candidate: Version
    run_name: str
    champion: Version | None
    gates: Sequence[Gate]
    latency: Latency
    threads: int
    compared: "tuple[Paired, Comparison] | None"
    obstacle: str = ""  # why there is no comparison with a champion
    rolled_back: str = ""  # when the candidate was taken back before, and by whom
    forced: str = ""  # the reason

    @property
    def failed(self) -> list[Gate]:
        return [gate for gate in self.gates if not gate.passed]

    @property
    def objections(self) -> list[str]:
        """What a reason may overrule."""
        found = []
        if self.rolled_back:
            found.append(f"was rolled back {self.rolled_back}")
        if self.obstacle:
            found.append("could not be compared")
        if self.compared and (verdict := self.compared[1].verdict) != "better":
            found.append(f"is {'worse' if verdict == 'worse' else 'not better'} beyond chance")
        return found

    @property
    def promotes(self) -> bool:
        return not self.failed and (not self.objections or bool(self.forced))

    def __str__(self) -> str:
        """What came of it stands first: all else is why."""
        return " ".join(filter(None, [self._outcome(), self._comparison(), self._failed(), self._passed()]))

    def tags(self) -> dict[str, str]:
        """The same for machines."""
        comparison = asdict(self.compared[1]) if self.compared else None
        return {
            "waymark.verdict": str(self),
            "waymark.compared_with": str(self.champion.number) if self.champion else "",
            "waymark.comparison": json.dumps(comparison),
            "waymark.gates": json.dumps({gate.key: {"value": gate.value, "limit": gate.limit} for gate in self.gates}),
            "waymark.gates_failed": " ".join(gate.key for gate in self.failed),
            "waymark.forced": self.forced if self.promotes and self.objections else "",
        }

    def _outcome(self) -> str:
        who = f"{self.candidate} of run {self.run_name}"
        if self.promotes:
            place = f"in place of {self.champion}" if self.champion else "the first"
            forced = f': it {_and(self.objections)}, but --force says "{self.forced}"' if self.objections else ""
            return f"{self.model}: {who} is the champion now, {place}{forced}."
        stays = f"the champion stays {self.champion}" if self.champion else "there is still no champion"
        against = [f"fails {count(len(self.failed), 'gate')}"] if self.failed else []
        refused = f"{self.model}: {stays}: {who} {_and(against + self.objections)}"
        return f"{refused}." if self.failed else f"{refused}; --force REASON promotes it all the same."

    def _comparison(self) -> str:
        if self.compared is None:
            return f"Not compared: {self.obstacle}." if self.obstacle else ""
        paired, found = self.compared
        return (
            f"Accuracy {per_cent(found.new_accuracy)} instead of {per_cent(found.old_accuracy)}: "
            f"{points(found.difference)} points (95 % interval {_interval(found.interval)}, with other seeds "
            f"{_interval(found.widened)}) on {found.images:,} test images in {found.groups:,} groups{_others(paired)}; "
            f"{found.newly_right:,} newly right, {found.newly_wrong:,} newly wrong, "
            f"McNemar {probability(found.p_value)}: {found.verdict}."
        )

    def _failed(self) -> str:
        if not self.failed:
            return ""
        return (
            f"Failed: {', '.join(map(str, self.failed))}; no --force opens a gate: if one is wrong, change it in "
            "params.yaml, where it is reviewed."
        )

    def _passed(self) -> str:
        passed = ", ".join(map(_short, (gate for gate in self.gates if gate.passed)))
        how = f"latency: median of {self.latency.calls} single images, {count(self.threads, 'thread')}"
        return f"Passed: {passed or 'no gate'} ({how})."


def _short(gate: Gate) -> str:
    return f"{gate.measure} {gate.value:.4g} {'≥' if gate.at_least else '≤'} {gate.limit:g}{gate.unit}"


def _and(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _interval(ends: "Interval") -> str:
    return f"{points(ends[0])} to {points(ends[1])}"


def _others(paired: "Paired") -> str:
    """How much of the tests was not compared; nothing where they are the same."""
    if not (paired.only_old or paired.only_new or paired.relabelled):
        return ""
    return (
        f" that both tests hold ({paired.only_old:,} others are in the champion's alone, {paired.only_new:,} in the "
        f"candidate's alone, {paired.relabelled:,} under another label)"
    )
