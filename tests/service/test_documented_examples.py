"""What docs/service.md tells people to ask of the service works as it stands there."""

import contextlib
import io
import json
import re
import shlex
import subprocess
import zipfile
from pathlib import Path

import pytest
import requests
from PIL import Image

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:3000"
ENDPOINTS = {"predict", "predict_batch", "spell", "explain", "model", "metrics", "livez", "readyz"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


CURL = [
    shlex.join(shlex.split(line, comments=True))  # without its comment
    for block in blocks("bash")
    for line in block.splitlines()
    if line.startswith("curl ")
]
(PYTHON,) = blocks("python")
(ANSWER,) = blocks("json")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the examples name."""
    for name, colour in (("00002.ppm", (255, 0, 0)), ("00003.ppm", (0, 255, 0))):
        Image.new("RGB", (36, 38), colour).save(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "signs.zip", "w") as archive:
        for name in ("00003.ppm", "00002.ppm"):
            archive.write(tmp_path / name, name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(command: str, url: str) -> bytes:
    words = shlex.split(command.replace(ADDRESS, url))
    return subprocess.run([*words, "--silent", "--show-error", "--fail"], check=True, capture_output=True).stdout


@pytest.mark.parametrize("command", CURL)
def test_each_curl_line_is_answered(command: str, folder: Path, bentoml_url: str) -> None:
    said = ran(command, bentoml_url)
    if "-o heat.png" in command:
        said = (folder / "heat.png").read_bytes()
        assert said.startswith(b"\x89PNG")
    elif "/metrics" in command:
        assert said.startswith(b"# HELP waymark_")
    elif command.endswith(("/livez", "/readyz")):
        assert said == b"\n"
    else:
        assert "error" not in json.loads(said)
        assert json.loads(said).get("word", "AB") == "AB"


def test_the_answer_that_is_shown_is_of_this_form(folder: Path, bentoml_url: str) -> None:
    def form(value: object) -> object:
        if isinstance(value, dict):
            return {key: form(each) for key, each in value.items()}
        return [form(each) for each in value] if isinstance(value, list) else type(value)

    (command,) = (command for command in CURL if "/predict?" in command)
    assert form(json.loads(ANSWER)) == form(json.loads(ran(command, bentoml_url)))


def test_the_python_example_runs(folder: Path, bentoml_url: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(PYTHON.replace(ADDRESS, bentoml_url), {})
    version = requests.get(f"{bentoml_url}/model", timeout=10).json()["version"]
    answer, first, second, identity, alive, *metrics, word = printed.getvalue().splitlines()
    assert (answer, first, second, word) == ("A", "00002.ppm A", "00003.ppm B", "AB")
    assert (identity, alive) == (f"colours {version} None", "True True")
    assert metrics[0].startswith("# HELP waymark_")
    assert (folder / "heat.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("endpoint", sorted(ENDPOINTS))
def test_each_endpoint_has_a_curl_and_a_python_example(endpoint: str) -> None:
    assert any(re.search(rf"/{endpoint}\b", command) for command in CURL)
    assert re.search(rf"/{endpoint}\b", PYTHON)


def test_the_metrics_that_are_named_are_those_that_there_are(folder: Path, bentoml_url: str) -> None:
    for data in ((folder / "00002.ppm").read_bytes(), b""):  # some counts begin with the first answer, or refusal
        requests.post(f"{bentoml_url}/predict", data=data, timeout=10)
    told = requests.get(f"{bentoml_url}/metrics", timeout=10).text
    kinds = dict(line.split()[2:4] for line in told.splitlines() if line.startswith("# TYPE"))
    assert set(re.findall(r"`(waymark_[a-z_]+)`", PAGE)) == kinds.keys()
