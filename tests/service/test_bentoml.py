"""What `bentoml serve` adds to the application: that it starts with a sound model only, and gives nothing away."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from waymark import paths
from waymark.serving import app

if TYPE_CHECKING:
    from tests.service.conftest import WriteModel

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", ["healthz", "livez", "readyz"])
def test_it_says_that_it_lives_and_nothing_else(bentoml_url: str, path: str) -> None:
    response = requests.get(f"{bentoml_url}/{path}", timeout=10)
    assert (response.status_code, response.text.strip()) == (200, "")
    assert {name.lower() for name in response.headers} == {"date", "content-length", "content-type"}


def test_its_own_description_names_the_addresses_and_nothing_else(bentoml_url: str) -> None:
    assert requests.get(f"{bentoml_url}/schema.json", timeout=10).json() == {
        "name": "waymark",
        "type": "service",
        "routes": [],
        "paths": {path: {"mounted": True} for path in [*(path for path, _, _ in app.ROUTES), "/{path:path}"]},
    }


@pytest.mark.parametrize("path", ["docs.json", "static_content/swagger-ui.css", "static_content/", "static_content"])
def test_its_page_is_not_served(bentoml_url: str, path: str) -> None:
    response = requests.get(f"{bentoml_url}/{path}", timeout=10)
    assert (response.status_code, response.json()["error"]["reason"]) == (404, "not_found")


def test_the_docs_are_the_application_s(bentoml_url: str) -> None:
    page = requests.get(f"{bentoml_url}/docs", timeout=10).text
    assert "<title>Waymark: colours</title>" in page
    assert "bento" not in page.lower()


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "sentence"), [(b"\0", "is not the contract's"), (None, "`dvc repro` makes it")])
def test_a_damaged_or_missing_model_is_not_served(
    write_model: "WriteModel", tmp_path: Path, damage: bytes | None, sentence: str
) -> None:
    folder = write_model(tmp_path / "model", {"A": (255, 0, 0), "B": (0, 255, 0)})
    shutil.copy(ROOT / "service.py", folder)
    if damage:
        (folder / paths.ONNX).write_bytes((folder / paths.ONNX).read_bytes() + damage)
    else:
        (folder / paths.ONNX).unlink()
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", "serve", "service:Waymark", "--working-dir", str(folder), "--port", "0"],
        env=os.environ | {"BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
