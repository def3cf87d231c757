"""kagglehub against a Kaggle on loopback: current, newer, cut off, damaged, refused, away."""

import hashlib
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from waymark.datasets import kaggle
from waymark.datasets.addresses import UnreachableError
from waymark.datasets.transfer import Fetched
from waymark.errors import WaymarkError

if TYPE_CHECKING:
    from tests.conftest import Kaggle

NAME = "someone/hand-signs"
ADDRESS = f"kaggle://{NAME}"
PAGE = f"https://www.kaggle.com/datasets/{NAME}"


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "partial"


@pytest.fixture
def shelf(partial: Path) -> Path:
    return partial / "kaggle" / "someone" / "hand-signs"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "hand-signs.zip"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_archive_arrives_untouched_with_its_sums_and_version(
    kaggle_server: "Kaggle", target: Path, partial: Path, shelf: Path
) -> None:
    content = kaggle_server.publish(NAME, 3)
    fetched, version = kaggle.fetch(ADDRESS, target, partial=partial)
    assert version == 3
    assert fetched == Fetched(len(content), hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest())
    assert target.read_bytes() == content
    assert kaggle_server.asked == ["GetDataset", "DownloadDataset", "all"]
    assert names(shelf) == ["3.json", "3.zip"]
    assert names(target.parent) == ["hand-signs.zip"]


def test_damage_to_the_collected_archive_leaves_the_kept_one_whole(
    kaggle_server: "Kaggle", target: Path, partial: Path
) -> None:
    content = kaggle_server.publish(NAME, 3)
    kaggle.fetch(ADDRESS, target, partial=partial)
    with target.open("r+b") as file:
        file.write(b"x")
    kaggle_server.asked.clear()
    kaggle.fetch(ADDRESS, target, partial=partial)
    assert target.read_bytes() == content
    assert kaggle_server.asked == ["GetDataset"]


def test_version_that_is_held_is_not_fetched_again_though_raw_was_emptied(
    kaggle_server: "Kaggle", target: Path, partial: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = kaggle_server.publish(NAME, 3)
    first = kaggle.fetch(ADDRESS, target, partial=partial)
    target.unlink()
    kaggle_server.asked.clear()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert kaggle.fetch(ADDRESS, target, partial=partial) == first
    assert target.read_bytes() == content
    assert kaggle_server.asked == ["GetDataset"]
    assert caplog.messages == ["hand-signs.zip: up to date (version 3)"]


def test_newer_version_replaces_the_one_before(
    kaggle_server: "Kaggle", target: Path, partial: Path, shelf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kaggle_server.publish(NAME, 3)
    kaggle.fetch(ADDRESS, target, partial=partial)
    target.unlink()
    newer = kaggle_server.publish(NAME, 4)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert kaggle.fetch(ADDRESS, target, partial=partial)[1] == 4
    assert target.read_bytes() == newer
    assert names(shelf) == ["4.json", "4.zip"]
    assert caplog.messages == ["hand-signs.zip: version 3 → 4"]


def test_named_version_is_fetched_though_a_newer_one_is_published(
    kaggle_server: "Kaggle", target: Path, partial: Path
) -> None:
    older = kaggle_server.publish(NAME, 3)
    kaggle_server.publish(NAME, 4)
    assert kaggle.fetch(f"{ADDRESS}/versions/3", target, partial=partial)[1] == 3
    assert target.read_bytes() == older
    assert kaggle_server.asked == ["DownloadDataset", "all"]


def test_kept_archive_that_was_damaged_is_fetched_again(
    kaggle_server: "Kaggle", target: Path, partial: Path, shelf: Path
) -> None:
    content = kaggle_server.publish(NAME, 3)
    kaggle.fetch(ADDRESS, target, partial=partial)
    target.unlink()
    (shelf / "3.zip").write_bytes(content[:-1] + b"x")
    kaggle.fetch(ADDRESS, target, partial=partial)
    assert target.read_bytes() == content


def test_connection_cut_half_way_is_taken_up_where_it_broke(
    kaggle_server: "Kaggle", target: Path, partial: Path
) -> None:
    content = kaggle_server.publish(NAME, 3)
    kaggle_server.break_after = 200_000
    kaggle.fetch(ADDRESS, target, partial=partial)
    assert target.read_bytes() == content
    resumed = int(kaggle_server.asked[-1].removeprefix("bytes=").rstrip("-"))
    assert 0 < resumed <= 200_000
    # Before it asks for the rest, kagglehub opens the whole anew, for its length and hash: one cut response more.
    assert kaggle_server.asked == [
        "GetDataset",
        "DownloadDataset",
        "all",
        "DownloadDataset",
        "all",
        f"bytes={resumed}-",
    ]


def test_next_call_goes_on_from_what_a_killed_one_left(
    kaggle_server: "Kaggle", target: Path, partial: Path, shelf: Path
) -> None:
    content = kaggle_server.publish(NAME, 3)
    shelf.mkdir(parents=True)
    (shelf / "3.part").write_bytes(content[:250_000])
    kaggle.fetch(ADDRESS, target, partial=partial)
    assert target.read_bytes() == content
    assert kaggle_server.asked[-1] == "bytes=250000-"
    assert names(shelf) == ["3.json", "3.zip"]


def test_connection_that_always_breaks_is_given_up_and_what_came_is_kept(
    kaggle_server: "Kaggle", target: Path, partial: Path, shelf: Path
) -> None:
    kaggle_server.publish(NAME, 3)
    shelf.mkdir(parents=True)
    (shelf / "3.part").write_bytes(b"PK" * 50)
    kaggle_server.break_after = 0
    with pytest.raises(WaymarkError) as caught:
        kaggle.fetch(ADDRESS, target, partial=partial)
    assert re.fullmatch(
        rf"{ADDRESS}: the connection broke \(\w+\) after 100 bytes; run again, it goes on there", str(caught.value)
    )
    assert kaggle_server.asked.count("DownloadDataset") == kaggle.ATTEMPTS
    assert names(shelf) == ["3.part"]
    assert not target.exists()


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * 300_110, b"x" * 400_000], ids=["short", "full", "too long"])
def test_part_of_another_content_is_thrown_away(
    kaggle_server: "Kaggle", target: Path, partial: Path, shelf: Path, left: bytes
) -> None:
    content = kaggle_server.publish(NAME, 3)
    assert len(content) == 300_110
    shelf.mkdir(parents=True)
    (shelf / "3.part").write_bytes(left)
    kaggle.fetch(ADDRESS, target, partial=partial)
    assert target.read_bytes() == content


