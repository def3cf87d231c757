"""Rows by a running service: requests within the limits that it publishes, several of them in flight."""

import dataclasses
import threading
import time
from typing import Any

import requests

from waymark.errors import WaymarkError, cause, reason
from waymark.scoring.finding import Sent
from waymark.scoring.rows import Row, answered, ranks, refused
from waymark.serving.limits import LIMITS
from waymark.serving.uploads import Refusal

IMAGES = 128  # in one request: more were no faster, and the answer has to fit the service's time limit
PATIENCE = 60.0  # seconds of trouble after which a service that did answer is given up; a restart takes it 5
SECONDS = (10, 120)  # to connect, and to answer: the service itself allows 20 to receive and 30 to answer
BUSY = (429, 502, 503, 504)  # of the service itself, or of a proxy before one that starts again

Document = dict[str, Any]


class Service:
    """What answers at `url`. WaymarkError where nothing does, or something else."""

    def __init__(self, url: str, top: int | None, patience: float = PATIENCE) -> None:
        self._url, self._patience = url.rstrip("/"), patience
        if not self._url.startswith(("http://", "https://")):
            raise WaymarkError(f"--url {url}: expected an address such as http://127.0.0.1:3000")
        self._own = threading.local()  # a session belongs to one thread
        self._closed = threading.Event()
        status, told = self._ask("GET", "/model", patience=0)
        try:
            limits = {name: int(told["limits"][name]) for name in ("image_bytes", "request_bytes", "images")}
            self._version, classes = str(told["version"]), len(told["classes"])
        except (KeyError, TypeError, ValueError):
            raise self._stranger("GET /model", status) from None
        self.limits, self.top = dataclasses.replace(LIMITS, **limits), ranks(top, classes)
        self.images_at_once = min(IMAGES, self.limits.images)
        self.bytes_at_once = self.limits.request_bytes // 4  # soon under way, and room for the form around the images

    def rows(self, images: list[Sent]) -> list[Row]:
        answers = iter(self._answers([image.data for image in images if isinstance(image.data, bytes)]))
        return [self._row(image, None if isinstance(image.data, Refusal) else next(answers)) for image in images]

    def close(self) -> None:
        self._closed.set()

    def _row(self, image: Sent, said: tuple[Document, str] | None) -> Row:
        if isinstance(image.data, Refusal):
            return refused(image.path, image.data.reason, str(image.data), self._version)
        assert said
        answer, version = said
        try:
            if "error" in answer:
                return refused(image.path, answer["error"]["reason"], answer["error"]["message"], version)
            return answered(image.path, answer, version)
        except (KeyError, TypeError):
            raise self._stranger("POST /predict_batch", 200) from None

    def _answers(self, images: list[bytes]) -> list[tuple[Document, str]]:
        """What is said to each image, and by which version of the model.

        Where all are refused together, such as those that take too long, they are asked for in two halves.
        """
        if not images:
            return []
        form = [("images", (str(number), data)) for number, data in enumerate(images, 1)]
        status, document = self._ask("POST", "/predict_batch", self._patience, params={"top": self.top}, files=form)
        try:
            version = str(document["model"]["version"])
            results = document["results"] if "results" in document else [{"error": document["error"]}]
        except (KeyError, TypeError):
            version, results = "", []
        if len(results) == len(images):
            return [(result, version) for result in results]
        if status == 200 or len(images) == 1:
            raise self._stranger("POST /predict_batch", status)
        half = len(images) // 2
        return self._answers(images[:half]) + self._answers(images[half:])

    def _ask(self, method: str, path: str, patience: float, **request: Any) -> tuple[int, Document]:
        """The status and the JSON object of an answer, empty where it has none; again and again while it is busy."""
        began, wait = time.monotonic(), 0.1
        while True:
            try:
                response = self._session().request(
                    method, self._url + path, timeout=SECONDS, allow_redirects=False, **request
                )
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                trouble = f"cannot be reached ({cause(error)})"
            except requests.RequestException as error:
                raise WaymarkError(f"{self._url}: cannot be asked ({reason(error)})") from None
            else:
                document = _object(response)
                own = "error" in document and response.status_code == 504  # too slow: not better next time
                if response.status_code not in BUSY or own:
                    return response.status_code, document
                trouble = f"answers {response.status_code} ({response.reason}) for {patience:g} s; try again later"
                wait = max(wait, _seconds(response.headers.get("Retry-After")))
            if time.monotonic() + wait - began > patience or self._closed.wait(wait):
                raise WaymarkError(f"{self._url}: {trouble}")
            wait = min(2 * wait, 5.0)

    def _session(self) -> requests.Session:
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
        session: requests.Session = self._own.session
        return session

    def _stranger(self, asked: str, status: int) -> WaymarkError:
        return WaymarkError(f"{self._url}: is no Waymark service ({asked} gave status {status} and no answer of one)")


def _object(response: requests.Response) -> Document:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _seconds(header: str | None) -> float:
    """Of a Retry-After; the date that it may also be is not worth reading."""
    return min(float(header), 30.0) if header and header.isdecimal() else 0.0
