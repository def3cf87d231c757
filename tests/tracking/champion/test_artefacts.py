"""What a run keeps is what was recorded, or it is not taken."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from waymark.errors import WaymarkError
from waymark.tracking import artefacts, identity

WriteWorkspace = Callable[..., Path]


@pytest.fixture
def kept(write_workspace: WriteWorkspace, tmp_path: Path) -> Path:
    """A folder as MLflow keeps it."""
    folder = write_workspace(tmp_path / "kept")
    (folder / "lineage.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def tags(kept: Path) -> dict[str, str]:
    """What was recorded of it."""
    lock = identity.lock_sha256((kept / "dvc.lock").read_text(encoding="utf-8"))
    return {"waymark.dvc_lock_sha256": lock, "waymark.model_version": identity.model_version(kept)}


def refusal(kept: Path, tags: dict[str, str]) -> str:
    with pytest.raises(WaymarkError) as refused:
        artefacts.check(kept, tags)
    return str(refused.value)


def test_what_was_recorded_is_taken(kept: Path, tags: dict[str, str]) -> None:
    artefacts.check(kept, tags)


@pytest.mark.parametrize("path", artefacts.NEEDED, ids=str)
def test_what_is_missing_is_named(kept: Path, tags: dict[str, str], path: Path) -> None:
    (kept / path).unlink()
    assert refusal(kept, tags) == (
        f"MLflow keeps no {path} of it; delete its run there, and `dvc repro --force --single-item track` in its "
        "commit records it anew"
    )


@pytest.mark.parametrize("path", [*artefacts.NEEDED[:4], Path("dvc.lock")], ids=str)
def test_one_flipped_bit_is_found(kept: Path, tags: dict[str, str], path: Path, tracking_address: str) -> None:
    damaged = bytearray((kept / path).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (kept / path).write_bytes(damaged)
    assert refusal(kept, tags) == (
        f"{path} in MLflow at {tracking_address} is not what was recorded, but damaged or exchanged; delete its run "
        "there, and `dvc repro --force --single-item track` in its commit records it anew"
    )


@pytest.mark.parametrize("text", ["", "{", "[]", '"\xff"'])
def test_a_lineage_that_is_none_is_found(kept: Path, tags: dict[str, str], text: str) -> None:
    (kept / "lineage.json").write_text(text, encoding="latin-1")
    assert refusal(kept, tags).startswith("lineage.json in MLflow at ")


def test_a_file_that_the_lock_does_not_name_is_not_believed(kept: Path) -> None:
    document = yaml.safe_load((kept / "dvc.lock").read_text(encoding="utf-8"))
    document["stages"]["evaluate"]["outs"] = []
    (kept / "dvc.lock").write_text(yaml.safe_dump(document), encoding="utf-8")
    lock = identity.lock_sha256((kept / "dvc.lock").read_text(encoding="utf-8"))
    tags = {"waymark.dvc_lock_sha256": lock, "waymark.model_version": identity.model_version(kept)}
    assert refusal(kept, tags).startswith("reports/metrics.json, reports/predictions.parquet in MLflow at ")


def test_another_model_than_the_registry_names_is_found(kept: Path, tags: dict[str, str]) -> None:
    assert refusal(kept, tags | {"waymark.model_version": "0" * 12}).startswith("models/contract.json in MLflow at ")
