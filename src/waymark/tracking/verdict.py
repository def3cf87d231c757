"""What is said of a candidate: how it does against the champion and the gates, in one paragraph and as tags."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from waymark.judging.comparison import Comparison, Paired
from waymark.judging.gates import Gate
from waymark.judging.latency import Latency
from waymark.tracking.registry import Version


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
    compared: tuple[Paired, Comparison] | None
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
            found.append(f"it was rolled back {self.rolled_back}")
        if self.obstacle:
            found.append("it could not be compared")
        if self.compared and self.compared[1].verdict != "better":
            found.append("it is not better beyond chance")
        return found

    @property
    def promotes(self) -> bool:
        return not self.failed and (not self.objections or bool(self.forced))

    def __str__(self) -> str:
        return " ".join([self._comparison(), self._gates(), self._done()])

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

    def _comparison(self) -> str:
        who = f"{self.model} {self.candidate} of run {self.run_name}"
        if self.champion is None:
            return f"{who}: there is no champion to compare it with."
        against = f"{who} against the champion, {self.champion}"
        if self.compared is None:
            return f"{against}: not compared, since {self.obstacle}."
        paired, found = self.compared
        return (
            f"{against}: accuracy {_percent(found.new_accuracy)} instead of {_percent(found.old_accuracy)}, "
            f"{_points(found.difference)} points (95 % interval {_interval(found.interval)}, with other seeds "
            f"{_interval(found.widened)}), on {found.images:,} test images in {found.groups:,} groups"
            f"{_others(paired)}; {found.newly_right:,} newly right, {found.newly_wrong:,} newly wrong, "
            f"McNemar p = {found.p_value:.2g}: {found.verdict}."
        )

    def _gates(self) -> str:
        passed = ", ".join(str(gate) for gate in self.gates if gate.passed)
        measured = f"latency: median of {self.latency.calls} single images, {_counted(self.threads, 'thread')}"
        if not self.failed:
            return f"All gates passed: {passed}; {measured}."
        failed = ", ".join(map(str, self.failed))
        return f"Gates failed: {failed}; {f'passed: {passed}; ' if passed else ''}{measured}."

    def _done(self) -> str:
        it = f"Version {self.candidate.number}"
        objections = " and ".join(self.objections)
        if self.promotes:
            if self.objections:
                return f'{it} is the champion now: {objections}, but --force says "{self.forced}".'
            return f"{it} is the champion now."
        stays = "The champion stays" if self.champion else "There is still no champion"
        if self.failed:
            return f"{stays}: no --force opens a gate; if one is wrong, change it in params.yaml, where it is reviewed."
        return f"{stays}: {objections}; --force REASON promotes version {self.candidate.number} all the same."


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.2f}"


def _interval(ends: tuple[float, float]) -> str:
    return f"{_points(ends[0])} to {_points(ends[1])}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _others(paired: Paired) -> str:
    """How much of the tests was not compared; nothing where they are the same."""
    if not (paired.only_old or paired.only_new or paired.relabelled):
        return ""
    return (
        f" that both tests hold ({paired.only_old:,} others are in the champion's alone, {paired.only_new:,} in the "
        f"candidate's alone, {paired.relabelled:,} under another label)"
    )
