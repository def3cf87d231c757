import gzip
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest

from waymark.datasets.archives import MAX_MEMBER_BYTES, ArchiveError, open_all, open_archive
from waymark.errors import WaymarkError

FILES = {"a.csv": b"1;2", "images/b.ppm": b"P6"}


def zip_of(path: Path, files: dict[str, bytes]) -> Path:
    with ZipFile(path, "w", ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tar_of(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def folder_of(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: zip_of(folder / "x.zip", FILES),
        lambda folder: tar_of(folder / "x.tar", FILES),
        lambda folder: tar_of(folder / "x.tar.gz", FILES, "w:gz"),
        lambda folder: folder_of(folder / "x", FILES),
    ],
    ids=["zip", "tar", "tar.gz", "folder"],
)
def test_every_kind_lists_and_reads_alike(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with open_archive(make(tmp_path)) as archive:
        assert dict(archive.members) == {"a.csv": 3, "images/b.ppm": 2}
        assert archive.read("images/b.ppm") == b"P6"
        with pytest.raises(ArchiveError, match=r"member c\.png: not in the archive"):
            archive.read("c.png")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../x.png", "leads out of the archive"),
        ("a/../../x.png", "leads out of the archive"),
        ("/etc/passwd", "is absolute"),
        ("C:/x.png", "Windows path"),
        ("a\\x.png", "Windows path"),
    ],
)
@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_member_that_leads_elsewhere_is_refused(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path], name: str, reason: str
) -> None:
    suffix = "zip" if make is zip_of else "tar"
    with pytest.raises(ArchiveError, match=reason) as refused:
        open_archive(make(tmp_path / f"x.{suffix}", {"a.csv": b"1", name: b"2"}))
    assert str(refused.value).startswith(f"x.{suffix}: member {name}: ")


def test_duplicate_name_is_refused_in_zip_and_tar(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.csv", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.csv", b"2")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("a.csv"))
    for path in (tmp_path / "x.zip", tmp_path / "x.tar"):
        with pytest.raises(ArchiveError, match=r"member a\.csv: stands in the archive twice"):
            open_archive(path)


def test_symbolic_link_is_refused(tmp_path: Path) -> None:
    link = ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    folder_of(tmp_path / "x", FILES)
    (tmp_path / "x" / "link").symlink_to("/etc/passwd")
    for name in ("x.zip", "x.tar", "x"):
        with pytest.raises(ArchiveError, match=f"^{name}: member link: is .*link"):
            open_archive(tmp_path / name)


def test_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", {"a.csv": b"1"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # general purpose bit 0 in the central directory
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"member a\.csv: is encrypted"):
        open_archive(path)


def test_member_over_the_cap_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", {"a.csv": b"1"})
    data = bytearray(path.read_bytes())
    size = data.index(b"PK\x01\x02") + 24  # uncompressed size in the central directory
    data[size : size + 4] = (MAX_MEMBER_BYTES + 1).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"member a\.csv: has 67,108,865 bytes; at most 67,108,864"):
        open_archive(path)


