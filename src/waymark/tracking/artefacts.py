"""What a run keeps, brought back: the files of its workspace, each held against the hash that was recorded of it."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from waymark import paths
from waymark.errors import WaymarkError
from waymark.serving import lineage, model
from waymark.serving.model import ServedModel
from waymark.tracking import address, identity, registry
from waymark.tracking.registry import LOCK, MODEL_VERSION

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NEEDED = (paths.ONNX, paths.CONTRACT, paths.METRICS, paths.PREDICTIONS, lineage.LOCK, lineage.PACKAGED)
ANEW = "delete its run there, and `dvc repro --force --single-item track` in its commit records it anew"


@contextmanager
def fetched(client: "MlflowClient", run_id: str, tags: Mapping[str, str], whose: str) -> Iterator[Path]:
    """A folder with what the run keeps, laid out as a repository after `dvc repro`, for as long as the block lasts.

    `tags` are the run's, or those of the version that was made of it. The chain is unbroken: the tag names the
    dvc.lock, which names each file. Raises WaymarkError, which speaks of `whose` files, where one is missing or is
    another one.
    """
    if LOCK not in tags:  # a version that somebody registered by hand
        tags = {**run_of(client, run_id, whose).data.tags, **tags}
    with tempfile.TemporaryDirectory(prefix="waymark-run-") as folder:
        root = Path(folder)
        try:
            _download(client, run_id, root)
            check(root, tags)
        except WaymarkError as error:
            raise WaymarkError(f"{whose}: {error}") from None
        yield root


def run_of(client: "MlflowClient", run_id: str, whose: str) -> "Run":
    """Raises WaymarkError, which speaks of `whose` run, where a file was registered that no run made."""
    if not run_id:
        raise WaymarkError(
            f"{whose}: registered without a run, so that nothing is known of it; `waymark promote --run RUN` registers "
            "a model as one that can be judged"
        )
    with address.speaking():
        return client.get_run(run_id)


def _download(client: "MlflowClient", run_id: str, root: Path) -> None:
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # it counts files, of which there are few
    with address.speaking(), address.uploading():
        client.download_artifacts(run_id, "", str(root))


def check(root: Path, tags: Mapping[str, str]) -> None:
    """Raise WaymarkError unless the files under `root` are those that were recorded under `tags`."""
    if missing := [str(path) for path in NEEDED if not (root / path).is_file()]:
        raise WaymarkError(f"MLflow keeps no {', '.join(missing)} of it; {ANEW}")
    text = (root / lineage.LOCK).read_text(encoding="utf-8", errors="replace")
    wrong = [str(lineage.LOCK)]
    if _lock_sha256(text) == tags.get(LOCK):
        stages = yaml.safe_load(text)["stages"].values()
        md5 = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", ()) if "md5" in out}
        found = [path for path in md5 if (root / path).is_file()]
        unnamed = [str(path) for path in NEEDED[:4] if path.as_posix() not in md5]
        wrong = unnamed + [path for path in found if hashlib.md5((root / path).read_bytes()).hexdigest() != md5[path]]
    if not wrong and identity.model_version(root) != tags.get(MODEL_VERSION):
        wrong = [str(paths.CONTRACT)]
    if not wrong and not _is_object(root / lineage.PACKAGED):
        wrong = [str(lineage.PACKAGED)]
    if wrong:
        raise WaymarkError(
            f"{', '.join(wrong)} in MLflow at {address.shown(address.uri())} is not what was recorded, but damaged or "
            f"exchanged; {ANEW}"
        )


def _is_object(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except ValueError:
        return False


def _lock_sha256(text: str) -> str | None:
    try:
        return identity.lock_sha256(text)
    except ValueError:
        return None


def loaded(root: Path, threads: int, whose: str) -> ServedModel:
    """The model under `root` as the service loads it. Raises WaymarkError where this version cannot serve it."""
    try:
        return model.load(root, threads)
    except WaymarkError as error:
        said = str(error).replace(f"{root}/", "").partition("; ")[0]  # what follows is advice for a workspace
        raise WaymarkError(
            f"{whose}: {said}; the code of its run's commit reads it, and `dvc repro` makes a new one"
        ) from None


@contextmanager
def of_champion(dataset: str) -> Iterator[Path]:
    """A folder with the champion and all that is known of it, for as long as the block lasts."""
    models = registry.of(dataset)
    champion = models.require_champion()
    whose = f"the champion, {models.name} {champion}"
    with fetched(models.client, champion.run_id, champion.tags, whose) as root:
        loaded(root, 1, whose)
        yield root
