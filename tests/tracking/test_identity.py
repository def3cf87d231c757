"""The hashes by which a dvc.lock leads to its run."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from waymark import paths
from waymark.tracking import identity

STAGES: dict[str, Any] = {
    "collect": {"cmd": "collect", "params": {"params.yaml": {"dataset": "gtsrb"}}},
    "train": {"cmd": "train", "deps": [{"path": "src/train.py", "md5": "1" * 32}], "outs": [{"path": "w", "md5": "2"}]},
    "export": {"outs": [{"path": "models/contract.json", "md5": "3"}, {"path": "models/model.onnx", "md5": "4"}]},
    "evaluate": {
        "outs": [{"path": "reports/metrics.json", "md5": "5"}, {"path": "reports/predictions.parquet", "md5": "6"}]
    },
}


def lock(stages: object, **style: Any) -> str:
    return str(yaml.safe_dump({"schema": "2.0", "stages": stages}, **style))


def test_hash_is_of_the_canonical_json_of_all_stages_but_track() -> None:
    canonical = json.dumps(STAGES, sort_keys=True, separators=(",", ":"))
    expected = hashlib.sha256(canonical.encode()).hexdigest()
    assert identity.lock_sha256(lock(STAGES)) == expected
    assert identity.lock_sha256(lock(STAGES, sort_keys=False, default_flow_style=True)) == expected
    assert identity.lock_sha256(lock(STAGES | {"track": {"cmd": "track"}})) == expected


def test_changed_code_changes_the_hash_and_leaves_the_outcome() -> None:
    commented = copy.deepcopy(STAGES)
    commented["train"]["deps"][0]["md5"] = "9" * 32
    assert identity.lock_sha256(lock(commented)) != identity.lock_sha256(lock(STAGES))
    assert identity.outcome_of_lock(lock(commented)) == identity.outcome_of_lock(lock(STAGES)) != ""
    other_answers = copy.deepcopy(STAGES)
    other_answers["evaluate"]["outs"][1]["md5"] = "9"
    assert identity.outcome_of_lock(lock(other_answers)) != identity.outcome_of_lock(lock(STAGES))


def test_graph_that_was_not_evaluated_has_no_outcome() -> None:
    unjudged = {name: stage for name, stage in STAGES.items() if name != "evaluate"}
    assert identity.outcome_of_lock(lock(unjudged)) == ""


@pytest.mark.parametrize("text", ["", "stages:", "- a", "<<<<<<< HEAD\nschema: 2", "stages: [1]", "stages: {train: 1}"])
def test_text_that_is_no_lock_is_refused(text: str) -> None:
    for read in (identity.lock_sha256, identity.outcome_of_lock, identity.dataset_of_lock):
        with pytest.raises(ValueError, match=r"no dvc\.lock"):
            read(text)


def test_lock_counts_only_where_it_speaks_of_the_files(tmp_path: Path) -> None:
    files = (paths.CONTRACT, paths.METRICS, paths.PREDICTIONS)
    for path in files:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path.name)
    assert identity.lock_of_files(tmp_path) is None
    outs = [{"path": path.as_posix(), "md5": hashlib.md5(path.name.encode()).hexdigest()} for path in files]
    text = lock({"evaluate": {"outs": outs}})
    (tmp_path / identity.LOCK).write_text(text)
    assert identity.lock_of_files(tmp_path) == text
    assert identity.outcome_of_files(tmp_path) == identity.outcome_of_lock(text)
    (tmp_path / paths.CONTRACT).write_text("another threshold")
    assert identity.lock_of_files(tmp_path) is None
