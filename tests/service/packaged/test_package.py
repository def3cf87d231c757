"""`waymark package`, `bentoml build` and `bentoml serve`: what they hold, what they serve, and what they refuse."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from waymark import paths
from waymark.serving import container_image

ROOT = Path(__file__).resolve().parents[3]
WriteWorkspace = Callable[[Path], str]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_package_replaces_one_of_the_same_model_and_serves_its_own_code_and_model(
    tmp_path: Path, write_workspace: WriteWorkspace, run: Run, free_port: int, wait_until_ready: Callable[[str], float]
) -> None:
    workspace, home = tmp_path / "workspace", tmp_path / "home"
    version = write_workspace(workspace)
    (workspace / "notes.txt").write_text("no part of it")
    limits = workspace / "src" / "waymark" / "serving" / "limits.py"
    limits.write_text(re.sub(r"images: int = \d+", "images: int = 7", limits.read_text()))

    for base, options in ((container_image.BASE, ()), ("localhost/base:1", ("--base", "localhost/base:1"))):
        done = run(workspace, home, "waymark.cli", "package", *options)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"waymark:{version}\n", "")
        dockerfile = (home / "bentos" / "waymark" / version / "env" / "docker" / "Dockerfile").read_text()
        assert f"\nFROM {base} AS base-container\n" in dockerfile
    assert [folder.name for folder in (home / "bentos" / "waymark").iterdir() if folder.is_dir()] == [version]
    assert (home / "bentos" / "waymark" / "latest").read_text() == version

    source = home / "bentos" / "waymark" / version / "src"
    parts = {name for name in files(source) if not name.startswith("waymark/serving/")}
    assert parts == {
        *("bentofile.yaml", "service.py", "lineage.json", "requirements/serving.lock"),
        *("models/model.onnx", "models/contract.json", "data/prepared/class_pictures.png"),
        *(f"waymark/{name}.py" for name in ("__init__", "contract", "equalisation", "errors", "paths", "predictor")),
    }
    assert "waymark/serving/page/index.html" in files(source)

    shutil.rmtree(workspace)
    command = [sys.executable, "-m", "bentoml", "serve", "waymark:latest", "--port", str(free_port)]
    environment = os.environ | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as service:
        wait_until_ready(f"http://127.0.0.1:{free_port}")
        answer = requests.get(f"http://127.0.0.1:{free_port}/model", timeout=10)
        service.terminate()
    told = answer.json()
    assert answer.headers["Model-Version"] == version
    assert (told["classes"], told["commit"], told["metrics"]) == (["red", "green", "blue"], "c0ffee", {"accuracy": 1.0})
    assert told["limits"]["images"] == 7  # the checkout, which this Python imports by default, has another number


def test_the_package_that_is_there_stays_until_its_successor_is_stored(
    tmp_path: Path, write_workspace: WriteWorkspace, run: Run
) -> None:
    workspace, home = tmp_path / "workspace", tmp_path / "home"
    version = write_workspace(workspace)
    assert run(workspace, home, "waymark.cli", "package").returncode == 0
    before = files(home)
    successor = tmp_path / "built" / "waymark" / version
    shutil.copytree(home / "bentos" / "waymark" / version, successor)
    os.mkfifo(successor / "src" / "pipe")  # what cannot be copied
    code = "import pathlib, sys; from waymark.serving import packaging; packaging._store(pathlib.Path(sys.argv[1]))"
    environment = os.environ | {"BENTOML_HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", code, successor], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is a named pipe" in done.stderr
    assert files(home) == before

    (successor / "src" / "pipe").unlink()
    (successor / "new.txt").touch()
    subprocess.run([sys.executable, "-c", code, successor], env=environment, check=True)
    assert files(home) == sorted([*before, f"bentos/waymark/{version}/new.txt"])


def test_bentoml_builds_in_the_root_with_the_versions_of_the_lock(
    tmp_path: Path, write_workspace: WriteWorkspace, run: Run
) -> None:
    workspace, home = tmp_path / "workspace", tmp_path / "home"
    write_workspace(workspace)
    done = run(workspace, home, "bentoml", "build", "--version", "1", "--output", "tag")
    assert done.returncode == 0, done.stderr
    bento = home / "bentos" / "waymark" / "1"
    pinned = re.compile(r"^([a-z0-9.-]+==[^\s;]+)", re.MULTILINE)
    wanted = pinned.findall((ROOT / "requirements" / "serving.lock").read_text())
    installed = pinned.findall((bento / "env" / "python" / "requirements.txt").read_text())
    assert set(installed) == set(wanted)
    assert not [name for name in installed if name.startswith(("torch", "timm", "pandas", "dvc", "mlflow"))]
    dockerfile = (bento / "env" / "docker" / "Dockerfile").read_text()
    assert "build-essential" not in dockerfile


def test_base_image_is_named_by_digest_and_uv_is_the_locked_one() -> None:
    assert re.fullmatch(r"docker\.io/library/python:3\.11-slim@sha256:[0-9a-f]{64}", container_image.BASE)
    (locked,) = re.findall(r"^uv==.*?(?=^\S|\Z)", (ROOT / "requirements.lock").read_text(), re.MULTILINE | re.DOTALL)
    version, *hashes = container_image.UV.split()
    assert version == locked.split()[0]
    assert all(f"{each} " in f"{locked.replace(chr(10), ' ')} " for each in hashes)


def damage(workspace: Path) -> None:
    """M6: one flipped bit."""
    model = bytearray((workspace / paths.ONNX).read_bytes())
    model[len(model) // 2] ^= 1
    (workspace / paths.ONNX).write_bytes(model)


def test_a_model_that_is_not_the_contracts_is_neither_packaged_nor_served(
    tmp_path: Path, write_workspace: WriteWorkspace, run: Run
) -> None:
    workspace, home = tmp_path / "workspace", tmp_path / "home"
    version = write_workspace(workspace)
    assert run(workspace, home, "waymark.cli", "package").returncode == 0
    before = files(home)
    damage(workspace)
    sentence = re.compile(
        r"error: \S*models/model\.onnx: its SHA-256 [0-9a-f]{12}… is not the contract's [0-9a-f]{12}…; "
        r"run `dvc checkout` or `dvc repro`\n"
    )
    refused = run(workspace, home, "waymark.cli", "package")
    assert refused.returncode == 1
    assert sentence.fullmatch(refused.stderr)
    assert files(home) == before

    served = run(workspace, home, "bentoml", "serve", "--port", "1")  # nobody listens, and nothing starts again
    assert served.returncode == 1
    assert sentence.fullmatch(served.stderr)

    damage(home / "bentos" / "waymark" / version / "src")
    served = run(tmp_path, home, "bentoml", "serve", "waymark:latest", "--port", "1")
    assert served.returncode == 1
    assert sentence.fullmatch(served.stderr)


def test_without_a_model_nothing_is_packaged(tmp_path: Path, write_workspace: WriteWorkspace, run: Run) -> None:
    workspace, home = tmp_path / "workspace", tmp_path / "home"
    write_workspace(workspace)
    (workspace / paths.ONNX).unlink()
    refused = run(workspace, home, "waymark.cli", "package")
    sentence = "error: models/model.onnx: cannot be read (No such file or directory); `dvc repro` makes it\n"
    assert (refused.returncode, refused.stderr) == (1, sentence)
    assert not home.exists()
