"""What `collect` leaves in data/raw/, and what it refuses."""

import dataclasses
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from waymark import params, paths
from waymark.datasets import rendered
from waymark.datasets.base import Origin
from waymark.datasets.gtsrb import GTSRB
from waymark.datasets.registry import DATASETS
from waymark.errors import WaymarkError
from waymark.stages import collect

if TYPE_CHECKING:
    from tests.conftest import Kaggle

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = params.load(ROOT / paths.PARAMS)
RAW = Path("data/raw/gtsrb")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    return tmp_path / "workspace"


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> list[Origin]:
    """Two official addresses on a port where nobody listens."""
    origins = [Origin("http://127.0.0.1:1/signs/b.zip", "b.zip"), Origin("http://127.0.0.1:1/signs/a.zip", "a.zip")]
    gtsrb = dataclasses.replace(GTSRB, origins=tuple(origins))
    monkeypatch.setitem(DATASETS, "gtsrb", gtsrb)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return origins


def gtsrb(source: Path | str) -> params.Params:
    return DEFAULTS.model_copy(update={"dataset": "gtsrb", "source": str(source)})


def zipped(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("member"), content)
    return path


def tarred(path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        archive.addfile(tarfile.TarInfo("member"), io.BytesIO())
    return path


def recorded(dataset: str = "gtsrb") -> Any:
    return json.loads((paths.raw(dataset) / "source.json").read_text())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_archives_of_a_folder_are_copied_and_recorded_without_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "me" / "signs"
    second = zipped(folder / "b.ZIP").read_bytes()
    zipped(folder / "a.zip")
    (folder / "notes.txt").write_text("no archive")
    collect.run(gtsrb(folder))
    assert names(RAW) == ["a.zip", "b.ZIP", "source.json"]
    document = recorded()
    assert (document["dataset"], document["source"]) == ("gtsrb", "signs")
    assert document["objects"][1] == {
        "name": "b.ZIP",
        "bytes": len(second),
        "sha256": hashlib.sha256(second).hexdigest(),
        "md5": hashlib.md5(second).hexdigest(),
    }
    assert str(tmp_path) not in (RAW / "source.json").read_text()
    assert names(paths.PARTIAL) == []


def test_second_run_writes_the_same_bytes_and_drops_what_is_no_longer_there(tmp_path: Path) -> None:
    zipped(tmp_path / "signs" / "a.zip")
    collect.run(gtsrb(tmp_path / "signs"))
    first = (RAW / "source.json").read_bytes()
    (RAW / "stray.zip").write_bytes(b"")
    collect.run(gtsrb(tmp_path / "signs"))
    assert (RAW / "source.json").read_bytes() == first
    assert names(RAW) == ["a.zip", "source.json"]
    assert names(paths.RAW) == ["gtsrb"]


def test_failed_run_leaves_the_old_archives(tmp_path: Path) -> None:
    collect.run(gtsrb(zipped(tmp_path / "a.zip")))
    before = {path.name: path.read_bytes() for path in RAW.iterdir()}
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(WaymarkError):
        collect.run(gtsrb(tmp_path / "bad.zip"))
    assert {path.name: path.read_bytes() for path in RAW.iterdir()} == before
    assert names(paths.RAW) == ["gtsrb"]
    assert names(paths.PARTIAL) == []


def test_run_after_a_kill_between_the_renames_finds_the_old_archives(tmp_path: Path) -> None:
    collect.run(gtsrb(zipped(tmp_path / "a.zip")))
    RAW.rename(RAW.with_name(".gtsrb.old"))
    with pytest.raises(WaymarkError):
        collect.run(gtsrb(tmp_path / "missing.zip"))
    assert names(RAW) == ["a.zip", "source.json"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "a.zip: expected a whole zip or tar archive, this is a web page"),
        (b"", "a.zip: expected a whole zip or tar archive, this is neither"),
        (b"\x1f\x8b broken gzip", "a.zip: expected a whole zip or tar archive, this is neither"),
    ],
)
def test_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(WaymarkError, match=sentence):
        collect.run(gtsrb(tmp_path / "a.zip"))
    assert names(paths.RAW) == []


def test_zip_cut_short_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", b"x" * 1000)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(WaymarkError, match="expected a whole zip or tar archive"):
        collect.run(gtsrb(path))


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz")])
def test_tar_archives_pass(tmp_path: Path, name: str, mode: str) -> None:
    collect.run(gtsrb(tarred(tmp_path / name, mode)))
    assert names(RAW) == [name, "source.json"]


