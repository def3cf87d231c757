"""What git knows of a revision."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from waymark.errors import WaymarkError

_EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")  # DVC's: beside these stand its own stashes


@dataclass(frozen=True)
class FileChange:
    """A file that git says differs; no numbers for a binary one."""

    path: str
    added: int | None
    removed: int | None


def resolve(root: Path, name: str) -> str:
    """The commit that `name` stands for: whatever git takes, or the name of a DVC experiment.

    Raises WaymarkError outside a repository, and for a name that nothing has.
    """
    if not _succeeds(root, "rev-parse", "--git-dir"):
        raise WaymarkError(f"{root.resolve()}: not in a git repository; run from a clone of one")
    if commit := _commit(root, name):
        return commit
    found = [commit for called, commit in experiments(root) if called == name]
    if len(found) > 1:
        raise WaymarkError(
            f"{name!r}: the name of {len(found)} experiments; name one by its commit, from `dvc exp show`"
        )
    if found:
        return found[0]
    if _text(root, "rev-parse", "--is-shallow-repository") == "true":
        raise WaymarkError(
            f"{name!r}: git does not have it, for this clone is shallow; run `git fetch --unshallow`, or check out with"
            " `fetch-depth: 0` in a workflow"
        )
    raise WaymarkError(
        f"{name!r}: no revision that git knows, nor an experiment of DVC's; run `git fetch` or see `git branch -a`"
    )


def experiments(root: Path, *only: str) -> list[tuple[str, str]]:
    """Name and commit of DVC's experiments, the latest first; `only` are options of `git for-each-ref`."""
    form = "--format=%(objectname) %(refname)"
    lines = _text(root, "for-each-ref", "--sort=-committerdate", form, *only, "refs/exps").splitlines()
    named = [(_EXPERIMENT.fullmatch(reference), commit) for commit, reference in map(str.split, lines)]
    return [(found[1], commit) for found, commit in named if found]


def commits(root: Path, count: int, path: str) -> list[tuple[str, str]]:
    """The last `count` commits of the branch that changed `path`, and the first line of each one's message."""
    said = _text(root, "log", f"--max-count={count}", "--format=%H %s", "--", path)
    lines = said.encode(errors="surrogateescape").decode(errors="replace").splitlines()  # a message may be no UTF-8
    return [(commit, subject) for commit, _, subject in (line.partition(" ") for line in lines)]


def user(root: Path) -> str:
    """The name that git puts on commits; empty where it knows none."""
    return _text(root, "config", "user.name")


def read(root: Path, commit: str, paths: Sequence[str]) -> dict[str, bytes]:
    """The contents of those of `paths`, below `root`, that the commit has as files."""
    prefix = _text(root, "rev-parse", "--show-prefix")
    asked = "".join(f"{commit}:{prefix}{path}\n" for path in paths if "\n" not in path)
    output = _run(root, "cat-file", "--batch", stdin=asked.encode()).stdout
    contents, at = {}, 0
    for path in (path for path in paths if "\n" not in path):
        line, _, _ = output[at:].partition(b"\n")
        at += len(line) + 1
        kind, _, size = line.rpartition(b" ")
        if not kind.endswith((b" blob", b" tree", b" commit", b" tag")):
            continue  # "… missing"
        if kind.endswith(b" blob"):
            contents[path] = output[at : at + int(size)]
        at += int(size) + 1
    return contents


def changed_files(root: Path, old: str, new: str | None) -> list[FileChange]:
    """Files that differ between two commits, or between one and the workspace, below `root`."""
    command = ["diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--relative", old]
    lines = _text(root, *command, *([new] if new else []), "--").split("\0")
    found = []
    for line in filter(None, lines):
        added, removed, path = line.split("\t", 2)
        found.append(FileChange(path, None if added == "-" else int(added), None if removed == "-" else int(removed)))
    return found


def missing_commits(root: Path, old: str, new: str) -> int:
    """How many commits `old` has that `new` does not build on; 0 where a shallow clone cannot tell."""
    count = _text(root, "rev-list", "--count", f"{new}..{old}")
    return int(count) if count.isdigit() and _succeeds(root, "merge-base", old, new) else 0


def start(root: Path, commit: str) -> str:
    """The commit that a DVC experiment began at, which is never merged; of any other commit, the commit itself."""
    if not experiments(root, f"--points-at={commit}"):
        return commit
    kept = _text(root, "for-each-ref", "--count=1", "--contains", commit, "refs/heads", "refs/remotes", "refs/tags")
    return commit if kept else _commit(root, f"{commit}^") or commit


def _commit(root: Path, name: str) -> str:
    return _text(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")


def _text(root: Path, *command: str) -> str:
    """What git prints, or nothing where it fails."""
    done = _run(root, *command)
    return done.stdout.decode("utf-8", "surrogateescape").strip() if done.returncode == 0 else ""


def _succeeds(root: Path, *command: str) -> bool:
    return _run(root, *command).returncode == 0


def _run(root: Path, *command: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(["git", "-C", str(root), *command], input=stdin, capture_output=True)
    except OSError as error:
        raise WaymarkError(f"git: cannot be run ({error.strerror}); install it, or run where it is") from None
