"""Training: the same bytes from the same seed, from the prepared train and val arrays and nothing else."""

import builtins
import csv
import io
from pathlib import Path
from typing import Any

import pytest
from tests.learning.conftest import prepare_noise

from waymark import params, paths
from waymark.errors import WaymarkError
from waymark.learning import weights
from waymark.learning.classifier import class_weights
from waymark.params import Params
from waymark.stages import train

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"width": 8, "epochs": 2, "batch_size": 16, "threads": 1, "seed": 5, "precision": "32-true"}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A folder with prepared train and val splits of three classes of noise at 16 px, and no test split."""
    monkeypatch.chdir(tmp_path)
    prepare_noise(train=48, val=12)
    return params.load(ROOT / paths.PARAMS).model_copy(update=SMALL)


def trained(small: Params, **changed: object) -> str:
    train.run(small.model_copy(update=changed))
    return weights.sha256(paths.WEIGHTS)


def test_same_seed_gives_the_same_weights_and_history_and_another_seed_others(small: Params) -> None:
    first, history = trained(small), paths.HISTORY.read_bytes()
    assert trained(small, seed=6) != first
    assert trained(small) == first
    assert paths.HISTORY.read_bytes() == history


def test_history_has_one_row_an_epoch(small: Params) -> None:
    trained(small, epochs=3)
    with paths.HISTORY.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert set(rows[0]) == {"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy"}
    assert all(0 <= float(row["train_accuracy"]) <= 1 for row in rows)


@pytest.mark.parametrize("steps", range(1, 8))
def test_so_few_steps_that_there_is_hardly_a_rise_are_taken(small: Params, steps: int) -> None:
    trained(small, batch_size=48, epochs=steps)  # one step an epoch
    assert len(paths.HISTORY.read_text(encoding="utf-8").splitlines()) == 1 + steps


def test_each_epoch_is_told_where_there_is_no_progress_bar(small: Params, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="waymark"):
        trained(small, epochs=3)
    told = [message for message in caplog.messages if message.startswith("epoch ")]
    assert [message.split(":")[0] for message in told] == ["epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3"]


def test_classes_that_differ_by_brightness_are_learned(small: Params) -> None:
    trained(small, epochs=15, ema_decay=0.8)
    last = paths.HISTORY.read_text(encoding="utf-8").splitlines()[-1]
    assert float(last.split(",")[-1]) == 1.0


def test_training_opens_the_prepared_train_and_val_files_and_no_others(
    small: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(small)  # libraries have read their own files by now
    opened: set[str] = set()
    plainly = builtins.open

    def recorded(file: Any, *arguments: Any, **options: Any) -> Any:
        opened.add(str(file))
        return plainly(file, *arguments, **options)

    monkeypatch.setattr(builtins, "open", recorded)
    monkeypatch.setattr(io, "open", recorded)  # pathlib's and zipfile's name for it
    trained(small)
    here = {Path(name).resolve() for name in opened}
    data = {path.name for path in here if path.is_relative_to(Path("data").resolve())}
    assert data == {"contract.json", "train.npy", "train.parquet", "val.npy", "val.parquet"}


def test_training_that_comes_apart_says_so_and_leaves_the_old_model(small: Params) -> None:
    before = trained(small)
    with pytest.raises(WaymarkError, match=r"lr: training came apart in epoch 1, .* try a tenth of it"):
        trained(small, lr=1e30)
    assert weights.sha256(paths.WEIGHTS) == before


def test_class_weights_are_1_on_average_over_the_images_and_level_the_classes() -> None:
    counts = [40, 10, 0]
    assert class_weights(counts, 0).tolist() == [1, 1, 0]
    for balance, ratio in ((0.5, 2), (1, 4)):
        common, rare, absent = class_weights(counts, balance).tolist()
        assert rare / common == pytest.approx(ratio)
        assert (40 * common + 10 * rare) / 50 == pytest.approx(1)
        assert absent == 0
