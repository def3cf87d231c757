"""A run is found by what people call it; a wrong name says what there is."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from waymark.errors import WaymarkError
from waymark.tracking import address, recording, runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from tests.tracking.conftest import WriteOutcome

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, write_outcome: "WriteOutcome") -> "list[Run]":
    """Runs of the DVC experiments first, second and second: the name was used again."""
    found = []
    for number, name in enumerate(("first", "second", "second")):
        folder = write_outcome(tmp_path_factory.mktemp("outcome"), "sought", seed=number)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DVC_EXP_NAME", name)
            found.append(recording.record(address.connect(), folder)[0])
    return found


@pytest.fixture
def client() -> "MlflowClient":
    return address.connect()


def test_run_is_found_by_id_its_beginning_experiment_and_model_version(
    client: "MlflowClient", three: "list[Run]"
) -> None:
    first, second, _ = three
    for text in (first.info.run_id, first.info.run_id[:8], "first", first.data.tags["waymark.model_version"]):
        assert runs.find(client, "sought", text).info.run_id == first.info.run_id
    assert runs.find(client, "sought", second.info.run_id[:12]).info.run_id == second.info.run_id


def test_unknown_run_is_said_with_what_there_is(client: "MlflowClient", three: "list[Run]") -> None:
    with pytest.raises(WaymarkError) as refused:
        runs.find(client, "sought", "third")
    sentence = str(refused.value)
    assert sentence.startswith(f"third: no run of waymark-sought in MLflow at {address.uri()} is called so; there are ")
    assert f"{three[0].info.run_id[:8]} (first)" in sentence
    with pytest.raises(WaymarkError, match=r"there is none yet; `dvc repro` records one$"):
        runs.find(client, "nothing-yet", "third")


def test_name_that_two_runs_have_is_said_with_their_ids(client: "MlflowClient", three: "list[Run]") -> None:
    with pytest.raises(WaymarkError, match=r"^second: several runs of waymark-sought") as refused:
        runs.find(client, "sought", "second")
    assert all(f"{run.info.run_id[:8]} (second)" in str(refused.value) for run in three[1:])
    assert "(first)" not in str(refused.value)


def test_training_that_nothing_judged_is_no_answer(client: "MlflowClient") -> None:
    training = client.create_run(address.experiment(client, "unjudged"), run_name="only trained")
    with pytest.raises(WaymarkError, match="there is none yet"):
        runs.find(client, "unjudged", "only trained")
    assert not runs.complete(training)


def test_workspace_leads_to_its_run_also_after_a_comment_in_the_code_changed(
    client: "MlflowClient", tmp_path: Path, write_outcome: "WriteOutcome"
) -> None:
    write_outcome(tmp_path, "led")
    assert runs.of_lock(client, "led", (tmp_path / "dvc.lock").read_text(encoding="utf-8")) is None
    run, _ = recording.record(client, tmp_path)
    write_outcome(tmp_path, "led", params={"expected_images": 7})
    found = runs.of_lock(client, "led", (tmp_path / "dvc.lock").read_text(encoding="utf-8"))
    assert found is not None
    assert found.info.run_id == run.info.run_id
    write_outcome(tmp_path, "led", seed=1)
    assert runs.of_lock(client, "led", (tmp_path / "dvc.lock").read_text(encoding="utf-8")) is None


def test_all_pages_are_read(client: "MlflowClient", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_PAGE", 2)
    experiment = address.experiment(client, "many")
    made = [client.create_run(experiment).info.run_id for _ in range(5)]
    assert {run.info.run_id for run in runs.known(client, "many")} == set(made)
