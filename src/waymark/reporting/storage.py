"""The files that DVC keeps, of any revision: from its cache, else from its remote."""

import hashlib
import io
import logging
import os
from pathlib import Path
from typing import Any, BinaryIO

from waymark.errors import WaymarkError, reason

logger = logging.getLogger(__name__)


class Storage:
    """Asks a remote that does not answer once only: it takes DVC some seconds to give up."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._systems: dict[str | None, Any] = {}
        self.trouble = ""  # why the remote failed to answer; no address, for it ends in a comment

    def open(self, commit: str | None, path: str, md5: str) -> BinaryIO | None:
        """A file as the stages of a commit, or of the workspace, wrote it; None where it cannot be had."""
        system = self._system(commit)
        if not md5.endswith(".dir"):
            cached = Path(system.repo.cache.local.oid_to_path(md5))
            if cached.is_file():
                return cached.open("rb")
        if self.trouble:
            return None
        try:
            return io.BytesIO(system.read_bytes("/" + path))
        except (FileNotFoundError, IsADirectoryError):
            return None
        except Exception as error:  # whatever the remote's client raises: there is one for each kind of remote
            logger.warning("DVC's remote: %s cannot be had (%s: %s)", path, type(error).__name__, reason(error))
            self.trouble = _trouble(error)
            return None

    def read(self, commit: str | None, path: str, md5: str) -> bytes | None:
        """The whole file; None also where its content is not what dvc.lock tells of."""
        file = self.open(commit, path, md5)
        if file is None:
            return None
        with file:
            content = file.read()
        if not md5.endswith(".dir") and hashlib.md5(content).hexdigest() != md5:
            logger.warning("%s: damaged in DVC's cache or remote; `make check-cache` finds what is", path)
            return None
        return content

    def outdated(self) -> list[str]:
        """The stages that `dvc repro` would run in the workspace. WaymarkError where DVC cannot tell."""
        from dvc.exceptions import DvcException

        try:
            status: dict[str, list[Any]] = self._system(None).repo.status()
        except DvcException as error:  # dvc.yaml is damaged, or another command holds the lock
            raise WaymarkError(f"dvc status: {reason(error)}; mend that, and run this again") from None
        return [name.rpartition(":")[2] for name, reasons in status.items() if reasons != ["always changed"]]

    def _system(self, commit: str | None) -> Any:
        if commit not in self._systems:
            from dvc.api import DVCFileSystem  # takes a third of a second

            self._systems[commit] = DVCFileSystem(str(self._root), rev=commit)
        return self._systems[commit]


def _trouble(error: BaseException) -> str:
    """What the system said, as "Connection refused", or else the error's name, as NoCredentialsError."""
    at: BaseException | None = error
    while at:
        if isinstance(at, ConnectionError | TimeoutError) and at.errno:
            return os.strerror(at.errno)
        at = at.__cause__ or at.__context__
    return type(error).__name__
