"""A folder of classes as one zip."""

import hashlib
import logging
import os
import zipfile
from pathlib import Path

import pytest

from waymark.datasets import packing
from waymark.errors import WaymarkError


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    folder = tmp_path / "animals"
    for name, content in {
        "dog/b.png": b"dog b",
        "cat/a.png": b"cat a",
        "cat/deep/é.png": b"",
        "list.csv": b"x",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_every_file_is_packed_as_it_is(animals: Path, tmp_path: Path) -> None:
    packing.pack(animals, tmp_path / "animals.zip")
    with zipfile.ZipFile(tmp_path / "animals.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "cat/a.png": b"cat a",
            "cat/deep/é.png": b"",
            "dog/b.png": b"dog b",
            "list.csv": b"x",
        }
        assert archive.testzip() is None
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


def test_archive_does_not_depend_on_times_modes_order_or_hidden_files(animals: Path, tmp_path: Path) -> None:
    packing.pack(animals, tmp_path / "animals.zip")
    # Measured once: another system or Python that packs otherwise is to be noticed.
    sha256 = hashlib.sha256((tmp_path / "animals.zip").read_bytes()).hexdigest()
    assert sha256 == "22e059baa522879f1794aae3f98b8a1923a39717474de7e355ac992af5bde451"

    twin = tmp_path / "twin"
    for path in sorted((path for path in animals.rglob("*") if path.is_file()), reverse=True):
        copy = twin / path.relative_to(animals)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o600)
        os.utime(copy, (0, 0))
    (twin / "cat" / ".DS_Store").write_bytes(b"Finder")
    (twin / ".git").mkdir()
    (twin / ".git" / "HEAD").write_bytes(b"ref")
    packing.pack(twin, tmp_path / "twin.zip")
    assert (tmp_path / "twin.zip").read_bytes() == (tmp_path / "animals.zip").read_bytes()


@pytest.mark.parametrize("aim", ["cat/a.png", "cat", "nowhere"])
def test_symbolic_link_is_refused(animals: Path, tmp_path: Path, aim: str) -> None:
    (animals / "dog" / "link").symlink_to(animals / aim)
    with pytest.raises(WaymarkError) as caught:
        packing.pack(animals, tmp_path / "animals.zip")
    assert str(caught.value) == (
        f"source: {animals}/dog/link is a symbolic link; expected files and folders, put a copy in its place"
    )


def test_what_is_neither_file_nor_folder_is_refused(animals: Path, tmp_path: Path) -> None:
    os.mkfifo(animals / "dog" / "pipe")
    with pytest.raises(WaymarkError) as caught:
        packing.pack(animals, tmp_path / "animals.zip")
    assert str(caught.value) == f"source: {animals}/dog/pipe is neither file nor folder; remove it"


def test_name_that_no_archive_can_hold_is_refused(animals: Path, tmp_path: Path) -> None:
    (animals / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    with pytest.raises(WaymarkError) as caught:
        packing.pack(animals, tmp_path / "animals.zip")
    assert str(caught.value) == (rf"source: 'caf\udce9.png' in {animals}: the name is not valid UTF-8; rename it")


def test_empty_class_is_left_out_and_said(animals: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (animals / "horse").mkdir()
    with caplog.at_level(logging.WARNING):
        packing.pack(animals, tmp_path / "animals.zip")
    assert caplog.messages == [f"{animals}/horse: empty, left out"]


def test_file_beyond_what_32_bits_tell_is_packed(
    animals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)  # bytes; 2 GiB otherwise
    (animals / "cat" / "film.png").write_bytes(b"x" * 5000)
    packing.pack(animals, tmp_path / "animals.zip")
    with zipfile.ZipFile(tmp_path / "animals.zip") as archive:
        assert archive.read("cat/film.png") == b"x" * 5000
