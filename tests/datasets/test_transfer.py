"""Transfers against real HTTP servers on loopback: whole, broken, without ranges, and lying."""

import hashlib
import http.server
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from waymark.datasets import transfer
from waymark.datasets.addresses import UnreachableError, shown
from waymark.datasets.base import Origin
from waymark.errors import WaymarkError

CONTENT = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Site(http.server.ThreadingHTTPServer):
    """Serves CONTENT at every path, with the faults that a test sets."""

    content = CONTENT
    etag = '"one"'
    takes_ranges = True
    break_after: int | None = None  # bytes of each response after which the connection is cut
    goes_away = False  # sends nothing more when asked for the rest
    status: int | None = None
    mimetype = "application/zip"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str | None] = []  # the Range header of each GET
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/archive.zip"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news here."""


class Answer(http.server.BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.headers_for(self.server.content)

    def do_GET(self) -> None:
        site, asked = self.server, self.headers.get("Range")
        site.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and site.takes_ranges else 0
        self.headers_for(site.content[start:], start)
        body = site.content[start:][: 0 if start and site.goes_away else site.break_after]
        self.wfile.write(body)
        site.sent += len(body)
        if site.break_after is not None:
            time.sleep(0.05)  # the client drops what it has not read when the connection ends
            self.close_connection = True

    def headers_for(self, body: bytes, start: int = 0) -> None:
        site = self.server
        self.send_response(site.status or (206 if start else 200))
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", site.mimetype)
        self.send_header("ETag", site.etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    with Site() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "archive.zip"


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "partial"


def held(partial: Path) -> list[int]:
    return [path.stat().st_size for path in partial.glob("*.part")]


def test_whole_file_arrives_with_its_sums(site: Site, target: Path, partial: Path) -> None:
    fetched = transfer.fetch(site.url, target, partial=partial, md5=MD5, sha256=SHA256)
    assert fetched == transfer.Fetched(300_000, SHA256, MD5)
    assert target.read_bytes() == CONTENT
    assert list(partial.iterdir()) == []


def test_connection_cut_half_way_is_taken_up_where_it_broke(site: Site, target: Path, partial: Path) -> None:
    site.break_after = 200_000
    transfer.fetch(site.url, target, partial=partial, md5=MD5)
    assert target.read_bytes() == CONTENT
    first, second = site.asked
    assert first is None
    assert second is not None
    resumed = int(second.removeprefix("bytes=").rstrip("-"))
    assert 0 < resumed <= 200_000
    assert site.sent == 200_000 + (300_000 - resumed)


def test_d28_transfer_that_fails_says_how_much_arrived_and_the_next_call_fetches_the_rest(
    site: Site, target: Path, partial: Path
) -> None:
    site.break_after = 200_000
    site.goes_away = True
    with pytest.raises(
        WaymarkError, match=r"archive.zip: the connection broke .* of 300,000 bytes; run again"
    ) as caught:
        transfer.fetch(site.url, target, partial=partial)
    (arrived,) = held(partial)
    assert arrived > 0
    assert f"after {arrived:,} of" in str(caught.value)
    assert not target.exists()

    site.break_after, site.goes_away, site.sent = None, False, 0
    assert transfer.fetch(site.url, target, partial=partial, sha256=SHA256).bytes == 300_000
    assert site.sent == 300_000 - arrived


@pytest.mark.parametrize("change", ["etag", "size"])
def test_part_of_another_content_is_thrown_away(site: Site, target: Path, partial: Path, change: str) -> None:
    site.break_after = 0
    with pytest.raises(WaymarkError):
        transfer.fetch(site.url, target, partial=partial)
    next(partial.glob("*.part")).write_bytes(b"x" * 1000)
    site.break_after = None
    if change == "etag":
        site.etag = '"two"'
    else:
        site.content = CONTENT[:-1]
    transfer.fetch(site.url, target, partial=partial)
    assert target.read_bytes() == site.content
    assert site.asked[-1] is None


def test_server_without_ranges_is_read_from_the_start_again(site: Site, target: Path, partial: Path) -> None:
    site.break_after = 0
    with pytest.raises(WaymarkError):
        transfer.fetch(site.url, target, partial=partial)
    next(partial.glob("*.part")).write_bytes(CONTENT[:1000])
    site.break_after, site.takes_ranges = None, False
    assert transfer.fetch(site.url, target, partial=partial).sha256 == SHA256
    assert site.asked[-1] == "bytes=1000-"
    assert target.read_bytes() == CONTENT


def test_server_without_ranges_that_always_breaks_is_given_up(site: Site, target: Path, partial: Path) -> None:
    site.takes_ranges, site.break_after = False, 1000
    with pytest.raises(WaymarkError, match=r"after 1,000 of 300,000 bytes; run again"):
        transfer.fetch(site.url, target, partial=partial)
    assert len(site.asked) == transfer.ATTEMPTS


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_wrong_sum_names_both_and_keeps_nothing(site: Site, target: Path, partial: Path, algorithm: str) -> None:
    found = {"md5": MD5, "sha256": SHA256}[algorithm]
    with pytest.raises(WaymarkError, match=f"archive.zip: {algorithm} is {found}, expected 0123abcd; "):
        transfer.fetch(site.url, target, partial=partial, **{algorithm: "0123abcd"})
    assert not target.exists()
    assert list(partial.iterdir()) == []


def test_web_page_in_place_of_a_file_is_refused_before_a_byte_is_read(site: Site, target: Path, partial: Path) -> None:
    site.mimetype = "text/html"
    with pytest.raises(UnreachableError, match="answers with a web page"):
        transfer.fetch(site.url, target, partial=partial)
    assert site.asked == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_refusal_names_the_status_and_no_secret_of_the_address(site: Site, target: Path, status: int) -> None:
    site.status = status
    url = site.url.replace("http://", "http://me:hidden@") + "?signature=hidden"
    with pytest.raises(UnreachableError, match=f"archive.zip: the server answered {status} ") as caught:
        transfer.fetch(url, target, partial=target.parent)
    assert "hidden" not in str(caught.value)


def test_server_away_is_said_at_once(target: Path, partial: Path) -> None:
    with pytest.raises(UnreachableError, match="no connection"):
        transfer.fetch("http://127.0.0.1:1/archive.zip", target, partial=partial)
    assert not partial.exists()


def test_a_later_fault_costs_no_second_transfer_of_what_is_whole(site: Site, tmp_path: Path, partial: Path) -> None:
    first = Origin(site.url, "first.zip", md5=MD5)
    with pytest.raises(UnreachableError):
        transfer.fetch_all([first, Origin("http://127.0.0.1:1/x", "second.zip")], tmp_path / "raw", partial=partial)
    assert not (tmp_path / "raw").exists()

    transfer.fetch_all([first], tmp_path / "raw", partial=partial)
    assert (tmp_path / "raw" / "first.zip").read_bytes() == CONTENT
    assert site.sent == 300_000


def test_local_file_is_copied_and_left_alone(tmp_path: Path, target: Path, partial: Path) -> None:
    source = tmp_path / "a file with % and #.zip"
    source.write_bytes(CONTENT)
    assert transfer.fetch(str(source), target, partial=partial).md5 == MD5
    assert source.read_bytes() == target.read_bytes() == CONTENT


def test_unknown_scheme_names_those_that_go(target: Path, partial: Path) -> None:
    with pytest.raises(WaymarkError, match="unknown scheme 'ftp'; expected http://, https://, s3://"):
        transfer.fetch("ftp://host/archive.zip", target, partial=partial)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://me:key@host:8443/a/b.zip?X-Amz-Signature=1#top", "https://host:8443/a/b.zip"),
        ("s3://bucket/folder/", "s3://bucket/folder/"),
        ("/home/me/gtsrb", "gtsrb"),
        ("http://[::1/a.zip?key=1", "the address"),
    ],
)
def test_shown_address_has_no_secret_and_no_local_folder(address: str, expected: str) -> None:
    assert shown(address) == expected
