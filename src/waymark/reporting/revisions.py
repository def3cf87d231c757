"""One state of the repository, a commit or the workspace, as files that git and DVC keep."""

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import yaml

from waymark import git, paths
from waymark.errors import WaymarkError, reason
from waymark.reporting.request import WORKSPACE
from waymark.reporting.snapshot import outputs
from waymark.reporting.storage import Storage

LOCK = Path("dvc.lock")

Found = TypeVar("Found")


class Revision:
    """Raises WaymarkError where a file that git keeps is not what it should be."""

    def __init__(self, root: Path, storage: Storage, name: str | None) -> None:
        """`name` is what git or DVC calls it; None is the workspace."""
        self.root = root
        self.storage = storage
        self.name = WORKSPACE if name is None else name
        self.commit = None if name is None else git.resolve(root, name)
        self.missing: dict[str, None] = {}  # what dvc.lock tells of, was asked for, and cannot be had here
        self.unreadable: list[str] = []  # what another version of Waymark wrote

    @cached_property
    def stages(self) -> dict[str, Any]:
        """The stages of its dvc.lock, their entries in the form that DVC gives them; empty where there is none."""
        stages = self._settings(LOCK).get("stages", {})
        try:
            for stage in stages.values():
                hashes = [each["path"] + each["md5"] for kind in ("deps", "outs") for each in stage.get(kind, [])]
                params = [of_file.items() for of_file in stage.get("params", {}).values()]
                del hashes, params
        except (AttributeError, KeyError, TypeError):
            raise WaymarkError(
                f"{LOCK} of {self.name}: not as DVC writes it; `make repro` there settles what was merged"
            ) from None
        return dict(stages)

    @cached_property
    def params(self) -> dict[str, Any]:
        """Its params.yaml as it stands, whatever version of Waymark it is for."""
        return self._settings(paths.PARAMS)

    def tracked(self, path: Path) -> bytes | None:
        """A file that git keeps."""
        if self.commit is not None:
            return git.read(self.root, self.commit, [path.as_posix()]).get(path.as_posix())
        file = self.root / path
        return file.read_bytes() if file.is_file() else None

    def figures(self, path: Path) -> dict[str, Any] | None:
        """A report in JSON that git keeps."""
        if (content := self.tracked(path)) is None:
            return None
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise WaymarkError(f"{path} of {self.name}: not valid JSON ({reason(error)}); run `dvc repro`") from None
        if not isinstance(document, dict):
            raise WaymarkError(f"{path} of {self.name}: expected an object; run `dvc repro`")
        return document

    def open(self, path: Path) -> BinaryIO | None:
        """A file that a stage wrote."""
        if self.commit is None and (self.root / path).is_file():
            return (self.root / path).open("rb")
        return self._kept(path.as_posix(), path.as_posix(), self.storage.open)

    def read(self, path: Path, within: Path | None = None) -> bytes | None:
        """The whole of a file that a stage wrote, held against dvc.lock; `within`: the folder that it is part of."""
        if self.commit is None and (self.root / path).is_file():
            return (self.root / path).read_bytes()
        return self._kept(path.as_posix(), (within or path).as_posix(), self.storage.read)

    @property
    def is_run(self) -> bool:
        """False for a workspace, such as a fresh clone, whose figures are those that git brought."""
        return self.commit is not None or (self.root / paths.PREDICTIONS).is_file()

    def absence(self, path: Path) -> str:
        """Why a file that was asked for is not at hand: what "the predictions" is followed by."""
        if path.as_posix() in self.unreadable:
            return "are damaged, or by another version of Waymark"
        if path.as_posix() not in self.missing:
            return f"are not in {LOCK}"
        if self.storage.trouble:
            return f"are not on this machine, and DVC’s remote cannot be asked ({self.storage.trouble})"
        return "have no sound copy on this machine nor in DVC’s remote"

    def _kept(self, path: str, output: str, get: Callable[[str | None, str, str], Found | None]) -> Found | None:
        md5 = outputs(self.stages).get(output)
        if md5 is None:
            return None
        found = get(self.commit, path, md5)
        if found is None:
            self.missing[path] = None
        return found

    def _settings(self, path: Path) -> dict[str, Any]:
        """A YAML file; empty where there is none."""
        try:
            document = yaml.safe_load(self.tracked(path) or b"") or {}
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise WaymarkError(
                f"{path} of {self.name}: not valid YAML ({reason(error)}); see whether a merge left its marks there"
            ) from None
        if not isinstance(document, dict):
            raise WaymarkError(f"{path} of {self.name}: expected one `key: value` a line")
        return document
