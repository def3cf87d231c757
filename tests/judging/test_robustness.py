"""Accuracy on corrupted images, and which images stand for the rest."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from waymark.judging import robustness


def test_images_are_spread_over_classes_by_their_shares_and_over_groups() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    groups = np.arange(100) // 10  # tracks of ten frames
    chosen = robustness.spread(labels, groups, 10)
    assert np.bincount(labels[chosen]).tolist() == [6, 3, 1]
    assert groups[chosen].tolist() == list(range(10))
    shuffled = np.random.default_rng(0).permutation(100)
    again = robustness.spread(labels[shuffled], groups[shuffled], 10)
    assert sorted(groups[shuffled][again].tolist()) == list(range(10))
    assert (np.diff(again) > 0).all()


@pytest.mark.parametrize("count", [0, 7, 8])
def test_all_images_are_taken_where_none_are_to_be_left(count: int) -> None:
    assert robustness.spread(np.zeros(7, np.int64), np.zeros(7), count).tolist() == list(range(7))


@pytest.mark.parametrize(("count", "groups"), [(1, 1), (3, 1), (3, 4)])
def test_so_many_different_images_are_taken_as_were_asked_for(count: int, groups: int) -> None:
    chosen = robustness.spread(np.zeros(8, np.int64), np.arange(8) % groups, count)
    assert len(set(chosen.tolist())) == count


def brightness_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A model of two classes, dark and bright."""
    mean = images.mean(axis=(1, 2, 3), dtype=np.float32)
    return np.stack([127.5 - mean, mean - 127.5], axis=1)


def test_accuracy_is_counted_for_each_corruption_and_severity(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.full((4, 16, 16, 3), 100, np.uint8)
    images[3] = 200
    labels = np.array([0, 0, 1, 1])
    for pixels in (robustness.AT_A_TIME, 16 * 16 * 3):  # all at a time, and three images
        monkeypatch.setattr(robustness, "AT_A_TIME", pixels)
        table = robustness.accuracies(brightness_of, images, np.arange(4), labels, ["contrast", "brightness"])
        assert table["corruption"].tolist() == ["contrast"] * 5 + ["brightness"] * 5
        assert table["severity"].tolist() == [1, 2, 3, 4, 5] * 2
        # 100 of 255 is dark until 0.15 of the range is added.
        assert table["accuracy"].tolist() == [0.75] * 7 + [0.5] * 3


def test_the_worst_corruption_is_that_of_the_lowest_mean() -> None:
    table = pd.DataFrame(
        {"corruption": ["fog"] * 2 + ["snow"] * 2, "severity": [1, 2] * 2, "accuracy": [0.9, 0.1, 0.8, 0.6]}
    )
    assert robustness.by_corruption(table).to_dict() == pytest.approx({"fog": 0.5, "snow": 0.7})
    assert robustness.by_corruption(table).index[0] == "fog"
    assert robustness.figures(table) == {"corruption_accuracy": 0.6, "worst_corruption_accuracy": 0.5}
