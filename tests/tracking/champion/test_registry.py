"""The registry: the same model is registered once, and there is a champion or a sentence."""

from collections.abc import Callable
from pathlib import Path

import pytest

from waymark.errors import WaymarkError
from waymark.tracking import recording
from waymark.tracking.registry import Registry

WriteWorkspace = Callable[..., Path]

pytestmark = pytest.mark.slow


def test_without_a_champion_there_is_a_sentence(models: Registry, tracking_address: str) -> None:
    sentence = f"waymark-asl has no champion in MLflow at {tracking_address}; `waymark promote` makes one"
    for model_is_registered in (False, True):
        if model_is_registered:
            models.client.create_registered_model(models.name)
        assert models.champion() is None
        with pytest.raises(WaymarkError) as refused:
            models.require_champion()
        assert str(refused.value) == sentence


def test_a_model_is_registered_once_whichever_its_run(
    models: Registry, write_workspace: WriteWorkspace, tmp_path: Path
) -> None:
    client = models.client
    run, _ = recording.record(client, write_workspace(tmp_path / "first"))
    again, _ = recording.record(client, write_workspace(tmp_path / "again", wrong=1))  # the test had another answer
    other, _ = recording.record(client, write_workspace(tmp_path / "other", model=1))
    assert len({run.info.run_id, again.info.run_id, other.info.run_id}) == 3

    first = models.register(run.info.run_id, run.info.artifact_uri, run.data.tags)
    assert (first.number, first.run_id) == (1, run.info.run_id)
    assert {key: first.tags[key] for key in ("waymark.onnx_sha256", "waymark.dvc_lock_sha256")} == {
        key: run.data.tags[key] for key in ("waymark.onnx_sha256", "waymark.dvc_lock_sha256")
    }
    for same in (run, again):
        assert models.register(same.info.run_id, same.info.artifact_uri, same.data.tags) == first
    assert models.register(other.info.run_id, other.info.artifact_uri, other.data.tags).number == 2

    client.delete_run(run.info.run_id)  # and its files with it
    second = models.register(again.info.run_id, again.info.artifact_uri, again.data.tags)
    assert (second.number, second.run_id) == (3, again.info.run_id)
    assert [version.number for version in models.versions()] == [1, 2, 3]


def test_mlflow_itself_loads_the_champion(models: Registry, write_workspace: WriteWorkspace, tmp_path: Path) -> None:
    import mlflow.onnx

    run, _ = recording.record(models.client, write_workspace(tmp_path))
    models.crown(models.register(run.info.run_id, run.info.artifact_uri, run.data.tags))
    model = mlflow.onnx.load_model("models:/waymark-asl@champion")
    assert [output.name for output in model.graph.output] == ["logits"]
