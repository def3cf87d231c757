"""What differs between two states of the repository: parameters, sources and stages."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from waymark import paths
from waymark.git import FileChange
from waymark.reporting import snapshot
from waymark.reporting.escaping import setting
from waymark.reporting.snapshot import Snapshot


@dataclass(frozen=True)
class Change:
    """Of a parameter, or of an archive's hash; empty where a state does not have it."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class SourceChange:
    path: str
    added: int | None
    removed: int | None
    stages: tuple[str, ...]  # that ran with it; none where dvc.lock has no run since


@dataclass(frozen=True)
class StageRun:
    """A stage of which the two states have different runs, and why."""

    name: str
    only_in: str = ""  # "old" or "new", where the other state has no run of it
    command: bool = False
    params: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()  # that came out different


def parameters(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """In the order of the new params.yaml; keys that it no longer has, last."""
    keys = [*new, *(key for key in old if key not in new)]
    both = (Change(key, setting(old.get(key)), setting(new.get(key))) for key in keys)
    return [change for change in both if change.old != change.new]


def stages(old: Snapshot, new: Snapshot) -> list[StageRun]:
    found = [_stage(name, old, new) for name in dict.fromkeys([*new.stages, *old.stages])]
    return [run for run in found if run is not None]


def _stage(name: str, old: Snapshot, new: Snapshot) -> StageRun | None:
    before, after = old.stages.get(name), new.stages.get(name)
    if before is None or after is None:
        return StageRun(name, only_in="new" if before is None else "old")
    if before == after:
        return None
    written = snapshot.outputs(old.stages) | snapshot.outputs(new.stages)
    inputs = different(_hashes(before, "deps"), _hashes(after, "deps"))
    return StageRun(
        name,
        command=before.get("cmd") != after.get("cmd"),
        params=different(snapshot.parameters(before), snapshot.parameters(after)),
        sources=tuple(path for path in inputs if path not in written),
        data=tuple(path for path in inputs if path in written),
        outputs=different(_hashes(before, "outs"), _hashes(after, "outs")),
    )


def _hashes(stage: Mapping[str, Any], kind: str) -> dict[str, str]:
    return {each["path"]: each["md5"] for each in stage.get(kind, [])}


def different(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(key for key in dict.fromkeys([*new, *old]) if old.get(key) != new.get(key))


_OF_THE_GRAPH = ("dvc.lock", paths.PARAMS.as_posix())  # other sections tell what differs in them


def sources(old: Snapshot, new: Snapshot, files: Sequence[FileChange]) -> tuple[list[SourceChange], tuple[str, ...]]:
    """The changed `files` that stages read, with the stages that ran with the change; and those that none reads.

    What the graph itself writes is neither.
    A stage may declare a folder. Sources that only dvc.lock knows of, such as an uncommitted file, have no numbers.
    """
    before, after = snapshot.sources(old.stages), snapshot.sources(new.stages)
    declared = {path for of_stage in (*before.values(), *after.values()) for path in of_stage}
    ran: dict[str, list[str]] = {}
    for name in after:
        for path in different(before.get(name, {}), after[name]):
            ran.setdefault(path, []).append(name)
    written = {*snapshot.outputs(old.stages), *snapshot.outputs(new.stages), *_OF_THE_GRAPH}
    found, others, told = [], list[str](), set()
    for file in files:
        under = _holding(declared, file.path)
        if not under:
            if not _holding(written, file.path):
                others.append(file.path)
            continue
        told.update(under)
        names = {name for path in under for name in ran.get(path, ())}
        found.append(SourceChange(file.path, file.added, file.removed, tuple(name for name in after if name in names)))
    found += [SourceChange(path, None, None, tuple(names)) for path, names in ran.items() if path not in told]
    return sorted(found, key=lambda change: change.path), tuple(others)


def _holding(declared: Collection[str], path: str) -> list[str]:
    """Those of the `declared` files and folders that are the file, or hold it."""
    return [each for each in declared if path == each or path.startswith(each + "/")]
