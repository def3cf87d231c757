"""GitHub's REST API as far as a comment needs it: patient with its limits, careful with the token."""

import os
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests

from waymark.errors import WaymarkError, cause
from waymark.reporting import escaping

API = "https://api.github.com"
PATIENCE = 120.0  # seconds of limits and trouble after which GitHub is given up
SECONDS = (10, 30)  # to connect, and to answer
PAUSE = 0.5  # seconds before the second attempt, doubled for each later one
TROUBLE = (500, 502, 503, 504)
MOST_PAGES = 100  # of a hundred entries each

Document = dict[str, Any]


class UnclearError(WaymarkError):
    """Whether GitHub did what it was asked is not known: it answered with trouble, or not at all."""


class GitHub:
    """One repository, asked with one token. Every method raises WaymarkError with what GitHub had against it."""

    def __init__(self, repository: str, token: str, url: str = API, patience: float = PATIENCE) -> None:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, re.ASCII):
            raise WaymarkError(f"repository {repository!r}: expected owner/name (--repo, or GITHUB_REPOSITORY)")
        if not url.startswith("https://"):
            raise WaymarkError(f"GITHUB_API_URL={url}: expected an address that begins with https://")
        token = token.strip()
        if not re.fullmatch(r"[!-~]+", token):  # one that no header can hold would be shown by the error that tells so
            raise WaymarkError("GITHUB_TOKEN: is not set, or is no token; expected one that may write to pull requests")
        self.repository, self._url, self._patience, self._token = repository, url.rstrip("/"), patience, token
        self._session = requests.Session()
        self._session.headers.update({"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"})
        self._session.auth = self._authorize  # in this form a ~/.netrc does not take its place

    @classmethod
    def from_environment(cls, repository: str | None) -> "GitHub":
        """As GitHub Actions describes itself: GITHUB_TOKEN, GITHUB_API_URL, GITHUB_REPOSITORY."""
        named = repository or os.environ.get("GITHUB_REPOSITORY", "")
        return cls(named, os.environ.get("GITHUB_TOKEN", ""), os.environ.get("GITHUB_API_URL") or API)

    def login(self) -> str | None:
        """Of the token's owner; None for a token of GitHub Actions or of an app, which has no right to know."""
        try:
            return str(self._object(self._ask("GET", f"{self._url}/user"))["login"])
        except _RefusedError as refused:
            if refused.status != 403:
                raise
            return None

    def get(self, path: str) -> Document:
        return self._object(self._ask("GET", self._of_repository(path)))

    def pages(self, path: str) -> Iterator[Document]:
        """The entries of a list, page by page."""
        url: str | None = self._of_repository(path)
        for _ in range(MOST_PAGES):
            response = self._ask("GET", url or "")
            yield from self._list(response)
            url = response.links.get("next", {}).get("url")
            if url is None:
                return
            if _origin(url) != _origin(self._url):
                raise WaymarkError(f"{self._url}: names {_origin(url)} for the next page; the token stays here")
        raise WaymarkError(f"{self._url}: has more than {MOST_PAGES} pages of {path.partition('?')[0]}")

    def post(self, path: str, document: Document) -> Document:
        """Once: UnclearError where it may or may not have been done."""
        return self._object(self._ask("POST", self._of_repository(path), document))

    def patch(self, path: str, document: Document) -> Document:
        return self._object(self._ask("PATCH", self._of_repository(path), document))

    def _of_repository(self, path: str) -> str:
        return f"{self._url}/repos/{self.repository}/{path}"

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _ask(self, method: str, url: str, document: Document | None = None) -> requests.Response:
        """The answer, if it is a good one; limits are waited for, and trouble is asked again unless it is a POST."""
        began, wait = time.monotonic(), PAUSE
        while True:
            try:
                response = self._session.request(method, url, json=document, timeout=SECONDS, allow_redirects=False)
            except requests.exceptions.SSLError as error:
                raise WaymarkError(f"{self._url}: cannot be trusted ({cause(error)})") from None
            except requests.RequestException as error:
                trouble, limit = f"cannot be reached ({cause(error)})", None
            else:
                limit = _limit(response)
                if limit is None and response.status_code not in TROUBLE:
                    return self._checked(method, response)
                trouble = f"answers {response.status_code} ({_said(response)})"
            if limit is None and method == "POST":
                raise UnclearError(f"{self._url}: {trouble}")
            pause = max(wait, limit or 0.0)
            if time.monotonic() + pause - began > self._patience:
                asked = f" and asks to wait for {limit:.0f} s" if limit else f" for {self._patience:g} s"
                raise WaymarkError(f"{self._url}: {trouble}{asked}; try again later")
            time.sleep(pause)
            wait = min(2 * wait, 30.0)

    def _checked(self, method: str, response: requests.Response) -> requests.Response:
        status = response.status_code
        if 200 <= status < 300:
            return response
        if 300 <= status < 400:
            target = _origin(response.headers.get("Location", ""))
            raise _RefusedError(status, f"{self._url}: sends on to {target or 'nowhere'}; the token stays here")
        path = urlsplit(response.url).path
        advice = {
            401: "GITHUB_TOKEN is not accepted; it may have expired",
            403: "the token may not do this; in a workflow the job needs `permissions: pull-requests: write`",
            404: "it is not there, or the token may not see it; look at --pr, --repo and the token's rights",
            422: "GitHub does not take this; look at what it says",
        }.get(status, "GitHub does not take this")
        raise _RefusedError(status, f"{method} {path}: {status} ({_said(response)}): {advice}")

    def _object(self, response: requests.Response) -> Document:
        document = _json(response)
        if not isinstance(document, dict):
            raise self.stranger()
        return document

    def _list(self, response: requests.Response) -> list[Document]:
        document = _json(response)
        if not isinstance(document, list):
            raise self.stranger()
        return document

    def stranger(self) -> WaymarkError:
        return WaymarkError(f"{self._url}: does not answer as GitHub does; look at GITHUB_API_URL")


class _RefusedError(WaymarkError):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _limit(response: requests.Response) -> float | None:
    """Seconds until more may be asked, where a limit is why this was refused.

    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """
    headers = response.headers
    if response.status_code not in (403, 429):
        return None
    after, reset = headers.get("Retry-After", ""), headers.get("X-RateLimit-Reset", "")
    if after.isdecimal():
        return float(after)
    if headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        return max(float(reset) - time.time(), 1.0)
    named = response.status_code == 429 or "rate limit" in _said(response).lower()
    return 60.0 if named else None  # a minute: what GitHub asks for where it names no time


def _said(response: requests.Response) -> str:
    """GitHub's own message, which is text from outside."""
    document = _json(response)
    message = document.get("message") if isinstance(document, dict) else None
    message = message or response.reason or "no reason"
    return escaping.plain(message, 200)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
