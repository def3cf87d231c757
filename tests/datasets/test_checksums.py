"""The sums that stand beside an archive: which one is meant, and what is none."""

from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from waymark.datasets import checksums

ONE, TWO = "1" * 64, "ab" * 32


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("SHA256SUMS", f"{TWO}  b.zip\n{ONE}  a.zip\n", ONE),
        ("SHA256SUMS", f"{ONE} *a.zip\n", ONE),
        ("SHA256SUMS", f"{TWO.upper()}  ./a.zip\r\n", TWO),
        ("SHA256SUMS", f"{ONE}  other-a.zip\n{ONE}  deep/a.zip\n{ONE}\n", ""),
        ("a.zip.sha256", f"{ONE}\n", ONE),
        ("a.zip.sha256", f"{ONE}  as-it-was-called.zip\n", ONE),
        ("a.zip.sha256", "<!doctype html>\n<title>Not found</title>\n", ""),
        ("a.zip.sha256", f"{ONE}0\n", ""),
        ("a.zip.sha256", f"{ONE}\n" * 2000, ""),
        ("b.zip.sha256", f"{ONE}\n", ""),
    ],
)
def test_sum_is_found_where_it_is_meant(tmp_path: Path, name: str, text: str, expected: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert checksums.beside(LocalFileSystem(), str(tmp_path / "a.zip")) == expected


def test_sidecar_goes_before_the_list(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{TWO}  a.zip\n")
    (tmp_path / "a.zip.sha256").write_text(ONE)
    assert checksums.beside(LocalFileSystem(), str(tmp_path / "a.zip")) == ONE


def test_relative_path_looks_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "SHA256SUMS").write_text(f"{TWO}  a.zip\n")
    assert checksums.beside(LocalFileSystem(), "a.zip") == TWO


def test_nothing_is_asked_beside_a_signed_address() -> None:
    assert checksums.beside(None, "https://host/a.zip?X-Amz-Signature=1") == ""
