"""The real things: cuts of the published images, through the whole graph, with the default settings."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("WAYMARK_SHARED", ROOT.parent / "shared" / "data"))
Experiment = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.long


def cut(name: str) -> Path:
    folder = SHARED / name.lower().replace("-", "")
    if not folder.exists():
        pytest.skip(f"the real cut of {name} is not on this machine")
    return folder


@pytest.fixture
def experiment(run: Callable[..., Any], committed_copy: Path) -> Experiment:
    """`dvc exp run` with settings, in a repository of its own; what `reports/metrics.json` and `split.json` say."""
    repository = committed_copy

    def experiment(environment: dict[str, str] | None = None, **settings: str) -> dict[str, Any]:
        changes = [part for key, value in settings.items() for part in ("-S", f"{key}={value}")]
        paths = {"PYTHONPATH": str(repository / "src")}
        run(repository, "dvc", "exp", "run", *changes, **paths, **(environment or {}))
        reports = repository / "reports"
        return {
            name: json.loads((reports / f"{name}.json").read_text(encoding="utf-8")) for name in ("metrics", "split")
        }

    return experiment


def test_signs_from_s3_are_learned_to_97_percent_and_a_half(experiment: Experiment, s3: Any) -> None:
    with (cut("GTSRB") / "archive.zip").open("rb") as body:
        s3.client().put_object(Bucket=s3.bucket, Key="gtsrb/archive.zip", Body=body)
    said = experiment(s3.environment, dataset="gtsrb", source=f"s3://{s3.bucket}/gtsrb/archive.zip")
    assert said["metrics"]["images"] == 2640
    assert said["metrics"]["accuracy"] >= 0.975
    assert said["split"]["grouped"]["near_duplicates_across_splits"] == 0


def test_six_thousand_photographs_are_learned_to_72_percent(experiment: Experiment) -> None:
    said = experiment(dataset="cifar10", source=str(cut("CIFAR-10") / "cifar-10-python.tar.gz"))
    assert said["metrics"]["images"] == 1500
    assert said["metrics"]["accuracy"] >= 0.72
    assert said["split"]["grouped"]["near_duplicates_across_splits"] == 0


def test_letters_of_one_signer_are_learned_to_98_percent_and_another_signer_is_told_apart(
    experiment: Experiment,
) -> None:
    said = experiment(dataset="asl", source=str(cut("ASL")))
    assert said["metrics"]["same_signer"]["accuracy"] == said["metrics"]["accuracy"] >= 0.98
    assert said["metrics"]["other_signer"]["images"] == 580
    assert said["split"]["grouped"]["near_duplicates_across_splits"] == 0
    assert said["split"]["random"]["near_duplicates_across_splits"] > 1000


def test_unpacked_folder_is_split_by_the_tracks_that_a_pattern_names(experiment: Experiment, tmp_path: Path) -> None:
    with ZipFile(cut("GTSRB") / "archive.zip") as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith("Train/")])
    pattern = r"group_pattern='(\d+_\d+)_\d+\.png'"
    said = experiment(dataset="folder", source=str(tmp_path / "Train"), **dict([pattern.split("=", 1)]))
    assert said["metrics"]["accuracy"] >= 0.93  # without the boxes around the signs
    assert said["split"]["grouped"]["near_duplicates_across_splits"] == 0
