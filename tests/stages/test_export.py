"""`export` and `evaluate`: the ONNX file, its contract, and what is said of it on test."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from waymark import contract, params, paths
from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.learning import network, weights
from waymark.params import Params
from waymark.predictor import Predictor
from waymark.stages import evaluate, export

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("stop", "yield", "bend")
OUTPUTS = ("models/model.onnx", "models/contract.json", "reports/export.json")

pytestmark = pytest.mark.slow  # torch's exporter takes two seconds


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A folder with a network that has learned nothing, a val split, and no test split."""
    monkeypatch.chdir(tmp_path)
    half = (0.5, 0.5, 0.5)
    paths.PREPARED.mkdir(parents=True)
    Contract("tiny", CLASSES, image_size=16, crop_margin=0.0, mean=half, std=half).write(paths.PREPARED_CONTRACT)
    write_split("val", 30)
    torch.manual_seed(0)
    paths.WEIGHTS.parent.mkdir()
    model = network.build("sign_resnet", len(CLASSES), 8)
    weights.write(model, paths.WEIGHTS, name="sign_resnet", num_classes=len(CLASSES), width=8)
    return params.load(ROOT / paths.PARAMS).model_copy(update={"threads": 1})


def write_split(split: str, count: int, part: str = "") -> None:
    images = np.random.default_rng(count).integers(0, 256, (count, 16, 16, 3), np.uint8)
    np.save(paths.images(split), images)
    rows = {"archive": "a.zip", "member": [f"{n}.png" for n in range(count)], "label": np.arange(count) % len(CLASSES)}
    tracks = [f"track {n // 2}" for n in range(count)]
    pd.DataFrame(rows | {"group": tracks, "part": part}).to_parquet(paths.rows(split), index=False)


def contents() -> list[bytes]:
    return [Path(name).read_bytes() for name in OUTPUTS]


def test_contract_names_the_files_it_was_written_for_and_the_bytes_repeat(trained: Params) -> None:
    export.run(trained)
    first = contents()
    completed = contract.read(paths.CONTRACT)
    assert completed.onnx_sha256 == weights.sha256(paths.ONNX)
    assert completed.weights_sha256 == weights.sha256(paths.WEIGHTS)
    assert completed.temperature > 0
    summary = json.loads(paths.EXPORT.read_text(encoding="utf-8"))
    assert summary["onnx_bytes"] == paths.ONNX.stat().st_size
    assert summary["val"]["images"] == 30
    export.run(trained)
    assert contents() == first


def test_threshold_of_the_contract_keeps_the_promise_on_val_as_the_service_compares(trained: Params) -> None:
    rows = pd.read_parquet(paths.rows("val"))
    rows["label"] = np.where(np.arange(30) % 10, 1, 0)  # this network says 1 of everything: three are wrong
    rows["group"] = [f"track {number}" for number in range(30)]
    rows.to_parquet(paths.rows("val"))
    export.run(trained.model_copy(update={"max_risk": 0.07}))  # (1 + 1) / (30 + 1) is less: one may be given
    completed = contract.read(paths.CONTRACT)
    probabilities = completed.probabilities(Predictor(paths.ONNX, completed, 1).logits(np.load(paths.images("val"))))
    assert probabilities.argmax(axis=1).tolist() == [1] * 30
    wrong = np.sort(probabilities[::10, 1])
    assert 0.5 < wrong[0] < wrong[1] < completed.threshold <= wrong[2]
    summary = json.loads(paths.EXPORT.read_text(encoding="utf-8"))
    assert (summary["threshold"], summary["risk_promised"]) == (completed.threshold, 0.07)
    answered = (probabilities[:, 1] >= completed.threshold).sum()
    assert summary["val"]["coverage"] == pytest.approx(answered / 30, abs=1e-6)
    assert summary["val"]["answered_error"] == pytest.approx(1 / answered, abs=1e-6)


