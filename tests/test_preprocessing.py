"""One picture on every way to the network: the same bytes on each, today and after any change of a library.

The golden values are SHA-256 digests (their first 16 digits). Where one changes, models that were trained before are
fed something that they were not trained on: raise the contract's SCHEMA with it.
"""

import asyncio
import hashlib
import io
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image
from torch import nn

from waymark.contract import Colour, Contract, Equalise, decode
from waymark.learning.augmentation import Augmentation
from waymark.learning.classifier import Classifier, as_float
from waymark.predictor import Predictor
from waymark.serving.answering import Answering
from waymark.serving.instruments import Instruments
from waymark.serving.limits import LIMITS
from waymark.serving.model import ServedModel
from waymark.stages import prepare

ROI = (9, 6, 45, 38)  # wider than high, and off the centre
MEAN, STD = (0.34, 0.31, 0.32), (0.27, 0.26, 0.28)

GOLDEN: dict[tuple[Colour, Equalise, int, float], tuple[str, str]] = {
    # colour, equalise, image_size, crop_margin: the prepared image, what reaches the network
    ("rgb", "none", 16, 0.1): ("56948599193bf7f5", "061705265c1108a6"),
    ("rgb", "histogram", 16, 0.1): ("a5f360d5afd7dce0", "689a3651e8c5646d"),
    ("rgb", "clahe", 16, 0.1): ("cdcea72d8a1d2f55", "77ed9f25310cd0ca"),
    ("grey", "none", 16, 0.1): ("741d124ac2b8565e", "879d6a8523ecfa90"),
    ("grey", "histogram", 16, 0.1): ("1077b8c433abf0a5", "d8010f07546e72c9"),
    ("grey", "clahe", 16, 0.1): ("86888efe77b56975", "6a9112f339b1cc9e"),
    ("rgb", "none", 16, 0.0): ("08dc10fef13261dd", "8fceb1667d382545"),
    ("rgb", "none", 16, 0.5): ("4aaf97810a76bd07", "94e76f5b9eeae087"),
    ("rgb", "none", 40, 0.1): ("3d9a823333b4829f", "068c5f8721af3f31"),
    ("rgb", "histogram", 40, 0.1): ("515281e02b4e33ae", "8c839a6d80caaa9a"),
    ("rgb", "clahe", 41, 0.0): ("c17d16f5953d3696", "b735450e93eae5de"),
    ("grey", "clahe", 40, 0.5): ("038dfddc2cbe4d26", "091b8afdb6c926d4"),
}


def png() -> bytes:
    """A dim blue disc with a red edge on a slope that no channel shares, 61 × 47 px, in whole numbers only."""
    rows, columns = np.mgrid[:47, :61]
    picture = np.stack([20 + columns, 30 + rows, 15 + (rows * columns) // 40], axis=2)
    distance = (rows - 21) ** 2 + (columns - 27) ** 2
    picture[distance < 18**2] = (150, 25, 30)
    picture[distance < 13**2] = (35, 60, 140)
    picture += ((rows * 7 + columns * 13) % 11)[..., None]
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def contract(colour: Colour = "rgb", equalise: Equalise = "none", size: int = 16, margin: float = 0.1) -> Contract:
    inputs = tuple(map(str, range(3 * size * size)))
    return Contract("folder", inputs, size, margin, MEAN, STD, colour, equalise)


def digest(array: NDArray[np.generic]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def echo(path: Path, size: int) -> str:
    """Write a network that answers with its own input, one logit a value; its SHA-256."""
    sides: list[str | int | None] = ["batch", 3, size, size]
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["images"], ["logits"])],
        "echo",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3 * size * size])],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prepared(contract: Contract, folder: Path) -> NDArray[np.uint8]:
    """As `prepare` does it: out of an archive, into the array of a split."""
    box = dict(zip(prepare.BOX, ROI, strict=True))
    rows = pd.DataFrame([{"archive": "a.zip", "member": "0.png", **box}])
    prepare.write_images(folder / "images.npy", rows, contract, lambda archive, member: png(), None)
    return np.asarray(np.load(folder / "images.npy"), np.uint8)


def evaluated(contract: Contract, images: NDArray[np.uint8], folder: Path) -> NDArray[np.float32]:
    """As `evaluate` does it: the prepared array, through the file that is shipped."""
    sha256 = echo(folder / "model.onnx", contract.image_size)
    completed = contract.completed(temperature=1.0, weights_sha256="", onnx_sha256=sha256)
    return Predictor(folder / "model.onnx", completed, threads=1).logits(images)


class Recorder(Predictor):
    """Keeps what it has answered."""

    answered: tuple[NDArray[np.float32], ...] = ()

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.answered += (super().logits(images),)
        return self.answered[-1]


def served(contract: Contract, folder: Path) -> tuple[NDArray[np.float32], ...]:
    """As the service does it: the same bytes and box as one image, and as one of several."""
    sha256 = echo(folder / "model.onnx", contract.image_size)
    completed = contract.completed(temperature=1.0, weights_sha256="", onnx_sha256=sha256)
    recorder = Recorder(folder / "model.onnx", completed, threads=1)
    box = ",".join(map(str, ROI))

    async def ask() -> None:
        answering = Answering(ServedModel(recorder, "", {}, ()), LIMITS, Instruments())
        await answering.one(png(), box, 1)
        await answering.several([("0.png", png())], [box], 1)
        answering.close()

    asyncio.run(ask())
    return recorder.answered


@pytest.mark.parametrize(("choice", "golden"), GOLDEN.items(), ids=str)
def test_the_golden_picture_reaches_the_network_unchanged(
    choice: tuple[Colour, Equalise, int, float], golden: tuple[str, str], tmp_path: Path
) -> None:
    chosen = contract(*choice)
    images = prepared(chosen, tmp_path)
    assert (images[0] == chosen.image(decode(png()), ROI)).all()
    seen = evaluated(chosen, images, tmp_path)
    assert (digest(images), digest(seen)) == golden
    one, several = served(chosen, tmp_path)
    assert digest(one) == digest(several) == golden[1]


def test_every_choice_makes_another_picture() -> None:
    assert len({image for image, _ in GOLDEN.values()}) == len(GOLDEN)


def test_by_default_an_image_is_cut_and_resized_and_nothing_else() -> None:
    picture = decode(png())
    # 37 px wide, so 37 × (1/2 + 1/10) = 22.2 px either way of the box's centre, as far as the image reaches
    box = (27.5 - 22.2, 22.5 - 22.2, 27.5 + 22.2, 22.5 + 22.2)
    plain = np.asarray(picture.resize((16, 16), Image.Resampling.BILINEAR, box=box))
    assert (contract().image(picture, ROI) == plain).all()


def test_grey_is_the_luma_of_bt_601_in_three_equal_channels() -> None:
    red, green, blue = np.moveaxis(contract().image(decode(png()), ROI).astype(int), 2, 0)
    luma = (19595 * red + 38470 * green + 7471 * blue + 2**15) >> 16  # 0.299, 0.587 and 0.114 of 65,536
    assert (contract("grey").image(decode(png()), ROI) == luma[..., None]).all()


def test_torch_normalises_as_the_contract_does() -> None:
    every_level = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    learner = Classifier(
        nn.Identity(), Augmentation(), MEAN, STD, optimizer="sgd", lr=0.1, weight_decay=0, label_smoothing=0
    )
    learned = learner.normalised(as_float(torch.from_numpy(every_level))).numpy()
    assert learned == pytest.approx(contract().normalise(every_level), abs=1e-6)
