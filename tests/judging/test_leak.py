"""Memory alone is right where training holds the same thing, and guesses where it does not."""

import math

import numpy as np
import pandas as pd

from waymark.judging.leak import nearest_neighbour_accuracy

RNG = np.random.default_rng(0)
THINGS = RNG.integers(0, 256, (40, 48), np.uint8)  # 40 things, 10 of each of 4 labels
FRAMES = (THINGS.repeat(5, axis=0).astype(int) + RNG.integers(-4, 5, (200, 48))).clip(0, 255).astype(np.uint8)
LABELS = (np.arange(200) // 5 % 4).astype(np.int64)


def test_frames_of_learned_things_are_known_by_heart() -> None:
    by_frame = pd.Series(np.where(np.arange(200) % 5 == 0, "val", "train"))
    assert nearest_neighbour_accuracy(FRAMES, LABELS, by_frame, seed=0) == 1.0


def test_frames_of_other_things_are_guessed() -> None:
    by_thing = pd.Series(np.where(np.arange(200) // 5 < 12, "val", "train"))
    assert nearest_neighbour_accuracy(FRAMES, LABELS, by_thing, seed=0) < 0.6


def test_left_out_images_are_neither_asked_nor_known() -> None:
    splits = pd.Series(["left_out"] * 195 + ["train", "train", "train", "train", "val"])
    assert nearest_neighbour_accuracy(FRAMES, LABELS, splits, seed=0) == 1.0
    assert math.isnan(nearest_neighbour_accuracy(FRAMES, LABELS, pd.Series(["train"] * 200), seed=0))
