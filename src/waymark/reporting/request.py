"""What is asked of a report, checked before the libraries are imported that write it: those take a second."""

import logging
from pathlib import Path

from waymark import git
from waymark.errors import WaymarkError

logger = logging.getLogger(__name__)

WORKSPACE = "the workspace"


def begin(root: Path, base: str, head: str | None) -> None:
    """Say what is compared, for it takes some seconds. WaymarkError for what is no root or no revision."""
    for name in (base, head):
        if name is not None:
            git.resolve(root, name)
    if not (root / "dvc.yaml").is_file():
        raise WaymarkError(f"{root.resolve()}: no dvc.yaml is here; run from the repository's root")
    logger.info("comparing %s with %s …", head or WORKSPACE, base)
