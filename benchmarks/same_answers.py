"""Whether a running service answers as torch and the ONNX file do, for every test image of this workspace.

bentoml serve &          # or the container
python benchmarks/same_answers.py --url http://127.0.0.1:3000

Each image is sent as it stands in its archive: by itself with its box, raw and in a form, in batches with their boxes,
and in zips, which carry no boxes. All classes' probabilities are compared. Ends with 1 where a best class differs, or a
probability by more than 1e-4.
"""

import argparse
import sys

from waymark.learning import onnx_export, weights  # before what needs torchvision

# isort: split

import machine
import numpy as np
import pandas as pd
import requests
from numpy.typing import NDArray

from serving import ways
from waymark import contract, params, paths
from waymark.contract import decode
from waymark.datasets.base import Record
from waymark.datasets.registry import dataset
from waymark.predictor import Predictor

TOLERANCE = 1e-4
Probabilities = NDArray[np.float64]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:3000")
    url = parser.parse_args().url
    version = requests.get(f"{url}/model", timeout=ways.PATIENCE).json()["version"]
    completed = contract.read(paths.CONTRACT)
    predictor = Predictor(paths.ONNX, completed, params.load().threads)
    images = np.load(paths.images("test"), mmap_mode="r")
    records, sent = test_images()

    evaluated = completed.probabilities(predictor.logits(images))
    torch = completed.probabilities(onnx_export.logits(weights.read(paths.WEIGHTS), images, completed))
    whole = np.stack([completed.image(decode(data)) for data in sent])
    boxes = [",".join(map(str, record.roi)) if record.roi else "" for record in records]
    print(f"{len(records):,} images, {version}; {machine.line('bentoml', 'onnxruntime', 'torch')}")
    good = [told("torch", torch, evaluated)]
    classes = len(completed.class_names)
    for way, answers in ways.ask(url, sent, boxes, classes).items():
        expected = completed.probabilities(predictor.logits(whole)) if way == "zip" else evaluated
        good.append(told(f"service, {way}", ways.probabilities(answers, classes), expected))
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
    print(f"{way:15} best class equal for {agree:,} of {len(expected):,}, largest |Δp| {difference:.1e}")
    return agree == len(expected) and bool(difference <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
