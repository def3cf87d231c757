"""Weights that a training begins with, from a real S3 server; and timm's networks through the stages that follow."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save

from waymark import contract, params, paths
from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.learning import initial, network, weights
from waymark.predictor import Predictor
from waymark.stages import evaluate, export, train

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = params.load(ROOT / paths.PARAMS)
CLASSES = ("stop", "yield", "bend")
SMALL = {"epochs": 1, "batch_size": 16, "threads": 1, "precision": "32-true"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)


@pytest.fixture
def person(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who has typed the export lines that `make s3` prints."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def test_object_on_s3_is_where_learning_begins(s3: Any, person: None, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network.build("sign_resnet", 3, 8)
    content = save(model.state_dict())
    s3.client().put_object(Bucket=s3.bucket, Key="weights/signs.safetensors", Body=content)
    Path("same").write_bytes(content)
    address = f"s3://{s3.bucket}/weights/signs.safetensors@sha256:{weights.sha256(Path('same'))}"
    begun = initial.build(DEFAULTS.model_copy(update={"width": 8, "weights": address}), 3)
    assert all(torch.equal(begun.state_dict()[key], tensor) for key, tensor in model.state_dict().items())
    assert begun.initial_weights == address
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert initial.given(address).sha256 == weights.sha256(Path("same"))  # the copy that is kept
    with pytest.raises(WaymarkError, match=f"^s3://{s3.bucket}/other.safetensors: the keys in the environment give no"):
        initial.given(f"s3://{s3.bucket}/other.safetensors")


@pytest.fixture
def prepared() -> None:
    """Prepared splits of three classes of noise at 40 px."""
    paths.PREPARED.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        labels = np.arange(32) % len(CLASSES)
        np.save(paths.images(split), generator.integers(0, 256, (32, 40, 40, 3)).astype(np.uint8))
        rows = pd.DataFrame(
            {"label": labels, "archive": "a.zip", "member": labels.astype(str), "group": labels, "part": split}
        )
        rows.astype({"group": str}).to_parquet(paths.rows(split), index=False)
    half = (0.5, 0.5, 0.5)
    Contract("tiny", CLASSES, image_size=40, crop_margin=0.0, mean=half, std=half).write(paths.PREPARED_CONTRACT)


@pytest.mark.slow
def test_timm_s_network_learns_with_one_parameter_changed(prepared: None) -> None:
    train.run(DEFAULTS.model_copy(update=SMALL | {"network": "mobilenetv3_small_100"}))
    assert weights.read(paths.WEIGHTS).eval()(torch.zeros(1, 3, 40, 40)).shape == (1, 3)


@pytest.mark.long
@pytest.mark.parametrize("name", ["mobilenetv3_small_100", "mobilenetv3_large_100", "resnet18"])
def test_timm_s_networks_learn_and_ship(name: str, prepared: None) -> None:
    settings = DEFAULTS.model_copy(update=SMALL | {"network": name})
    train.run(settings)
    export.run(settings)
    evaluate.run(settings)
    assert paths.METRICS.is_file()
    logits = Predictor(paths.ONNX, contract.read(paths.CONTRACT), 1).logits(np.load(paths.images("test")))
    assert logits.shape == (32, 3)
    assert np.isfinite(logits).all()
