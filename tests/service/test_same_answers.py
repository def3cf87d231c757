"""Torch, the ONNX file and the service, asked in each of its ways, give the same answers."""

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from waymark import paths
from waymark.contract import Box, Contract, decode
from waymark.learning import network, onnx_export, weights
from waymark.predictor import Predictor

if TYPE_CHECKING:
    from tests.service.conftest import Compare, Serve

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("WAYMARK_SHARED", ROOT.parent / "shared" / "data"))
CLASSES = tuple(map(str, range(43)))
SIZE = 32
TOLERANCE = 1e-4  # of any probability
Images = list[tuple[bytes, Box]]


def signs(count: int) -> Images:
    """Noise on slopes, of many sizes, each with a region somewhere in it."""
    rng = np.random.default_rng(0)
    found: Images = []
    for _ in range(count):
        height, width = rng.integers(25, 120, 2)
        slopes = np.linspace(0, 200, width)[None, :, None] * rng.uniform(0, 1, (height, 1, 3))
        file = io.BytesIO()
        Image.fromarray((slopes + rng.integers(0, 56, (height, width, 3))).astype(np.uint8)).save(file, "PNG")
        x1, y1 = int(rng.integers(0, 8)), int(rng.integers(0, 8))
        found.append((file.getvalue(), (x1, y1, int(rng.integers(16, width)), int(rng.integers(16, height)))))
    return found


def exported(model: torch.nn.Module, folder: Path, temperature: float) -> Contract:
    """Put the network into `folder` as `export` does."""
    (folder / paths.ONNX).parent.mkdir(parents=True)
    onnx_export.export(model, SIZE, folder / paths.ONNX)
    contract = Contract("gtsrb", CLASSES, SIZE, 0.1, (0.34, 0.31, 0.32), (0.27, 0.26, 0.28)).completed(
        temperature=temperature, weights_sha256="", onnx_sha256=weights.sha256(folder / paths.ONNX)
    )
    contract.write(folder / paths.CONTRACT)
    return contract


def agree(
    model: torch.nn.Module, contract: Contract, images: Images, folder: Path, url: str, compare: "Compare"
) -> None:
    """Hold every way to torch's answers, with the regions and without."""
    predictor = Predictor(folder / paths.ONNX, contract, threads=1)
    expected: list[NDArray[np.float64]] = []
    for regions in (True, False):
        array = np.stack([contract.image(decode(data), roi if regions else None) for data, roi in images])
        by_torch = contract.probabilities(onnx_export.logits(model, array, contract))
        by_onnx = contract.probabilities(predictor.logits(array))
        assert (by_onnx.argmax(axis=1) == by_torch.argmax(axis=1)).all()
        assert np.abs(by_onnx - by_torch).max() <= TOLERANCE
        expected.append(by_torch)
    differences = compare(url, images, *expected)
    print(f"{len(images)} images, largest |Δp|: {differences}")
    assert max(differences.values()) <= TOLERANCE


@pytest.mark.slow
def test_every_way_gives_the_same_answer(tmp_path: Path, serve: "Serve", compare: "Compare") -> None:
    torch.manual_seed(0)
    model = network.build("sign_resnet", len(CLASSES), 8)
    contract = exported(model, tmp_path, temperature=0.05)  # sharp, as random weights hardly tell images apart
    images = signs(60)
    agree(model, contract, images, tmp_path, serve(tmp_path), compare)


def real_signs() -> tuple[Images, Images, list[int]]:
    """Test and training images of the GTSRB cut with their boxes, and the labels of the latter."""
    path = SHARED / "gtsrb" / "archive.zip"
    if not path.exists():
        pytest.skip("the real cut of GTSRB is not on this machine")
    found: dict[str, Images] = {}
    with ZipFile(path) as archive:
        for name in ("Test.csv", "Train.csv"):
            rows = list(csv.DictReader(io.TextIOWrapper(archive.open(name))))
            found[name] = [
                (
                    archive.read(row["Path"]),
                    (int(row["Roi.X1"]), int(row["Roi.Y1"]), int(row["Roi.X2"]), int(row["Roi.Y2"])),
                )
                for row in rows
            ]
    return found["Test.csv"], found["Train.csv"], [int(row["ClassId"]) for row in rows]


def learned(images: Images, labels: list[int]) -> torch.nn.Module:
    """A network that has seen the images twice: far from good, but it tells signs apart."""
    torch.manual_seed(0)
    model = network.build("sign_resnet", len(CLASSES), 8)
    plain = Contract("gtsrb", CLASSES, SIZE, 0.1, (0.34, 0.31, 0.32), (0.27, 0.26, 0.28))
    inputs = torch.from_numpy(plain.normalise(np.stack([plain.image(decode(data), roi) for data, roi in images])))
    targets = torch.tensor(labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(2):
        for batch in torch.randperm(len(targets)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs[batch]), targets[batch]).backward()
            optimizer.step()
    return model.eval()


@pytest.mark.long
def test_every_real_sign_is_answered_alike_in_every_way(tmp_path: Path, serve: "Serve", compare: "Compare") -> None:
    images, training, labels = real_signs()
    assert len(images) == 2640
    model = learned(training[::4], labels[::4])
    contract = exported(model, tmp_path, temperature=1.0)
    agree(model, contract, images, tmp_path, serve(tmp_path), compare)
