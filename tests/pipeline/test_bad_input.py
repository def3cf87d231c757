"""Bad input as a user meets it: one sentence, exit code 1, nothing half-written, and the next good run works."""

import hashlib
import subprocess
from collections.abc import Callable
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
SMALL = {"rendered_tracks": 4, "rendered_frames": 2, "image_size": 16, "width": 8, "epochs": 1, "threads": 1}
OUTPUTS = {
    "prepare": ["data/prepared/train.npy", "data/prepared/train.parquet", "data/prepared/contract.json"],
    "train": ["models/model.safetensors", "reports/history.csv"],
    "export": ["models/model.onnx", "models/contract.json", "reports/export.json"],
    "evaluate": ["reports/metrics.json", "reports/predictions.parquet", "reports/plots/confusion.csv"],
}

Stage = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow


def set_parameters(folder: Path, **changed: object) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS | SMALL | changed), encoding="utf-8")


@pytest.fixture(scope="module")
def stage(python: Callable[..., "subprocess.CompletedProcess[str]"]) -> Stage:
    """`stage(folder, "train", file_limit=…)` runs one stage."""

    def stage(folder: Path, name: str, file_limit: int | None = None) -> "subprocess.CompletedProcess[str]":
        return python(folder, f"waymark.stages.{name}", file_limit=file_limit)

    return stage


def sentence(ended: "subprocess.CompletedProcess[str]") -> str:
    """The one line that a failed stage leaves for its user, below what it told of its progress."""
    assert ended.returncode == 1, ended.stderr
    *before, last = ended.stderr.strip().splitlines()
    assert all(line.startswith(("epoch ", "warning: ")) for line in before), ended.stderr
    assert last.startswith("error: ")
    return last.removeprefix("error: ")


def contents(folder: Path) -> dict[str, str]:
    """Every file of data, models and reports, hidden and half-written ones too, with its hash."""
    files = [path for room in ("data", "models", "reports") for path in (folder / room).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    folder = tmp_path / "workplace"
    folder.mkdir()
    (folder / "expectations").symlink_to(ROOT / "expectations")
    return folder


@pytest.fixture(scope="module")
def finished(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage has run once."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "expectations").symlink_to(ROOT / "expectations")
    set_parameters(folder)
    for name in ("collect", "validate", "prepare", "train", "export", "evaluate"):
        done = stage(folder, name)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", OUTPUTS)
def test_full_disk_is_said_and_the_old_outputs_stay(stage: Stage, finished: Path, name: str) -> None:  # K3
    before = contents(finished)
    assert set(OUTPUTS[name]) <= before.keys()
    # Small enough for the large output of each stage to fail, large enough for some files to be written before it.
    said = sentence(stage(finished, name, file_limit=5500))
    assert "cannot be read or written (" in said
    assert "File too large" in said
    assert said.endswith("nothing was changed")
    assert contents(finished) == before


def test_next_run_after_a_full_disk_works(stage: Stage, finished: Path) -> None:
    before = contents(finished)
    sentence(stage(finished, "prepare", file_limit=5500))
    assert stage(finished, "prepare").returncode == 0
    assert contents(finished) == before


@pytest.mark.parametrize(
    ("name", "file", "kept"),
    [
        ("prepare", "data/manifest.parquet", 0),
        ("prepare", "data/manifest.parquet", 100),
        ("prepare", "data/manifest.parquet", None),
        ("train", "data/prepared/train.npy", 100),
        ("export", "data/prepared/val.parquet", 100),
        ("evaluate", "data/prepared/test.npy", 0),
        ("evaluate", "data/prepared/test.npy", 100),
        ("evaluate", "data/prepared/test.parquet", None),
    ],
)
def test_damaged_input_of_a_stage_is_named(
    stage: Stage, finished: Path, name: str, file: str, kept: int | None
) -> None:
    """`kept` bytes of it are left; None: it is missing."""
    whole = (finished / file).read_bytes()
    before = contents(finished)
    try:
        if kept is None:
            (finished / file).unlink()
        else:
            (finished / file).write_bytes(whole[:kept])
        said = sentence(stage(finished, name))
    finally:
        (finished / file).write_bytes(whole)
    assert said.startswith(f"{file}: cannot be read (")
    assert said.endswith("; `dvc repro` makes it anew")
    assert contents(finished) == before


def truncated_zip(folder: Path) -> str:
    path = folder / "archive.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr("Train/0/00000_00000_00000.png", b"x" * 5000)
    path.write_bytes(path.read_bytes()[:-40])
    return str(path)


def web_page(folder: Path) -> str:
    (folder / "archive.zip").write_text("<!DOCTYPE html><html>Please sign in</html>")
    return str(folder / "archive.zip")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (lambda folder: str(folder / "nowhere"), "nowhere does not exist; expected auto, a local archive or folder"),
        (truncated_zip, "archive.zip: expected a whole zip or tar archive, this is neither; get the file anew"),
        (web_page, "archive.zip: expected a whole zip or tar archive, this is a web page; get the file anew"),
        (lambda _: "ftp://somewhere/a.zip", "ftp://somewhere/a.zip"),
    ],
    ids=["missing", "truncated", "web page", "unknown scheme"],
)
def test_source_that_cannot_be_used_leaves_nothing(
    stage: Stage, workplace: Path, tmp_path: Path, source: Callable[[Path], str], said: str
) -> None:
    set_parameters(workplace, dataset="gtsrb", source=source(tmp_path))
    assert said in sentence(stage(workplace, "collect"))
    assert contents(workplace) == {}