def test_val_that_is_too_small_for_the_risk_asked_for_is_named_with_what_it_promises(
    caplog: pytest.LogCaptureFixture,
) -> None:
    half = (0.5, 0.5, 0.5)
    contract = Contract("tiny", CLASSES, image_size=16, crop_margin=0.0, mean=half, std=half)
    logits = np.tile(np.array([[3.0, 0.0, 0.0]], np.float32), (30, 1))
    completed, risk_promised = export.fit(contract, logits, np.zeros(30, np.int64), np.arange(30) // 3, 0.005)
    assert (completed.threshold, risk_promised) == (0.5, 1 / 11)
    assert caplog.messages == ["warning: max_risk: 10 groups of val promise 0.091 at best, not 0.005"]


def test_onnx_file_holds_no_path_of_this_machine(trained: Params) -> None:
    export.run(trained)
    model = paths.ONNX.read_bytes()
    for place in (str(ROOT), str(Path(torch.__file__).parents[1]), str(Path.cwd())):
        assert place.encode() not in model


def test_onnx_file_that_answers_otherwise_than_torch_is_refused_and_the_old_one_stays(
    trained: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    export.run(trained)
    before = contents()
    torch_logits = export.onnx_export.logits  # type: ignore[attr-defined]

    def shifted(*arguments: object) -> np.ndarray:
        answers: np.ndarray = torch_logits(*arguments)
        return answers + np.array([0.01, 0, 0], np.float32)

    monkeypatch.setattr("waymark.learning.onnx_export.logits", shifted)
    with pytest.raises(WaymarkError, match=r"model\.onnx: probabilities differ from torch's by 0\.00\d+, over 0\.0001"):
        export.run(trained)
    assert contents() == before
    assert list(Path().rglob("*.part")) == []


def test_evaluate_judges_the_exported_file_on_test(trained: Params) -> None:
    export.run(trained)
    write_split("test", 12)
    evaluate.run(trained)
    rows = pd.read_parquet(paths.PREDICTIONS)
    metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
    assert metrics["images"] == len(rows) == 12
    assert metrics["accuracy"] == pytest.approx((rows["predicted"] == rows["label"]).mean(), abs=1e-6)
    answered = rows["confidence"] >= contract.read(paths.CONTRACT).threshold
    assert metrics["coverage"] == pytest.approx(answered.mean(), abs=1e-6)
    assert metrics["answered_error"] == pytest.approx(
        (answered & (rows["predicted"] != rows["label"])).sum() / max(answered.sum(), 1), abs=1e-6
    )
    confusion = pd.read_csv(paths.PLOTS / "confusion.csv")
    assert confusion["actual"].tolist() == [CLASSES[label] for label in rows["label"]]
    assert confusion["predicted"].tolist() == [CLASSES[label] for label in rows["predicted"]]
    assert pd.read_csv(paths.PLOTS / "reliability.csv")["images"].sum() == 12
    curve = pd.read_csv(paths.PLOTS / "risk_coverage.csv")
    assert curve["coverage"].tolist() == pytest.approx([n / 12 for n in range(1, 13)], abs=1e-6)
    assert curve["answered_error"].iloc[-1] == pytest.approx(1 - metrics["accuracy"], abs=1e-6)
    assert metrics["area_under_risk_coverage_curve"] == pytest.approx(curve["answered_error"].mean(), abs=1e-6)
    assert contract.read(paths.CONTRACT).onnx_sha256 in paths.MODEL_CARD.read_text(encoding="utf-8")


def test_evaluate_corrupts_some_images_and_shows_the_model_foreign_ones(trained: Params) -> None:
    export.run(trained)
    write_split("test", 12, "same_signer")
    rows = pd.read_parquet(paths.rows("test"))
    rows.loc[:3, "part"] = "other_signer"
    rows = rows.loc[[*range(4, 12), *range(4)]].reset_index(drop=True)
    rows.to_parquet(paths.rows("test"))
    evaluate.run(trained.model_copy(update={"corruption_images": 4}))
    metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
    corrupted = pd.read_csv(paths.PLOTS / "corruptions.csv")
    assert len(corrupted) == 75
    assert set(corrupted["accuracy"]) <= {0, 0.25, 0.5, 0.75, 1}  # of four images
    assert metrics["corruption_accuracy"] == pytest.approx(corrupted["accuracy"].mean(), abs=1e-6)
    means = pd.read_csv(paths.PLOTS / "corruption_means.csv")
    assert metrics["worst_corruption_accuracy"] == means["accuracy"].min() == means["accuracy"].iloc[0]
    strangers = pd.read_csv(paths.PLOTS / "out_of_distribution.csv")
    assert strangers["kind"].tolist() == ["noise", "blank", "gradient", "blobs"]
    assert metrics["ood_auroc"] == pytest.approx(strangers["auroc"].mean(), abs=1e-6)
    assert "ood_auroc" not in metrics["same_signer"]
    assert f"| ood auroc | {metrics['ood_auroc']:g} |" in paths.MODEL_CARD.read_text(encoding="utf-8")
    first = {path: path.read_bytes() for path in sorted(Path("reports").rglob("*.*"))}
    evaluate.run(trained.model_copy(update={"corruption_images": 4}))
    assert {path: path.read_bytes() for path in sorted(Path("reports").rglob("*.*"))} == first


def test_parts_of_the_test_are_judged_apart_and_the_first_is_the_headline(trained: Params) -> None:
    export.run(trained)
    write_split("test", 12, "same_signer")
    rows = pd.read_parquet(paths.rows("test"))
    rows.loc[8:, "part"] = "other_signer"
    rows.to_parquet(paths.rows("test"))
    evaluate.run(trained)
    metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
    rows = pd.read_parquet(paths.PREDICTIONS)
    right = (rows["predicted"] == rows["label"]).to_numpy()
    assert (metrics["same_signer"]["images"], metrics["other_signer"]["images"]) == (8, 4)
    assert metrics["accuracy"] == metrics["same_signer"]["accuracy"] == pytest.approx(right[:8].mean())
    assert metrics["other_signer"]["accuracy"] == pytest.approx(right[8:].mean())
    assert len(pd.read_csv(paths.PLOTS / "confusion.csv")) == 8
    assert "## On the 4 test images, other signer" in paths.MODEL_CARD.read_text(encoding="utf-8")


def test_metrics_name_the_split_that_they_hold_for(trained: Params) -> None:
    replace(contract.read(paths.PREPARED_CONTRACT), split_sha256="5" * 64).write(paths.PREPARED_CONTRACT)
    export.run(trained)
    write_split("test", 12)
    evaluate.run(trained)
    assert json.loads(paths.METRICS.read_text(encoding="utf-8"))["split_sha256"] == "5" * 64


def test_swapped_labels_of_two_classes_are_refused_by_name() -> None:  # D25
    confusion = np.array([[1, 19, 0], [16, 4, 0], [0, 9, 11]])
    with pytest.raises(WaymarkError) as refused:
        evaluate.refuse_swapped_labels(confusion, np.array(CLASSES))
    assert str(refused.value).startswith(
        "stop is taken for yield in 19 of 20 images and yield for stop in 16 of 20: their labels are probably swapped"
    )


@pytest.mark.parametrize(
    "confusion",
    [[[5, 15, 0], [4, 16, 0], [0, 0, 0]], [[1, 9, 0], [2, 18, 0], [0, 0, 9]], [[4, 6, 0], [6, 4, 0], [0, 0, 1]]],
)
def test_classes_that_are_hard_to_tell_apart_or_have_few_images_are_not_called_swapped(
    confusion: list[list[int]],
) -> None:
    evaluate.refuse_swapped_labels(np.array(confusion), np.array(CLASSES))


def test_evaluate_refuses_a_file_that_its_contract_does_not_name(trained: Params) -> None:  # M6
    export.run(trained)
    write_split("test", 12)
    model = bytearray(paths.ONNX.read_bytes())
    model[len(model) // 2] ^= 1
    paths.ONNX.write_bytes(model)
    with pytest.raises(WaymarkError, match=r"model\.onnx: its SHA-256 .* is not the contract's"):
        evaluate.run(trained)
    assert not paths.METRICS.exists()
