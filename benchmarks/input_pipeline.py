"""Images a second into the network: our memory-mapped array and batched augmentation, and what most projects do.

python benchmarks/input_pipeline.py --images 6400 --rounds 5

Theirs is torchvision's ImageFolder of PNG files, changed one by one in two worker processes: RandomAffine, ColorJitter,
ToTensor, Normalize with params.yaml's shares. Ours is the loader and the augmentation of a training as configured, in
its own process, once with the changes that theirs makes and once with all of params.yaml's. All read the same images,
from the page cache, and end with batches that the network takes. They take turns; the first turn is not counted.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

from waymark.learning import training  # before Lightning: it makes torchvision importable

# isort: split

import data_loading
import machine
import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms  # type: ignore[import-untyped]
from torchvision.datasets import ImageFolder  # type: ignore[import-untyped]

from waymark import paths
from waymark.contract import Contract
from waymark.learning.classifier import Classifier
from waymark.learning.data import PreparedData
from waymark.params import Params

FILES = Path("files")
CLASSES = 43
WORKERS = 2
GRAIN = 6.0  # spread of the noise on smooth shapes, which makes the files as large as those of photographs
GOAL = 6.0  # times their rate, with the same changes
THEIRS, OURS, ALL = "theirs", "ours, the same changes", "ours, all changes"


class Turns(pl.Callback):
    """Before the first step, both read all images in turn: images/s of each turn."""

    def __init__(self, settings: Params, contract: Contract, rounds: int) -> None:
        self.settings, self.contract, self.rounds = settings, contract, rounds
        self.rates: dict[str, list[float]] = {THEIRS: [], OURS: [], ALL: []}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classifier = cast(Classifier, pl_module)
        data = cast(PreparedData, trainer.datamodule)  # type: ignore[attr-defined]
        files = as_files(self.settings, self.contract)
        everything = classifier.augment
        same = replace(everything, colour=0, blur=0, noise=0, outliers=0, mirrored=())
        for turn in range(1 + self.rounds):
            rates = {THEIRS: theirs(files)}
            for kind, classifier.augment in ((OURS, same), (ALL, everything)):
                rates[kind] = ours(data, classifier)
            if turn:
                for kind, rate in rates.items():
                    self.rates[kind].append(rate)


def ours(data: PreparedData, classifier: Classifier) -> float:
    count, began = 0, time.perf_counter()
    for batch in data.train_dataloader():
        inputs, _ = classifier.augmented(batch)
        count += len(inputs.contiguous(memory_format=torch.channels_last))
    return count / (time.perf_counter() - began)


def theirs(files: "DataLoader[tuple[torch.Tensor, torch.Tensor]]") -> float:
    count, began = 0, time.perf_counter()
    for inputs, _ in files:
        count += len(inputs.contiguous(memory_format=torch.channels_last))
    return count / (time.perf_counter() - began)


def as_files(settings: Params, contract: Contract) -> "DataLoader[tuple[torch.Tensor, torch.Tensor]]":
    """Batches of the files as torchvision's own pages have them; the workers stay from one epoch to the next."""
    scale, light = settings.augment_scale, settings.augment_light
    change = transforms.Compose(
        [
            transforms.RandomAffine(
                settings.augment_rotation,
                translate=(settings.augment_shift, settings.augment_shift),
                scale=(1 - scale, 1 + scale),
                shear=settings.augment_shear,
                interpolation=transforms.InterpolationMode.BILINEAR,
            ),
            transforms.ColorJitter(brightness=light, contrast=light),
            transforms.ToTensor(),
            transforms.Normalize(contract.mean, contract.std),
        ]
    )
    return DataLoader(
        ImageFolder(FILES, change, allow_empty=True),
        batch_size=settings.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )


def prepare(settings: Params, images: int) -> Contract:
    """Pictures under data/prepared of the working folder, and the same as PNG files in folders of their classes."""
    contract = data_loading.prepare(settings, images)
    array, labels = np.load(paths.images("train"), mmap_mode="r+"), pd.read_parquet(paths.rows("train"))["label"]
    chance, side = np.random.default_rng(1), settings.image_size
    for label in range(CLASSES):
        (FILES / f"{label:02d}").mkdir(parents=True)
    for number, label in enumerate(labels):
        shapes = Image.fromarray(chance.integers(0, 256, (5, 5, 3), np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        grainy = np.asarray(shapes) + chance.normal(0, GRAIN, (side, side, 3))
        array[number] = grainy.clip(0, 255).astype(np.uint8)
        Image.fromarray(array[number]).save(FILES / f"{label:02d}" / f"{number:05d}.png")
    array.flush()
    return contract


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--side", type=int, default=48, help="of the images, px")
    parser.add_argument("--rounds", type=int, default=5, help="turns that count, of each")
    data_loading.add_settings(parser)
    arguments = parser.parse_args()
    changed = {"image_size": arguments.side, "network": "sign_resnet", "width": 8}  # the network is not what counts
    settings = data_loading.settings_of(arguments).model_copy(update=changed)
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        contract = prepare(settings, arguments.images)
        turns = Turns(settings, contract, arguments.rounds)
        with data_loading.watched(turns, steps=1):
            training.fit(settings, contract)
        kilobytes = sum(file.stat().st_size for file in FILES.rglob("*.png")) / arguments.images / 1000
    print(
        f"{arguments.images:,} images of {arguments.side} px ({kilobytes:.1f} kB as PNG), batches of "
        f"{settings.batch_size}, page cache warm; median of {arguments.rounds} turns (least to most)"
    )
    print(machine.line("torch", "torchvision", "pillow", "numpy"))
    print(f"theirs: {WORKERS} workers; ours: {settings.threads} threads")
    for kind, rates in turns.rates.items():
        ratios = [rate / other for rate, other in zip(rates, turns.rates[THEIRS], strict=True)]
        goal = f", goal ≥ {GOAL:g}" if kind == OURS else ""
        print(
            f"{kind:22}  {statistics.median(rates):9,.0f} images/s  "
            f"× {statistics.median(ratios):.2f}  ({min(ratios):.2f} to {max(ratios):.2f}) of theirs{goal}"
        )


if __name__ == "__main__":
    main()
