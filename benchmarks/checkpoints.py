"""What a training's checkpoint costs: its size, the time to take and write it, and what share that is of an epoch.

python benchmarks/checkpoints.py --images 3200 --epochs 6

`waymark.learning.training.fit` itself runs on random images of params.yaml's size, once an epoch with a checkpoint on
the disk that TMPDIR names. An epoch's time is stated for the images of GTSRB, in proportion.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

from waymark.learning import training  # before Lightning: it makes torchvision importable

# isort: split

import data_loading
import machine
import pytorch_lightning as pl

from waymark import params, paths
from waymark.learning import checkpoints, interruption
from waymark.learning.checkpoints import Checkpoint
from waymark.params import Params

ROOT = Path(__file__).resolve().parents[1]
GTSRB = 39_209  # training images


def measure(settings: Params, images: int) -> tuple[list[float], list[float], int]:
    """Seconds of each checkpoint and of each epoch without it, the first left out, and a checkpoint's bytes."""
    contract = data_loading.prepare(settings, images)
    contract.write(paths.PREPARED_CONTRACT)
    checkpoint = Checkpoint(paths.CHECKPOINT, checkpoints.fingerprint(settings))
    kept: list[float] = []
    ends: list[float] = []
    keep = interruption.Keeper._keep

    def timed(keeper: interruption.Keeper, trainer: pl.Trainer, after: str) -> None:
        ends.append(time.perf_counter())
        keep(keeper, trainer, after)
        kept.append(time.perf_counter() - ends[-1])

    once_an_epoch = mock.patch.object(interruption, "EVERY", float("inf"))
    with once_an_epoch, mock.patch.object(interruption.Keeper, "_keep", timed):
        training.fit(settings, contract, checkpoint=checkpoint)
    epochs = [end - start - taken for start, end, taken in zip(ends, ends[1:], kept, strict=False)]
    return kept[1:], epochs, paths.CHECKPOINT.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=3200, help="images of an epoch")
    parser.add_argument("--epochs", type=int, default=6, help="three at least; the last one leaves no checkpoint")
    arguments = parser.parse_args()
    settings = params.load(ROOT / paths.PARAMS).model_copy(update={"epochs": arguments.epochs})
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        kept, epochs, size = measure(settings, arguments.images)
    epoch = statistics.median(epochs) * GTSRB / arguments.images
    taken = statistics.median(kept)
    print(machine.line("torch", "pytorch-lightning", "safetensors"))
    print(
        f"a checkpoint of {settings.network}, width {settings.width}: {size / 1e6:.1f} MB, {1000 * taken:.0f} ms "
        f"({1000 * min(kept):.0f} to {1000 * max(kept):.0f}, n = {len(kept)}); an epoch of {GTSRB:,} images "
        f"{epoch:.1f} s, of which a checkpoint {100 * taken / epoch:.2f} %"
    )


if __name__ == "__main__":
    main()
