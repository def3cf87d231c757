"""`waymark package`: the service's code and the workspace's model in one Bento, whose version is the model's."""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from waymark.errors import WaymarkError
from waymark.serving import lineage, model

BENTOFILE = Path("bentofile.yaml")

logger = logging.getLogger(__name__)


def run(root: Path, base: str | None = None) -> str:
    """Package the model under `root`, in place of a package of the same model; returns the Bento's tag.

    `base` is the image that a container of it starts from. Raises WaymarkError, with BentoML's store untouched,
    where the model is missing, is not the one that its contract was written for, or where BentoML does not build it.
    """
    served = model.load(root, threads=1)
    if served.lineage["metrics"] is None:
        logger.warning("/model will know no metrics, card and data of this model: dvc.lock does not tell of it")
    with tempfile.TemporaryDirectory(prefix="waymark-package-") as folder:
        context, home = Path(folder, "context"), Path(folder, "home")
        _gather(root, context, base)
        (context / lineage.PACKAGED).write_text(json.dumps(served.lineage, ensure_ascii=False), encoding="utf-8")
        _build(context, home, served.version)
        (built,) = home.glob(f"bentos/*/{served.version}")
        return _store(built)


def _gather(root: Path, context: Path, base: str | None) -> None:
    """Copy what bentofile.yaml includes from `root` to `context`, and itself."""
    described = yaml.safe_load((root / BENTOFILE).read_text(encoding="utf-8"))
    for pattern in described["include"]:
        for file in root.glob(f"{pattern}/*" if pattern.endswith("**") else pattern):
            if file.is_file():
                target = context / file.relative_to(root)
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
    """Put the Bento into BentoML's store, in place of one with the same tag."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    import bentoml  # after the switch above

    tag = f"{built.parent.name}:{built.name}"
    if any(str(bento.tag) == tag for bento in bentoml.list()):
        bentoml.delete(tag)
    return str(bentoml.import_bento(str(built), input_format="folder").tag)
