"""Sweeps that run: real experiments of DVC, several at a time, ended early, failing, killed and gone on with."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState
from tests.sweeping.conftest import begin, git, waymark

from waymark import params
from waymark.errors import WaymarkError
from waymark.sweeping import results, running, store
from waymark.sweeping.store import Sweep
from waymark.tracking import address, runs

PATIENCE = 300  # seconds for a trial on a busy machine; 3 on a quiet one
WORK = Path(".dvc/tmp/sweeps/signs")

pytestmark = pytest.mark.slow


def found(name: str = "signs") -> Sweep:
    sweep = store.find(Path(), name)
    assert sweep is not None
    return sweep


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def experiments(repository: Path) -> list[str]:
    return sorted(name.rpartition("/")[2] for name in git(repository, "for-each-ref", "refs/exps").splitlines())


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].startswith(" Z")


def test_trials_are_experiments_of_dvc_and_leave_the_workspace_as_it_was(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two at a time; one of the three fails."""
    graph = (repository / "dvc.yaml").read_text(encoding="utf-8")
    (repository / "dvc.yaml").write_text(graph + "# not committed\n", encoding="utf-8")
    before = git(repository, "status", "--porcelain=v2"), git(repository, "stash", "list")
    sweep = begin("signs", "lr=0.25", "label_smoothing=0,0.5,0.25")
    (repository / "learn.py").write_text("raise SystemExit('changed while the sweep ran')\n", encoding="utf-8")
    running.run(Path(), sweep, 2, "waymark sweep")
    git(repository, "checkout", "--quiet", "learn.py")

    assert experiments(repository) == ["signs-00", "signs-02"]
    assert [trial.state for trial in sweep.trials()] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert [trial.value for trial in sweep.over()] == [0.85, 0.85]
    assert (git(repository, "status", "--porcelain=v2"), git(repository, "stash", "list")) == before
    assert [path.name for path in sorted(WORK.iterdir())] == ["lock", "signs-01.log"]
    (failed,) = [record.getMessage() for record in caplog.records if "failed" in record.getMessage()]
    assert failed.startswith("signs-01 lr=0.25 label_smoothing=0.5: failed; .dvc/tmp/sweeps/signs/signs-01.log says:\n")
    assert "came apart" in (WORK / "signs-01.log").read_text(encoding="utf-8")

    commit = git(repository, "for-each-ref", "--format=%(objectname)", "refs/exps/*/*/signs-02")
    changed = git(repository, "diff", "--name-only", "HEAD", commit).splitlines()
    assert {"dvc.yaml", "dvc.lock", "params.yaml", "reports/export.json"} == set(changed)
    assert results.best(Path(), sweep) == "signs-00"

    dataset = params.load().dataset
    (parent,) = [run for run in runs.known(address.connect(), dataset) if run.data.tags.get(runs.SWEEP) == "signs"]
    assert (parent.info.run_id, parent.info.status) == (found().parent_run, "FINISHED")
    assert (parent.data.metrics, parent.data.tags["waymark.best"]) == ({"best_accuracy": 0.85}, "signs-00")


def test_trial_that_promises_little_is_ended_and_leaves_no_experiment(repository: Path) -> None:
    sweep = begin("signs", "lr=0.9..1", "width=256", trials=5)
    for _ in range(4):  # earlier trials, of which DVC knows nothing
        trial = sweep.ask()
        assert trial is not None
        for epoch in (1, 2, 3, 4):
            trial.report(0.2 * epoch, epoch)
        sweep.complete(trial, 0.8)
    running.run(Path(), sweep, 1, "waymark sweep")
    pruned = sweep.trials()[-1]
    assert (pruned.number, pruned.state, pruned.last_step) == (4, TrialState.PRUNED, 3)
    assert experiments(repository) == []
    assert [path.name for path in WORK.iterdir()] == ["lock"]
    assert git(repository, "stash", "list") == ""


@pytest.mark.long
def test_sweep_gives_up_where_every_trial_fails(repository: Path) -> None:
    sweep = begin("signs", "label_smoothing=0.5", "lr=0.1..0.2")
    with pytest.raises(WaymarkError, match=r"^3 trials failed and 0 ended well; .* go on with `waymark sweep signs`$"):
        running.run(Path(), sweep, 1, "waymark sweep")
    assert [trial.state for trial in sweep.trials()] == [TrialState.FAIL] * 3
    assert [path.name for path in WORK.iterdir() if path.is_dir()] == []


def test_second_process_is_refused(repository: Path) -> None:
    sweep = begin("signs", "lr=0.1,0.2")
    with running.alone(Path(), "signs"), pytest.raises(WaymarkError) as refused:
        running.run(Path(), sweep, 1, "waymark sweep")
    assert str(refused.value) == "signs: another `waymark sweep signs` runs; wait for it, or stop it"


@pytest.mark.long
def test_sweep_goes_on_after_ctrl_c_and_after_kill(repository: Path, tmp_path: Path) -> None:
    settings = ("-S", "lr=0.1", "-S", "width=256")

    def in_third_epoch() -> bool:
        told = WORK / "signs-00.jsonl"
        return told.is_file() and told.read_bytes().count(b"\n") == 3

    process = waymark(repository, "sweep", "signs", *settings)
    until(in_third_epoch)
    training = int((WORK / "signs-00.lock").read_text())
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, alive(training)) == (130, False)
    assert said.endswith("signs-00: being stopped\nstopped; `waymark sweep signs` goes on from here\n")

    (WORK / "signs-00.jsonl").unlink()
    process = waymark(repository, "sweep", "signs", *settings)
    until(in_third_epoch)
    training = int((WORK / "signs-00.lock").read_text())
    process.kill()
    process.communicate()
    assert alive(training)

    process = waymark(repository, "sweep", "signs")
    until(lambda: not alive(training))
    (tmp_path / "gate").touch()
    table, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert table.splitlines() == [
        "          accuracy  lr   width",
        "signs-00  1.0000    0.1  256",
        "best on val: signs-00, accuracy 1.0000; `dvc exp apply signs-00` brings it here",
    ]
    assert experiments(repository) == ["signs-00"]
    assert [path.name for path in WORK.iterdir()] == ["lock"]
    dataset = params.load().dataset
    (parent,) = [run for run in runs.known(address.connect(), dataset) if run.info.run_id == found().parent_run]
    assert parent.info.status == "FINISHED"


@pytest.mark.long
def test_experiment_that_was_collected_before_the_kill_is_not_run_again(repository: Path) -> None:
    sweep = begin("signs", "lr=0.1,0.2", trials=1)
    trial = sweep.ask()
    assert trial is not None
    sweep.values(trial)
    (repository / "reports").mkdir()
    (repository / "reports/export.json").write_text('{"val": {"accuracy": 0.875}}', encoding="utf-8")
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "add", "reports")
    tree = git(repository, "write-tree")
    git(repository, "reset", "--quiet")
    commit = git(repository, "commit-tree", tree, "-p", head, "-m", "An experiment")
    git(repository, "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/signs-00", commit)
    running.run(Path(), sweep, 1, "waymark sweep")
    assert [trial.value for trial in sweep.over()] == [0.875]
    assert not (WORK / "signs-00.log").exists()
