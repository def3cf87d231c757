"""The container image, built and run for real with podman, as `make container` builds it."""

import io
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from PIL import Image

from waymark import contract, paths
from waymark.contract import decode
from waymark.serving import model

ROOT = Path(__file__).resolve().parents[3]
BASE = "localhost/waymark-base:bookworm"  # kept between runs
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")  # this machine's own, for the build alone
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")  # podman's own are more than some hosts may give
MB = 1_000_000
MISSING = [name for name in ("podman", "buildah", "runc", "debootstrap") if shutil.which(name) is None]

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (apt-get install has them)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap needs root"),
]


@dataclass(frozen=True)
class Container:
    name: str
    url: str
    seconds: float  # from its start until it was ready


def podman(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def base() -> str:
    """A base image: this host may reach no registry."""
    if subprocess.run(["podman", "image", "exists", BASE]).returncode:
        subprocess.run([sys.executable, "scripts/base_image.py", BASE], cwd=ROOT, check=True)
    return BASE


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory, write_workspace: Callable[[Path], str]) -> tuple[Path, str]:
    """A workspace with its Makefile, and the model's version."""
    folder = tmp_path_factory.mktemp("container") / "workspace"
    version = write_workspace(folder)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "ready").touch()  # what runs these tests is set up
    return folder, version


