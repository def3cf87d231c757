"""Weights: nothing foreign runs, nothing damaged loads."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from waymark.errors import WaymarkError
from waymark.learning import network, weights


@pytest.fixture
def written(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    weights.write(network.build("sign_resnet", 3, 8), path, name="sign_resnet", num_classes=3, width=8)
    return path


def metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as opened:
        return dict(opened.metadata())


def test_weights_read_back_give_the_same_answers(written: Path) -> None:
    torch.manual_seed(0)
    original = network.build("sign_resnet", 3, 8).eval()
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(weights.read(written).eval()(images), original(images))
    assert [p.name for p in written.parent.iterdir()] == ["model.safetensors"]


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('the payload ran')",))


def test_a_pickle_is_refused_and_never_runs(tmp_path: Path) -> None:  # M1, M2
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(WaymarkError, match="not a safetensors file"):
        weights.read(path)
    torch.save({"w": torch.zeros(1), "p": Payload()}, path)
    with pytest.raises(WaymarkError, match="not a safetensors file"):
        weights.read(path)


def test_a_file_cut_anywhere_is_refused(written: Path) -> None:  # M3
    whole = written.read_bytes()
    for offset in range(0, len(whole), len(whole) // 20):
        written.write_bytes(whole[:offset])
        with pytest.raises(WaymarkError, match=r"model\.safetensors"):
            weights.read(written)


@pytest.mark.parametrize("change", ["dtype", "shape", "missing", "extra"])
def test_tensors_that_do_not_fit_are_refused_by_name(written: Path, change: str) -> None:  # M5
    tensors, key = load_file(written), "head.2.bias"
    match change:
        case "dtype":
            tensors[key] = tensors[key].half()
        case "shape":
            tensors[key] = tensors[key].repeat(2)
        case "missing":
            del tensors[key]
        case "extra":
            key = "backdoor"
            tensors[key] = torch.zeros(1)
    save_file(tensors, written, metadata=metadata(written))
    with pytest.raises(WaymarkError, match=f"tensor '{key}' does not fit network sign_resnet"):
        weights.read(written)
