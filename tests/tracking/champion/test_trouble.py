"""Whatever goes wrong, it is said in one sentence, and there is the old champion or the new one, never none."""

import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waymark import paths
from waymark.judging import latency
from waymark.tracking.registry import Registry

WriteWorkspace = Callable[..., Path]
Command = Callable[..., tuple[object, str]]

pytestmark = pytest.mark.slow

COMMANDS = (["promote"], ["promote", "--run", "1"], ["rollback"], ["package", "--champion"])


@pytest.fixture
def bad(write_workspace: WriteWorkspace, tmp_path: Path) -> Path:
    return write_workspace(tmp_path / "bad", model=1, wrong=40)


@pytest.fixture
def good(write_workspace: WriteWorkspace, tmp_path: Path) -> Path:
    return write_workspace(tmp_path / "good", model=2, wrong=4)


def champion(models: Registry) -> int | None:
    found = models.champion()
    return found.number if found else None


def kept(models: Registry, number: int, path: Path) -> Path:
    """Where MLflow keeps a file of a version."""
    version = models.version(number)
    assert version is not None
    return Path(models.client.get_run(version.run_id).info.artifact_uri) / path


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_mlflow_that_is_away_costs_a_sentence(  # K10
    waymark: Command, good: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:secret@127.0.0.1:{port}")
    began = time.monotonic()
    assert waymark(good, *command) == (
        f"error: MLflow at http://127.0.0.1:{port} cannot be reached (Connection refused); start it, or unset "
        "MLFLOW_TRACKING_URI to use mlflow.db here",
        "",
    )
    assert time.monotonic() - began < 10


def test_a_registry_with_no_champion_costs_a_sentence(
    models: Registry, waymark: Command, good: Path, tracking_address: str
) -> None:
    sentence = f"error: waymark-asl has no champion in MLflow at {tracking_address}; `waymark promote` makes one"
    for command in COMMANDS[2:]:
        assert waymark(good, *command) == (sentence, "")


def test_one_flipped_bit_in_what_mlflow_keeps_moves_nothing(
    models: Registry, waymark: Command, bad: Path, good: Path, tracking_address: str
) -> None:
    assert waymark(bad, "promote")[0] == 0
    damage(kept(models, 1, paths.ONNX))
    is_damaged = (
        f"(version 1 \\([0-9a-f]{{12}}\\)|run .*): models/model\\.onnx in MLflow at {tracking_address} is not what was "
        "recorded, but damaged or exchanged; delete its run there, and `dvc repro --force --single-item track` in its "
        "commit records it anew"
    )
    by_force = "; --force REASON promotes the candidate without a comparison"
    code, _ = waymark(good, "promote")
    assert re.fullmatch(f"error: the champion, waymark-asl {is_damaged}{by_force}", str(code))
    code, _ = waymark(good, "package", "--champion")
    assert re.fullmatch(f"error: the champion, waymark-asl {is_damaged}", str(code))
    assert champion(models) == 1

    assert waymark(good, "promote", "--force", "the old one is lost")[0] == 0
    assert champion(models) == 2
    code, _ = waymark(good, "rollback")
    assert re.fullmatch(f"error: waymark-asl {is_damaged}", str(code))
    code, _ = waymark(good, "promote", "--run", "1", "--force", "it was the best")
    assert re.fullmatch(f"error: {is_damaged}", str(code))
    assert champion(models) == 2

    kept(models, 2, paths.PREDICTIONS).unlink()
    code, _ = waymark(bad, "package", "--champion")
    assert "MLflow keeps no reports/predictions.parquet of it; delete its run there" in str(code)


def test_a_champion_of_an_earlier_schema_is_compared_with_but_not_served(
    models: Registry, waymark: Command, bad: Path, write_workspace: WriteWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from waymark import contract

    old = write_workspace(bad.with_name("old"), model=3, wrong=40, schema=2)
    with monkeypatch.context() as back_then:
        back_then.setattr(contract, "SCHEMA", 2)
        assert waymark(old, "promote")[0] == 0
    schema = (
        "models/contract.json: contract schema 2, this version reads 3; the code of its run's commit reads it, and "
        "`dvc repro` makes a new one"
    )
    code, _ = waymark(bad, "package", "--champion")
    whose = r"waymark-asl version 1 \([0-9a-f]{12}\)"
    assert re.fullmatch(f"error: the champion, {whose}: {re.escape(schema)}", str(code))
    code, said = waymark(write_workspace(bad.with_name("good"), model=2, wrong=4), "promote")
    assert (code, champion(models)) == (0, 2)
    assert "instead of 90.00 %" in said
    code, _ = waymark(bad, "rollback")
    assert re.fullmatch(f"error: {whose}: {re.escape(schema)}", str(code))
    assert champion(models) == 2


@pytest.mark.parametrize("path", [paths.ONNX, paths.PREDICTIONS, paths.METRICS, paths.CONTRACT], ids=str)
def test_a_workspace_that_dvc_lock_does_not_tell_of_is_not_promoted(
    models: Registry, waymark: Command, good: Path, path: Path
) -> None:
    (good / path).write_bytes((good / path).read_bytes() + b" ")
    assert waymark(good, "promote")[0] == (
        "error: the model and the reports in the workspace are not those that dvc.lock tells of; `dvc repro` or "
        "`dvc checkout` settles it, or name another model with --run"
    )
    assert (champion(models), models.versions()) == (None, [])


def test_a_model_of_another_data_set_is_not_promoted(models: Registry, waymark: Command, good: Path) -> None:
    text = (good / paths.PARAMS).read_text(encoding="utf-8")
    (good / paths.PARAMS).write_text(text.replace("dataset: asl", "dataset: gtsrb"), encoding="utf-8")
    assert waymark(good, "promote")[0] == (
        "error: models/contract.json: of asl, not gtsrb as in params.yaml; run `dvc repro`"
    )


def test_a_name_that_several_runs_have_is_refused(models: Registry, waymark: Command, bad: Path, good: Path) -> None:
    for folder in (bad, good):
        waymark(folder, "promote")
    for run in (models.client.get_run(version.run_id) for version in models.versions()):
        models.client.update_run(run.info.run_id, name="twins")
    code, _ = waymark(bad, "promote", "--run", "twins")
    assert re.fullmatch(
        r"error: twins: several runs of waymark-asl in MLflow at \S+ are called so; give the id of one of "
        r"[0-9a-f]{8} \(twins\), [0-9a-f]{8} \(twins\)",
        str(code),
    )


class Writes:
    """MLflow's client, which is interrupted before or after its n-th change to the registry."""

    names = (
        *("create_registered_model", "create_model_version", "set_registered_model_alias"),
        *("set_model_version_tag", "delete_model_version_tag"),
    )

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        from mlflow import MlflowClient

        self.done: list[str] = []
        self.interrupt_at: int | None = None
        for name in self.names:
            patch.setattr(MlflowClient, name, self._counting(name, getattr(MlflowClient, name)))

    def _counting(self, name: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **named: Any) -> Any:
            if len(self.done) == self.interrupt_at:
                raise KeyboardInterrupt
            self.done.append(name)
            return write(*arguments, **named)

        return counting


def test_an_interrupted_promotion_leaves_one_champion_and_the_next_finishes_it(
    models: Registry, waymark: Command, bad: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert waymark(bad, "promote")[0] == 0
    writes = Writes(monkeypatch)
    assert waymark(good, "promote")[0] == 0
    moved = writes.done.index("set_registered_model_alias")
    assert moved >= 8  # all that tells of the promotion, but for the word that it is done, is written before
    assert writes.done[moved + 1 :] == ["set_model_version_tag"]
    for written in (1, moved, moved + 1):
        first, *others = models.versions()
        models.crown(first)
        for other in others:
            models.client.delete_model_version(models.name, str(other.number))

        writes.done, writes.interrupt_at = [], written
        assert waymark(good, "promote") == (130, "")
        assert champion(models) == (1 if written <= moved else max(version.number for version in models.versions()))

        writes.interrupt_at = None
        assert waymark(good, "promote")[0] == 0
        settled = models.champion()
        assert settled is not None
        assert (settled.number > 1, settled.champions_before) == (True, [1])
        assert (settled.tags["waymark.decision"], len(models.versions())) == ("promoted", 2)


def test_an_interrupted_rollback_leaves_one_champion_and_the_next_finishes_it(
    models: Registry, waymark: Command, bad: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (bad, good):
        assert waymark(folder, "promote")[0] == 0
    writes = Writes(monkeypatch)
    for written in (0, 1):
        writes.done, writes.interrupt_at = [], written
        assert waymark(good, "rollback") == (130, "")
        assert champion(models) == 2
    writes.interrupt_at = None
    code, _ = waymark(good, "promote")
    assert re.fullmatch(
        r"error: waymark-asl version 2 \([0-9a-f]{12}\): a rollback of it was cut short; run `waymark rollback` again",
        str(code),
    )
    assert waymark(good, "rollback")[0] == 0
    assert champion(models) == 1


def test_a_champion_that_changed_meanwhile_is_not_overrun(
    models: Registry, waymark: Command, bad: Path, good: Path, write_workspace: WriteWorkspace, tmp_path: Path
) -> None:
    """While one process judges, another one promotes."""
    assert waymark(bad, "promote")[0] == 0
    assert waymark(write_workspace(tmp_path / "other", model=3), "promote", "--force", "x")[0] == 0
    first, other = models.versions()
    models.crown(first)
    with pytest.MonkeyPatch.context() as patch:
        measure = latency.measure

        def slow(*arguments: Any) -> Any:
            models.crown(other)
            return measure(*arguments)

        patch.setattr(latency, "measure", slow)
        code, _ = waymark(good, "promote")
    assert code == (
        f"error: waymark-asl: version 2 ({other.model_version}) became the champion meanwhile; run `waymark promote` "
        "again"
    )
    assert champion(models) == 2
