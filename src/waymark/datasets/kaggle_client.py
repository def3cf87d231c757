"""kagglehub's API client: patient but not for ever, silent, and its refusals in words.

kagglehub knows Kaggle's addresses and the credentials: KAGGLE_API_TOKEN, or KAGGLE_USERNAME with KAGGLE_KEY, or
~/.kaggle; most public data needs none.
"""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from waymark.datasets.addresses import UnreachableError
from waymark.errors import WaymarkError

if TYPE_CHECKING:
    import requests

TIMEOUT = (10.0, 30.0)  # seconds of silence, while connecting and while reading, that end a connection


@contextlib.contextmanager
def connect(address: str, page: str) -> Iterator[Any]:
    """The API client, signed in where there are credentials, and without what reports and reminds.

    `kagglehub.clients.build_kaggle_client` would name libraries and notebooks in each request, and print a line when
    a response tells of a newer kagglehub; both hang on arguments that are left out here.

    Where Kaggle refuses, the block ends with an UnreachableError that sends the person to `page`. It never quotes the
    answer, whose address may be signed.
    """
    import kagglehub
    import requests
    from kagglehub.config import get_kaggle_credentials
    from kagglesdk.kaggle_client import KaggleClient

    if "KAGGLEHUB_VERBOSITY" not in os.environ:
        logging.getLogger("kagglehub").setLevel(logging.WARNING)  # its progress goes to stdout, with cache paths

    try:
        known = get_kaggle_credentials()
    except ValueError as error:
        raise WaymarkError(f"{error}; get a new one from https://www.kaggle.com/settings/api") from None
    signed_in = {"username": known.username, "password": known.key, "api_token": known.api_key} if known else {}
    with KaggleClient(user_agent=f"kagglehub/{kagglehub.__version__}", **signed_in) as client:
        _limit_silence(client.http_client()._session)
        try:
            yield client
        except requests.HTTPError as error:
            raise UnreachableError(address, _refusal(error.response, page)) from None


def _limit_silence(session: "requests.Session") -> None:
    """kagglesdk sets no time limit, and takes none: a silent server would hold the stage for ever."""
    from requests.adapters import HTTPAdapter

    class Patient(HTTPAdapter):
        def send(
            self,
            request: Any,
            stream: bool = False,
            timeout: Any = None,
            verify: Any = True,
            cert: Any = None,
            proxies: Any = None,
        ) -> "requests.Response":
            return super().send(request, stream, timeout or TIMEOUT, verify, cert, proxies)

    for scheme in ("https://", "http://"):
        session.mount(scheme, Patient())


def _refusal(response: Any, page: str) -> str:
    status = response.status_code
    if status < 400:  # an error that came as an ordinary answer
        status = response.json().get("code", status)
    match status:
        case 401 | 403:
            return (
                f"Kaggle answered {status}: it is private, does not exist, wants its terms accepted on {page}, or the "
                "credentials are wrong; set KAGGLE_API_TOKEN to a token from https://www.kaggle.com/settings/api"
            )
        case 404:
            return f"Kaggle answered 404: no such data set or version; compare with {page}"
    return f"Kaggle answered {status}; try again later"


def no_connection(error: Exception) -> str:
    return f"no connection to Kaggle ({type(error).__name__}); behind a proxy, set HTTPS_PROXY"


def quiet() -> contextlib.AbstractContextManager[Any]:
    """Hides kagglehub's progress bar, which has no switch, where nobody watches it."""
    return contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
