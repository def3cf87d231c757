"""The folder in which a trial runs: a clone of its own, so that nobody's workspace is touched and no two meet.

`dvc exp run --temp` would stash the workspace for a moment, take whatever changed there since the sweep began, and
share one stash among processes. A clone holds to the files that the sweep began with, code included; DVC's cache it
shares.
"""

import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from waymark import git, paths
from waymark.errors import WaymarkError

WORK = Path(".dvc/tmp/sweeps")  # where DVC keeps its own temporary copies: on the cache's disk, and out of git
_LOCAL = Path(".dvc/config.local")


@dataclass(frozen=True)
class Snapshot:
    commit: str  # HEAD
    content: str  # commit of the files as they are; HEAD where nothing is changed


def snapshot(root: Path, name: str) -> Snapshot:
    """The files that git knows as they are now, changed or not, kept for as long as refs/waymark/sweeps/NAME stands.

    Raises WaymarkError outside a repository, in one that is empty or shallow, or below its root.
    """
    commit = git.resolve(root, "HEAD")
    if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root.resolve():
        raise WaymarkError(f"{root.resolve()}: not the root of the git repository; run from there")
    if _git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise WaymarkError(
            f"{root.resolve()}: a shallow clone, in which no experiment runs; run `git fetch --unshallow`"
        )
    content = _git(root, "stash", "create") or commit
    _git(root, "update-ref", f"refs/waymark/sweeps/{name}", content)
    return Snapshot(commit, content)


def cache(root: Path) -> Path:
    """Where DVC keeps the data of `root`."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise WaymarkError(f"{root.resolve()}: DVC says: {done.stderr.strip()}")
    return (root / done.stdout.strip()).resolve()


def make(root: Path, folder: Path, files: Snapshot, cache: Path) -> None:
    """Clone `root` to `folder`, with the files of `files`; a checkpoint that lies there already is kept."""
    kept = folder.with_name(folder.name + ".checkpoint")
    if (folder / paths.CHECKPOINT).exists():
        (folder / paths.CHECKPOINT).replace(kept)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _git(root, "clone", "--quiet", "--shared", "--no-checkout", "--no-tags", str(root.resolve()), str(folder.resolve()))
    _git(folder, "checkout", "--quiet", "--detach", files.commit)
    if files.content != files.commit:
        _git(folder, "restore", "--source", files.content, "--staged", "--worktree", ":/")
    _configure(root, folder, cache)
    if kept.exists():
        (folder / paths.CHECKPOINT).parent.mkdir(parents=True, exist_ok=True)
        kept.replace(folder / paths.CHECKPOINT)


def _configure(root: Path, folder: Path, cache: Path) -> None:
    """Let DVC use the repository's cache, linked as a person has said there; nothing of remotes and their keys."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(root / _LOCAL, encoding="utf-8")
    for section in settings.sections():
        if section != "cache":
            settings.remove_section(section)
    settings.read_dict({"cache": {"dir": str(cache)}, "core": {"site_cache_dir": str(folder / ".dvc/tmp/site")}})
    with (folder / _LOCAL).open("w", encoding="utf-8") as file:
        settings.write(file)


def environment(folder: Path, tracking: str) -> dict[str, str]:
    """For what runs in `folder`: its own code, this Python, and MLflow where the repository has it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    code = os.pathsep.join(filter(None, [str(folder.resolve() / "src"), os.environ.get("PYTHONPATH")]))
    own = {"PATH": path, "PYTHONPATH": code, "MLFLOW_TRACKING_URI": tracking, "DVC_EXP_AUTO_PUSH": "false"}
    return dict(os.environ) | own


def collect(root: Path, folder: Path, files: Snapshot, experiment: str) -> str:
    """Bring the experiment that ran in `folder` into the repository; its commit."""
    reference = f"refs/exps/{files.commit[:2]}/{files.commit[2:]}/{experiment}"
    quiet = ("-c", "gc.auto=0", "-c", "maintenance.auto=false")
    _git(
        root,
        *quiet,
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        str(folder.resolve()),
        f"{reference}:{reference}",
    )
    return git.resolve(root, reference)


def there(root: Path, commit: str, experiment: str) -> str:
    """The commit of an experiment that stands on `commit`; '' where there is none."""
    reference = f"refs/exps/{commit[:2]}/{commit[2:]}/{experiment}"
    known = [found for name, found in git.experiments(root, f"--contains={commit}") if name == experiment]
    return git.resolve(root, reference) if known else ""


def _git(folder: Path, *command: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True)
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise WaymarkError(f"{folder}: git {_verb(command)} failed ({said})")
    return done.stdout.strip()


def _verb(command: Sequence[str]) -> str:
    return next(word for word in command if not word.startswith("-") and "=" not in word)
