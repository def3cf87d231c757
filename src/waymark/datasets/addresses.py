"""What an address in `source` means: its file system, how it may be printed, and what its faults mean to a person."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import fsspec
from botocore.exceptions import BotoCoreError, NoCredentialsError

from waymark.errors import WaymarkError

FAULTS = (OSError, aiohttp.ClientError, BotoCoreError)  # what a far end and the way there may raise


class UnreachableError(WaymarkError):
    """An address that gave nothing at all, as opposed to a transfer that broke off or arrived damaged."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{shown(url)}: {reason}")
        self.reason = reason


def shown(url: str) -> str:
    """`url` as it may be printed and recorded: without user, password, query and fragment; a local path's name."""
    if "://" not in url:
        return Path(url).name
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the address"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def filesystem(url: str) -> Any:
    """The fsspec file system behind `url`: http(s)://, s3:// or a local path.

    S3's endpoint, keys and region come from the standard environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …).
    """
    scheme = url.partition("://")[0].lower() if "://" in url else "file"
    if scheme in ("http", "https"):
        # A stream may take hours, a silence may not; proxies come from the environment.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
        client = {"timeout": timeout, "trust_env": True, "headers": {"Accept-Encoding": "identity"}}
        return fsspec.filesystem(scheme, client_kwargs=client, skip_instance_cache=True)
    if scheme == "s3":
        config = {
            # Some servers answer a ranged read with the whole object's checksum, which cannot match.
            "response_checksum_validation": "when_required",
            "connect_timeout": 10,
            "read_timeout": 30,
            "retries": {"mode": "standard", "max_attempts": 3},
        }
        system = fsspec.filesystem("s3", config_kwargs=config, skip_instance_cache=True)
        system.retries = 1  # botocore and `fetch` repeat already; three layers multiply
        return system
    if scheme == "file":
        return fsspec.filesystem("file")
    raise WaymarkError(f"{shown(url)}: unknown scheme {scheme!r}; expected http://, https://, s3:// or a local path")


def reason(error: BaseException, url: str) -> str:
    """A few words on why the far end gave nothing; never its message as it stands, which may quote a signed address."""
    if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, aiohttp.ClientError | OSError):
        error = error.__cause__  # fsspec's name for whatever went wrong at an http address
    match error:
        case aiohttp.ClientResponseError():
            return f"the server answered {error.status} {error.message}".rstrip()
        case aiohttp.InvalidURL():
            return "is no valid address"
        case NoCredentialsError():
            return "no keys for S3; set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, but for AWS, AWS_ENDPOINT_URL"
        case FileNotFoundError():
            return "there is no such bucket or object" if url.startswith("s3://") else "there is no such file"
        case PermissionError():
            return "the keys in the environment give no access" if url.startswith("s3://") else "may not be read"
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorError() | BotoCoreError():
            return f"no connection ({type(error).__name__})"
    return f"the connection broke ({type(error).__name__})"
