"""Workspaces as `dvc repro` leaves them, and an empty registry to promote their models in."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import yaml

from waymark import cli, paths
from waymark.tracking import address, runs
from waymark.tracking.registry import Registry

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROOT = Path(__file__).resolve().parents[3]
DATASET = "asl"  # no other test promotes models of it, and the database is everyone's
WriteWorkspace = Callable[..., Path]
Command = Callable[..., tuple[object, str]]


@pytest.fixture
def models() -> Iterator[Registry]:
    """The data set's registry, with nothing in it."""
    client = address.connect()
    _empty(client)
    yield Registry(client, DATASET)
    _empty(client)


def _empty(client: "MlflowClient") -> None:
    from mlflow import MlflowException

    with suppress(MlflowException):  # there is none
        client.delete_registered_model(address.name(DATASET))
    for run in runs.known(client, DATASET):
        client.delete_run(run.info.run_id)


@pytest.fixture(scope="session")
def write_workspace(write_outcome: Callable[..., Path]) -> WriteWorkspace:
    """`write_workspace(folder, model=1, wrong=4)`: outside git, the model that has four of 400 test images wrong."""

    def write(
        folder: Path,
        *,
        model: int = 0,
        wrong: int = 0,
        images: int = 400,
        test: int = 0,
        schema: int = 3,
        **gates: float,
    ) -> Path:
        """`test` tells tests of other images apart, `schema` is the contract's; `gates` are for params.yaml."""
        write_outcome(folder, DATASET, seed=model, wrong=wrong, images=images)
        settings: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        settings |= {"dataset": DATASET, "gate_min_accuracy": 0.8, **gates}
        (folder / paths.PARAMS).write_text(yaml.safe_dump(settings), encoding="utf-8")
        text = (folder / paths.CONTRACT).read_text(encoding="utf-8")
        (folder / paths.CONTRACT).write_text(text.replace('"schema": 3', f'"schema": {schema}'), encoding="utf-8")
        rows = pd.read_parquet(folder / paths.PREDICTIONS)
        rows["pixels_sha256"] = [f"{test}{sha256[1:]}" for sha256 in rows["pixels_sha256"]]
        rows.to_parquet(folder / paths.PREDICTIONS, index=False)
        _lock_again(folder)
        return folder

    return write


def _lock_again(folder: Path) -> None:
    """Let dvc.lock be true of the files that are there now."""
    document = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))
    for stage in document["stages"].values():
        for entry in (*stage.get("deps", ()), *stage.get("outs", ())):
            entry["md5"] = hashlib.md5((folder / entry["path"]).read_bytes()).hexdigest()
    (folder / "dvc.lock").write_text(yaml.safe_dump(document), encoding="utf-8")


@pytest.fixture
def waymark(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`waymark(folder, "promote", …)`: the exit code, or the sentence that stands for 1, and what was printed."""

    def run(folder: Path, *arguments: str) -> tuple[object, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["waymark", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().out

    return run
