"""A workspace with a model for the benchmark, and the images that are sent to it."""

import hashlib
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from waymark import contract, paths
from waymark.contract import Contract

ROOT = Path(__file__).resolve().parents[2]
SIDE = 48  # px of the images that are sent, and of the random network's input: a traffic sign in a photograph
CLASSES = 43


def make(model: str, folder: Path) -> str:
    """A workspace with the "random" or the "own" model in the empty `folder`; a line that says which."""
    (folder / paths.ONNX).parent.mkdir(parents=True)
    if model == "random":
        # In a process of its own, so that torch and its threads are gone when measuring begins.
        subprocess.run([sys.executable, str(Path(__file__).resolve()), str(folder)], check=True)
    else:
        for path in (paths.ONNX, paths.CONTRACT):
            shutil.copy(ROOT / path, folder / path)
    add_service(folder)
    known = contract.read(folder / paths.CONTRACT)
    size = (folder / paths.ONNX).stat().st_size / 1e6
    named = "MobileNetV3-small, random weights" if model == "random" else "the workspace's model"
    return f"{named}: ONNX of {size:.1f} MB, input {known.image_size} px, {len(known.class_names)} classes"


def add_service(folder: Path) -> None:
    """Make `bentoml serve` work in `folder`, which has a model."""
    shutil.copy(ROOT / "service.py", folder)


def _make_random(folder: Path) -> None:
    """MobileNetV3-small (timm) as ONNX with its contract."""
    from waymark.learning import network, onnx_export  # before torch: it makes torchvision importable

    import torch  # isort: skip

    torch.manual_seed(0)
    onnx_export.export(network.build("mobilenetv3_small_100", CLASSES, 0), SIDE, folder / paths.ONNX)
    names = tuple(f"class {label}" for label in range(CLASSES))
    plain = Contract("random", names, SIDE, 0.1, mean=(0.4, 0.4, 0.4), std=(0.25, 0.25, 0.25))
    sha256 = hashlib.sha256((folder / paths.ONNX).read_bytes()).hexdigest()
    plain.completed(temperature=1.0, weights_sha256="", onnx_sha256=sha256).write(folder / paths.CONTRACT)


def png(seed: int) -> bytes:
    """A small picture that compresses as a photograph of a sign does: shapes, shades and noise."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    disc = (np.hypot(x, y) < 0.4)[..., None] * chance.integers(40, 120, 3)
    shade = (x * 40 + 80)[..., None]
    noise = chance.normal(0, 4, (SIDE, SIDE, 3))
    buffer = io.BytesIO()
    Image.fromarray((disc + shade + noise).clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pngs(count: int) -> dict[str, bytes]:
    return {f"{number:04}.png": png(number) for number in range(count)}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


if __name__ == "__main__":
    _make_random(Path(sys.argv[1]))