def test_storage_that_breaks_its_promise_of_ranges_does_not_spoil_the_archive(
    kaggle_server: "Kaggle", target: Path, partial: Path, shelf: Path
) -> None:
    content = kaggle_server.publish(NAME, 3)
    kaggle_server.takes_ranges, kaggle_server.stated_md5 = False, ""
    shelf.mkdir(parents=True)
    (shelf / "3.part").write_bytes(content[:1000])
    kaggle.fetch(ADDRESS, target, partial=partial)
    assert target.read_bytes() == content


def test_archive_with_another_hash_than_stated_is_refused(
    kaggle_server: "Kaggle", target: Path, partial: Path, shelf: Path
) -> None:
    kaggle_server.publish(NAME, 3)
    kaggle_server.stated_md5 = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(WaymarkError) as caught:
        kaggle.fetch(ADDRESS, target, partial=partial)
    assert str(caught.value) == (
        f"{ADDRESS}: version 3: its md5 is not {'0' * 32}, which Kaggle states; nothing of it was kept, run again"
    )
    assert names(shelf) == []
    assert not target.exists()


def test_something_else_than_a_zip_is_refused(kaggle_server: "Kaggle", target: Path, partial: Path) -> None:
    kaggle_server.archives[NAME] = {1: b"<!doctype html><title>Sign in</title>"}
    with pytest.raises(WaymarkError) as caught:
        kaggle.fetch(ADDRESS, target, partial=partial)
    assert str(caught.value) == (
        f"{ADDRESS}: version 1: expected a whole zip archive, this is none; nothing of it was kept, run again"
    )


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("downloads_only", [False, True])
def test_refusal_says_what_to_accept_and_what_to_set(
    kaggle_server: "Kaggle", target: Path, partial: Path, status: int, downloads_only: bool
) -> None:
    kaggle_server.publish(NAME, 3)
    kaggle_server.refusal, kaggle_server.refuses_downloads_only = status, downloads_only
    with pytest.raises(UnreachableError) as caught:
        kaggle.fetch(ADDRESS, target, partial=partial)
    assert str(caught.value) == (
        f"{ADDRESS}: Kaggle answered {status}: it is private, does not exist, wants its terms accepted on {PAGE}, or "
        "the credentials are wrong; set KAGGLE_API_TOKEN to a token from https://www.kaggle.com/settings/api"
    )