def build(workspace: Path, backend: str, base: str) -> None:
    """`make container`, on a machine where a build may have no namespaces of its own."""
    options = f"--opt volume={AUTHORITIES}:{AUTHORITIES}:ro" if AUTHORITIES.exists() else ""
    own = {"BENTOML_HOME": str(workspace.parent / "home"), "BUILDAH_ISOLATION": "chroot"}
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["make", "container", f"BACKEND={backend}", f"BASE={base}", f"OPTIONS={options}"]
    done = subprocess.run(command, cwd=workspace, env=os.environ | own, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def image(workspace: tuple[Path, str], base: str) -> Iterator[str]:
    folder, version = workspace
    build(folder, "podman", base)
    yield f"localhost/waymark:{version}"
    podman("image", "rm", "--force", f"localhost/waymark:{version}")


@pytest.fixture
def container(
    image: str, free_port: int, wait_until_ready: Callable[[str], float], request: pytest.FixtureRequest
) -> Iterator[Container]:
    """The image, run as docs/service.md says; the host's network, since not every machine lets podman make one."""
    name = f"waymark-test-{free_port}"
    options = ["--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=host"]
    address = ["--env=BENTOML_HOST=127.0.0.1", f"--env=BENTOML_PORT={free_port}"]
    podman("--runtime=runc", "run", "--detach", f"--name={name}", *options, *LIMITS, *address, image)
    url = f"http://127.0.0.1:{free_port}"
    try:
        yield Container(name, url, wait_until_ready(url))
    finally:
        if request.session.testsfailed:
            print(podman("logs", name, check=False))
        podman("rm", "--force", name)


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_container_answers_as_the_predictor_does(container: Container, workspace: tuple[Path, str]) -> None:
    folder, version = workspace
    served = model.load(folder, threads=1)
    random = np.random.default_rng(0)
    tints = np.tile(np.eye(3, dtype=np.uint8) + 1, (7, 1))
    images = [png(random.integers(0, 256, (20, 24, 3), np.uint8) // tint) for tint in tints]
    known = served.predictor.contract
    inputs = np.stack([known.image(decode(image)) for image in images])
    expected = known.probabilities(served.predictor.logits(inputs))

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, image in enumerate(images):
            archive.writestr(f"{number}.png", image)
    single = [requests.post(f"{container.url}/predict", data=image, timeout=30).json() for image in images]
    batch = requests.post(f"{container.url}/predict_batch", data=packed.getvalue(), timeout=30)
    assert batch.headers["Model-Version"] == version
    for answers in (single, batch.json()["results"]):
        assert [answer["label"] for answer in answers] == expected.argmax(axis=1).tolist()
        assert [answer["probability"] for answer in answers] == pytest.approx(expected.max(axis=1), abs=1e-4)
    told = requests.get(f"{container.url}/model", timeout=30).json()
    assert (told["version"], told["commit"], told["metrics"]) == (version, "c0ffee", {"accuracy": 1.0})


def test_container_is_ready_soon(container: Container) -> None:
    """Within 5 s on a quiet machine, which is no less than the processor time that it takes."""
    times = podman("exec", container.name, "sh", "-c", "cat /proc/[0-9]*/stat")
    ticks = sum(int(tick) for line in times.splitlines() for tick in line.rpartition(")")[2].split()[11:15])
    seconds = ticks / os.sysconf("SC_CLK_TCK")
    print(f"ready after {container.seconds:.1f} s and {seconds:.1f} s of processor time")
    assert seconds <= 5


def test_container_runs_as_a_normal_user_and_can_write_to_tmp_only(container: Container) -> None:
    assert podman("exec", container.name, "id", "--user").strip() == "1034"
    writes = "for d in / /app /home/bentoml/bento /tmp; do touch $d/x 2>/dev/null && echo $d; done"
    assert podman("exec", container.name, "sh", "-c", writes).split() == ["/tmp"]
    # The health check as the image has it; podman runs it by itself only where there is systemd.
    assert subprocess.run(["podman", "healthcheck", "run", container.name], capture_output=True).returncode == 0
    assert "CapEff:\t0000000000000000" in podman("exec", container.name, "cat", "/proc/1/status")


def test_container_stops_in_time_when_told_to(container: Container) -> None:
    began = time.monotonic()
    podman("kill", "--signal=TERM", container.name)
    assert podman("wait", container.name).strip() == "0"
    assert time.monotonic() - began < 10  # podman and Docker wait as long before they kill


def test_container_with_a_damaged_model_ends_with_a_sentence(image: str, workspace: tuple[Path, str]) -> None:
    place = "/home/bentoml/bento/src/models/model.onnx"
    damage = f"import pathlib; p = pathlib.Path('{place}'); b = bytearray(p.read_bytes()); b[99] ^= 1; p.write_bytes(b)"
    script = f'python -c "{damage}" && exec /home/bentoml/bento/env/docker/entrypoint.sh'
    command = ["podman", "--runtime=runc", "run", "--rm", "--network=none", *LIMITS, image, "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    known = contract.read(workspace[0] / paths.CONTRACT)
    assert f"is not the contract's {known.onnx_sha256[:12]}…" in done.stderr
    assert "Traceback" not in done.stderr


def test_image_is_small_and_holds_nothing_of_training(image: str, base: str, workspace: tuple[Path, str]) -> None:
    sizes = [int(podman("image", "inspect", "--format={{.Size}}", name)) for name in (image, base)]
    print(f"{sizes[0] / MB:.0f} MB, {(sizes[0] - sizes[1]) / MB:.0f} MB above its base")
    assert sizes[0] - sizes[1] <= 400 * MB
    packages = "import importlib.metadata as m; print(*sorted(d.metadata['Name'].lower() for d in m.distributions()))"
    shown = podman("--runtime=runc", "run", "--rm", "--network=none", *LIMITS, image, "python", "-c", packages).split()
    assert {"bentoml", "numpy", "onnxruntime", "pillow"} <= set(shown)
    assert not {"torch", "torchvision", "timm", "pandas", "dvc", "mlflow", "waymark"} & set(shown)
    assert podman("image", "inspect", "--format={{.Config.User}}", image).strip() == "bentoml"
    environment = podman("image", "inspect", "--format={{.Config.Env}}", image).strip("[]\n").split()
    assert {"BENTOML_DO_NOT_TRACK=True", "ORT_DISABLE_TELEMETRY=1"} <= set(environment)
    if AUTHORITIES.exists():  # lent to the build, not kept
        counted = ["sh", "-c", f"grep -c BEGIN {AUTHORITIES}"]
        names = (image, base)
        kept = [podman("--runtime=runc", "run", "--rm", "--network=none", *LIMITS, name, *counted) for name in names]
        assert kept[0] == kept[1]


def test_buildah_builds_it_too(workspace: tuple[Path, str], image: str, base: str) -> None:
    folder, version = workspace
    before = podman("image", "inspect", "--format={{.Id}}", image)
    build(folder, "buildah", base)
    assert podman("image", "inspect", "--format={{.Id}}", f"localhost/waymark:{version}") != before
