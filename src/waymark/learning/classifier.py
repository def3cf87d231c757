"""What one training step does, and how the weights move."""

import math
from collections.abc import Callable, Mapping, Sequence

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from waymark.errors import WaymarkError
from waymark.learning.augmentation import Augmentation
from waymark.learning.data import Batch

MOMENTUM = 0.9  # Nesterov's, the value that residual nets are trained with since He et al. 2016
WARM_UP = 0.2  # share of the steps in which the learning rate rises
NO_DECAY = 1  # biases and normalisation have one dimension; decaying them only costs accuracy (arXiv:1812.01187, 3.1)

OnEpoch = Callable[[Mapping[str, float]], None]


def ignore(_: Mapping[str, float]) -> None:
    """Nobody is told of an epoch."""


class Classifier(pl.LightningModule):
    """A network, its loss and its optimiser. Batches come as uint8 and are normalised here, on the device."""

    def __init__(
        self,
        network: nn.Module,
        augment: Augmentation,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        lr: float,
        weight_decay: float,
        label_smoothing: float,
        on_epoch: OnEpoch = ignore,
    ) -> None:
        super().__init__()
        self.on_epoch = on_epoch
        self.network, self.augment = network, augment
        self.lr, self.weight_decay, self.label_smoothing = lr, weight_decay, label_smoothing
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)
        self.history: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}

    def normalise(self, images: Tensor) -> Tensor:
        """(N, S, S, 3) uint8 to (N, 3, S, S) float32 in channels-last memory, which convolutions prefer."""
        return (images.permute(0, 3, 1, 2).float() - self.mean) / self.std

    def training_step(self, batch: Batch, _: int) -> Tensor:
        images, labels, draws = batch
        return self._step("train", self.augment(self.normalise(images), draws), labels)

    def validation_step(self, batch: Batch, _: int) -> None:
        images, labels, _draws = batch
        self._step("val", self.normalise(images), labels)

    def _step(self, split: str, images: Tensor, labels: Tensor) -> Tensor:
        logits = self.network(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing if split == "train" else 0.0)
        right = (logits.argmax(dim=1) == labels).sum()
        count = torch.full_like(right, len(labels))
        seen = torch.stack([loss.detach().double() * count, right, count])
        self._sums[split] = self._sums[split] + seen if split in self._sums else seen
        return loss

    def on_train_epoch_end(self) -> None:
        row: dict[str, float] = {"epoch": self.current_epoch + 1}
        for split in ("train", "val"):
            loss, right, count = self._sums.pop(split).tolist()
            row |= {f"{split}_loss": loss / count, f"{split}_accuracy": right / count}
        if not math.isfinite(row["train_loss"] + row["val_loss"]):
            raise WaymarkError(
                f"lr: training came apart in epoch {row['epoch']}, its loss is no longer finite; {self.lr:g} is too "
                "high a learning rate for this network, try a tenth of it"
            )
        self.history.append(row)
        self.on_epoch(row | {"lr": self.trainer.optimizers[0].param_groups[0]["lr"]})
        self.log_dict({key: value for key, value in row.items() if key != "epoch"}, prog_bar=True)

    def on_sanity_check_end(self) -> None:
        self._sums.clear()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        groups = [
            {"params": [p for p in self.network.parameters() if p.ndim > NO_DECAY], "weight_decay": self.weight_decay},
            {"params": [p for p in self.network.parameters() if p.ndim <= NO_DECAY], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.SGD(groups, lr=self.lr, momentum=MOMENTUM, nesterov=True)
        steps = int(self.trainer.estimated_stepping_batches)
        # torch divides by the steps of the rise less one: five steps in all would be divided by zero.
        rise = WARM_UP if steps * WARM_UP != 1 else 2 * WARM_UP
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, steps, pct_start=rise, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
