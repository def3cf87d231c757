"""Whether a running service answers as torch and the ONNX file do, for every test image of this workspace.

bentoml serve &          # or the container
python benchmarks/same_answers.py --url http://127.0.0.1:3000

Each image is sent as it stands in its archive: by itself with its box, in batches with their boxes, and in zips, which
carry no boxes. All classes' probabilities are compared. Ends with 1 where a best class differs, or a probability by
more than 1e-4.
"""

import argparse
import io
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

from waymark.learning import onnx_export, weights  # before what needs torchvision

# isort: split

import machine
import numpy as np
import pandas as pd
import requests
from numpy.typing import NDArray

from waymark import contract, params, paths
from waymark.contract import decode
from waymark.datasets.base import Record
from waymark.datasets.registry import dataset
from waymark.predictor import Predictor

TOLERANCE = 1e-4
TOGETHER = 100  # images in one request
Probabilities = NDArray[np.float64]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:3000")
    service = Service(parser.parse_args().url)
    completed = contract.read(paths.CONTRACT)
    predictor = Predictor(paths.ONNX, completed, params.load().threads)
    images = np.load(paths.images("test"), mmap_mode="r")
    records, sent = test_images()

    evaluated = completed.probabilities(predictor.logits(images))
    torch = completed.probabilities(onnx_export.logits(weights.read(paths.WEIGHTS), images, completed))
    whole = np.stack([completed.image(decode(data)) for data in sent])
    boxes = [",".join(map(str, record.roi)) if record.roi else "" for record in records]
    print(f"{len(records):,} images, {service.version}; {machine.line('bentoml', 'onnxruntime', 'torch')}")
    good = [
        told("torch", torch, evaluated),
        told("service, one by one", service.singly(sent, boxes), evaluated),
        told("service, batches", service.batches(sent, boxes), evaluated),
        told("service, zips without boxes", service.zips(sent), completed.probabilities(predictor.logits(whole))),
    ]
    return 0 if all(good) else 1


def test_images() -> tuple[list[Record], list[bytes]]:
    """The test split's records and the bytes of each, in the order of the prepared array."""
    settings = params.load()
    chosen = dataset(settings.dataset, settings.group_pattern)
    folder = paths.raw(chosen.name)
    known = {(record.archive, record.member): record for record in chosen.index(folder)}
    rows = pd.read_parquet(paths.rows("test"), columns=["archive", "member"])
    records = [known[archive, member] for archive, member in rows.itertuples(index=False)]
    with chosen.open(folder) as read:
        return records, [read(record.archive, record.member) for record in records]


def told(way: str, found: Probabilities, expected: Probabilities) -> bool:
    """Print how far `found` is from the ONNX file's answer, and whether that is near enough."""
    agree = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
    difference = np.abs(found - expected).max()
    print(f"{way:28} best class equal for {agree:,} of {len(expected):,}, largest |Δp| {difference:.1e}")
    return agree == len(expected) and bool(difference <= TOLERANCE)


class Service:
    def __init__(self, url: str) -> None:
        self.url, self.session = url, requests.Session()
        known = self.session.get(f"{url}/model", timeout=60).json()
        self.version, self.classes = known["version"], len(known["classes"])

    def singly(self, sent: list[bytes], boxes: list[str]) -> Probabilities:
        answers = [self._ask("predict", data, {"roi": box}) for data, box in zip(sent, boxes, strict=True)]
        return self._probabilities(answers)

    def batches(self, sent: list[bytes], boxes: list[str]) -> Probabilities:
        answers: list[Any] = []
        for start in range(0, len(sent), TOGETHER):
            part = slice(start, start + TOGETHER)
            files = [("images", (f"{number}", data)) for number, data in enumerate(sent[part])]
            regions = [("roi", box) for box in boxes[part] if box]
            response = self.session.post(
                f"{self.url}/predict_batch", params={"top": self.classes}, files=files, data=regions, timeout=60
            )
            answers += response.json()["results"]
        return self._probabilities(answers)

    def zips(self, sent: list[bytes]) -> Probabilities:
        return self._probabilities(
            [answer for body in zipped(sent) for answer in self._ask("predict_batch", body)["results"]]
        )

    def _ask(self, route: str, body: bytes, query: dict[str, Any] | None = None) -> Any:
        query = {"top": self.classes} | (query or {})
        return self.session.post(f"{self.url}/{route}", params=query, data=body, timeout=60).json()

    def _probabilities(self, answers: list[Any]) -> Probabilities:
        """(N, classes) from answers that rank all classes."""
        found = np.empty((len(answers), self.classes))
        for row, answer in zip(found, answers, strict=True):
            for each in answer["top"]:
                row[each["label"]] = each["probability"]
        return found


def zipped(sent: list[bytes]) -> Iterator[bytes]:
    for start in range(0, len(sent), TOGETHER):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for number, data in enumerate(sent[start : start + TOGETHER]):
                archive.writestr(f"{number:03}", data)
        yield buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
