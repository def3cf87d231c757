"""Batches of prepared images, read from one memory-mapped array; no image file is opened."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from waymark.files import reading
from waymark.learning import augmentation

Batch = tuple[Tensor, Tensor, Tensor]  # images (N, S, S, 3) uint8, labels (N,) int64, draws (N, DRAWS) float32


class Images(Dataset[Batch]):
    """One split on disk. An item is a whole batch: `self[indices]` gathers the rows in one call."""

    def __init__(self, images: Path, rows: Path) -> None:
        with reading(images):
            self.images: NDArray[np.uint8] = np.load(images, mmap_mode="r")
        with reading(rows):
            self.labels = pd.read_parquet(rows, columns=["label"])["label"].to_numpy(np.int64)
        self.draws = np.zeros((len(self.labels), augmentation.DRAWS), np.float32)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: NDArray[np.int64]) -> Batch:
        images, labels, draws = self.pictures(indices), self.labels[indices], self.draws[indices]
        return torch.from_numpy(images), torch.from_numpy(labels), torch.from_numpy(draws)

    def pictures(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(N, S, S, 3), in the order of `indices`."""
        return self.images[indices]


class Batches(Sampler[NDArray[np.int64]]):
    """The indices of each batch, in the order of `epoch`, or in the array's own order for `seed` None."""

    def __init__(self, count: int, batch_size: int, seed: int | None) -> None:
        self.count, self.batch_size, self.seed, self.epoch = count, batch_size, seed, 0

    def __len__(self) -> int:
        # In training the last, smaller batch is left out: its batch statistics would be the noisiest.
        whole, rest = divmod(self.count, self.batch_size)
        return whole + (rest > 0 and (self.seed is None or whole == 0))

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        indices = np.arange(self.count) if self.seed is None else augmentation.order(self.seed, self.epoch, self.count)
        for batch in range(len(self)):
            yield indices[batch * self.batch_size : (batch + 1) * self.batch_size]


class PreparedData(pl.LightningDataModule):
    """Train and val of `data/prepared`. Gathering a batch is a memory copy, so no worker process is worth its cost."""

    def __init__(self, train: Images, val: Images, batch_size: int, seed: int) -> None:
        super().__init__()
        self.train, self.val, self.batch_size, self.seed = train, val, batch_size, seed

    def train_dataloader(self) -> DataLoader[Any]:
        # Lightning asks again at each epoch (reload_dataloaders_every_n_epochs=1).
        epoch = self.trainer.current_epoch if self.trainer else 0
        self.train.draws = augmentation.draws(self.seed, epoch, len(self.train))
        batches = Batches(len(self.train), self.batch_size, self.seed)
        batches.epoch = epoch
        return DataLoader(self.train, sampler=batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[Any]:
        # Four times the batch: evaluation keeps no activations.
        return DataLoader(self.val, sampler=Batches(len(self.val), 4 * self.batch_size, None), batch_size=None)