def test_flipped_byte_fails_the_checksum_of_its_member_only(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", {"a.csv": b"whole", "b.csv": b"broken"})
    path.write_bytes(path.read_bytes().replace(b"broken", b"brOken"))
    with open_archive(path) as archive:
        assert archive.read("a.csv") == b"whole"
        with pytest.raises(ArchiveError, match=r"x\.zip: member b\.csv: cannot be read \(Bad CRC-32"):
            archive.read("b.csv")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", b"PK\x03\x04 cut", b"\x1f\x8b\x08"])
def test_what_is_no_archive_is_named(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ArchiveError, match=f"^{name}: not a readable archive"):
        open_archive(tmp_path / name)


def test_cut_tar_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "x.tar.gz", {"a.bin": bytes(range(256)) * 400}, "w:gz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ArchiveError, match=r"^x\.tar\.gz: "), open_archive(path) as archive:
        archive.read("a.bin")


def test_member_unfolds_to_its_declared_size_and_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(50 * 2**20))
    data = bytearray(path.read_bytes())
    size = data.index(b"PK\x01\x02") + 24
    data[size : size + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    unfolded: list[int] = []
    decompressobj = zlib.decompressobj

    class Watched:
        def __init__(self, wbits: int) -> None:
            self.inner = decompressobj(wbits)

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

        def decompress(self, data: bytes, bound: int) -> bytes:
            unfolded.append(len(out := self.inner.decompress(data, bound)))
            return out

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    with (
        open_archive(path) as archive_,
        pytest.raises(ArchiveError, match=r"member a\.png: cannot be read \(Bad CRC-32"),
    ):
        archive_.read("a.png")
    assert sum(unfolded) == 4096  # zipfile's least read


def test_other_compression_than_deflate_is_refused(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "x.zip", "w", ZIP_BZIP2) as archive:
        archive.writestr("a.png", b"1")
    with pytest.raises(ArchiveError) as refused:
        open_archive(tmp_path / "x.zip")
    assert str(refused.value) == (
        "x.zip: member a.png: is compressed by method 12; make the archive again with deflate"
    )


def test_name_that_is_no_utf_8_is_refused_and_shown(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("caf\udce9/1.png"))
    with pytest.raises(ArchiveError) as refused:
        open_archive(tmp_path / "x.tar")
    assert str(refused.value) == (
        "x.tar: member caf\\udce9/1.png: has a name that is no UTF-8; make the archive again with names in UTF-8"
    )


@pytest.mark.parametrize("kept", [1024, 1024 + 100, 2048])
def test_tar_that_stops_before_its_end_is_no_shorter_tar(tmp_path: Path, kept: int) -> None:
    path = tar_of(tmp_path / "x.tar", {"a.png": b"1", "b.png": b"2"})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArchiveError, match=r"^x\.tar: not a readable archive \((it is cut short or damaged|truncated)"):
        open_archive(path)


def test_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "x.tar", {"a.png": b"1", "b.png": b"2"})
    path.write_bytes(path.read_bytes().replace(b"b.png", b"c.png"))  # its checksum is b's
    with pytest.raises(ArchiveError) as refused:
        open_archive(path)
    assert str(refused.value) == "x.tar: not a readable archive (it is cut short or damaged); collect it again"


def test_gzip_is_held_to_its_own_checksum(tmp_path: Path) -> None:
    plain = tar_of(tmp_path / "x.tar", {"a.png": b"1"}).read_bytes()
    whole = bytearray(gzip.compress(plain))
    whole[-8] ^= 1
    (tmp_path / "x.tar.gz").write_bytes(whole)
    with pytest.raises(
        ArchiveError, match=r"^x\.tar\.gz: not a readable archive \(CRC check failed .*\); collect it again$"
    ):
        open_archive(tmp_path / "x.tar.gz")


def test_attributes_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("a.png")
    header.type, header.size = tarfile.XHDTYPE, 2**30
    (tmp_path / "x.tar").write_bytes(header.tobuf() + bytes(2 * tarfile.BLOCKSIZE))
    with pytest.raises(ArchiveError) as refused:
        open_archive(tmp_path / "x.tar")
    assert str(refused.value) == (
        "x.tar: not a readable archive (1,073,741,824 bytes of attributes to one member); collect it again"
    )


def test_pipe_in_a_folder_is_refused_before_anyone_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(folder_of(tmp_path / "x", FILES) / "pipe")
    with pytest.raises(ArchiveError, match=r"^x: member pipe: is neither a file nor a folder$"):
        open_archive(tmp_path / "x")


def test_open_all_takes_archives_and_folders_by_name_and_leaves_other_files(tmp_path: Path) -> None:
    zip_of(tmp_path / "b.zip", FILES)
    folder_of(tmp_path / "a", FILES)
    (tmp_path / "source.json").write_text("{}")
    with open_all(tmp_path) as opened:
        assert list(opened) == ["a", "b.zip"]


def test_missing_folder_says_which_stage_makes_it(tmp_path: Path) -> None:
    with pytest.raises(WaymarkError, match="run the stage collect first"), open_all(tmp_path / "none"):
        pass
