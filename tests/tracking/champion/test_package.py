"""`waymark package --champion`: the workspace's code with the registry's model, and all that is told of that model."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from waymark import paths
from waymark.serving import model
from waymark.tracking import identity
from waymark.tracking.registry import Registry

ROOT = Path(__file__).resolve().parents[3]
WriteWorkspace = Callable[..., Path]
Command = Callable[..., tuple[object, str]]

pytestmark = pytest.mark.slow


def test_a_package_of_the_champion_tells_of_the_champion(
    models: Registry, waymark: Command, write_workspace: WriteWorkspace, tmp_path: Path
) -> None:
    champion = write_workspace(tmp_path / "champion", model=1, wrong=4)
    Image.new("RGB", (8, 24), "red").save(champion / paths.CLASS_PICTURES)
    assert waymark(champion, "promote")[0] == 0

    workspace, home = write_workspace(tmp_path / "workspace", model=2, wrong=40), tmp_path / "home"
    for name in ("bentofile.yaml", "service.py", "requirements/serving.lock"):
        (workspace / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, workspace / name)
    shutil.copytree(ROOT / "src", workspace / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (workspace / "src" / "waymark" / "serving" / "limits.py").open("a").write("# the workspace's code\n")

    command = [sys.executable, "-m", "waymark.cli", "package", "--champion"]
    environment = os.environ | {"BENTOML_HOME": str(home)}
    done = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True)
    version = identity.model_version(champion)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"waymark:{version}\n", "")
    packed = home / "bentos" / "waymark" / version / "src"
    told = model.load(packed, threads=1)  # what the service in the package does
    assert told.version == version != identity.model_version(workspace)
    assert told.lineage["card"] == "# Model card\n\n4 wrong.\n"
    assert told.lineage["metrics"]["accuracy"] == 0.99
    for path in (paths.ONNX, paths.CLASS_PICTURES, paths.METRICS, paths.MODEL_CARD, Path("dvc.lock")):
        assert (packed / path).read_bytes() == (champion / path).read_bytes(), path
    assert (packed / "waymark" / "serving" / "limits.py").read_text().endswith("# the workspace's code\n")
