"""`waymark review`: planted label errors are found from train and val alone, and nothing but its folder is written."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from waymark import params, paths, review
from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.params import Params

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("red", "green", "blue")
TRACKS, FRAMES = 33, 3  # of each class
PLANTED = {"track 04": 1, "track 40": 2, "track 77": 0}  # 3 % of the tracks bear the next class's label
SMALL = {
    **{"width": 8, "epochs": 1, "batch_size": 16, "threads": 1, "seed": 5, "precision": "32-true", "ema_decay": 0.5},
    **{"outliers": 0.0, "augment_blur": 0.0, "augment_noise": 0.0, "augment_flip": "off"},  # too much for so few steps
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Prepared train and val of coloured noise at 16 px with planted label errors; no test split."""
    monkeypatch.chdir(tmp_path)
    paths.PREPARED.mkdir(parents=True)
    track = np.repeat(np.arange(len(CLASSES) * TRACKS), FRAMES)
    images = np.random.default_rng(0).integers(0, 120, (len(track), 16, 16, 3))
    images[np.arange(len(track)), :, :, track // TRACKS] += 110
    rows = pd.DataFrame({"archive": "a.zip", "group": [f"track {number:02}" for number in track]})
    rows["member"] = [f"{number}.png" for number in range(len(track))]
    rows["label"] = rows["group"].map(PLANTED).fillna(pd.Series(track // TRACKS)).astype(np.int16)
    for split, here in (("train", track % 5 > 0), ("val", track % 5 == 0)):
        np.save(paths.images(split), images[here].astype(np.uint8))
        rows[here].to_parquet(paths.rows(split), index=False)
    half = (0.5, 0.5, 0.5)
    paths.SPLIT_REPORT.parent.mkdir()
    paths.SPLIT_REPORT.write_text('{"split": "grouped"}')
    Contract("rendered", CLASSES, image_size=16, crop_margin=0.0, mean=half, std=half).write(paths.PREPARED_CONTRACT)
    return params.load(ROOT / paths.PARAMS).model_copy(update=SMALL)


def files() -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_planted_tracks_are_on_top_with_their_true_class(small: Params) -> None:
    review.run(small.model_copy(update={"epochs": 4}), 2, Path("reports/label_review"))
    issues = pd.read_csv("reports/label_review/issues.csv")
    top = issues[:9]
    assert top["group"].value_counts().to_dict() == dict.fromkeys(PLANTED, 3)
    assert top["label"].tolist() == [PLANTED[group] for group in top["group"]]
    assert top["suggested"].tolist() == [(label + 2) % 3 for label in top["label"]]
    assert top["class_name"].tolist() == [CLASSES[label] for label in top["label"]]


@pytest.mark.slow
def test_only_the_two_files_are_written_and_again_with_the_same_bytes(small: Params) -> None:
    before = files()
    review.run(small, 2, Path("reports/label_review"))
    first = files()
    assert first.keys() - before.keys() == {"reports/label_review/index.html", "reports/label_review/issues.csv"}
    assert {name: first[name] for name in before} == before
    review.run(small, 2, Path("reports/label_review"))
    assert files() == first


def test_other_files_of_the_output_folder_stay(small: Params) -> None:
    Path("notes").mkdir()
    Path("notes/mine.txt").write_text("mine")
    review.run(small, 2, Path("notes"))
    assert sorted(path.name for path in Path("notes").iterdir()) == ["index.html", "issues.csv", "mine.txt"]


def refused(small: Params, folds: int, output: Path, sentence: str) -> None:
    before = files()
    with pytest.raises(WaymarkError, match=f"^{re.escape(sentence)}$"):
        review.run(small, folds, output)
    assert files() == before


def test_too_few_folds_are_refused(small: Params) -> None:
    sentence = "--folds: 1 is too few; a network judges only images that it has not learned from, so give 2 or more"
    refused(small, 1, Path("out"), sentence)


def test_more_folds_than_groups_of_any_class_are_refused(small: Params) -> None:
    sentence = "--folds: no class has 50 groups to spread over 50 folds, the most is 33; give --folds 33"
    refused(small, 50, Path("out"), sentence)


def test_output_that_is_a_file_is_refused_before_any_training(small: Params) -> None:
    Path("out").write_text("mine")
    sentence = "--output: out is a file; give a folder, index.html and issues.csv come into it"
    refused(small, 2, Path("out"), sentence)


def test_random_split_is_refused(small: Params) -> None:
    paths.SPLIT_REPORT.write_text('{"split": "random"}')
    sentence = (
        "data/prepared was split at random, every image for itself, so networks would learn from copies of what they "
        "judge; set split: grouped in params.yaml and run `dvc repro` first"
    )
    refused(small, 2, Path("out"), sentence)


def test_data_of_another_data_set_than_params_yaml_s_are_refused(small: Params) -> None:
    other = small.model_copy(update={"dataset": "gtsrb"})
    refused(other, 2, Path("out"), "data/prepared holds rendered, params.yaml says gtsrb; run `dvc repro` first")


@pytest.mark.parametrize("missing", [paths.PREPARED_CONTRACT, paths.images("val"), paths.rows("train")])
def test_missing_prepared_file_is_named_with_what_makes_it(small: Params, missing: Path) -> None:
    missing.unlink()
    makes = "makes it" if missing == paths.PREPARED_CONTRACT else "makes it anew"
    refused(small, 2, Path("out"), f"{missing}: cannot be read (No such file or directory); `dvc repro` {makes}")
