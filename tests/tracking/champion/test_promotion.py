"""Who becomes the champion and why, and how to go back."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from waymark import cli
from waymark.tracking import recording
from waymark.tracking.registry import Registry, Version

WriteWorkspace = Callable[..., Path]
Command = Callable[..., tuple[object, str]]

pytestmark = pytest.mark.slow

BAD, GOOD = 40, 4  # test images that a model has wrong, of 400 in 200 tracks
PASSED = (
    r"Passed: accuracy 0\.99 ≥ 0\.8, lowest recall of a class 0\.8 ≥ 0\.5, calibration error 0\.01 ≤ 0\.05, latency "
    r"[\d.]+ ≤ 50 ms, size 0 ≤ 100 MB \(latency: median of 200 single images, 2 threads\)\."
)
VERSION = r"version {} \([0-9a-f]{{12}}\)"


@pytest.fixture
def bad(write_workspace: WriteWorkspace, tmp_path: Path) -> Path:
    return write_workspace(tmp_path / "bad", model=1, wrong=BAD)


@pytest.fixture
def good(write_workspace: WriteWorkspace, tmp_path: Path) -> Path:
    return write_workspace(tmp_path / "good", model=2, wrong=GOOD)


def champion(models: Registry) -> int | None:
    found = models.champion()
    return found.number if found else None


def tags(models: Registry, number: int) -> dict[str, str]:
    version = models.version(number)
    assert version is not None
    return {key.removeprefix("waymark."): value for key, value in version.tags.items()}


def test_the_better_model_becomes_the_champion(models: Registry, waymark: Command, bad: Path, good: Path) -> None:
    code, said = waymark(bad, "promote")
    assert code == 0
    first, second = VERSION.format(1), VERSION.format(2)
    assert re.fullmatch(rf"waymark-asl: {first} of run [\w-]+ is the champion now, the first\. Passed: .*\.\n", said)
    code, said = waymark(good, "promote")
    assert code == 0
    assert re.fullmatch(
        rf"waymark-asl: {second} of run [\w-]+ is the champion now, in place of {first}\. Accuracy 99\.00 % instead of "
        r"90\.00 %: \+9\.00 points \(95 % interval \+5\.\d\d to \+13\.\d\d, with other seeds \+5\.\d\d to "
        r"\+13\.\d\d\) on 400 test images in 200 groups; 36 newly right, 0 newly wrong, McNemar p < 0\.0001: better\. "
        rf"{PASSED}\n",
        said,
    )
    assert champion(models) == 2
    told = tags(models, 2)
    assert told["verdict"] == said.strip()
    assert (told["decision"], told["compared_with"], told["champions_before"]) == ("promoted", "1", "1")
    assert (told["gates_failed"], told["forced"]) == ("", "")
    assert re.fullmatch(r"on \d{4}-\d\d-\d\d \d\d:\d\d UTC by .+", told["decided"])
    assert json.loads(told["gates"])["gate_min_accuracy"] == {"value": 0.99, "limit": 0.8}
    compared = json.loads(told["comparison"])
    assert (compared["images"], compared["newly_right"], compared["verdict"]) == (400, 36, "better")

    again = r"waymark-asl version 2 \([0-9a-f]{12}\) is the champion already; nothing was changed\.\n"
    code, said = waymark(good, "promote")
    assert (code, bool(re.fullmatch(again, said)), tags(models, 2)) == (0, True, told)


def test_a_model_that_is_not_better_needs_a_reason(
    models: Registry,
    waymark: Command,
    bad: Path,
    good: Path,
    write_workspace: WriteWorkspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alike = write_workspace(tmp_path / "alike", model=3, wrong=2)
    assert waymark(good, "promote")[0] == 0
    for number, folder, objection, verdict in (
        (2, bad, "is worse beyond chance", r"−9\.00 points .*−13\.\d\d to −5\.\d\d\) on .*: worse"),
        (3, alike, "is not better beyond chance", r"\+0\.50 points .*: no real difference"),
    ):
        code, said = waymark(folder, "promote")
        assert (code, champion(models)) == (3, 1)
        assert re.fullmatch(
            rf"waymark-asl: the champion stays {VERSION.format(1)}: {VERSION.format(number)} of run [\w-]+ "
            rf"{objection}; --force REASON promotes it all the same\. Accuracy .*{verdict}\. Passed: .*\.\n",
            said,
        )
        assert tags(models, number)["decision"] == "refused"
        assert tags(models, number)["verdict"] == said.strip()

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    code, said = waymark(bad, "promote", "--force", "the customer  wants it")
    assert (code, champion(models)) == (0, 2)
    assert 50 < max(map(len, said.splitlines())) <= 60
    assert tags(models, 2)["verdict"] == " ".join(said.splitlines())
    assert re.match(
        rf"waymark-asl: {VERSION.format(2)} of run [\w-]+ is the champion now, in place of {VERSION.format(1)}: it is "
        'worse beyond chance, but --force says "the customer wants it"\\. Accuracy ',
        tags(models, 2)["verdict"],
    )
    assert tags(models, 2)["forced"] == "the customer wants it"


@pytest.mark.parametrize("reason", [[], [""], ["  "], ["--run", "1"]])
def test_a_reason_says_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reason: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["waymark", "promote", "--force", *reason])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    assert capsys.readouterr().err.endswith("error: argument --force: expected a reason, which is recorded\n")


def test_no_reason_opens_a_gate(
    models: Registry, waymark: Command, good: Path, bad: Path, write_workspace: WriteWorkspace, tmp_path: Path
) -> None:
    strict = {"gate_min_accuracy": 0.995, "gate_max_latency_ms": 0.000001}
    folder = write_workspace(tmp_path / "strict", model=3, wrong=GOOD, **strict)
    code, said = waymark(folder, "promote", "--force", "it must")
    assert (code, champion(models)) == (3, None)
    failed = (
        r"Failed: accuracy 0\.99 \(gate_min_accuracy: at least 0\.995\), latency [\d.]+ ms \(gate_max_latency_ms: at "
        r"most 1e-06 ms\); no --force opens a gate: if one is wrong, change it in params\.yaml, where it is reviewed\. "
        r"Passed: lowest recall .*\n"
    )
    third = rf"{VERSION.format(1)} of run [\w-]+"
    assert re.fullmatch(rf"waymark-asl: there is still no champion: {third} fails 2 gates\. {failed}", said)
    told = tags(models, 1)
    assert (told["gates_failed"], told["forced"]) == ("gate_min_accuracy gate_max_latency_ms", "")

    assert waymark(bad, "promote")[0] == 0
    code, said = waymark(folder, "promote", "--force", "it must")
    assert (code, champion(models)) == (3, 2)
    stays = rf"waymark-asl: the champion stays {VERSION.format(2)}"
    assert re.fullmatch(rf"{stays}: {third} fails 2 gates\. Accuracy .*: better\. {failed}", said)

    assert waymark(good, "promote")[0] == 0
    code, said = waymark(folder, "promote", "--force", "it must")
    assert (code, champion(models)) == (3, 3)
    assert re.match(
        rf"waymark-asl: the champion stays {VERSION.format(3)}: {third} fails 2 gates and is not better beyond "
        r"chance\. Accuracy 99\.00 % instead of 99\.00 %: 0\.00 points ",
        said,
    )


def test_models_are_compared_on_what_both_tests_hold(
    models: Registry, waymark: Command, bad: Path, write_workspace: WriteWorkspace, tmp_path: Path
) -> None:
    assert waymark(bad, "promote")[0] == 0
    more = write_workspace(tmp_path / "more", model=2, wrong=GOOD, images=440)
    code, said = waymark(more, "promote")
    assert code == 0
    assert (
        " on 400 test images in 200 groups that both tests hold (0 others are in the champion's alone, 40 in the "
        "candidate's alone, 0 under another label); 36 newly right" in said
    )

    other = write_workspace(tmp_path / "other", model=3, test=1)
    code, said = waymark(other, "promote")
    assert code == (
        "error: the old test of 440 images and the new one of 400 share none under the same label (0 under another "
        "one): models are compared on the same images, so test both on one data set; --force REASON promotes the "
        "candidate without a comparison"
    )
    assert champion(models) == 2
    code, said = waymark(other, "promote", "--force", "a new test")
    assert (code, champion(models)) == (0, 3)
    assert " is the champion now, in place of version 2 (" in said
    assert (
        '): it could not be compared, but --force says "a new test". Not compared: the old test of 440 images' in said
    )


def test_rollback_goes_back_champion_by_champion(
    models: Registry, waymark: Command, bad: Path, good: Path, write_workspace: WriteWorkspace, tmp_path: Path
) -> None:
    perfect = write_workspace(tmp_path / "perfect", model=3, seed_std=0.0)
    for number, folder in enumerate((bad, good, perfect), start=1):
        assert waymark(folder, "promote", "--force", "in turn")[0] == 0
        assert champion(models) == number
    assert waymark(good, "promote", "--force", "once more")[0] == 0  # 1, 2, 3, 2

    code, said = waymark(good, "rollback")
    assert (code, champion(models)) == (0, 3)
    assert re.fullmatch(
        r"waymark-asl version 3 \([0-9a-f]{12}\) is the champion again, in place of version 2 \([0-9a-f]{12}\); "
        r"`waymark promote` takes that one from now on only with --force REASON\.\n",
        said,
    )
    rolled_back = tags(models, 2)["rolled_back"]
    assert re.fullmatch(r"on \d{4}-\d\d-\d\d \d\d:\d\d UTC by .+", rolled_back)
    assert (waymark(good, "rollback")[0], champion(models)) == (0, 1)  # not to 2, which was rolled back itself
    assert waymark(good, "rollback")[0] == (
        f"error: waymark-asl: no champion before version 1 ({tags(models, 1)['model_version']}) is left to go back to; "
        "`waymark promote --run RUN` makes another model the champion"
    )

    code, said = waymark(good, "promote")  # far better than the first, but it was taken back for some reason
    assert (code, champion(models)) == (3, 1)
    assert f" was rolled back {rolled_back}; --force REASON promotes it all the same. Accuracy " in said
    assert (waymark(good, "promote", "--force", "it was the network")[0], champion(models)) == (0, 2)
    assert "rolled_back" not in tags(models, 2)


def test_rollback_names_the_champion_that_it_passes_over(
    models: Registry, waymark: Command, bad: Path, good: Path
) -> None:
    for folder in (bad, good):
        assert waymark(folder, "promote")[0] == 0
    assert waymark(bad, "promote", "--force", "once more")[0] == 0  # 1, 2, 1
    assert waymark(good, "rollback")[0] == 0
    assert champion(models) == 2
    assert waymark(good, "rollback")[0] == (
        f"error: waymark-asl: no champion before version 2 ({tags(models, 2)['model_version']}) is left to go back "
        f"to: version 1 was champion before, but was rolled back {tags(models, 1)['rolled_back']}; `waymark promote "
        "--run 1 --force REASON` takes it"
    )


def test_any_known_run_can_be_named(models: Registry, waymark: Command, bad: Path, good: Path) -> None:
    run, _ = recording.record(models.client, good)
    models.client.set_tag(run.info.run_id, "waymark.dvc_experiment", "tidy-otter")
    assert waymark(bad, "promote")[0] == 0
    for named in ("tidy-otter", run.info.run_id, run.info.run_name, "2"):
        code, said = waymark(bad, "promote", "--run", named)
        assert code == 0, code
        assert re.match(r"waymark-asl:? version 2 \(", said)
    code, _ = waymark(bad, "promote", "--run", "3")
    assert str(code).startswith("error: 3: no run of waymark-asl in MLflow at sqlite:///")
    assert f"{run.info.run_id[:8]} ({run.info.run_name})" in str(code)


def test_an_experiment_that_came_to_the_same_as_another_is_named_by_its_own_name(
    models: Registry, waymark: Command, good: Path
) -> None:
    recording.record(models.client, good)  # of the first of the two: they share a run
    git = ("git", "-C", str(good), "-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    for command in (
        ("init", "--quiet"),
        ("add", "dvc.lock"),
        ("commit", "--quiet", "--message", "dvc: commit experiment twin"),
        ("update-ref", f"refs/exps/{'0' * 2}/{'0' * 38}/twin", "HEAD"),
    ):
        subprocess.run([*git, *command], check=True)
    code, said = waymark(good, "promote", "--run", "twin")
    assert (code, champion(models)) == (0, 1)
    assert said.startswith("waymark-asl: version 1 (")
    assert str(waymark(good, "promote", "--run", "twins")[0]).startswith("error: twins: no run of waymark-asl in ")


def test_a_champion_without_a_run_is_no_opponent(models: Registry, waymark: Command, good: Path) -> None:
    models.client.create_registered_model(models.name)
    models.client.create_model_version(models.name, str(good / "models"))
    models.client.set_registered_model_alias(models.name, "champion", "1")
    without = (
        "waymark-asl version 1 (registered by hand): registered without a run, so that nothing is known of it; "
        "`waymark promote --run RUN` registers a model as one that can be judged"
    )
    by_force = "; --force REASON promotes the candidate without a comparison"
    assert waymark(good, "promote")[0] == f"error: the champion, {without}{by_force}"
    assert waymark(good, "promote", "--run", "1")[0] == f"error: {without}"
    assert waymark(good, "package", "--champion")[0] == f"error: the champion, {without}"
    assert waymark(good, "promote", "--force", "the first that is known")[0] == 0
    assert waymark(good, "rollback")[0] == f"error: {without}"
    assert champion(models) == 2


def test_what_a_hand_wrote_of_champions_before_is_passed_over() -> None:
    assert Version(3, "", {"waymark.champions_before": "2 x ² -1 1"}).champions_before == [2, 1]


def test_a_champion_that_was_named_by_hand_is_compared_with(
    models: Registry, waymark: Command, bad: Path, good: Path
) -> None:
    """As MLflow's own page registers a model: without tags."""
    run, _ = recording.record(models.client, bad)
    models.client.create_registered_model(models.name)
    models.client.create_model_version(models.name, f"{run.info.artifact_uri}/models", run.info.run_id)
    models.client.set_registered_model_alias(models.name, "champion", "1")
    code, said = waymark(good, "promote")
    assert (code, champion(models)) == (0, 2)
    assert " in place of version 1 (registered by hand). Accuracy 99.00 % instead of 90.00 %: " in said
    assert waymark(good, "rollback")[0] == 0
    assert champion(models) == 1
