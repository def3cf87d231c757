"""Results that git knows: the workspace's, those of the branch's last commits, and DVC's experiments."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from waymark import git, paths
from waymark.errors import WaymarkError
from waymark.tracking import identity

_PARAMETERS = re.compile(r"^    params:\n((?: {6}.*\n)+)", re.MULTILINE)  # a stage's in dvc.lock, as DVC writes it


@dataclass(frozen=True)
class Revision:
    kind: Literal["workspace", "commit", "experiment"]
    name: str  # of the experiment; the first line of the commit's message
    commit: str  # '' in the workspace
    lock: str  # text of dvc.lock
    metrics: dict[str, Any]

    @cached_property
    def dataset(self) -> str:
        return identity.dataset_of_lock(self.lock)

    @cached_property
    def hashes(self) -> tuple[str, str]:
        """Of its dvc.lock, and of the outcome that this tells of."""
        return identity.lock_sha256(self.lock), identity.outcome_of_lock(self.lock)

    @property
    def parameters(self) -> dict[str, Any]:
        """What its stages ran with, of params.yaml."""
        return parameters(self.lock)


def known(root: Path, commits: int) -> list[Revision]:
    """The workspace, all experiments, and the last `commits` of the branch that changed dvc.lock, the latest first.

    What has no dvc.lock, or one that a merge left its marks in, is left out. Raises WaymarkError outside a git
    repository.
    """
    git.resolve(root, "HEAD")
    return [*_workspace(root), *_experiments(root), *_commits(root, commits)]


def parameters_of_head(root: Path) -> dict[str, Any]:
    lock = identity.LOCK.as_posix()
    return parameters(git.read(root, "HEAD", [lock]).get(lock, b"").decode(errors="replace"))


def parameters(lock: str) -> dict[str, Any]:
    """Of params.yaml, which all stages of a dvc.lock ran with.

    They are cut out of its text, for to read all of it takes 15 ms, and there may be hundreds.
    """
    return {key: value for block in _PARAMETERS.findall(lock) for key, value in _parsed(block).items()}


@cache  # most revisions differ in one stage's alone
def _parsed(block: str) -> dict[str, Any]:
    try:
        found = yaml.load(block, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)).get(paths.PARAMS.as_posix())
    except (yaml.YAMLError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _workspace(root: Path) -> Iterator[Revision]:
    files = {path: root / path for path in (identity.LOCK, paths.METRICS)}
    contents = {path.as_posix(): file.read_bytes() for path, file in files.items() if file.is_file()}
    yield from _revision("workspace", "", "", contents)


def _commits(root: Path, count: int) -> Iterator[Revision]:
    for commit, subject in git.commits(root, count, identity.LOCK.as_posix()):
        yield from _committed(root, "commit", subject, commit)


def experiment_lock(root: Path, name: str) -> str | None:
    """The dvc.lock of the DVC experiment of this name, of the latest where several are called so."""
    try:
        return next((revision.lock for revision in _experiments(root, name)), None)
    except WaymarkError:  # without git there are none
        return None


def _experiments(root: Path, named: str | None = None) -> Iterator[Revision]:
    for name, commit in git.experiments(root):
        if named in (None, name):
            yield from _committed(root, "experiment", name, commit)


def _committed(root: Path, kind: Literal["commit", "experiment"], name: str, commit: str) -> Iterator[Revision]:
    contents = git.read(root, commit, [identity.LOCK.as_posix(), paths.METRICS.as_posix()])
    yield from _revision(kind, name, commit, contents)


def _revision(
    kind: Literal["workspace", "commit", "experiment"], name: str, commit: str, contents: dict[str, bytes]
) -> Iterator[Revision]:
    try:
        lock = contents[identity.LOCK.as_posix()].decode()
        revision = Revision(kind, name, commit, lock, json.loads(contents.get(paths.METRICS.as_posix(), b"{}")))
        if revision.hashes and revision.dataset:
            yield revision
    except (KeyError, ValueError):
        return
