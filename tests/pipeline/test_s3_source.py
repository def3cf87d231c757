"""`source: s3://…` against a real S3 server: one object, a prefix, and each way in which it can be refused."""

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from waymark import params, paths
from waymark.datasets import transfer
from waymark.errors import WaymarkError
from waymark.stages import collect

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = params.load(ROOT / paths.PARAMS)
RAW = Path("data/raw/gtsrb")


def gtsrb(source: str) -> params.Params:
    return DEFAULTS.model_copy(update={"dataset": "gtsrb", "source": source})


@pytest.fixture(autouse=True)
def person(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who has typed the export lines that `make s3` prints."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_RESPONSE_CHECKSUM_VALIDATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def put(s3: Any, tmp_path: Path, *keys: str, content: bytes = b"content") -> bytes:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("member"), content)
    for key in keys:
        s3.client().put_object(Bucket=s3.bucket, Key=key, Body=path.read_bytes())
    return path.read_bytes()


def test_one_object_is_collected(s3: Any, tmp_path: Path) -> None:
    content = put(s3, tmp_path, "signs/archive.zip")
    collect.run(gtsrb("s3://waymark/signs/archive.zip"))
    assert (RAW / "archive.zip").read_bytes() == content
    document = json.loads((RAW / "source.json").read_text())
    assert document["source"] == "s3://waymark/signs/archive.zip"
    assert s3.secret not in json.dumps(document)


def test_prefix_collects_the_archives_under_it_and_nothing_else(s3: Any, tmp_path: Path) -> None:
    put(s3, tmp_path, "signs/b.zip", "signs/deeper/a.zip", "signs/notes.txt", "other/c.zip")
    collect.run(gtsrb("s3://waymark/signs/"))
    assert sorted(path.name for path in RAW.iterdir()) == ["a.zip", "b.zip", "source.json"]


def test_one_name_under_two_prefixes_is_refused(s3: Any, tmp_path: Path) -> None:
    put(s3, tmp_path, "signs/a.zip", "signs/deeper/a.zip")
    with pytest.raises(WaymarkError, match=r"source: a\.zip stands under two prefixes"):
        collect.run(gtsrb("s3://waymark/signs/"))


def test_object_of_which_a_part_has_arrived_is_taken_up_there(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = put(s3, tmp_path, "a.zip", content=bytes(range(256)) * 40)
    target, partial = tmp_path / "raw" / "a.zip", tmp_path / "partial"
    monkeypatch.setattr(transfer, "CHUNK", 4096)
    with monkeypatch.context() as broken:
        broken.setattr(transfer, "_is_final", lambda _: True)
        write = transfer._Part.write

        def write_one_then_break(part: transfer._Part, data: bytes) -> None:
            if part.position:
                raise ConnectionResetError
            write(part, data)

        broken.setattr(transfer._Part, "write", write_one_then_break)
        with pytest.raises(WaymarkError, match=r"the connection broke .* after 4,096 of 10,\d+ bytes; run again"):
            transfer.fetch("s3://waymark/a.zip", target, partial=partial)
    assert not target.exists()

    fetched = 0
    add = transfer._Part.write

    def count(part: transfer._Part, data: bytes) -> None:
        nonlocal fetched
        fetched += len(data)
        add(part, data)

    monkeypatch.setattr(transfer._Part, "write", count)
    transfer.fetch("s3://waymark/a.zip", target, partial=partial)
    assert target.read_bytes() == content
    assert fetched == len(content) - 4096


@pytest.mark.parametrize("source", ["s3://waymark/missing.zip", "s3://nobody/a.zip", "s3://nobody/signs/"])
def test_missing_bucket_or_object_is_said(source: str) -> None:
    with pytest.raises(WaymarkError, match=f"^{source}: there is no such bucket or object$"):
        collect.run(gtsrb(source))


def test_prefix_without_archives_is_said() -> None:
    with pytest.raises(WaymarkError, match=r"source: no archive under s3://waymark/signs/; expected \.zip"):
        collect.run(gtsrb("s3://waymark/signs/"))


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
@pytest.mark.parametrize("source", ["s3://waymark/a.zip", "s3://waymark/signs/"])
def test_wrong_keys_are_said(name: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "wrong")
    with pytest.raises(WaymarkError, match=f"^{source}: the keys in the environment give no access$"):
        collect.run(gtsrb(source))


def test_no_keys_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(WaymarkError, match=r"s3://waymark/a\.zip: no keys for S3; set AWS_ACCESS_KEY_ID"):
        collect.run(gtsrb("s3://waymark/a.zip"))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["s3://waymark/a.zip", "s3://waymark/signs/"])
def test_server_away_is_said_within_seconds(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(WaymarkError, match=r"no connection \(EndpointConnectionError\)"):
        collect.run(gtsrb(source))
    assert time.monotonic() - began < 10
