"""The model that dvc.yaml's `artifacts:` names at a commit is the one that was registered from it."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from dvc.repo.artifacts import Artifacts

from waymark.tracking import identity
from waymark.tracking.registry import Registry

ROOT = Path(__file__).resolve().parents[3]
WriteWorkspace = Callable[..., Path]
Command = Callable[..., tuple[object, str]]


def git(folder: Path, *command: str) -> str:
    author = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    done = subprocess.run(["git", *author, *command], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.slow
def test_dvc_gets_the_file_that_the_registry_names(
    models: Registry, waymark: Command, write_workspace: WriteWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_workspace(tmp_path / "repository", model=1)
    locked = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    stages = {
        name: {"cmd": "true", **{kind: [entry["path"] for entry in stage.get(kind, ())] for kind in ("deps", "outs")}}
        for name, stage in locked.items()
    }
    stages["collect"]["params"] = ["dataset", "source"]
    artifacts = yaml.safe_load((ROOT / "dvc.yaml").read_text())["artifacts"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages, "artifacts": artifacts}))
    (folder / "dvc.lock").unlink()
    (folder / ".gitignore").write_text("/models\n/reports\n")
    git(folder, "init", "--quiet")
    monkeypatch.chdir(folder)
    with Repo.init() as repository:
        repository.commit(force=True)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Train")
    assert waymark(folder, "promote")[0] == 0
    registered = models.require_champion().tags
    git(folder, "tag", "--annotate", "classifier@v1.0.0", "--message", "Ship")  # as DVC finds artifacts' versions
    (folder / "models" / "model.onnx").unlink()

    Artifacts.get(str(folder), "classifier", version="v1.0.0", out=str(tmp_path / "got.onnx"))
    assert hashlib.sha256((tmp_path / "got.onnx").read_bytes()).hexdigest() == registered["waymark.onnx_sha256"]
    lock = git(folder, "show", "classifier@v1.0.0:dvc.lock")
    assert identity.lock_sha256(lock) == registered["waymark.dvc_lock_sha256"]
