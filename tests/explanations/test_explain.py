"""`waymark explain`: the answer of the ONNX file, a picture that shows why, one sentence for what does not hold."""

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from waymark import cli, paths
from waymark.contract import Box
from waymark.errors import WaymarkError
from waymark.explanations import asking, explain
from waymark.learning import attribution, network, weights

if TYPE_CHECKING:
    from tests.explanations.conftest import Planted

BORDER, SIZE = 6, 24  # px, around the drawn image and of it
WITHIN: Box = (BORDER, BORDER, BORDER + SIZE - 1, BORDER + SIZE - 1)


@pytest.fixture
def picture(planted: "Planted", tmp_path: Path) -> Path:
    """The first drawn image, red in the corner, with a grey border."""
    images, _ = planted.drawn(1, 7)
    framed = np.pad(images[0], ((BORDER, BORDER), (BORDER, BORDER), (0, 0)), constant_values=90)
    Image.fromarray(framed).save(tmp_path / "sign.png")
    return tmp_path / "sign.png"


def test_heat_of_a_learned_network_lies_in_the_corner_that_tells_the_class(planted: "Planted") -> None:
    images, labels = planted.drawn(12, 7)
    heat = asking.load(planted.root).heat_maps(images, labels)
    reach = planted.corner + 4  # px; a map inside the network is coarser than the image
    # Over all images: of one class nothing speaks, it is what is neither of the others.
    assert heat[:, :reach, :reach].sum() / heat.sum() > 0.6  # of a quarter of the image


def test_heat_is_the_network_s_not_the_image_s(planted: "Planted") -> None:
    """Adebayo et al. 2018 (https://arxiv.org/abs/1810.03292): other weights must give another map."""
    images, labels = planted.drawn(12, 7)
    learned = asking.load(planted.root).heat_maps(images, labels)
    torch.manual_seed(1)
    unlearned = network.build("sign_resnet", 3, 8)
    other = attribution.heat_maps(unlearned, planted.contract.normalise(images), labels)
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(learned, other, strict=True) if b.any()]
    assert np.mean(alike) < 0.5


def test_png_is_the_same_bytes_again_and_tells_nothing_of_the_machine(planted: "Planted", picture: Path) -> None:
    outputs = [picture.with_name(name) for name in ("first.png", "second.png")]
    for output in outputs:
        explain.run(planted.root, picture, roi=WITHIN, class_name=None, output=output)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    with Image.open(outputs[0]) as sheet:
        assert (sheet.format, sheet.mode, sheet.info) == ("PNG", "RGB", {})


def test_sentence_has_the_answer_of_the_onnx_file(planted: "Planted", picture: Path) -> None:
    output = picture.with_name("explanation.png")
    said = explain.run(planted.root, picture, roi=WITHIN, class_name=None, output=output)
    probabilities = asking.load(planted.root).probabilities(planted.drawn(1, 7)[0])[0]
    assert said.startswith(f"{picture}: {planted.contract.class_names[0]} {100 * probabilities[0]:.2f} % (then ")
    assert said.endswith(f"; {output} shows where the network looked for {planted.contract.class_names[0]}")


def test_answer_below_the_threshold_is_not_sure(planted: "Planted", picture: Path, tmp_path: Path) -> None:
    root = tmp_path / "strict"
    shutil.copytree(planted.root / "models", root / "models")
    contract = planted.contract.completed(
        temperature=1.0,
        threshold=1.0,
        weights_sha256=planted.contract.weights_sha256,
        onnx_sha256=planted.contract.onnx_sha256,
    )
    contract.write(root / paths.CONTRACT)
    said = explain.run(root, picture, roi=WITHIN, class_name=None, output=tmp_path / "out.png")
    assert said.startswith(f"{picture}: not sure, below the threshold of 100.00 %: {planted.contract.class_names[0]} ")


def test_another_class_is_explained_by_its_name_whatever_its_case(planted: "Planted", picture: Path) -> None:
    best, other = picture.with_name("best.png"), picture.with_name("other.png")
    explain.run(planted.root, picture, roi=WITHIN, class_name=None, output=best)
    said = explain.run(planted.root, picture, roi=WITHIN, class_name="GRÜN", output=other)
    assert said.endswith("shows where the network looked for grün")
    assert best.read_bytes() != other.read_bytes()


def refused(root: Path, image: Path, sentence: str, roi: Box | None = None, class_name: str | None = None) -> None:
    output = image.with_name("never.png")
    with pytest.raises(WaymarkError, match=f"^{re.escape(sentence)}$"):
        explain.run(root, image, roi=roi, class_name=class_name, output=output)
    assert not output.exists()


def test_file_that_is_not_there_is_named(planted: "Planted", tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    refused(planted.root, missing, f"{missing}: cannot be read (No such file or directory)")


def test_folder_is_no_image(planted: "Planted", tmp_path: Path) -> None:
    refused(planted.root, tmp_path, f"{tmp_path}: is a folder; name one image of it")


def test_file_that_is_no_image_is_refused_as_by_the_service(planted: "Planted", tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no image")
    refused(planted.root, text, f"{text}: this is no image in JPEG, PNG, binary PPM, WebP or BMP")


def test_box_outside_the_picture_is_refused_with_what_fits(planted: "Planted", picture: Path) -> None:
    sentence = f"--roi: 5,5,36,20 is no box within {picture}, 36 × 36 px; give x1,y1,x2,y2 from 0,0 to 35,35"
    refused(planted.root, picture, sentence, roi=(5, 5, 36, 20))


def test_unknown_class_is_refused_with_the_nearest_names(planted: "Planted", picture: Path) -> None:
    sentence = "--class: 'blue and white' is none of the model's 3 classes; near it are blue & white"
    refused(planted.root, picture, sentence, class_name="blue and white")
    all_names = ", ".join(planted.contract.class_names)
    sentence = f"--class: 'xyz' is none of the model's 3 classes; there are {all_names} and so on"
    refused(planted.root, picture, sentence, class_name="xyz")


def test_without_a_model_the_way_to_one_is_named(tmp_path: Path, picture: Path) -> None:
    root = tmp_path / "empty"
    sentence = f"{root / paths.CONTRACT}: cannot be read (No such file or directory); `dvc repro` makes it"
    refused(root, picture, sentence)


def test_weights_of_another_model_are_refused(planted: "Planted", picture: Path, tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    shutil.copytree(planted.root / "models", root / "models")
    torch.manual_seed(1)
    other = network.build("sign_resnet", 3, 8)
    weights.write(other, root / paths.WEIGHTS, name="sign_resnet", num_classes=3, width=8)
    with pytest.raises(WaymarkError, match=r"model\.safetensors: its SHA-256 .* is not the contract's .*; run `dvc"):
        explain.run(root, picture, roi=None, class_name=None, output=tmp_path / "never.png")


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "-1,0,5,5", "1,2,3,4,5", "١,٢,٣,٤"])
def test_box_in_other_words_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], box: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["waymark", "explain", "sign.png", f"--roi={box}"])
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main()
    assert f"argument --roi: {box}: expected x1,y1,x2,y2 in whole numbers" in capsys.readouterr().err
