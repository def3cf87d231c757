"""`waymark runs`: commits and DVC experiments beside their runs in MLflow."""

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from waymark import paths
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
    write_outcome(workspace, "listed", seed=3, wrong=1, params={"lr": 0.05, "epochs": "auto", "note": "x" * 40})
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
    broken = client.create_run(address.experiment(client, "listed"), run_name="broken").info.run_id
    client.set_terminated(broken, "FAILED")
    found = rows()
    told = [tuple(row[key] for key in ("kind", "experiment", "commit", "run", "accuracy")) for row in found]
    assert told[0] == ("workspace", "", "", history["newer's run"], 0.95)
    assert set(told[1:3]) == {  # made in the same second
        ("experiment", "gentler", history["gentler"], history["gentler's run"], 0.975),
        ("experiment", "lost", history["lost"], "", 0.8),
    }
    assert told[3:5] == [
        ("commit", "", history["newer"], history["newer's run"], 0.95),
        ("commit", "", history["older"], "", 0.9),
    ]
    alone = {row["run"]: row["status"] for row in found[5:]}
    assert (alone[stray], alone[unjudged]) == ("running", "trained")
    assert not {history["newer's run"], history["gentler's run"]} & set(alone)
    lines = listing.show(Path(), "listed", "table", commits=1).splitlines()
    headings = [lines.index(f"{heading}:") for heading in ("Running", "Failed or killed", listing._UNLED)]
    assert headings == sorted(headings)
    for heading, name in zip(headings, ("stray", "broken", "unjudged"), strict=True):
        assert lines[heading + 1].startswith(name)
    assert lines[-2] == "– in the column run: no run in this MLflow"
    assert lines[-1].startswith("trained: ")
    assert lines[-1].endswith("`dvc repro --force --single-item track` completes it")


def test_settings_unlike_those_of_head_are_listed(history: dict[str, str]) -> None:
    gentler = {"epochs": "auto", "lr": 0.05, "note": "x" * 40, "seed": 3}
    assert {row["experiment"] or row["commit"]: row["changed"] for row in rows() if row["kind"] != "run"} == {
        "": {},
        "gentler": gentler,
        "lost": {"seed": 4},
        history["newer"]: {},
        history["older"]: {"seed": 1},
    }
    listed = csv.DictReader(io.StringIO(listing.show(Path(), "listed", "csv", commits=10)))
    assert [row["changed"] for row in listed if row["experiment"] == "gentler"] == [
        f"epochs=auto lr=0.05 note={'x' * 40} seed=3"
    ]
    (line,) = [line for line in listing.show(Path(), "listed", "table", 10).splitlines() if line.startswith("gentler")]
    assert line.endswith(f"  epochs=auto lr=0.05 note={'x' * 14}…")


def test_run_without_a_revision_is_held_against_head_too(history: dict[str, str]) -> None:
    git("update-ref", "-d", f"refs/exps/{history['newer'][:2]}/{history['newer'][2:]}/gentler")
    (row,) = [row for row in rows() if row["run"] == history["gentler's run"]]
    assert row["kind"] == "run"
    assert row["changed"] == {"epochs": "auto", "lr": "0.05", "note": "x" * 40, "seed": "3"}


def test_workspace_of_a_fresh_clone_is_not_taken_for_one_that_was_run(history: dict[str, str]) -> None:
    assert rows()[0]["status"] == "finished"
    paths.CONTRACT.unlink()
    assert rows()[0]["status"] == "not run here"
    assert "  not run here" in listing.show(Path(), "listed", "table", commits=1).splitlines()[1]


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
    assert lines[0].split() == ["commit", "run", "accuracy", "ECE", "coverage", "unlike", "HEAD"]
    assert lines[1].split() == ["workspace", history["newer's run"][:8], "0.9500", "0.0100", "0.9000"]
    assert lines[4].startswith("Learn more slowly\N{REPLACEMENT CHARACTER}[31m ")
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
    assert "in the column run" not in listing.show(Path(), "listed", "table", commits=1)
    assert [row["accuracy"] for row in found if row["experiment"] == "gentler"] == [0.975]
    (warning,) = {record.getMessage() for record in caplog.records}
    assert warning == (
        "warning: MLflow at http://127.0.0.1:1 cannot be reached (Connection refused); its runs are not listed"
    )


def test_outside_a_repository_is_said() -> None:
    with pytest.raises(WaymarkError, match="not in a git repository"):
        listing.show(Path(), "listed", "table", commits=10)


def test_lock_in_which_a_merge_left_its_marks_is_left_out(history: dict[str, str]) -> None:
    Path("dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\n")
    assert [row["kind"] for row in rows()[:3]] == ["experiment", "experiment", "commit"]
