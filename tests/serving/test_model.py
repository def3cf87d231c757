"""The model that answers: its words, its doubts, its pictures, and what it refuses to be made of."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from waymark import paths
from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.serving import model
from waymark.serving.limits import LIMITS
from waymark.serving.model import ServedModel

CLASSES = ("stop", "yield", "other")
LOGITS = np.array([[2.0, 0.5, -1.0]], np.float32)
BEST = 0.785597  # exp(2) / (exp(2) + exp(0.5) + exp(-1))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A model that answers an image of one pixel with its three values, and one picture a class."""
    for path in (paths.ONNX, paths.CLASS_PICTURES):
        (tmp_path / path).parent.mkdir(parents=True)
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["images"], ["logits"])],
        "values",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 1, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
    )
    onnx.save(
        helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / paths.ONNX
    )
    sheet = np.array([10, 20, 30], np.uint8).repeat(8)[:, None, None].repeat(8, axis=1).repeat(3, axis=2)
    Image.fromarray(sheet).save(tmp_path / paths.CLASS_PICTURES)
    write_contract(tmp_path)
    return tmp_path


def write_contract(root: Path, threshold: float = 0.0, temperature: float = 1.0) -> None:
    contract = Contract("signs", CLASSES, 1, 0.1, (0.0,) * 3, (1.0,) * 3)
    sha256 = hashlib.sha256((root / paths.ONNX).read_bytes()).hexdigest()
    contract.completed(temperature=temperature, weights_sha256="w", onnx_sha256=sha256, threshold=threshold).write(
        root / paths.CONTRACT
    )


def loaded(root: Path, **fitted: float) -> ServedModel:
    write_contract(root, **fitted)
    return model.load(root, threads=1)


def test_an_answer_ranks_the_most_probable_classes(root: Path) -> None:
    ranked = [
        {"label": 0, "class_name": "stop", "probability": BEST},
        {"label": 1, "class_name": "yield", "probability": 0.17529},
    ]
    expected = {**ranked[0], "answered": True, "threshold": 0.5, "top": ranked}
    assert loaded(root, threshold=0.5).answers(LOGITS, top=2) == [expected]


def test_each_row_is_answered_in_its_place(root: Path) -> None:
    rows = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    answers = loaded(root).answers(rows, top=1)
    assert [answer["class_name"] for answer in answers] == ["yield", "stop", "other"]
    assert [len(answer["top"]) for answer in answers] == [1, 1, 1]


def test_of_equal_probabilities_the_first_class_comes_first(root: Path) -> None:
    (answer,) = loaded(root).answers(np.array([[1, 2, 2]], np.float32), top=3)
    assert [ranked["label"] for ranked in answer["top"]] == [1, 2, 0]


def test_the_threshold_is_held_against_the_unrounded_probability(root: Path) -> None:
    best = float(loaded(root).predictor.contract.probabilities(LOGITS)[0, 0])
    for threshold, answered in ((best, True), (float(np.nextafter(best, 1)), False)):
        (answer,) = loaded(root, threshold=threshold).answers(LOGITS, top=1)
        assert (answer["probability"], answer["answered"], answer["threshold"]) == (BEST, answered, threshold)


def test_probabilities_are_the_calibrated_ones(root: Path) -> None:
    (answer,) = loaded(root, temperature=2.0).answers(LOGITS, top=3)
    halves = np.exp(LOGITS[0].astype(float) / 2)
    assert [ranked["probability"] for ranked in answer["top"]] == [round(each, 6) for each in halves / halves.sum()]


def test_an_answer_is_plain_json(root: Path) -> None:
    answers = loaded(root).answers(LOGITS, top=3)
    assert json.loads(json.dumps(answers)) == answers


def test_each_class_has_its_picture_and_no_other_label_has_one(root: Path) -> None:
    served = loaded(root)
    for label, value in enumerate((10, 20, 30)):
        with Image.open(io.BytesIO(served.picture(label) or b"")) as picture:
            assert (np.asarray(picture) == np.full((8, 8, 3), value)).all()
    assert served.picture(3) is None


def test_another_threshold_is_another_version(root: Path) -> None:
    versions = {loaded(root, threshold=threshold).version for threshold in (0.5, 0.6)}
    assert len(versions) == 2
    assert loaded(root, threshold=0.5).version in versions


def test_a_model_without_pictures_answers_all_the_same(root: Path) -> None:
    (root / paths.CLASS_PICTURES).unlink()
    served = loaded(root)
    assert (served.pictures, served.picture(0)) == ((), None)


def test_the_description_tells_who_answers_and_within_what_limits(root: Path) -> None:
    told = loaded(root, threshold=0.25, temperature=0.5).description(replace(LIMITS, images=7))
    files = {"contract": paths.CONTRACT, "onnx": paths.ONNX}
    sha256 = {name: hashlib.sha256((root / path).read_bytes()).hexdigest() for name, path in files.items()}
    assert (told["name"], told["version"], told["classes"]) == ("signs", sha256["contract"][:12], CLASSES)
    assert told["input"] == {"image_size": 1, "crop_margin": 0.1, "colour": "rgb", "equalise": "none"}
    assert (told["threshold"], told["temperature"], told["limits"]["images"]) == (0.25, 0.5, 7)
    assert told["hashes"] == {**sha256, "weights": "w", "split": ""}
    assert {"commit", "changed", "parameters", "data", "metrics", "card"} <= told.keys()


def test_one_flipped_bit_of_the_model_is_refused(root: Path) -> None:  # M6
    damaged = bytearray((root / paths.ONNX).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (root / paths.ONNX).write_bytes(damaged)
    with pytest.raises(WaymarkError, match="is not the contract's"):
        model.load(root, threads=1)


@pytest.mark.parametrize("path", [paths.ONNX, paths.CONTRACT], ids=str)
def test_a_missing_part_is_named(root: Path, path: Path) -> None:
    (root / path).unlink()
    with pytest.raises(WaymarkError, match=f"{path}: cannot be read"):
        model.load(root, threads=1)
