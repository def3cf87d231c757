"""Folds: whole groups, every image held out once, and judged by a network that has not seen its group."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from waymark import params
from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.learning import augmentation, folds, network, onnx_export, training
from waymark.learning.data import Images
from waymark.learning.folds import Selection
from waymark.params import Params

ROOT = Path(__file__).resolve().parents[2]
HALF = (0.5, 0.5, 0.5)


def split(folder: Path, name: str, first: int, count: int) -> Images:
    """`count` images of 16 × 16 px, filled with `first`, `first` + 1, …; label = value modulo 3."""
    values = np.arange(first, first + count)
    np.save(folder / f"{name}.npy", np.broadcast_to(values.astype(np.uint8).reshape(-1, 1, 1, 1), (count, 16, 16, 3)))
    pd.DataFrame({"label": values % 3}).to_parquet(folder / f"{name}.parquet")
    return Images(folder / f"{name}.npy", folder / f"{name}.parquet")


@pytest.fixture
def both(tmp_path: Path) -> Selection:
    return Selection([split(tmp_path, "train", 0, 10), split(tmp_path, "val", 10, 5)])


def tracks(*groups_of_class: int, frames: int = 4) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Labels and groups of `frames` images for each group of each class."""
    label_of = np.repeat(np.arange(len(groups_of_class)), groups_of_class)
    names = np.array([f"track {number:03}" for number in range(len(label_of))], object)
    return np.repeat(label_of, frames), np.repeat(names, frames)


def test_group_never_straddles_folds_and_each_fold_holds_its_share_of_each_class() -> None:
    labels, groups = tracks(10, 20, 5)
    held_out = folds.assign(labels, groups, 5, seed=0)
    rows = pd.DataFrame({"label": labels, "group": groups, "fold": held_out})
    assert (rows.groupby("group")["fold"].nunique() == 1).all()
    assert pd.crosstab(rows["label"], rows["fold"]).to_numpy().tolist() == [[8] * 5, [16] * 5, [4] * 5]


def test_folds_are_a_pure_function_of_the_seed() -> None:
    labels, groups = tracks(10, 10)
    first, again, other = (folds.assign(labels, groups, 2, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_class_with_fewer_groups_than_folds_is_accepted() -> None:
    labels, groups = tracks(6, 2)
    held_out = folds.assign(labels, groups, 3, seed=0)
    assert sorted(np.unique(held_out)) == [1, 2, 3]
    assert len(np.unique(held_out[labels == 1])) == 2


@pytest.mark.parametrize(
    ("groups_of_class", "count", "sentence"),
    [
        (
            (9, 9),
            1,
            "--folds: 1 is too few; a network judges only images that it has not learned from, so give 2 or more",
        ),
        ((3, 2), 5, "--folds: no class has 5 groups to spread over 5 folds, the most is 3; give --folds 3"),
        (
            (1, 1, 1),
            2,
            "--folds: no class has 2 groups to spread over 2 folds, the most is 1; two groups of a class are the "
            "least, so add images",
        ),
    ],
)
def test_folds_that_cannot_be_filled_are_refused(groups_of_class: tuple[int, ...], count: int, sentence: str) -> None:
    with pytest.raises(WaymarkError, match=f"^{re.escape(sentence)}$"):
        folds.assign(*tracks(*groups_of_class), count, seed=0)


def test_selection_counts_through_its_splits(both: Selection) -> None:
    assert len(both) == 15
    images, labels, draws = both[np.array([12, 3, 9])]
    assert images[:, 0, 0, 0].tolist() == [12, 3, 9]
    assert labels.tolist() == [0, 0, 0]
    assert draws.shape == (3, augmentation.DRAWS)


def test_selection_of_rows_has_their_images_labels_and_draws(both: Selection) -> None:
    odd = both.where(np.arange(15) % 2 == 1)
    assert odd.pictures(np.arange(len(odd)))[:, 5, 5, 1].tolist() == [1, 3, 5, 7, 9, 11, 13]
    assert odd.labels.tolist() == [1, 0, 2, 1, 0, 2, 1]
    last = odd.where(odd.labels == 2)
    assert last[np.array([1, 0])][0][:, 0, 0, 0].tolist() == [11, 5]
    assert last.draws.shape == (2, augmentation.DRAWS)


def test_predictions_are_the_networks_own_in_the_order_of_the_rows(both: Selection) -> None:
    model = network.build("sign_resnet", 3, 8)
    contract = Contract("tiny", ("a", "b", "c"), image_size=16, crop_margin=0.0, mean=HALF, std=HALF)
    logits = onnx_export.logits(model, both.pictures(np.arange(15)), contract)
    answers = folds.predict(model, contract, both)
    np.testing.assert_allclose(answers, contract.probabilities(logits), atol=1e-6)
    assert len(np.unique(answers[:, 0])) == 15


@pytest.fixture
def small() -> Params:
    changed = {"width": 8, "epochs": 1, "batch_size": 4, "threads": 1, "precision": "32-true", "lr": 0.01}
    return params.load(ROOT / "params.yaml").model_copy(update=changed)


def test_each_image_is_judged_once_by_a_network_that_has_not_seen_its_fold(
    both: Selection, small: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[list[int]] = []
    held: list[list[int]] = []
    really = training.fit_on

    def recorded(params: Params, contract: Contract, train: Selection, val: Selection) -> object:
        learned.append(train.rows.tolist())
        held.append(val.rows.tolist())
        return really(params, contract, train, val)

    monkeypatch.setattr(training, "fit_on", recorded)
    contract = Contract("tiny", ("a", "b", "c", "absent"), image_size=16, crop_margin=0.0, mean=HALF, std=HALF)
    held_out = np.arange(15) % 2 + 1
    probabilities = folds.out_of_fold(small, contract, both, held_out)
    evens, odds = list(range(0, 15, 2)), list(range(1, 15, 2))
    assert (learned, held) == ([odds, evens], [evens, odds])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert probabilities.shape == (15, 4)
