"""A repository with a small network that tells classes by the colour of one corner; the rest of its images is noise."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from waymark import paths
from waymark.contract import Contract
from waymark.learning import network, weights
from waymark.predictor import Predictor

SIZE = 24
CORNER = 8  # px, of the square that tells the class
COLOURS = ((230, 20, 20), (20, 200, 20), (20, 20, 230))
CLASSES = ("<b>red</b>", "grün", "blue & white")
MISLABELLED = (1, 4, 5, 9)  # of the test images: what the network is "wrong" about
FRAMES = 3  # of each group


Drawn = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (N, SIZE, SIZE, 3) and their labels


@dataclass(frozen=True)
class Planted:
    """A repository that is to be read only, and how its images are drawn."""

    root: Path
    contract: Contract
    drawn: Callable[[int, int], Drawn]  # number of images, seed
    corner: int = CORNER
    mislabelled: tuple[int, ...] = MISLABELLED


def drawn(count: int, seed: int) -> Drawn:
    chance = np.random.default_rng(seed)
    images = chance.integers(0, 200, (count, SIZE, SIZE, 3)).astype(np.uint8)
    labels = np.arange(count) % len(CLASSES)
    images[:, :CORNER, :CORNER] = np.array(COLOURS, np.uint8)[labels][:, None, None]
    return images, labels


def learned(contract: Contract) -> nn.Module:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = network.build("sign_resnet", len(CLASSES), 8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(25):
        images, labels = drawn(48, step)
        loss = F.cross_entropy(model(torch.from_numpy(contract.normalise(images))), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def export(model: nn.Module, path: Path) -> None:
    """By torch's older exporter, which takes a tenth of a second; `export`'s takes four, and has tests of its own."""
    axes, example = {"images": {0: "batch"}, "logits": {0: "batch"}}, torch.zeros(2, 3, SIZE, SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example,),
            str(path),
            dynamo=False,
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes=axes,
        )


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    root = tmp_path_factory.mktemp("planted")
    for path in (paths.WEIGHTS, paths.PREPARED_CONTRACT, paths.PREDICTIONS):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    half = (0.5, 0.5, 0.5)
    contract = Contract("rendered", CLASSES, image_size=SIZE, crop_margin=0.0, mean=half, std=half)
    model = learned(contract)
    weights.write(model, root / paths.WEIGHTS, name="sign_resnet", num_classes=len(CLASSES), width=8)
    export(model, root / paths.ONNX)
    contract = contract.completed(
        temperature=1.0,
        threshold=0.5,
        weights_sha256=weights.sha256(root / paths.WEIGHTS),
        onnx_sha256=weights.sha256(root / paths.ONNX),
    )
    contract.write(root / paths.CONTRACT)

    images, labels = drawn(12, 99)
    probabilities = contract.probabilities(Predictor(root / paths.ONNX, contract, 1).logits(images))
    assert (probabilities.argmax(axis=1) == labels).all()
    labels[list(MISLABELLED)] = (labels[list(MISLABELLED)] + 1) % len(CLASSES)
    np.save(root / paths.images("test"), images)
    rows = pd.DataFrame({"archive": "a.zip", "member": [f"<i>{number}.png" for number in range(len(labels))]})
    rows["label"] = labels.astype(np.int16)
    rows["group"] = [f"track {number // FRAMES}" for number in range(len(labels))]
    rows["part"] = ""
    rows["predicted"] = probabilities.argmax(axis=1)
    rows["confidence"] = probabilities.max(axis=1).round(6)
    rows.to_parquet(root / paths.PREDICTIONS, index=False)
    return Planted(root, contract, drawn)
