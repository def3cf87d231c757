"""The shipped model: the ONNX file that the contract names, or a refusal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.learning import network, onnx_export, weights
from waymark.predictor import Predictor

SIZE = 16


@pytest.fixture(scope="module", params=network.OURS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[torch.nn.Module, Path, Contract]:
    torch.manual_seed(0)
    model = network.build(request.param, 3, 8)
    path = tmp_path_factory.mktemp("models") / "model.onnx"
    onnx_export.export(model, SIZE, path)
    contract = Contract("rendered", ("a", "b", "c"), SIZE, 0.1, (0.5,) * 3, (0.25,) * 3)
    return model, path, contract.completed(temperature=1.0, weights_sha256="", onnx_sha256=weights.sha256(path))


Exported = tuple[torch.nn.Module, Path, Contract]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 300])
def test_onnx_answers_as_torch_for_any_batch(exported: Exported, count: int) -> None:
    model, path, contract = exported
    images = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    logits = Predictor(path, contract, threads=1).logits(images)
    assert logits.shape == (count, 3)
    assert np.abs(logits - onnx_export.logits(model, images, contract)).max() < 1e-5


def test_two_exports_are_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    model, path, _ = exported
    onnx_export.export(model, SIZE, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["again.onnx"]


@pytest.mark.parametrize("offset", [0, 1000, -1])
def test_one_flipped_bit_is_refused(exported: Exported, tmp_path: Path, offset: int) -> None:  # M6
    _, path, contract = exported
    damaged = bytearray(path.read_bytes())
    damaged[offset] ^= 1
    (tmp_path / "model.onnx").write_bytes(damaged)
    with pytest.raises(WaymarkError, match=r"model\.onnx: its SHA-256 .* is not the contract's"):
        Predictor(tmp_path / "model.onnx", contract, threads=1)


@pytest.mark.parametrize("change", [{"class_names": ("a", "b")}, {"image_size": 32}])
def test_a_contract_for_another_network_is_refused(exported: Exported, change: dict[str, object]) -> None:  # M7
    _, path, contract = exported
    with pytest.raises(WaymarkError, match="takes images of 16 px to 3 classes, the contract names"):
        Predictor(path, replace(contract, **change), threads=1)  # type: ignore[arg-type]


def test_a_missing_model_says_how_to_make_it(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(WaymarkError, match="`dvc repro` makes it"):
        Predictor(tmp_path / "model.onnx", exported[2], threads=1)
