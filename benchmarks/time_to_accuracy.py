"""Processor seconds and epochs to an accuracy on val, for the data that the last `dvc repro prepare` left.

python benchmarks/time_to_accuracy.py --target 0.974 0.99 --epochs 8

Trains with params.yaml's settings, but for the number of epochs, and keeps nothing. Processor seconds are those of all
threads, from the call of `waymark.learning.training.fit_on` to the end of an epoch with its look at val. The averaged
weights, which are the model, are what is judged. --test judges the last ones on test, too: never choose by that.
--every 3 learns from every third image of each group (frame of a track): whether many like frames make an epoch worth
more, as in the whole of a data set of which a part of the frames is at hand.
"""

import argparse
import os
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from waymark.learning import training  # before Lightning: it makes torchvision importable

# isort: split

import machine
import numpy as np
import pandas as pd

from waymark import contract, params, paths
from waymark.commands.arguments import whole
from waymark.errors import exit_with_sentence
from waymark.learning import onnx_export, recipes
from waymark.learning.data import Images
from waymark.learning.folds import Selection
from waymark.learning.machine import precision
from waymark.params import Params

GTSRB = 39_209  # training images


@dataclass(frozen=True)
class Epoch:
    number: int
    accuracy: float  # on val
    processor: float  # seconds since the start
    wall: float


def learn(settings: Params, train: Images, test: bool) -> tuple[list[Epoch], float | None]:
    """Train on the working folder's prepared data; accuracy on test, where that is asked for."""
    epochs: list[Epoch] = []
    processor, wall = time.process_time(), time.perf_counter()

    def told(row: Mapping[str, float]) -> None:
        seconds = time.process_time() - processor, time.perf_counter() - wall
        epochs.append(Epoch(int(row["epoch"]), row["val_accuracy"], *seconds))

    prepared = contract.read(paths.PREPARED_CONTRACT)
    model, _ = training.fit_on(settings, prepared, train, Images(paths.images("val"), paths.rows("val")), told)
    if not test:
        return epochs, None
    predicted = onnx_export.logits(model, np.load(paths.images("test"), mmap_mode="r"), prepared).argmax(axis=1)
    rows = pd.read_parquet(paths.rows("test"), columns=["label", "part"])
    own = (rows["part"] == rows["part"].iloc[0]).to_numpy()  # a data set's own test, as in reports/metrics.json
    return epochs, float((predicted == rows["label"].to_numpy())[own].mean())


def thinned(every: int) -> Images:
    """Train's images, or of each group every so manyth."""
    groups = pd.read_parquet(paths.rows("train"), columns=["group"])
    whole = Selection([Images(paths.images("train"), paths.rows("train"))])
    return whole.where((groups.groupby("group").cumcount() % every == 0).to_numpy())


def report(epochs: list[Epoch], images: int, targets: list[float]) -> None:
    print("epoch  val accuracy  processor s   wall s")
    for epoch in epochs:
        print(f"{epoch.number:5}  {epoch.accuracy:12.2%}  {epoch.processor:11,.1f}  {epoch.wall:7,.1f}")
    starts = [0.0, *(epoch.wall for epoch in epochs)]
    each = [after - before for before, after in pairwise(starts)]
    print(f"{images / statistics.median(each):,.0f} training images/s, the looks at val counted in")
    for target in targets:
        reached = next((epoch for epoch in epochs if epoch.accuracy >= target), None)
        if reached is None:
            print(f"{target:.1%}: not reached in {len(epochs)} epochs")
            continue
        print(
            f"{target:.1%}: {reached.number} epochs, {reached.processor:,.0f} processor seconds; with the {GTSRB:,} "
            f"images of GTSRB as many epochs take about {reached.processor * GTSRB / images:,.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--target", type=float, nargs="+", default=[0.974, 0.99], help="accuracies on val, in [0, 1]")
    parser.add_argument("--epochs", type=int, help="of the whole schedule, in place of params.yaml's")
    parser.add_argument("--every", type=whole(1), default=1, help="learn from every so manyth image of each group only")
    parser.add_argument("--test", action="store_true", help="judge the last weights on test, too")
    parser.add_argument("--repository", type=Path, default=Path(), help="where params.yaml and data/prepared are")
    arguments = parser.parse_args()
    os.chdir(arguments.repository)
    settings = params.load()
    if arguments.epochs:
        settings = settings.model_copy(update={"epochs": arguments.epochs})
    train = thinned(arguments.every)
    epochs, on_test = learn(settings, train, arguments.test)
    images = len(train)
    size = f"{settings.image_size} × {settings.image_size}"
    print(
        f"{settings.dataset}: {images:,} training images of {size} px; {settings.network}, width {settings.width}, "
        f"{recipes.recipe(settings).epochs} epochs, batches of {settings.batch_size}, "
        f"{precision(settings.precision)}, {settings.threads} threads, seed {settings.seed}; one run"
    )
    print(machine.line("torch", "pytorch-lightning", "timm"))
    report(epochs, images, arguments.target)
    if on_test is not None:
        print(f"after the last epoch: {on_test:.2%} on test")


if __name__ == "__main__":
    exit_with_sentence(main)()
