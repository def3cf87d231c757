"""Two models on the same images: joined on the picture, counted by hand, simulated where the truth is known."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike, NDArray

from waymark.errors import WaymarkError
from waymark.judging import comparison
from waymark.judging.comparison import Paired, compare, movers, pair, renumbered

FRAMES = 30  # of a GTSRB track


def predictions(
    labels: Sequence[int], predicted: Sequence[int], pixels: Sequence[str] | None = None, part: ArrayLike = ""
) -> pd.DataFrame:
    """One row an image, as `evaluate` writes them; each a picture of its own unless `pixels` names them."""
    names = [f"{number:05d}" for number in range(len(labels))]
    return pd.DataFrame(
        {
            "archive": "test.zip",
            "member": [f"{name}.png" for name in names],
            "label": np.asarray(labels, np.int16),
            "group": names,
            "part": part,
            "pixels_sha256": names if pixels is None else pixels,
            "predicted": np.asarray(predicted, np.int64),
            "confidence": 0.9,
            "probability_of_label": np.where(np.equal(labels, predicted), 0.9, 0.1),
            "brier_score": np.where(np.equal(labels, predicted), 0.02, 1.62),
        }
    )


def changed(change: NDArray[np.int64], groups: Sequence[str] | NDArray[np.int64] | None = None) -> Paired:
    """Images that are newly right (1), newly wrong (-1) or right in both (0)."""
    old = predictions(np.zeros(len(change), int).tolist(), (change == 1).astype(int).tolist())
    new = predictions(np.zeros(len(change), int).tolist(), (change == -1).astype(int).tolist())
    return pair(old, new if groups is None else new.assign(group=groups))


def newly(right: int, wrong: int, both: int) -> Paired:
    return changed(np.repeat([1, -1, 0], [right, wrong, both]))


def test_images_are_joined_on_the_picture_not_on_the_name_or_the_order() -> None:
    old = predictions([0, 1, 2], [0, 1, 1], pixels=["a", "b", "c"])
    new = predictions([2, 0, 1], [2, 1, 1], pixels=["c", "a", "b"])
    paired = pair(old, new)
    assert paired.rows["pixels_sha256"].tolist() == ["a", "b", "c"]
    assert paired.rows[["old_row", "new_row"]].to_numpy().tolist() == [[0, 1], [1, 2], [2, 0]]
    assert paired.newly_right["pixels_sha256"].tolist() == ["c"]
    assert paired.newly_wrong["member"].tolist() == ["00001.png"]
    assert (paired.only_old, paired.only_new, paired.relabelled) == (0, 0, 0)


def test_images_that_only_one_test_holds_or_under_another_label_do_not_count() -> None:
    old = predictions([0, 0, 1, 1], [0, 0, 1, 1], pixels=["both", "old", "relabelled", "old too"])
    new = predictions([0, 2, 1], [1, 1, 1], pixels=["both", "relabelled", "new"])
    paired = pair(old, new)
    assert paired.rows["pixels_sha256"].tolist() == ["both"]
    assert (paired.only_old, paired.only_new, paired.relabelled) == (2, 1, 1)


def test_copies_of_a_picture_are_joined_one_by_one() -> None:
    old = predictions([0, 0, 0, 1], [0, 0, 0, 1], pixels=["copy"] * 4)
    new = predictions([1, 0, 0], [1, 0, 1], pixels=["copy"] * 3)
    paired = pair(old, new)
    assert paired.rows["label"].tolist() == [0, 0, 1]
    assert len(set(paired.rows["old_row"])) == len(set(paired.rows["new_row"])) == 3
    assert (paired.only_old, paired.only_new, paired.relabelled) == (1, 0, 0)


def test_only_the_data_sets_own_test_is_compared() -> None:
    parts = np.array(["same_signer", "same_signer", "other_signer"])
    old = predictions([0, 1, 2], [0, 1, 2], part=parts)
    new = predictions([0, 1, 2], [0, 1, 0], part=parts)
    assert compare(pair(old, new), 0).images == 2


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (
            predictions([0], [0], pixels=["other"]),
            "the old test of 2 images and the new one of 1 share none under the same label (0 under another one)",
        ),
        (predictions([1, 0], [0, 1]), "share none under the same label (2 under another one)"),
        (predictions([], []), "the old test of 2 images and the new one of 0 share none"),
        (
            predictions([0, 1], [0, 1]).drop(columns=["pixels_sha256", "brier_score"]),
            "the new predictions have no column pixels_sha256, brier_score: an earlier version of Waymark wrote them",
        ),
    ],
)
def test_nothing_to_compare_is_one_sentence(new: pd.DataFrame, sentence: str) -> None:
    with pytest.raises(WaymarkError) as raised:
        pair(predictions([0, 1], [0, 1]), new)
    assert sentence in str(raised.value)


def test_classes_are_the_same_by_their_names_whatever_their_numbers() -> None:
    old = renumbered(predictions([0, 1, 1], [0, 1, 0]), ["stop", "yield"], ["bend", "stop", "works", "yield"])
    assert old["label"].tolist() == [1, 3, 3]
    assert old["predicted"].tolist() == [1, 3, 1]
    unknown = renumbered(predictions([0, 1], [1, 1]), ["gone", "stop"], ["bend", "stop"])
    assert unknown["label"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("right", "wrong", "p_value"),
    [
        (12, 2, 0.0129),  # Armitage and Berry 1994, p. 127: two media for tubercle bacilli
        (9, 2, 0.0654),  # Fay, Exact McNemar's Test and Matching Confidence Intervals (vignette of R's exact2x2)
        (1, 0, 1.0),
        (0, 0, 1.0),
        (0, 6, 2 / 2**6),
    ],
)
def test_mcnemar_gives_the_published_values(right: int, wrong: int, p_value: float) -> None:
    assert compare(newly(right, wrong, 20), 0).p_value == pytest.approx(p_value, abs=5e-5)
    assert compare(newly(wrong, right, 20), 0).p_value == pytest.approx(p_value, abs=5e-5)


def test_comparison_of_a_thousand_images() -> None:
    compared = compare(newly(60, 30, 910), 0)
    assert (compared.images, compared.groups, compared.newly_right, compared.newly_wrong) == (1000, 1000, 60, 30)
    assert compared.old_accuracy == 0.94
    assert compared.new_accuracy == 0.97
    assert compared.difference == pytest.approx(0.03)
    # of a difference of paired proportions: 1.96 sqrt((b + c) / n - ((b - c) / n)²) / sqrt(n)
    half = 1.96 * np.sqrt(0.09 - 0.03**2) / np.sqrt(1000)
    assert compared.interval == pytest.approx((0.03 - half, 0.03 + half), abs=0.001)
    assert compared.widened == compared.interval
    assert compared.verdict == "better"


def test_what_another_seed_would_do_is_no_real_difference() -> None:
    paired = newly(60, 30, 910)
    beyond, within = compare(paired, 0.005), compare(paired, 0.01)
    assert (beyond.verdict, within.verdict) == ("better", "no real difference")
    assert beyond.interval == within.interval
    margin = 1.96 * np.sqrt(2) * 0.01
    low, high = within.interval
    assert within.widened == pytest.approx(
        (0.03 - np.hypot(0.03 - low, margin), 0.03 + np.hypot(high - 0.03, margin)), rel=1e-9
    )


def test_a_verdict_takes_both_the_test_and_the_interval() -> None:
    change = np.repeat([1, -1, 0], [12, 2, 86])
    assert compare(changed(change), 0).verdict == "better"
    # All frames of one sign, which another test may lack: much evidence of one thing.
    in_one_track = compare(changed(change, ["one"] * 14 + [f"{number}" for number in range(86)]), 0)
    assert in_one_track.p_value < 0.05
    assert in_one_track.verdict == "no real difference"
    # Five of five is beyond any interval, but one time in 16 it is chance.
    unanimous = compare(newly(5, 0, 15), 0)
    assert unanimous.interval[0] > 0
    assert unanimous.p_value == pytest.approx(2 / 2**5)
    assert unanimous.verdict == "no real difference"


def test_old_and_new_exchanged_mirror_each_other() -> None:
    generator = np.random.default_rng(3)
    change = generator.choice([1, 0, -1], 900, p=[0.1, 0.86, 0.04])
    groups = generator.integers(0, 90, 900)
    forth, back = compare(changed(change, groups), 0.002), compare(changed(-change, groups), 0.002)
    assert (forth.verdict, back.verdict) == ("better", "worse")
    assert forth.difference == -back.difference
    assert forth.interval == pytest.approx((-back.interval[1], -back.interval[0]), abs=1e-12)
    assert forth.widened == pytest.approx((-back.widened[1], -back.widened[0]), abs=1e-12)
    assert (forth.newly_right, forth.p_value) == (back.newly_wrong, back.p_value)


def test_the_same_predictions_give_the_same_numbers_in_any_order() -> None:
    old = predictions([0] * 40, [0] * 30 + [1] * 10)
    new = predictions([0] * 40, [1] * 5 + [0] * 35)
    shuffled = new.sample(frac=1, random_state=0).reset_index(drop=True)
    assert compare(pair(old, shuffled), 0.001) == compare(pair(old, new), 0.001)


@pytest.mark.parametrize("tracks", [1, 2, 5])
def test_a_few_tracks_tell_nothing_about_others(tracks: int) -> None:
    """Even where all of them are newly right: 2 / 2**5 is more than one time in 20."""
    compared = compare(changed(np.repeat([1, 0], [20, 10]), np.arange(30) % tracks), 0)
    assert (compared.groups, compared.interval, compared.verdict) == (tracks, (-1.0, 1.0), "no real difference")
    assert compared.p_value < 0.001
    six = compare(changed(np.repeat([1, 0], [20, 10]), np.arange(30) % 6), 0)
    assert (six.groups, six.verdict) == (6, "better")


def test_one_image_is_no_real_difference() -> None:
    assert compare(newly(1, 0, 0), 0).verdict == "no real difference"


def test_models_that_agree_differ_by_nothing() -> None:
    compared = compare(newly(0, 0, 50), 0)
    assert (compared.difference, compared.interval, compared.verdict) == (0, (0, 0), "no real difference")


def simulated(tracks: int, better: float, worse: float, generator: np.random.Generator) -> tuple[Paired, Paired, float]:
    """Tracks of which some are newly right or wrong in most frames; by track, by image, and the true difference."""
    kind = generator.choice([1, -1, 0], tracks, p=[better, worse, 1 - better - worse]).repeat(FRAMES)
    change = kind * (generator.random(len(kind)) < 0.8)
    return changed(change, np.arange(len(change)) // FRAMES), changed(change), 0.8 * (better - worse)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tracks", "better", "worse"), [pytest.param(60, 0.2, 0.1, id="60"), pytest.param(8, 0.4, 0.3, id="a-few")]
)
def test_95_of_100_intervals_by_track_hold_the_truth(
    tracks: int, better: float, worse: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "RESAMPLES", 1_000)  # rougher ends, as often too far out as too far in
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        by_track, _, truth = simulated(tracks, better, worse, generator)
        low, high = compare(by_track, 0).interval
        held += low <= truth <= high
    assert 91 <= held <= 99


@pytest.mark.slow
def test_intervals_by_image_miss_it_more_often_than_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "RESAMPLES", 1_000)
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(20):
        _, by_image, truth = simulated(20, 0.2, 0.1, generator)
        low, high = compare(by_image, 0).interval
        held += low <= truth <= high
    assert held < 10


def test_movers_are_the_classes_whose_recall_moved_most() -> None:
    old = predictions([0, 0, 0, 0, 1, 1, 3], [0, 0, 0, 1, 1, 1, 3])
    new = predictions([0, 0, 0, 0, 1, 1, 3], [0, 0, 0, 0, 0, 1, 3])
    table = movers(pair(old, new), 5)
    assert table["label"].tolist() == [1, 0, 3]  # no image is of class 2 or 4
    assert table["images"].tolist() == [2, 4, 1]
    assert table["old_recall"].tolist() == [1, 0.75, 1]
    assert table["new_recall"].tolist() == [0.5, 1, 1]
    assert table["difference"].tolist() == [-0.5, 0.25, 0]


def test_the_surest_mistake_stands_first() -> None:
    new = predictions([0] * 3, [1, 1, 0]).assign(confidence=[0.6, 0.8, 0.9])
    assert pair(predictions([0] * 3, [0] * 3), new).newly_wrong["new_confidence"].tolist() == [0.8, 0.6]
