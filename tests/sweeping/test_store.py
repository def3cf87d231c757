"""What a sweep remembers, asks for and refuses; nothing runs here."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from tests.sweeping.conftest import begin, git

from waymark import cli
from waymark.commands import sweeps
from waymark.errors import WaymarkError
from waymark.sweeping import beginning, results, space, store
from waymark.sweeping.store import Sweep

pytestmark = pytest.mark.usefixtures("repository")


def found(name: str) -> Sweep:
    sweep = store.find(Path(), name)
    assert sweep is not None
    return sweep


def asked(sweep: Sweep) -> optuna.Trial:
    trial = sweep.ask()
    assert trial is not None
    sweep.values(trial)
    return trial


def with_values(sweep: Sweep, values: Sequence[float]) -> None:
    for value in values:
        sweep.complete(asked(sweep), value)


def told(sweep: Sweep, *epochs: float) -> list[bool]:
    trial = asked(sweep)
    return [sweep.report(trial, {"epoch": n, "val_accuracy": value}) for n, value in enumerate(epochs, start=1)]


def test_sweep_that_was_killed_asks_as_one_that_was_not() -> None:
    whole, killed = (begin(name, "lr=log(0.01..0.3)", "width=8,16", trials=4) for name in ("whole", "killed"))
    for number in range(4):
        value = number / 4
        whole.complete(asked(whole), value)
        trial = asked(killed)  # and then, where it was asked, the process is gone
        killed = found("killed")
        (left,) = killed.left()
        assert left.number == trial.number == number
        killed.complete(left, value)
    assert [found("whole").values(trial) for trial in whole.over()] == [
        killed.values(trial) for trial in found("killed").over()
    ]


def test_all_combinations_are_tried_once_and_those_that_failed_again() -> None:
    sweep = begin("all", "lr=0.1,0.2", "width=8,16")
    assert sweep.plan.trials == 4
    sweep.prepare()
    sweep.complete(asked(sweep), 0.5)
    sweep.fail(asked(sweep))
    again = found("all")
    again.prepare()
    tried = []
    while trial := again.ask():
        tried.append(tuple(again.values(trial).values()))
    assert tried == [(0.2, 8), (0.2, 16), (0.1, 16)]


def test_ranges_are_tried_twenty_times_and_too_many_combinations_want_a_number() -> None:
    assert begin("ranges", "lr=0.1..0.2").plan.trials == 20
    lists = [f"{key}={','.join(str(n) for n in range(1, 40))}" for key in ("epochs", "seed")]
    with pytest.raises(WaymarkError, match=r"^-S: 1,521 combinations; say with --trials how many of them to try$"):
        begin("many", *lists)


def test_trial_below_the_median_of_earlier_ones_is_pruned_but_not_in_its_first_epochs_nor_the_last() -> None:
    sweep = begin("signs", "lr=0.1..0.2")
    for _ in range(4):
        trial = asked(sweep)
        for epoch in (1, 2, 3, 4):
            assert not sweep.report(trial, {"epoch": epoch, "val_accuracy": 0.2 * epoch})
        sweep.complete(trial, 0.8)
    assert told(sweep, 0.0, 0.0, 0.0, 0.0) == [False, False, True, False]
    assert told(sweep, 0.0, 0.0, 0.9) == [False, False, False]


@pytest.mark.parametrize("setting", [("epochs=2..4",), ("lr=0.1..0.2",)])
def test_nothing_is_pruned_where_epochs_differ_or_none_is_to_be(setting: tuple[str, ...]) -> None:
    sweep = begin("signs", *setting, trials=6, prune="epochs" in setting[0])
    for _ in range(4):
        trial = asked(sweep)
        sweep.report(trial, {"epoch": 3, "val_accuracy": 0.9})
        sweep.complete(trial, 0.9)
    assert told(sweep, 0.0, 0.0, 0.0) == [False, False, False]


def test_same_values_are_not_tried_twice() -> None:
    sweep = begin("signs", "lr=0.1,0.2", "width=8,16,24", trials=3)
    with_values(sweep, [0.5])
    (first,) = sweep.over()
    trial = asked(sweep)
    sweep.repeat(trial, first)
    assert sweep.same_as(sweep.over()[1]) == "signs-00"
    assert [each.value for each in sweep.ranked()] == [0.5, 0.5]
    assert [sweep.experiment(each) for each in sweep.ranked()] == ["signs-00", "signs-01"]


def test_less_is_better_of_a_loss() -> None:
    sweep = begin("signs", "lr=0.1..0.2", metric="negative_log_likelihood")
    with_values(sweep, [0.5, 0.1, 0.3])
    assert [sweep.experiment(trial) for trial in sweep.ranked()] == ["signs-01", "signs-02", "signs-00"]


def test_begun_sweep_takes_more_trials_and_no_other_space_or_metric() -> None:
    begin("signs", "lr=0.1..0.2", trials=3)
    assert begin("signs", trials=5).plan.trials == found("signs").plan.trials == 5
    assert begin("signs", "lr=0.10..0.20").plan.settings == ("lr=0.1..0.2",)
    with pytest.raises(WaymarkError) as refused:
        begin("signs", "lr=0.1..0.3")
    assert str(refused.value) == "signs: was begun with -S 'lr=0.1..0.2'; give another sweep another name"
    with pytest.raises(
        WaymarkError, match=r"^signs: was begun with --metric accuracy; give another sweep another name$"
    ):
        begin("signs", metric="coverage")


def test_nothing_is_stored_of_a_sweep_that_is_refused(repository: Path) -> None:
    (repository / "sweeps.db").unlink()
    for settings in (("lr=0.1..20",), ("lr",), ()):
        with pytest.raises(WaymarkError):
            begin("signs", *settings)
    assert not (repository / "sweeps.db").exists()
    assert git(repository, "for-each-ref", "refs/waymark") == ""


def test_experiments_of_the_same_name_are_not_taken_for_the_sweep_s(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/signs-03", head)
    with pytest.raises(
        WaymarkError, match=r"^signs: there is an experiment signs-03 already.*`dvc exp remove signs-03`$"
    ):
        begin("signs", "lr=0.1,0.2")


@pytest.mark.parametrize("name", ["-signs", "a/b", "a b", "", "a" * 41])
def test_name_that_git_or_a_file_could_not_have_is_refused(name: str) -> None:
    with pytest.raises(WaymarkError, match="no name of a sweep; expected up to 40 letters, digits, - and _"):
        begin(name, "lr=0.1,0.2")


def test_beginning_that_broke_off_is_begun_anew(repository: Path) -> None:
    optuna.create_study(study_name="signs", storage=f"sqlite:///{repository / 'sweeps.db'}")
    assert store.find(repository, "signs") is None
    assert begin("signs", "lr=0.1,0.2").plan.trials == 2


def test_damaged_store_is_a_sentence(repository: Path) -> None:
    (repository / "sweeps.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(WaymarkError, match=r"^sweeps\.db: cannot be read .*; move it away to begin anew$"):
        begin("signs", "lr=0.1,0.2")


def test_table_has_the_best_first_and_says_what_to_do_next() -> None:
    sweep = begin("signs", "lr=0.1,0.2", "width=8,16", trials=4)
    sweep.prepare()
    with_values(sweep, [0.5, 0.75])
    pruned = asked(sweep)
    sweep.report(pruned, {"epoch": 3, "val_accuracy": 0.1})
    sweep.prune(pruned)
    asked(sweep)
    assert results.table(Path(), sweep).splitlines() == [
        "          accuracy  lr   width",
        "signs-01  0.7500    0.1  16     experiment removed",
        "signs-00  0.5000    0.1  8      experiment removed",
        "signs-02  –         0.2  8      pruned after epoch 3",
        "signs-03  –         0.2  16     begun",
        "3 of 4 trials; `waymark sweep signs` goes on",
    ]
    with pytest.raises(WaymarkError, match=r"^signs: no trial has come to its end yet, or its experiment was removed$"):
        results.best(Path(), sweep)
    assert results.listing(Path()).splitlines() == ["sweep  trials  metric    best", "signs  3 of 4  accuracy  –"]


@pytest.mark.long
def test_importances_are_told_of_once_there_are_enough_trials() -> None:
    sweep = begin("signs", "lr=0.01..0.3", "label_smoothing=0..0.1")
    for _ in range(8):
        trial = asked(sweep)
        sweep.complete(trial, trial.params["lr"])
    last = results.table(Path(), sweep).splitlines()[-1]
    assert last.startswith("of the spread of accuracy, lr ")
    assert last.endswith(" (fANOVA over 8 trials)")


def test_help_names_the_metrics_that_there_are() -> None:
    assert tuple(store.METRICS) == sweeps.METRICS


@pytest.mark.parametrize(
    ("arguments", "code", "printed"),
    [
        ((), 0, "no sweeps yet; `waymark sweep --help` shows how to begin one\n"),
        (("other", "--show"), "error: other: no such sweep; `waymark sweep` lists those there are", ""),
        (("other",), "error: other: no such sweep yet; begin it with what it shall try, as in -S 'lr=0.05,0.1'", ""),
        (
            ("--best",),
            "error: name the sweep, as in `waymark sweep signs --show`; -S goes with none of --show and --best",
            "",
        ),
    ],
)
def test_command_that_runs_nothing_says_what_there_is(
    arguments: tuple[str, ...],
    code: object,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["waymark", "sweep", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr().out) == (code, printed)


def test_what_is_alike_in_all_trials_counts_as_if_params_yaml_said_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert begin("short", "epochs=3", "lr=0.05,0.1", trials=2).plan.epochs == 3
    assert begin("any", "epochs=3,4", trials=2).plan.epochs == 0
    beginning.warn_of_load(Path(), space.parse(["threads=7"]), 1024)
    assert f"1024 trials of 7 threads each share {os.cpu_count()} cores" in caplog.text


def test_trials_that_hold_other_images_in_val_are_said_to(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    begin("alike", "seed=1", "lr=0.05,0.1", trials=2)
    assert "val holds" not in caplog.text
    begin("seeds", "seed=0,1", trials=2)
    assert "val holds other images with another seed" in caplog.text