def test_name_that_contradicts_the_content_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WaymarkError, match=r"a\.zip: its content is a tar archive"):
        collect.run(gtsrb(tarred(tmp_path / "a.zip", "w")))


def test_archive_without_a_suffix_gets_the_one_of_its_content(tmp_path: Path) -> None:
    collect.run(gtsrb(tarred(tmp_path / "download", "w:gz")))
    assert names(RAW) == ["download.tar.gz", "source.json"]
    assert recorded()["objects"][0]["name"] == "download.tar.gz"


def test_missing_source_is_named_with_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(WaymarkError, match=r"source: .*/missing does not exist; expected auto, a local archive"):
        collect.run(gtsrb(tmp_path / "missing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(WaymarkError, match=r"source: no archive in folder .*empty; expected \.zip"):
        collect.run(gtsrb(tmp_path / "empty"))


def test_official_address_away_says_how_to_go_on_by_hand(official: list[Origin]) -> None:
    with pytest.raises(WaymarkError) as caught:
        collect.run(gtsrb("auto"))
    sentence = str(caught.value)
    assert sentence.startswith("gtsrb could not be had from where it is published (http://127.0.0.1:1/signs/a.zip: no ")
    assert "download a.zip, b.zip from http://127.0.0.1:1/signs/ by hand, or the data set's zip from Kaggle" in sentence
    assert "`dvc exp run -S dataset=gtsrb -S source=/path/to/folder`" in sentence
    assert names(paths.RAW) == []


def test_official_archives_are_checked_against_the_published_sums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Origin(str(zipped(tmp_path / "a.zip")), "a.zip", md5="0" * 32)
    gtsrb_from_here = dataclasses.replace(GTSRB, origins=(origin,))
    monkeypatch.setitem(DATASETS, "gtsrb", gtsrb_from_here)
    with pytest.raises(WaymarkError, match=f"md5 is [0-9a-f]{{32}}, expected {'0' * 32}"):
        collect.run(gtsrb("auto"))


def test_d21_archive_whose_sha256_is_not_the_recorded_one_is_refused(tmp_path: Path) -> None:
    content = zipped(tmp_path / "signs" / "a.zip").read_bytes()
    (tmp_path / "signs" / "SHA256SUMS").write_text(f"{'0' * 64}  a.zip\n")
    with pytest.raises(WaymarkError) as caught:
        collect.run(gtsrb(tmp_path / "signs"))
    assert str(caught.value) == (
        f"a.zip: sha256 is {hashlib.sha256(content).hexdigest()}, expected {'0' * 64}; the file is damaged or not the "
        "one meant, nothing of it was kept"
    )
    assert names(paths.RAW) == []
    assert names(paths.PARTIAL) == []


def test_archive_with_the_recorded_sha256_passes(tmp_path: Path) -> None:
    content = zipped(tmp_path / "signs" / "a.zip").read_bytes()
    (tmp_path / "signs" / "SHA256SUMS").write_text(f"{hashlib.sha256(content).hexdigest()}  a.zip\n")
    collect.run(gtsrb(tmp_path / "signs"))
    assert names(RAW) == ["a.zip", "source.json"]


def test_kaggle_archive_is_recorded_with_its_version_and_no_time(kaggle_server: "Kaggle") -> None:
    content = kaggle_server.publish("someone/hand-signs", 3)
    collect.run(gtsrb("kaggle://someone/hand-signs"))
    assert (RAW / "hand-signs.zip").read_bytes() == content
    assert recorded() == {
        "dataset": "gtsrb",
        "source": "kaggle://someone/hand-signs",
        "objects": [
            {
                "name": "hand-signs.zip",
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "md5": hashlib.md5(content).hexdigest(),
                "handle": "someone/hand-signs",
                "version": 3,
            }
        ],
    }


def test_official_kaggle_data_sets_are_collected_one_by_one(
    kaggle_server: "Kaggle", monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle_server.publish("someone/train", 2)
    kaggle_server.publish("another/test", 5)
    train, test = Origin("kaggle://someone/train", "train.zip"), Origin("kaggle://another/test", "test.zip")
    monkeypatch.setitem(DATASETS, "gtsrb", dataclasses.replace(GTSRB, origins=(train, test)))
    collect.run(gtsrb("auto"))
    assert recorded()["source"] == "kaggle://another/test, kaggle://someone/train"
    assert [(thing["name"], thing["handle"], thing["version"]) for thing in recorded()["objects"]] == [
        ("test.zip", "another/test", 5),
        ("train.zip", "someone/train", 2),
    ]


def test_kaggle_out_of_reach_says_how_to_go_on_by_hand(no_kaggle: None) -> None:
    with pytest.raises(WaymarkError) as caught:
        collect.run(gtsrb("kaggle://someone/hand-signs"))
    assert str(caught.value) == (
        "gtsrb could not be had from where it is published (kaggle://someone/hand-signs: no connection to Kaggle "
        "(ConnectionError); behind a proxy, set HTTPS_PROXY); download hand-signs.zip from "
        "https://www.kaggle.com/datasets/someone/hand-signs by hand, then "
        "`dvc exp run -S dataset=gtsrb -S source=/path/to/folder` (the path of one file, https://…, s3://… and "
        "kaggle://… go as well)"
    )
    assert names(paths.RAW) == []


def test_page_of_a_kaggle_data_set_is_answered_with_its_address() -> None:
    with pytest.raises(WaymarkError) as caught:
        collect.run(gtsrb("https://www.kaggle.com/datasets/someone/hand-signs?select=Train"))
    assert str(caught.value) == (
        "source: https://www.kaggle.com/datasets/someone/hand-signs is a web page; use kaggle://someone/hand-signs"
    )


def folder(source: Path | str) -> params.Params:
    return DEFAULTS.model_copy(update={"dataset": "folder", "source": str(source)})


def test_class_folders_are_packed_into_one_archive(tmp_path: Path) -> None:
    for name in ("animals/dog/1.png", "animals/cat/2.png", "animals/cat/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    collect.run(folder(tmp_path / "animals"))
    archive = paths.raw("folder") / "animals.zip"
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == ["cat/1.png", "cat/2.png", "dog/1.png"]
        assert packed.read("dog/1.png") == b"animals/dog/1.png"
    document = recorded("folder")
    assert document["source"] == "animals"
    assert document["objects"][0]["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()


def test_folder_with_an_archive_is_not_packed(tmp_path: Path) -> None:
    zipped(tmp_path / "animals" / "all.zip")
    (tmp_path / "animals" / "cat").mkdir()
    (tmp_path / "animals" / "cat" / "1.png").write_bytes(b"")
    collect.run(folder(tmp_path / "animals"))
    assert names(paths.raw("folder")) == ["all.zip", "source.json"]


def test_only_the_data_set_folder_is_packed(tmp_path: Path) -> None:
    (tmp_path / "animals" / "cat").mkdir(parents=True)
    (tmp_path / "animals" / "cat" / "1.png").write_bytes(b"")
    with pytest.raises(WaymarkError, match=r"source: no archive in folder .*animals; expected \.zip, .*\.tgz$"):
        collect.run(gtsrb(tmp_path / "animals"))


def test_folder_with_neither_archive_nor_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "animals" / "cat").mkdir(parents=True)
    with pytest.raises(WaymarkError, match=r"source: no archive in folder .*, \.tgz or class folders with images$"):
        collect.run(folder(tmp_path / "animals"))


def test_rendered_records_how_it_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def render(folder: Path, *, tracks: int, frames: int, seed: int) -> None:
        zipped(folder / "signs.zip", bytes([tracks, frames, seed]))

    monkeypatch.setattr(rendered, "render", render)
    collect.run(DEFAULTS.model_copy(update={"rendered_tracks": 5, "rendered_frames": 3, "rendered_seed": 7}))
    with zipfile.ZipFile(paths.raw("rendered") / "signs.zip") as archive:
        assert archive.read("member") == bytes([5, 3, 7])
    document = recorded("rendered")
    assert document["source"] == "drawn"
    assert document["drawing"] == {"rendered_seed": 7, "rendered_tracks": 5, "rendered_frames": 3}
    assert [thing["name"] for thing in document["objects"]] == ["signs.zip"]


def test_disk_that_cannot_be_written_is_a_sentence(tmp_path: Path, workspace: Path) -> None:
    (workspace / "data").write_text("a file where the folder goes")
    with pytest.raises(WaymarkError, match=r"data/raw.*: cannot be read or written"):
        collect.run(gtsrb(zipped(tmp_path / "a.zip")))
