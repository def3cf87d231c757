"""What one training step does, and how the weights move."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]  # it has no __all__
from torch import Tensor, nn

from waymark.errors import WaymarkError
from waymark.learning.augmentation import Augmentation
from waymark.learning.data import Batch
from waymark.learning.outliers import NO_CLASS

MOMENTUM = 0.9  # SGD's, in Nesterov's form, the value of residual nets since He et al. 2016, and Muon's
WARM_UP = 0.2  # share of the steps in which the learning rate rises
NO_DECAY = 1  # biases and normalisation have one dimension; decaying them only costs accuracy (arXiv:1812.01187, 3.1)

OnEpoch = Callable[[Mapping[str, float]], None]


def ignore(_: Mapping[str, float]) -> None:
    """Nobody is told of an epoch."""


def as_float(images: Tensor) -> Tensor:
    """(N, S, S, 3) uint8 to (N, 3, S, S) float32 in [0, 1]; the memory stays channels-last, as convolutions prefer."""
    return images.permute(0, 3, 1, 2).float() / 255


def class_weights(counts: Sequence[int], balance: float) -> Tensor:
    """What an image of each class counts, (classes,): its class's size to the power of -`balance`, 1 on average."""
    sizes = torch.tensor(counts, dtype=torch.float32)
    weights = torch.where(sizes > 0, sizes.clamp(min=1) ** -balance, 0)
    return weights * sizes.sum() / (weights * sizes).sum()


class Classifier(pl.LightningModule):
    """A network, its loss and its optimiser. Batches come as uint8 and are normalised here, on the device."""

    def __init__(
        self,
        network: nn.Module,
        augment: Augmentation,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        optimizer: str,
        lr: float,
        weight_decay: float,
        label_smoothing: float,
        class_weights: Tensor | None = None,
        on_epoch: OnEpoch = ignore,
    ) -> None:
        super().__init__()
        self.on_epoch = on_epoch
        self.network, self.augment, self.optimizer = network, augment, optimizer
        self.lr, self.weight_decay, self.label_smoothing = lr, weight_decay, label_smoothing
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weights, persistent=False)
        self._rows: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}

    @property
    def history(self) -> list[dict[str, float]]:
        """One row an epoch: epoch, loss and accuracy on train (augmented) and val."""
        return [{key: value for key, value in row.items() if key != "lr"} for row in self._rows]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        sums = {split: self._of_all_processes(seen) for split, seen in self._sums.items()}
        checkpoint["rows"], checkpoint["sums"] = self._rows, sums

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._rows = list(checkpoint["rows"])
        self._sums = dict(checkpoint["sums"]) if self.trainer.is_global_zero else {}

    def _of_all_processes(self, seen: Tensor) -> Tensor:
        total: Tensor = self.trainer.strategy.reduce(seen.clone(), reduce_op="sum")
        return total

    def augmented(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The network's input for training, as `normalised` makes it, and the labels, which a mirror may change."""
        images, labels, draws = batch
        changed, labels = self.augment(as_float(images), labels, draws)
        return self.normalised(changed), labels

    def normalised(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] to zero mean and unit spread a channel."""
        return (images - self.mean) / self.std

    def training_step(self, batch: Batch, _: int) -> Tensor:
        return self._step("train", *self.augmented(batch))

    def validation_step(self, batch: Batch, _: int) -> None:
        images, labels, _draws = batch
        self._step("val", self.normalised(as_float(images)), labels)

    def _step(self, split: str, images: Tensor, labels: Tensor) -> Tensor:
        logits = self.network(images.contiguous(memory_format=torch.channels_last))
        loss = self.loss(logits, labels) if split == "train" else F.cross_entropy(logits, labels)
        right = (logits.argmax(dim=1) == labels).sum()
        count = torch.full_like(right, len(labels))
        seen = torch.stack([loss.detach().double() * count, count, right, (labels != NO_CLASS).sum()])
        self._sums[split] = self._sums[split].to(seen.device) + seen if split in self._sums else seen
        return loss

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """What training lessens: the mean over images of the smoothed cross entropy times the class's weight.

        Of an image of no class it is the divergence from being quite unsure.
        """
        known = labels != NO_CLASS
        labels = labels.where(known, 0)
        each = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing, reduction="none")
        if self.class_weights is not None:
            # torch's own `weight` divides by the batch's weights: a share of a batch would count otherwise than all.
            each = each * self.class_weights[labels]
        unsure = -F.log_softmax(logits, dim=1).mean(dim=1) - math.log(logits.shape[1])
        return torch.where(known, each, unsure).mean()

    def on_train_epoch_end(self) -> None:
        row: dict[str, float] = {"epoch": self.current_epoch + 1}
        for split in ("train", "val"):
            loss, images, right, known = self._of_all_processes(self._sums.pop(split)).tolist()
            row |= {f"{split}_loss": loss / images, f"{split}_accuracy": right / max(known, 1)}
        if not math.isfinite(row["train_loss"] + row["val_loss"]):
            raise WaymarkError(
                f"lr: training came apart in epoch {row['epoch']}, its loss is no longer finite; {self.lr:g} is too "
                "high a learning rate for this network, try a tenth of it"
            )
        self._rows.append(row | {"lr": self.trainer.optimizers[0].param_groups[0]["lr"]})
        self.on_epoch(self._rows[-1])
        self.log_dict({key: value for key, value in row.items() if key != "epoch"}, prog_bar=True)

    def on_sanity_check_end(self) -> None:
        self._sums.clear()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        groups = [
            {"params": [p for p in self.network.parameters() if p.ndim > NO_DECAY], "weight_decay": self.weight_decay},
            {"params": [p for p in self.network.parameters() if p.ndim <= NO_DECAY], "weight_decay": 0.0},
        ]
        optimizer = create_optimizer_v2(groups, self.optimizer, lr=self.lr, momentum=MOMENTUM)
        steps = int(self.trainer.estimated_stepping_batches)
        # torch divides by the steps of the rise less one: five steps in all would be divided by zero.
        rise = WARM_UP if steps * WARM_UP != 1 else 2 * WARM_UP
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, steps, pct_start=rise, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
