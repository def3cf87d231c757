"""How well the model's own confidence tells its images from pictures of something else.

python benchmarks/out_of_distribution.py --images cifar-10-python.tar.gz

In a repository after `dvc repro`: the score is the one by which the service says "not sure", the best calibrated
probability of the ONNX file. Foreign are drawn pictures, as in `evaluate`, and with --images CIFAR-10's test
photographs, of which none shows a traffic sign or a hand. AUROC is the share of pairs, one known image and
one foreign, in which the known one is surer. Answered is the share of the foreign that the service would answer.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import machine
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from waymark import contract, params, paths
from waymark.contract import Contract
from waymark.datasets.cifar10 import CIFAR10
from waymark.judging import foreign
from waymark.predictor import Predictor


def photographs(archive: Path) -> Iterator[Image.Image]:
    """CIFAR-10's test images out of its archive, which is read where it lies."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / archive.name).symlink_to(archive.resolve())
        with CIFAR10.open(folder) as read:
            for record in CIFAR10.index(folder):
                if record.split == "test":
                    yield contract.decode(read(record.archive, record.member))


def cut(completed: Contract, pictures: Iterator[Image.Image]) -> NDArray[np.uint8]:
    return np.stack([completed.image(picture) for picture in pictures])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, metavar="ARCHIVE", help="cifar-10-python.tar.gz")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="the known images")
    parser.add_argument("--count", type=int, default=foreign.COUNT, help="drawn pictures of each kind")
    given = parser.parse_args()
    if given.images and not given.images.is_file():
        parser.error(f"--images: {given.images} is no file; expected cifar-10-python.tar.gz")
    completed = contract.read(paths.CONTRACT)
    predictor = Predictor(paths.ONNX, completed, params.load().threads)

    def confidence(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.asarray(completed.probabilities(predictor.logits(images)).max(axis=1))

    part = pd.read_parquet(paths.rows(given.split), columns=["part"])["part"].to_numpy()
    known = confidence(np.load(paths.images(given.split), mmap_mode="r")[part == part[0]])
    print(f"{len(known):,} {given.split} images of {completed.dataset}; ONNX {completed.onnx_sha256[:12]}")
    print(machine.line("numpy", "pillow", "onnxruntime"))
    print(f"threshold {completed.threshold:.4f}: {(known >= completed.threshold).mean():7.2%} of them are answered")
    strangers: dict[str, Iterator[Image.Image]] = {
        kind: (Image.fromarray(each) for each in foreign.draw(kind, completed.image_size, given.count))
        for kind in foreign.KINDS
    }
    if given.images:
        strangers["CIFAR-10"] = photographs(given.images)
    print(f"{'foreign':10}{'n':>8}{'AUROC':>10}{'answered':>11}")
    for kind, pictures in strangers.items():
        scores = confidence(cut(completed, pictures))
        answered = (scores >= completed.threshold).mean()
        print(f"{kind:10}{len(scores):8,}{foreign.auroc(known, scores):10.4f}{answered:11.2%}")


if __name__ == "__main__":
    main()
