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

from waymark.errors import WaymarkError
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


class Resident(Images):
    """A split whose images are held by a device, where its batches are gathered."""

    def __init__(self, split: Images, device: torch.device) -> None:
        self.held = torch.from_numpy(split.pictures(np.arange(len(split)))).to(device)
        self.labels, self.draws = split.labels, split.draws

    def __getitem__(self, indices: NDArray[np.int64]) -> Batch:
        images = self.held[torch.from_numpy(indices).to(self.held.device)]
        return images, torch.from_numpy(self.labels[indices]), torch.from_numpy(self.draws[indices])


def keep_on(device: torch.device, split: Images) -> Images:
    """The split on the CUDA `device`, if it takes less than half of the memory that is free there."""
    free, _ = torch.cuda.mem_get_info(device)
    return Resident(split, device) if 2 * len(split) * split.pictures(np.arange(1)).nbytes < free else split


class Batches(Sampler[NDArray[np.int64]]):
    """The indices of each batch, in the order of `epoch`, or in the array's own order for `seed` None.

    Of several processes each takes its share of every batch: together they see what one alone would see.
    """

    def __init__(self, count: int, batch_size: int, seed: int | None, *, processes: int = 1, process: int = 0) -> None:
        self.count, self.batch_size, self.seed, self.epoch = count, batch_size, seed, 0
        self.processes, self.process = processes, process
        if processes > 1 and (count < processes or (seed is not None and min(count, batch_size) % processes)):
            raise WaymarkError(
                f"devices: {processes} processes cannot share {count} images in steps of {batch_size} evenly; use"
                " devices: 1"
            )
        self.begin = 0  # the batch that an epoch goes on with where a training was interrupted

    def __len__(self) -> int:
        # In training the last, smaller batch is left out: its batch statistics would be the noisiest.
        whole, rest = divmod(self.count, self.batch_size)
        # In judging so few that they do not go round join the batch before.
        return whole + (whole == 0 < rest or (self.seed is None and rest >= self.processes))

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        indices = np.arange(self.count) if self.seed is None else augmentation.order(self.seed, self.epoch, self.count)
        for batch in range(self.begin, len(self)):
            last = self.seed is None and batch == len(self) - 1
            end = self.count if last else (batch + 1) * self.batch_size
            yield indices[batch * self.batch_size : end][self.process :: self.processes]


class PreparedData(pl.LightningDataModule):
    """Train and val of `data/prepared`. Gathering a batch is a memory copy, so no worker process is worth its cost."""

    def __init__(self, train: Images, val: Images, batch_size: int, seed: int) -> None:
        super().__init__()
        self.train, self.val, self.batch_size, self.seed = train, val, batch_size, seed
        self._resumed = {"epoch": 0, "batch": 0}

    def setup(self, stage: str) -> None:
        if self.trainer and (device := self.trainer.strategy.root_device).type == "cuda":
            self.train, self.val = (keep_on(device, split) for split in (self.train, self.val))

    def state_dict(self) -> dict[str, Any]:
        assert self.trainer is not None
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return {"epoch": self.trainer.current_epoch, "batch": done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = state_dict

    def train_dataloader(self) -> DataLoader[Any]:
        # Lightning asks again at each epoch (reload_dataloaders_every_n_epochs=1).
        epoch = self.trainer.current_epoch if self.trainer else 0
        self.train.draws = augmentation.draws(self.seed, epoch, len(self.train))
        batches = Batches(len(self.train), self.batch_size, self.seed, **self._share())
        batches.epoch = epoch
        batches.begin = self._resumed["batch"] if epoch == self._resumed["epoch"] else 0
        return DataLoader(self.train, sampler=batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[Any]:
        # Four times the batch: evaluation keeps no activations.
        batches = Batches(len(self.val), 4 * self.batch_size, None, **self._share())
        return DataLoader(self.val, sampler=batches, batch_size=None)

    def _share(self) -> dict[str, int]:
        trainer = self.trainer
        return {"processes": trainer.world_size, "process": trainer.global_rank} if trainer else {}
