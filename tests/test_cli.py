"""The `waymark` command: its exit codes, its lines, and how little its help loads."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import yaml

import waymark as package
from waymark import cli
from waymark.params import Params
from waymark.stages import collect

if TYPE_CHECKING:
    from tests.conftest import Kaggle

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    return tmp_path / "workspace"


def waymark(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Run the command; its exit code, or the sentence that stands for 1."""
    monkeypatch.setattr(sys, "argv", ["waymark", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def use_kaggle(workspace: Path, owner: str = "someone") -> Params:
    document = yaml.safe_load((workspace / "params.yaml").read_text())
    document |= {"dataset": "gtsrb", "source": f"kaggle://{owner}/hand-signs"}
    (workspace / "params.yaml").write_text(yaml.safe_dump(document))
    return Params.model_validate(document)


def test_check_ends_with_10_until_what_is_published_is_held(
    kaggle_server: "Kaggle", workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kaggle_server.publish("someone/hand-signs", 3)
    wanted = use_kaggle(workspace)
    assert waymark(monkeypatch, "collect", "--check") == 10
    assert capsys.readouterr().out == "hand-signs.zip: nothing collected yet, version 3 is published\n"
    collect.run(wanted)
    assert waymark(monkeypatch, "collect", "--check") == 0
    assert capsys.readouterr().out == "hand-signs.zip: up to date (version 3)\n"
    kaggle_server.publish("someone/hand-signs", 4)
    assert waymark(monkeypatch, "collect", "--check") == 10
    assert capsys.readouterr().out == "hand-signs.zip: version 3 → 4\n"
    assert kaggle_server.asked.count("DownloadDataset") == 1


def test_check_tells_data_sets_of_one_name_apart_by_their_owners(
    kaggle_server: "Kaggle", workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kaggle_server.publish("someone/hand-signs", 3)
    kaggle_server.publish("other/hand-signs", 3)
    collect.run(use_kaggle(workspace))
    use_kaggle(workspace, owner="other")
    assert waymark(monkeypatch, "collect", "--check") == 10
    expected = "hand-signs.zip: someone/hand-signs version 3 → other/hand-signs version 3\n"
    assert capsys.readouterr().out == expected


def test_check_that_cannot_look_ends_with_a_sentence(
    no_kaggle: None, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_kaggle(workspace)
    assert waymark(monkeypatch, "collect", "--check") == (
        "error: kaggle://someone/hand-signs: no connection to Kaggle (ConnectionError); behind a proxy, set HTTPS_PROXY"
    )


def test_collect_without_check_sends_to_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waymark(monkeypatch, "collect") == (
        "error: `waymark collect` only looks, with --check; to fetch, use `dvc repro collect`, which records what came"
    )


def test_review_gets_its_folds_and_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The review itself, which trains networks, has tests of its own; importing it takes seconds."""
    asked: list[tuple[str, int, Path]] = []

    def run(params: Params, folds: int, output: Path) -> None:
        asked.append((params.dataset, folds, output))

    monkeypatch.setattr(package, "review", SimpleNamespace(run=run), raising=False)
    assert waymark(monkeypatch, "review") == 0
    assert waymark(monkeypatch, "review", "--folds", "3", "--output", "elsewhere") == 0
    assert asked == [("rendered", 5, Path("reports/label_review")), ("rendered", 3, Path("elsewhere"))]


def test_runs_outside_a_repository_ends_with_a_sentence(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workspace.parent))
    assert waymark(monkeypatch, "runs") == f"error: {workspace}: not in a git repository; run from a clone of one"


@pytest.mark.parametrize("folds", ["1", "-2", "many"])
def test_folds_that_are_none_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folds: str
) -> None:
    assert waymark(monkeypatch, "review", "--folds", folds) == 2
    assert "argument --folds: " in capsys.readouterr().err


def test_without_a_command_the_help_tells_of_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert waymark(monkeypatch) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("usage: waymark [-h] command ...\n")
    assert "    promote   make a model the champion, if it is better beyond chance\n" in shown.err


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from waymark import cli\n"
        "sys.argv = ['waymark', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "heavy = {'torch', 'mlflow', 'kagglehub', 'kagglesdk', 'pandas', 'numpy', 'pyarrow', 'fsspec', 'yaml'}\n"
        "heavy.add('pydantic')\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "usage: waymark [-h] command ..."
    assert lines[-1] == "[]"
