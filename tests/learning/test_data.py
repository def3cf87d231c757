"""Batches: every image once an epoch, in another order each, from the prepared arrays alone."""

from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from waymark.errors import WaymarkError
from waymark.learning import augmentation
from waymark.learning.data import Batches, Images, PreparedData, Resident, keep_on


@pytest.fixture
def prepared(tmp_path: Path) -> Images:
    """Ten images of 2 × 2 px, each filled with its own index; label = index modulo 3."""
    values = np.arange(10, dtype=np.uint8).reshape(-1, 1, 1, 1)
    np.save(tmp_path / "train.npy", np.broadcast_to(values, (10, 2, 2, 3)))
    pd.DataFrame({"label": np.arange(10) % 3}).to_parquet(tmp_path / "train.parquet")
    return Images(tmp_path / "train.npy", tmp_path / "train.parquet")


def visited(count: int, batch_size: int, seed: int | None, epoch: int = 0) -> list[list[int]]:
    batches = Batches(count, batch_size, seed)
    batches.epoch = epoch
    listed = [batch.tolist() for batch in batches]
    assert len(listed) == len(batches)
    return listed


def test_training_visits_each_index_once_an_epoch() -> None:
    batches = visited(count=12, batch_size=4, seed=0)
    assert [len(batch) for batch in batches] == [4, 4, 4]
    assert sorted(chain(*batches)) == list(range(12))


def test_each_epoch_and_each_seed_has_an_order_of_its_own() -> None:
    orders = [visited(50, 10, seed, epoch) for seed, epoch in [(0, 0), (0, 1), (1, 0)]]
    assert len({str(order) for order in orders}) == 3
    assert visited(50, 10, seed=0, epoch=1) == orders[1]


def test_order_of_the_images_does_not_depend_on_the_batch_size() -> None:
    assert list(chain(*visited(24, 4, seed=3))) == list(chain(*visited(24, 8, seed=3)))


def test_training_leaves_out_the_last_smaller_batch_unless_it_is_the_only_one() -> None:
    assert [len(batch) for batch in visited(10, 4, seed=0)] == [4, 4]
    assert [len(batch) for batch in visited(3, 4, seed=0)] == [3]


def test_validation_visits_all_in_the_array_s_order() -> None:
    assert visited(10, 4, seed=None) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_batch_holds_the_images_and_labels_of_its_indices(prepared: Images) -> None:
    images, labels, draws = prepared[np.array([7, 2])]
    assert images.shape == (2, 2, 2, 3)
    assert images[:, 0, 0, 0].tolist() == [7, 2]
    assert labels.tolist() == [1, 2]
    assert draws.shape == (2, augmentation.DRAWS)


def test_images_are_mapped_not_loaded(prepared: Images) -> None:
    assert isinstance(prepared.images, np.memmap)


def test_loader_delivers_each_training_image_once_with_its_label_and_its_draws(prepared: Images) -> None:
    loader = PreparedData(prepared, prepared, batch_size=5, seed=0).train_dataloader()
    seen = [
        (int(image), int(label), draw.tolist())
        for images, labels, draws in loader
        for image, label, draw in zip(images[:, 0, 0, 0], labels, draws, strict=True)
    ]
    assert sorted((index, label) for index, label, _ in seen) == [(index, index % 3) for index in range(10)]
    assert all(draw == prepared.draws[index].tolist() for index, _, draw in seen)
    assert np.abs(prepared.draws).max() > 0


def test_missing_array_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WaymarkError, match=r"train\.npy: cannot be read \(No such file.*`dvc repro` makes it anew"):
        Images(tmp_path / "train.npy", tmp_path / "train.parquet")


def shares(count: int, batch_size: int, seed: int | None, processes: int) -> list[list[list[int]]]:
    """The batches of each process."""
    parts = [Batches(count, batch_size, seed, processes=processes, process=rank) for rank in range(processes)]
    return [[batch.tolist() for batch in part] for part in parts]


def test_processes_share_each_batch_of_one_process_evenly() -> None:
    together = [sorted(chain(*parts)) for parts in zip(*shares(24, 6, 3, processes=3), strict=True)]
    assert together == [sorted(batch) for batch in visited(24, 6, seed=3)]
    assert {len(batch) for batch in chain(*shares(24, 6, 3, processes=3))} == {2}


@pytest.mark.parametrize("count", range(2, 14))
def test_processes_judge_each_image_once_in_equally_many_batches(count: int) -> None:
    parts = shares(count, 4, None, processes=2)
    assert sorted(chain(*chain(*parts))) == list(range(count))
    assert len(parts[0]) == len(parts[1])
    assert all(chain(*parts))


@pytest.mark.parametrize(("count", "seed"), [(1, None), (3, 0)])
def test_images_that_do_not_go_round_are_refused(count: int, seed: int | None) -> None:
    with pytest.raises(WaymarkError, match=f"devices: 2 processes cannot share {count} images in steps of 4 evenly"):
        Batches(count, 4, seed, processes=2)


def test_split_held_by_a_device_gives_the_same_batches(prepared: Images) -> None:
    held, indices = Resident(prepared, torch.device("cpu")), np.array([7, 2])
    prepared.draws = held.draws = augmentation.draws(0, 1, len(prepared))
    assert len(held) == len(prepared)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(held[indices], prepared[indices], strict=True))


@pytest.mark.parametrize(("free", "kept"), [(241, True), (240, False)])  # the images take 120 bytes
def test_split_is_held_by_the_device_where_it_takes_less_than_half_of_what_is_free(
    prepared: Images, free: int, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 1000))
    assert isinstance(keep_on(torch.device("cpu"), prepared), Resident) is kept
