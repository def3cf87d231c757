"""What is held against what is published, without a download."""

import hashlib
import http.server
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from waymark import freshness, params, paths
from waymark.errors import WaymarkError
from waymark.stages import collect

if TYPE_CHECKING:
    from tests.conftest import Kaggle

ROOT = Path(__file__).resolve().parents[1]
DEFAULTS = params.load(ROOT / paths.PARAMS)
SIGNS = "kaggle://someone/hand-signs"


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")


def settings(source: Path | str, dataset: str = "gtsrb") -> params.Params:
    return DEFAULTS.model_copy(update={"dataset": dataset, "source": str(source)})


def findings(wanted: params.Params) -> dict[str, bool]:
    return {str(finding): finding.current for finding in freshness.compare(wanted)}


def zipped(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("member"), content)
    return path


def test_kaggle_version_is_compared_without_a_download(kaggle_server: "Kaggle") -> None:
    kaggle_server.publish("someone/hand-signs", 3)
    wanted = settings(SIGNS)
    assert findings(wanted) == {"hand-signs.zip: nothing collected yet, version 3 is published": False}
    collect.run(wanted)
    kaggle_server.asked.clear()
    assert findings(wanted) == {"hand-signs.zip: up to date (version 3)": True}
    kaggle_server.publish("someone/hand-signs", 4)
    assert findings(wanted) == {"hand-signs.zip: version 3 → 4": False}
    assert kaggle_server.asked == ["GetDataset", "GetDataset"]


def test_named_version_is_up_to_date_whatever_is_published(kaggle_server: "Kaggle") -> None:
    kaggle_server.publish("someone/hand-signs", 3)
    collect.run(settings(SIGNS))
    kaggle_server.publish("someone/hand-signs", 4)
    assert findings(settings(f"{SIGNS}/versions/3")) == {"hand-signs.zip: up to date (version 3)": True}


def test_archive_from_elsewhere_has_no_version_to_compare(kaggle_server: "Kaggle", tmp_path: Path) -> None:
    kaggle_server.publish("someone/hand-signs", 3)
    collect.run(settings(zipped(tmp_path / "hand-signs.zip")))
    assert findings(settings(SIGNS)) == {"hand-signs.zip: not from Kaggle → version 3": False}


def test_sizes_are_compared_where_there_is_no_version(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip")
    wanted = settings(archive)
    assert findings(wanted) == {"a.zip: nothing collected yet, 117 bytes are published": False}
    collect.run(wanted)
    assert findings(wanted) == {"a.zip: up to date (117 bytes)": True}
    zipped(archive, b"more content")
    assert findings(wanted) == {"a.zip: 117 → 122 bytes": False}


def test_published_sum_tells_contents_of_one_size_apart(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip")
    old, wanted = hashlib.sha256(archive.read_bytes()).hexdigest(), settings(archive)
    collect.run(wanted)
    new = hashlib.sha256(zipped(archive, b"CONTENT").read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{new}  a.zip\n")
    assert findings(wanted) == {f"a.zip: sha256 {old} → {new}": False}
    collect.run(wanted)
    assert findings(wanted) == {"a.zip: up to date (117 bytes, the same sha256)": True}


def test_archive_that_came_or_went_is_something_newer(tmp_path: Path) -> None:
    zipped(tmp_path / "signs" / "a.zip")
    collect.run(settings(tmp_path / "signs"))
    (tmp_path / "signs" / "a.zip").rename(tmp_path / "signs" / "b.zip")
    assert findings(settings(tmp_path / "signs")) == {
        "a.zip: held, but not at the source": False,
        "b.zip: nothing collected yet, 117 bytes are published": False,
    }


def test_archive_that_was_given_its_suffix_is_the_one_at_the_source(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip").rename(tmp_path / "download")
    collect.run(settings(tmp_path / "download"))
    assert findings(settings(tmp_path / "download")) == {"download: up to date (117 bytes)": True}


def test_class_folders_are_compared_by_content(tmp_path: Path) -> None:
    image = tmp_path / "animals" / "cat" / "1.png"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"one")
    wanted = settings(tmp_path / "animals", dataset="folder")
    collect.run(wanted)
    assert findings(wanted) == {"animals.zip: up to date (119 bytes, the same sha256)": True}
    image.write_bytes(b"two")
    ((said, current),) = findings(wanted).items()
    assert said.startswith("animals.zip: sha256 ")
    assert not current


def test_drawn_data_has_no_publisher() -> None:
    assert findings(DEFAULTS) == {"rendered: drawn on this machine, nothing to look up": True}


class Silent(http.server.BaseHTTPRequestHandler):
    """Serves a stream without telling how long it is."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/zip")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.HTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a.zip"
        server.shutdown()


def test_server_that_tells_nothing_is_an_error(silent: str) -> None:
    with pytest.raises(WaymarkError) as caught:
        freshness.compare(settings(silent))
    assert str(caught.value) == f"{silent}: the server tells no size, so there is nothing to compare"


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"objects": [{}]})])
def test_damaged_record_is_an_error(tmp_path: Path, text: str) -> None:
    paths.raw("gtsrb").mkdir(parents=True)
    (paths.raw("gtsrb") / "source.json").write_text(text)
    with pytest.raises(WaymarkError) as caught:
        freshness.compare(settings(zipped(tmp_path / "a.zip")))
    assert str(caught.value) == "data/raw/gtsrb/source.json: is damaged; `dvc repro --force collect` makes it anew"