def test_unknown_data_set_and_unknown_version_are_said(kaggle_server: "Kaggle", target: Path, partial: Path) -> None:
    sentence = f"Kaggle answered 404: no such data set or version; compare with {PAGE}"
    for address in (ADDRESS, f"{ADDRESS}/versions/9"):
        with pytest.raises(UnreachableError) as caught:
            kaggle.fetch(address, target, partial=partial)
        assert str(caught.value) == f"{address}: {sentence}"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>Welcome to our hotel", "something else than Kaggle answered: a proxy, or a page to log in"),
        (b'{"code": 404, "message": ""}', f"Kaggle answered 404: no such data set or version; compare with {PAGE}"),
        (b'{"code": 503, "message": ""}', "Kaggle answered 503; try again later"),
        (b'{"ref": ""}', "Kaggle names no version of it; name one: kaggle://owner/name/versions/3"),
    ],
)
def test_answer_that_holds_no_version_is_said(kaggle_server: "Kaggle", body: bytes, reason: str) -> None:
    kaggle_server.says_instead = body
    with pytest.raises(UnreachableError) as caught:
        kaggle.published(ADDRESS)
    assert str(caught.value) == f"{ADDRESS}: {reason}"


@pytest.mark.parametrize("address", [ADDRESS, f"{ADDRESS}/versions/3"])
def test_no_network_is_said(no_kaggle: None, target: Path, partial: Path, address: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        kaggle.fetch(address, target, partial=partial)
    assert str(caught.value) == f"{address}: no connection to Kaggle (ConnectionError); behind a proxy, set HTTPS_PROXY"


def test_kept_version_that_is_named_needs_no_network(kaggle_server: "Kaggle", target: Path, partial: Path) -> None:
    content = kaggle_server.publish(NAME, 3)
    kaggle.fetch(ADDRESS, target, partial=partial)
    target.unlink()
    kaggle_server.asked.clear()
    kaggle.fetch(f"{ADDRESS}/versions/3", target, partial=partial)
    assert target.read_bytes() == content
    assert kaggle_server.asked == []


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({}, None),
        ({"KAGGLE_API_TOKEN": "secret"}, "Bearer secret"),
        ({"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "key"}, "Basic bWU6a2V5"),
    ],
)
def test_credentials_of_the_environment_are_sent_and_nothing_about_the_machine(
    kaggle_server: "Kaggle", monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], header: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    kaggle_server.publish(NAME, 3)
    assert kaggle.published(ADDRESS) == 3
    (headers,) = kaggle_server.headers_seen
    assert headers.get("Authorization") == header
    assert headers["User-Agent"] == "kagglehub/1.0.2"


def test_nothing_is_printed_though_a_newer_kagglehub_is_announced(
    kaggle_server: "Kaggle",
    target: Path,
    partial: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "secret")
    kaggle_server.publish(NAME, 3)
    kaggle.fetch(ADDRESS, target, partial=partial)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "address",
    ["kaggle://", "kaggle://someone", f"{ADDRESS}/3", f"{ADDRESS}/versions/0", "kaggle://a/../b"],
)
def test_address_that_names_no_data_set_is_refused(address: str) -> None:
    with pytest.raises(WaymarkError) as caught:
        kaggle.parse(address)
    assert str(caught.value) == f"{address}: expected kaggle://owner/name or kaggle://owner/name/versions/3"


@pytest.mark.parametrize(
    "address", ["kaggle://me:k/ey@a/b", "kaggle://a/b?token=key", "kaggle://a/b#key", "kaggle://ü/b"]
)
def test_address_that_may_hold_a_secret_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(WaymarkError) as caught:
        kaggle.parse(address)
    assert str(caught.value) == "source: expected kaggle://owner/name or kaggle://owner/name/versions/3"


def test_damaged_credentials_are_said(no_kaggle: None, tmp_path: Path) -> None:
    settings = tmp_path / "home" / ".kaggle" / "kaggle.json"
    settings.parent.mkdir(parents=True)
    settings.write_text("{")
    with pytest.raises(WaymarkError) as caught:
        kaggle.published(ADDRESS)
    assert str(caught.value) == (
        f"Invalid Kaggle credentials file at {settings}; get a new one from https://www.kaggle.com/settings/api"
    )


def test_kagglehub_is_not_imported_before_it_is_used() -> None:
    code = "import sys, waymark.datasets.kaggle; print({'kagglehub', 'kagglesdk'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
