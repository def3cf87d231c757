"""Where the time of a training step goes: gathering the batch, augmentation, the network; and what Lightning adds.

python benchmarks/data_loading.py --images 39209 --steps 60 --rounds 5

`waymark.learning.training.fit` itself runs, on an array of random images of params.yaml's size. After each of its steps
the same work is done once more in pieces, on a twin of the network, so that a busy machine slows all of them alike.
"""

import argparse
import contextlib
import copy
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from unittest import mock

from waymark.learning import training  # before Lightning: it makes torchvision importable

# isort: split

import machine
import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from numpy.lib.format import open_memmap

from waymark import params, paths
from waymark.contract import Contract
from waymark.datasets.traffic_sign_names import CLASS_NAMES
from waymark.learning.classifier import Classifier
from waymark.learning.data import Batch, Batches, PreparedData
from waymark.learning.machine import precision
from waymark.params import Params

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 5  # steps of each round that are not counted: kernels are chosen, memory is first touched
PIECES = {
    "gather": "data loader: gather the batch",
    "augment": "normalise and augment it",
    "network": "forward, backward, optimizer",
}
LIGHTNING = "Lightning's whole step"

Seconds = dict[str, list[float]]


class InPieces(pl.Callback):
    """Times each step of a running fit, and then the pieces of one: seconds by key of PIECES, and by LIGHTNING."""

    def __init__(self) -> None:
        self.seconds: Seconds = {name: [] for name in (*PIECES, LIGHTNING)}
        self.epoch_starts: list[float] = []
        self.batches: Iterator[Batch]
        self.network: torch.nn.Module
        self.optimizer: torch.optim.Optimizer
        self.resumed = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classifier = cast(Classifier, pl_module)
        self.network = copy.deepcopy(classifier.network)
        self.optimizer = optimizer_of(classifier, self.network)
        began = time.perf_counter()
        loader = cast(PreparedData, trainer.datamodule).train_dataloader()  # type: ignore[attr-defined]
        order = cast(Batches, loader.sampler)
        order.epoch += 1  # another order: the images that Lightning has just read are still in the processor's cache
        self.batches = iter(loader)
        self.epoch_starts.append((time.perf_counter() - began) / len(loader))
        self.resumed = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.seconds[LIGHTNING].append(time.perf_counter() - self.resumed)
        classifier = cast(Classifier, pl_module)
        with torch.enable_grad():
            times = self._pieces(classifier, trainer.precision_plugin.forward_context())
        for name, seconds in times.items():
            self.seconds[name].append(seconds)
        self.resumed = time.perf_counter()

    def _pieces(self, classifier: Classifier, arithmetic: contextlib.AbstractContextManager[None]) -> dict[str, float]:
        began = time.perf_counter()
        batch = next(self.batches)
        gathered = time.perf_counter()
        with arithmetic:
            augmented, labels = classifier.augmented(batch)
            inputs = augmented.contiguous(memory_format=torch.channels_last)
            ready = time.perf_counter()
            loss = classifier.loss(self.network(inputs), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {
            "gather": gathered - began,
            "augment": ready - gathered,
            "network": time.perf_counter() - ready,
        }


def optimizer_of(classifier: Classifier, network: torch.nn.Module) -> torch.optim.Optimizer:
    """An optimizer for `network`, a twin of the classifier's, as the classifier makes its own."""
    own, classifier.network = classifier.network, network
    try:
        configured = cast(dict[str, Any], classifier.configure_optimizers())
    finally:
        classifier.network = own
    return cast(torch.optim.Optimizer, configured["optimizer"])


def add_settings(parser: argparse.ArgumentParser) -> None:
    for name in ("width", "threads"):
        parser.add_argument(f"--{name}", type=int, help="in place of params.yaml's")


def settings_of(arguments: argparse.Namespace) -> Params:
    """params.yaml's, but for one epoch in one process and what `add_settings` asks for."""
    changed: dict[str, Any] = {"epochs": 1, "devices": 1, "num_nodes": 1}
    changed |= {name: value for name in ("width", "threads") if (value := getattr(arguments, name))}
    return params.load(ROOT / paths.PARAMS).model_copy(update=changed)


@contextlib.contextmanager
def watched(callback: pl.Callback, steps: int) -> Iterator[None]:
    """Fits have `steps` steps an epoch and `callback` as their last one, so that a step ends after all others'."""
    trainer = pl.Trainer

    def make(**options: Any) -> pl.Trainer:
        return trainer(**options | {"callbacks": [*options["callbacks"], callback], "limit_train_batches": steps})

    with mock.patch.object(pl, "Trainer", make):
        yield


def prepare(settings: Params, images: int) -> Contract:
    """Random images and labels under data/prepared of the working folder, as `prepare` leaves them."""
    chance = np.random.default_rng(0)
    side = settings.image_size
    paths.PREPARED.mkdir(parents=True)
    for split, count in (("train", images), ("val", settings.batch_size)):
        array = open_memmap(paths.images(split), "w+", np.uint8, (count, side, side, 3))
        for start in range(0, count, 1024):
            part = array[start : start + 1024]
            part[:] = chance.integers(0, 256, part.shape, np.uint8)
        array.flush()
        labels = chance.integers(0, len(CLASS_NAMES), count)
        pd.DataFrame({"label": labels}).to_parquet(paths.rows(split), index=False)
    return Contract("random", CLASS_NAMES, side, 0.0, mean=(0.5, 0.5, 0.5), std=(0.29, 0.29, 0.29))


def fit(settings: Params, contract: Contract, steps: int) -> dict[str, float]:
    """Median seconds of each piece, of Lightning's whole step, and ("start") of a step's share of an epoch's start."""
    pieces = InPieces()
    with watched(pieces, WARM_UP + steps):
        training.fit(settings, contract)
    medians = {name: statistics.median(seconds[WARM_UP:]) for name, seconds in pieces.seconds.items()}
    return medians | {"start": statistics.median(pieces.epoch_starts)}


def report(rounds: list[dict[str, float]], batch_size: int) -> None:
    """Print medians over the rounds, each with the least and the most."""

    def spread(values: list[float], form: str) -> str:
        return f"{statistics.median(values):{form}}  ({min(values):{form}} to {max(values):{form}})"

    totals = [sum(medians[name] for name in PIECES) for medians in rounds]
    width = max(map(len, PIECES.values()))
    for name, title in PIECES.items():
        milliseconds = [1000 * medians[name] for medians in rounds]
        share = statistics.median(medians[name] / total for medians, total in zip(rounds, totals, strict=True))
        print(f"{title:{width}}  {spread(milliseconds, '7.3f')} ms  {share:6.2%} of the step")
    print(f"{'together':{width}}  {spread([1000 * total for total in totals], '7.3f')} ms")
    print(f"{LIGHTNING:{width}}  {spread([1000 * medians[LIGHTNING] for medians in rounds], '7.3f')} ms")
    print(f"training: {spread([batch_size / medians[LIGHTNING] for medians in rounds], ',.0f')} images/s")
    print(f"gathering alone: {spread([batch_size / medians['gather'] for medians in rounds], ',.0f')} images/s")
    over = [medians[LIGHTNING] / medians["network"] for medians in rounds]
    print(f"Lightning's whole step / forward, backward, optimizer = {spread(over, '.3f')}")
    # With its share of the shuffling and the random numbers that each epoch begins with.
    loader = [(m["gather"] + m["start"]) / (t + m["start"]) for m, t in zip(rounds, totals, strict=True)]
    print(f"data loader: {spread([100 * share for share in loader], '.2f')} % of the step time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=39209, help="random training images (GTSRB has 39,209)")
    parser.add_argument("--steps", type=int, default=60, help="steps that count, a round")
    parser.add_argument("--rounds", type=int, default=5, help="fits, each from the start")
    add_settings(parser)
    arguments = parser.parse_args()
    settings = settings_of(arguments)
    needed = (WARM_UP + arguments.steps) * settings.batch_size
    if arguments.images < needed:
        parser.error(f"--images: {arguments.steps} steps of {settings.batch_size} images need {needed:,} or more")
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        contract = prepare(settings, arguments.images)
        rounds = [fit(settings, contract, arguments.steps) for _ in range(arguments.rounds)]
    size = f"{settings.image_size} × {settings.image_size}"
    print(f"{arguments.images:,} random images of {size} px in {paths.images('train')}, page cache warm")
    print(
        f"{settings.network}, width {settings.width}, batch {settings.batch_size}, {precision(settings.precision)}, "
        f"{settings.threads} threads; median of {arguments.rounds} rounds of {arguments.steps} steps (least to most)"
    )
    print(machine.line("torch", "pytorch-lightning", "numpy"))
    report(rounds, settings.batch_size)


if __name__ == "__main__":
    main()