def test_address_without_a_file_is_named(stage: Stage, workplace: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Silent) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/no/archive.zip"
        set_parameters(workplace, dataset="gtsrb", source=address)
        said = sentence(stage(workplace, "collect"))
        server.shutdown()
    assert said.startswith(address)
    assert "404" in said
    assert contents(workplace) == {}


class Silent(SimpleHTTPRequestHandler):
    """Has no such file and says nothing of it on stderr."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, directory="/nonexistent")

    def log_message(self, format: str, *arguments: Any) -> None: ...


def test_object_that_is_not_in_the_bucket_is_named(
    stage: Stage, workplace: Path, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    set_parameters(workplace, dataset="gtsrb", source="s3://waymark/no/archive.zip")
    assert sentence(stage(workplace, "collect")) == "s3://waymark/no/archive.zip: there is no such bucket or object"
    assert contents(workplace) == {}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"dataset": "mnist"},
            "params.yaml: dataset: 'mnist' is not allowed (input should be 'rendered', 'gtsrb', 'cifar10', 'asl' or",
        ),
        ({"rendered_tracks": 3}, "params.yaml: rendered_tracks: 3 is not allowed"),
        ({"seed": "one"}, "params.yaml: seed: 'one' is not allowed"),
        ({"hue": 1}, "params.yaml: unknown key 'hue'; known are dataset, source"),
    ],
    ids=["data set", "range", "type", "key"],
)
def test_wrong_parameter_fails_before_any_work(
    stage: Stage, workplace: Path, changed: dict[str, object], said: str
) -> None:
    set_parameters(workplace, **changed)
    assert sentence(stage(workplace, "collect")).startswith(said)
    assert contents(workplace) == {}


def test_parameters_that_are_no_yaml_are_named(stage: Stage, workplace: Path) -> None:
    (workplace / "params.yaml").write_text("dataset: [rendered\nsource: auto\n")
    assert sentence(stage(workplace, "collect")).startswith("params.yaml: not valid YAML: ")
    (workplace / "params.yaml").unlink()
    assert sentence(stage(workplace, "collect")).startswith("params.yaml: cannot be read (No such file")


def test_unknown_network_is_named_and_the_old_model_stays(stage: Stage, finished: Path) -> None:
    before = contents(finished)
    set_parameters(finished, network="resnet19")
    try:
        assert sentence(stage(finished, "train")).startswith("network: 'resnet19' is unknown; near it are ")
    finally:
        set_parameters(finished)
    assert contents(finished) == before


def test_repro_passes_the_sentence_on_and_the_next_good_run_works(workplace: Path, run: Callable[..., Any]) -> None:
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        (workplace / name).write_bytes((ROOT / name).read_bytes())
    (workplace / "src").symlink_to(ROOT / "src")
    run(workplace, "git", "init", "--quiet")
    run(workplace, "dvc", "init", "--quiet")
    set_parameters(workplace, dataset="gtsrb", source="/nowhere/archive.zip")
    failed = run(workplace, "dvc", "repro", "collect", check=False)
    assert failed.returncode != 0
    assert "error: source: /nowhere/archive.zip does not exist; expected auto" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert contents(workplace) == {}

    set_parameters(workplace)
    run(workplace, "dvc", "repro", "collect")
    assert (workplace / "data" / "raw" / "rendered" / "source.json").is_file()
