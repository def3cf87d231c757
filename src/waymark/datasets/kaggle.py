"""Data sets on Kaggle: which version is published, and its original archive, whole and verified.

kagglehub's own `dataset_download` unpacks the archive and deletes it. Archives stay archives here, hence one level
below it: the API client that it builds on, and `kagglehub.clients.download_file`, which brings one file as it is,
goes on with what a broken download left, and checks the hash. Both are imported where they are called: that takes
half a second, and most sources need neither.
"""

import base64
import contextlib
import json
import logging
import re
import shutil
import time
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

from waymark.datasets.addresses import UnreachableError
from waymark.datasets.kaggle_client import connect, no_connection, quiet
from waymark.datasets.transfer import Fetched, measure
from waymark.errors import WaymarkError

logger = logging.getLogger(__name__)

SCHEME = "kaggle://"
ATTEMPTS = 4  # connections in a row that bring nothing new before a download is given up
PAUSE = 0.3  # seconds before the second attempt; doubles with each

PAGE = re.compile(r"https://(?:www\.)?kaggle\.com/datasets/(?P<handle>[\w-]+/[\w-]+)", re.ASCII)  # what a browser shows
_ADDRESS = re.compile(SCHEME + r"(?P<owner>[\w-]+)/(?P<name>[\w-]+)(?:/versions/(?P<version>[1-9]\d*))?/?", re.ASCII)
_HARMLESS = re.compile(SCHEME + r"[\w./-]*", re.ASCII)  # with @, ? and the like it may hold somebody's key


@dataclass(frozen=True)
class Handle:
    """What a kaggle:// address names."""

    owner: str
    name: str
    version: int | None  # None: whichever is published

    def __str__(self) -> str:
        """What Kaggle itself calls a handle, which tells data sets of one name apart."""
        return f"{self.owner}/{self.name}"

    @property
    def page(self) -> str:
        """Where a person sees the data set and downloads it by hand."""
        return f"https://www.kaggle.com/datasets/{self}"

    @property
    def archive(self) -> str:
        return f"{self.name}.zip"


def parse(address: str) -> Handle:
    found = _ADDRESS.fullmatch(address)
    if not found:
        named = address if _HARMLESS.fullmatch(address) else "source"
        raise WaymarkError(f"{named}: expected kaggle://owner/name or kaggle://owner/name/versions/3")
    return Handle(found["owner"], found["name"], int(found["version"]) if found["version"] else None)


def published(address: str) -> int:
    """The version that `address` means now: the one it names, which asks nobody, or the latest.

    Raises UnreachableError where Kaggle does not tell.
    """
    handle = parse(address)
    if handle.version:
        return handle.version
    import requests
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

    request = ApiGetDatasetRequest()
    request.owner_slug, request.dataset_slug = handle.owner, handle.name
    try:
        with connect(address, handle.page) as client:
            version = client.datasets.dataset_api_client.get_dataset(request).current_version_number
    except requests.RequestException as error:
        raise UnreachableError(address, no_connection(error)) from error
    except ValueError:
        raise UnreachableError(address, "something else than Kaggle answered: a proxy, or a page to log in") from None
    if not version:
        raise UnreachableError(address, "Kaggle names no version of it; name one: kaggle://owner/name/versions/3")
    return int(version)


def fetch(address: str, target: Path, *, partial: Path) -> tuple[Fetched, int]:
    """Bring the archive behind `address` to `target`, and say its version.

    The last version fetched stays in `partial`/kaggle/<owner>/<name>, so that it is fetched again only when another
    one is meant: DVC empties data/raw before it runs a stage, and runs it when its code changes, too. That takes the
    archive's size on the disk once more, a copy and no link, so that damage to one is not damage to both; it may be
    deleted at any time. Raises UnreachableError where nothing can be had, WaymarkError where the download breaks off
    (the next call goes on from there) or the content is not what Kaggle states.
    """
    handle, version = parse(address), published(address)
    shelf = partial / "kaggle" / handle.owner / handle.name
    kept = shelf / f"{version}.zip"
    before = [path.stem for path in shelf.glob("*.zip") if path != kept]
    fetched = _intact(kept)
    if fetched:
        logger.info("%s: up to date (version %d)", handle.archive, version)
    else:
        logger.info("%s: version %s", handle.archive, " → ".join(map(str, [*before, version])))
        fetched = _download(address, version, kept)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(kept, part)
    part.replace(target)
    for path in shelf.iterdir():
        if path.name not in (kept.name, _record(kept).name):
            path.unlink()
    return fetched, version


