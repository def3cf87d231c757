"""The champion on a real `mlflow server`, from the first to the one that was taken back, and into a package."""

from collections.abc import Callable
from pathlib import Path

import pytest

from waymark import paths
from waymark.serving import model
from waymark.tracking import address, artefacts
from waymark.tracking.registry import Registry

WriteWorkspace = Callable[..., Path]
Command = Callable[..., tuple[object, str]]

pytestmark = pytest.mark.slow


def test_a_champion_on_a_server(
    mlflow_server: str,
    waymark: Command,
    write_workspace: WriteWorkspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    models = Registry(address.connect(), "asl")
    bad = write_workspace(tmp_path / "bad", model=1, wrong=40)
    good = write_workspace(tmp_path / "good", model=2, wrong=4)
    assert waymark(bad, "package", "--champion")[0] == (
        f"error: waymark-asl has no champion in MLflow at {mlflow_server}; `waymark promote` makes one"
    )
    assert waymark(bad, "promote")[0] == 0
    code, said = waymark(good, "promote")
    assert (code, "36 newly right, 0 newly wrong, McNemar p < 0.0001: better." in said) == (0, True)
    assert waymark(bad, "promote")[0] == 3
    champion = models.require_champion()
    assert (champion.number, champion.champions_before, champion.tags["waymark.decision"]) == (2, [1], "promoted")

    with artefacts.of_champion("asl") as folder:
        served = model.load(folder, threads=1)
        assert served.version == champion.model_version
        assert (folder / paths.ONNX).read_bytes() == (good / paths.ONNX).read_bytes()
        assert served.lineage["card"] == "# Model card\n\n4 wrong.\n"
    assert not folder.exists()

    assert waymark(good, "rollback")[0] == 0
    assert models.require_champion().number == 1
    assert waymark(good, "promote")[0] == 3
