"""What there is to say of two states of the repository: figures and differences, not yet in words."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from pydantic import ValidationError

from waymark.errors import WaymarkError
from waymark.git import FileChange
from waymark.judging import gates
from waymark.judging.comparison import Comparison, Paired, compare, movers, pair, renumbered
from waymark.judging.differences import Difference, differences
from waymark.judging.gates import Gate
from waymark.judging.latency import Latency
from waymark.params import Params
from waymark.reporting import changes, data_changes
from waymark.reporting.changes import Change, SourceChange, StageRun
from waymark.reporting.data_changes import ImageChanges
from waymark.reporting.snapshot import Snapshot


@dataclass(frozen=True)
class Judgement:
    """Two models' answers to the same images, and what follows from them."""

    comparison: Comparison
    differences: list[Difference]
    movers: pd.DataFrame
    paired: Paired
    class_names: tuple[str, ...]  # by the numbers that `paired` has


@dataclass(frozen=True)
class Findings:
    old: Snapshot
    new: Snapshot
    judgement: Judgement | None
    no_verdict: str  # why there is none
    parameters: list[Change]
    sources: list[SourceChange]
    other_files: tuple[str, ...]  # that changed, and that no stage reads or writes
    stages: list[StageRun]
    archives: list[Change]
    images: ImageChanges | None  # None where the manifests are the same, or one is not known
    gates: list[Gate]
    latency: tuple[Latency, Latency] | None
    missing_commits: int  # that the old state has and the new one does not build on


def examine(
    old: Snapshot,
    new: Snapshot,
    files: Sequence[FileChange] = (),
    latency: tuple[Latency, Latency] | None = None,
    missing_commits: int = 0,
) -> Findings:
    judgement, no_verdict = None, _obstacle(old, new)
    if not no_verdict:
        try:
            judgement = _judge(old, new)
        except WaymarkError as error:
            no_verdict = str(error)
    sources, other_files = changes.sources(old, new, files)
    images = None
    if old.manifest is not None and new.manifest is not None and old.dataset == new.dataset:
        images = data_changes.images(old.manifest, new.manifest)
    return Findings(
        old=old,
        new=new,
        judgement=judgement,
        no_verdict=no_verdict,
        parameters=changes.parameters(old.params, new.params),
        sources=sources,
        other_files=other_files,
        stages=changes.stages(old, new),
        archives=data_changes.archives(old, new),
        images=images,
        gates=_gates(new, latency[1].milliseconds if latency else None),
        latency=latency,
        missing_commits=missing_commits,
    )


def _obstacle(old: Snapshot, new: Snapshot) -> str:
    """Why the two cannot be compared image by image, or nothing."""
    if new.metrics is None:
        return "nothing was evaluated at the head"
    if old.metrics is None:
        return "nothing was evaluated at the base"
    if old.dataset != new.dataset:
        return "the two were tested on different data sets"
    lacking = {
        f"the {which}’s": state.absence
        for which, state in (("base", old), ("head", new))
        if state.predictions is None or state.contract is None
    }
    if lacking:
        absences = dict.fromkeys(lacking.values())
        return "; ".join(
            " and ".join(which for which, each in lacking.items() if each == absence) + f" {absence}"
            for absence in absences
        )
    seed_std = new.params.get("seed_std", 0.0)
    if not isinstance(seed_std, int | float) or not seed_std >= 0:
        return "seed_std in the head’s params.yaml is no number from 0 up"
    return ""


def _judge(old: Snapshot, new: Snapshot) -> Judgement | None:
    if old.predictions is None or new.predictions is None or old.contract is None or new.contract is None:
        return None  # as _obstacle says
    before, after = old.contract.class_names, new.contract.class_names
    names = (*after, *(name for name in before if name not in after))
    paired = pair(renumbered(old.predictions, before, after), new.predictions)
    comparison = compare(paired, new.params.get("seed_std", 0.0))
    return Judgement(
        comparison=comparison,
        differences=differences(paired, comparison, old.contract.threshold, new.contract.threshold),
        movers=movers(paired, len(names)),
        paired=paired,
        class_names=names,
    )


def _gates(state: Snapshot, latency_ms: float | None) -> list[Gate]:
    """Empty where the state has no figures, or its params.yaml is for another version of Waymark."""
    if state.metrics is None or state.onnx_bytes is None:
        return []
    try:
        return gates.check(Params.model_validate(dict(state.params)), state.metrics, state.onnx_bytes, latency_ms)
    except (ValidationError, WaymarkError):
        return []