def _record(kept: Path) -> Path:
    return kept.with_suffix(".json")


def _intact(kept: Path) -> Fetched | None:
    """What `kept` holds, if it is still what arrived."""
    try:
        recorded = json.loads(_record(kept).read_text(encoding="utf-8"))
        held = measure(kept)
    except (OSError, ValueError):
        return None
    return held if recorded == asdict(held) else None


def _download(address: str, version: int, kept: Path) -> Fetched:
    """Bring one version to `kept`, taking a dropped connection up again while each attempt gets further."""
    import requests
    from kagglehub.exceptions import DataCorruptionError

    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part")
    failures, furthest, anew = 0, _size(part), False
    while True:
        held = _size(part)
        if held:
            logger.info("%s: going on after %s bytes", kept.parent.name, f"{held:,}")
        try:
            fetched = _attempt(address, version, part)
            break
        except DataCorruptionError as error:
            part.unlink(missing_ok=True)
            if anew or not held:
                raise WaymarkError(
                    f"{address}: version {version}: {error}; nothing of it was kept, run again"
                ) from None
            anew = True  # what was held is no beginning of this: once more, from the first byte
        except requests.RequestException as error:
            # Where the far end takes no ranges, each attempt starts over: only getting further counts.
            failures = 0 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            if failures >= ATTEMPTS:
                raise _given_up(address, _size(part), error) from error
            time.sleep(PAUSE * 2 ** max(failures - 1, 0))
    _record(kept).write_text(json.dumps(asdict(fetched)), encoding="utf-8")
    part.replace(kept)
    return fetched


def _given_up(address: str, held: int, error: Exception) -> WaymarkError:
    if not held:
        return UnreachableError(address, no_connection(error))
    return WaymarkError(
        f"{address}: the connection broke ({type(error).__name__}) after {held:,} bytes; run again, it goes on there"
    )


def _attempt(address: str, version: int, part: Path) -> Fetched:
    """Bring the rest of `part` over one connection.

    Raises DataCorruptionError, in a few words, where the whole is not what Kaggle states.
    """
    from kagglehub.clients import download_file
    from kagglehub.exceptions import DataCorruptionError
    from kagglehub.handle import DatasetHandle
    from kagglehub.integrity import get_md5_checksum_from_response
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    handle = parse(address)
    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = handle.owner, handle.name
    request.dataset_version_number = version
    with (
        connect(address, handle.page) as client,
        client.datasets.dataset_api_client.download_dataset(request) as response,
        quiet(),
    ):
        stated = base64.b64decode(get_md5_checksum_from_response(response) or "").hex()
        announced = int(response.headers.get("Content-Length", 0))
        with contextlib.suppress(DataCorruptionError):  # which deletes the file: it was longer than announced, or other
            download_file(response, str(part), DatasetHandle(handle.owner, handle.name, version))
    if not part.exists():
        raise DataCorruptionError(f"its md5 is not {stated}, which Kaggle states")
    # download_file trusts a file that has its full length already, and any answer where no hash is stated.
    fetched = measure(part)
    if stated and fetched.md5 != stated:
        raise DataCorruptionError(f"its md5 is not {stated}, which Kaggle states")
    if announced and fetched.bytes != announced:
        raise DataCorruptionError(f"{fetched.bytes:,} bytes arrived, {announced:,} were announced")
    if not zipfile.is_zipfile(part):
        raise DataCorruptionError("expected a whole zip archive, this is none")
    return fetched


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
