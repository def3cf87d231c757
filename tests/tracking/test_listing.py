"""`waymark runs`: commits and DVC experiments beside their runs in MLflow."""

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from waymark.errors import WaymarkError
from waymark.tracking import address, listing, recording
from waymark.tracking.registry import Registry

if TYPE_CHECKING:
    from tests.tracking.conftest import WriteOutcome

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def git(*command: str) -> str:
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    return subprocess.run(["git", *identity, *command], check=True, capture_output=True, text=True).stdout.strip()


def commit(subject: str) -> str:
    git("add", "dvc.lock", "reports/metrics.json")
    git("commit", "--quiet", "--allow-empty", "--message", subject)
    return git("rev-parse", "HEAD")


def experiment(name: str, baseline: str) -> str:
    """Keep the workspace as DVC keeps an experiment: a commit that only a reference of its own leads to."""
    made = commit(f"dvc: commit experiment {name}")
    git("update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", made)
    git("reset", "--quiet", "--soft", baseline)
    return made


@pytest.fixture
def history(workspace: Path, write_outcome: "WriteOutcome") -> dict[str, str]:
    """Two commits and two experiments; all but the older commit and the experiment `lost` have a run."""
    client = address.connect()
    git("init", "--quiet", "--initial-branch=main")
    known = {}
    write_outcome(workspace, "listed", seed=1, wrong=4)
    known["older"] = commit("Begin")
    write_outcome(workspace, "listed", seed=2, wrong=2)
    known["newer"] = commit("Learn more slowly\x1b[31m")
    known["newer's run"] = recording.record(client, Path())[0].info.run_id
    write_outcome(workspace, "listed", seed=3, wrong=1)
    known["gentler"] = experiment("gentler", known["newer"])
    known["gentler's run"] = recording.record(client, Path())[0].info.run_id
    write_outcome(workspace, "listed", seed=4, wrong=8)
    known["lost"] = experiment("lost", known["newer"])
    git("update-ref", "refs/exps/stash", known["lost"])  # where DVC keeps what waits to be run
    git("checkout", "--quiet", "--force", "main")
    write_outcome(workspace, "listed", seed=2, wrong=2)
    return known


def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(listing.show(Path(), "listed", "json", commits=10))
    return found


def test_commits_and_experiments_stand_beside_their_runs(history: dict[str, str]) -> None:
    client = address.connect()
    stray = client.create_run(address.experiment(client, "listed"), run_name="stray").info.run_id
    unjudged = client.create_run(address.experiment(client, "listed"), run_name="unjudged").info.run_id
    client.set_terminated(unjudged)
    found = rows()
    told = [tuple(row[key] for key in ("kind", "experiment", "commit", "run", "accuracy")) for row in found]
    assert told[:3] == [
        ("workspace", "", "", history["newer's run"], 0.95),
        ("commit", "", history["newer"], history["newer's run"], 0.95),
        ("commit", "", history["older"], "", 0.9),
    ]
    assert set(told[3:5]) == {  # made in the same second
        ("experiment", "gentler", history["gentler"], history["gentler's run"], 0.975),
        ("experiment", "lost", history["lost"], "", 0.8),
    }
    alone = {row["run"]: row["status"] for row in found[5:]}
    assert (alone[stray], alone[unjudged]) == ("running", "trained")
    assert not {history["newer's run"], history["gentler's run"]} & set(alone)
    last = listing.show(Path(), "listed", "table", commits=1).splitlines()[-1]
    assert last.startswith("trained: ")
    assert last.endswith("`dvc repro --force --single-item track` completes it")


def test_champion_is_named_wherever_its_model_is(history: dict[str, str]) -> None:
    client = address.connect()
    assert not any(row["champion"] for row in rows())
    registry = Registry(client, "listed")
    run = client.get_run(history["gentler's run"])
    registry.crown(registry.register(run.info.run_id, run.info.artifact_uri, run.data.tags))
    try:
        assert [row["experiment"] for row in rows() if row["champion"]] == ["gentler"]
    finally:
        client.delete_registered_model(registry.name)


def test_table_is_aligned_and_what_people_wrote_cannot_steer_the_terminal(history: dict[str, str]) -> None:
    lines = listing.show(Path(), "listed", "table", commits=1).splitlines()
    assert lines[0].split() == ["commit", "run", "accuracy", "ECE", "coverage"]
    assert lines[1].split() == ["workspace", history["newer's run"][:8], "0.9500", "0.0100", "0.9000"]
    assert lines[2].startswith("Learn more slowly\N{REPLACEMENT CHARACTER}[31m ")
    assert {line.index("0.0100") for line in lines[1:5]} == {lines[0].index("ECE")}
    assert any(line.split()[:3] == ["lost", history["lost"][:7], "–"] for line in lines)


def test_csv_has_the_columns_of_json(history: dict[str, str]) -> None:
    text = listing.show(Path(), "listed", "csv", commits=10)
    assert [row["run"] for row in csv.DictReader(io.StringIO(text))] == [row["run"] for row in rows()]


def test_mlflow_that_is_away_leaves_what_git_knows_and_one_warning(
    history: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:geheim@127.0.0.1:1")
    found = rows()
    assert {row["run"] for row in found} == {""}
    assert [row["accuracy"] for row in found if row["experiment"] == "gentler"] == [0.975]
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning == (
        "warning: MLflow at http://127.0.0.1:1 cannot be reached (Connection refused); its runs are not listed"
    )


def test_outside_a_repository_is_said() -> None:
    with pytest.raises(WaymarkError, match="not in a git repository"):
        listing.show(Path(), "listed", "table", commits=10)


def test_lock_in_which_a_merge_left_its_marks_is_left_out(history: dict[str, str]) -> None:
    Path("dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\n")
    assert [row["kind"] for row in rows()[:3]] == ["commit", "commit", "experiment"]
