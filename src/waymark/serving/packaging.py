"""`waymark package`: the workspace's code of the service and a model in one Bento, whose version is the model's."""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import yaml

from waymark.errors import WaymarkError
from waymark.serving import lineage, model

BENTOFILE = Path("bentofile.yaml")
OF_MODEL = ("data", "models", "reports", "dvc.lock")  # where that lies which comes with a model, not with the code

logger = logging.getLogger(__name__)


def run(root: Path, base: str | None = None, model_root: Path | None = None) -> str:
    """Package the code under `root` and its model, in place of a package of the same model; returns the Bento's tag.

    `base` is the image that a container of it starts from. The model under `model_root` takes the place of that under
    `root`, with its reports and its dvc.lock. Raises WaymarkError, with BentoML's store untouched, where the model is
    missing, is not the one that its contract was written for, or where BentoML does not build it.
    """
    model_root = root if model_root is None else model_root
    served = model.load(model_root, threads=1)
    if served.lineage["metrics"] is None:
        logger.warning("/model will know no metrics, card and data of this model: dvc.lock does not tell of it")
    with tempfile.TemporaryDirectory(prefix="waymark-package-") as folder:
        context, home = Path(folder, "context"), Path(folder, "home")
        _gather(root, model_root, context, base)
        (context / lineage.PACKAGED).write_text(json.dumps(served.lineage, ensure_ascii=False), encoding="utf-8")
        _build(context, home, served.version)
        (built,) = home.glob(f"bentos/*/{served.version}")
        return _store(built)


def _gather(root: Path, model_root: Path, context: Path, base: str | None) -> None:
    """Copy what bentofile.yaml includes to `context`, the model's part of it from `model_root`, and itself."""
    described = yaml.safe_load((root / BENTOFILE).read_text(encoding="utf-8"))
    for pattern in described["include"]:
        origin = model_root if Path(pattern).parts[0] in OF_MODEL else root
        for file in origin.glob(f"{pattern}/*" if pattern.endswith("**") else pattern):
            if file.is_file():
                target = context / file.relative_to(origin)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
    if base is not None:
        described["docker"] = {"base_image": base}
    (context / BENTOFILE).write_text(yaml.safe_dump(described), encoding="utf-8")


def _build(context: Path, home: Path, version: str) -> None:
    """Build the Bento in a store of its own. The process imports what was gathered: what is missing shows here."""
    home.mkdir()
    command = [sys.executable, "-m", "bentoml", "build", "--version", version, str(context)]
    own = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": str(context / "src")}
    done = subprocess.run(command, cwd=context, env=os.environ | own, capture_output=True, text=True)
    if done.returncode:
        raise WaymarkError(f"BentoML did not build the package ({' '.join(done.stderr.split())})")


def _store(built: Path) -> str:
    """Put the Bento into BentoML's store. One with the same tag goes when this one is there, and not before."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    import bentoml  # after the switch above

    tag = f"{built.parent.name}:{built.name}"
    same = [Path(bento.path) for bento in bentoml.list() if str(bento.tag) == tag]
    with _aside(same[0]) if same else nullcontext():
        return str(bentoml.import_bento(str(built), input_format="folder").tag)


@contextmanager
def _aside(stored: Path) -> Iterator[None]:
    """Take a Bento out of the store, which holds no two of one tag; put it back where the block fails."""
    home = stored.parents[2]  # within the same file system, and not among the Bentos, which `bentoml list` reads
    with tempfile.TemporaryDirectory(prefix="waymark-replaced-", dir=home) as folder:
        kept = stored.rename(Path(folder, stored.name))
        try:
            yield
        except BaseException:  # an interrupt as well
            shutil.rmtree(stored, ignore_errors=True)
            kept.rename(stored)
            raise
