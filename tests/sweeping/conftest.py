"""A repository whose training is arithmetic: real git, real DVC and real Optuna, and no second spent on learning."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from waymark.sweeping import beginning, store
from waymark.sweeping.store import Sweep

ROOT = Path(__file__).resolve().parents[2]
GRAPH = """\
stages:
  learn:
    cmd: python learn.py
    params: [lr, width, epochs, label_smoothing, seed]
    deps: [learn.py]
    outs: [weights.txt]
    metrics:
      - reports/export.json:
          cache: false
"""
# val accuracy is 1 - |lr - 0.1| in the end. label_smoothing 0.5 fails; width 256 waits for $GATE before its last epoch.
LEARN = """\
import json, os, signal, time
from pathlib import Path
from waymark import params

signal.signal(signal.SIGINT, signal.default_int_handler)
p = params.load()
assert p.label_smoothing != 0.5, "came apart"
for epoch in range(1, p.epochs + 1):
    while epoch == p.epochs and p.width == 256 and not Path(os.environ["GATE"]).exists():
        time.sleep(0.05)
    with Path(os.environ["WAYMARK_EPOCHS"]).open("a") as file:
        file.write(json.dumps({"epoch": epoch, "val_accuracy": (1 - abs(p.lr - 0.1)) * epoch / p.epochs}) + "\\n")
Path("weights.txt").write_text(str(p.lr))
Path("reports").mkdir(exist_ok=True)
Path("reports/export.json").write_text(json.dumps({"val": {"accuracy": 1 - abs(p.lr - 0.1)}}))
"""


@pytest.fixture(autouse=True)
def own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
        "DVC_NO_ANALYTICS": "1",
        "GIT_AUTHOR_NAME": "Tester",
        "GIT_AUTHOR_EMAIL": "tester@example.com",
        "GIT_COMMITTER_NAME": "Tester",
        "GIT_COMMITTER_EMAIL": "tester@example.com",
        "GATE": str(tmp_path / "gate"),
        "PYTHONPATH": str(ROOT / "src"),
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Optuna takes a second to make its tables."""
    folder = tmp_path_factory.mktemp("store")
    assert store.names(folder) == []
    store.open_storage(folder)
    return folder / store.STORE


@pytest.fixture
def repository(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repository"
    for name, content in {
        "dvc.yaml": GRAPH,
        "learn.py": LEARN,
        "params.yaml": (ROOT / "params.yaml").read_text(encoding="utf-8").replace("epochs: auto", "epochs: 4   "),
        ".gitignore": "/weights.txt\n/sweeps.db\n__pycache__\n",
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        ".dvc/config": "[core]\n    analytics = false\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(content), encoding="utf-8")
    shutil.copy(empty_store, folder / store.STORE)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Start")
    monkeypatch.chdir(folder)
    return folder


def git(folder: Path, *command: str) -> str:
    return subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def begin(name: str, *settings: str, trials: int | None = None, metric: str | None = None, prune: bool = True) -> Sweep:
    """In the folder where the test is."""
    return beginning.open_sweep(Path(), name, settings, trials, metric, prune)


def waymark(folder: Path, *command: str) -> "subprocess.Popen[str]":
    """`waymark …` as a process of its own."""
    code = "from waymark.cli import main; main()"
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code, *command], cwd=folder, stdout=pipe, stderr=pipe, text=True)
