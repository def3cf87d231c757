"""A training that is ended goes on later where it was: to the same last bit as if nothing had happened."""

import logging
import signal
import time
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning_fabric.utilities.types import _PATH
from pytorch_lightning import callbacks
from pytorch_lightning.utilities.exceptions import SIGTERMException

from waymark.errors import Asked, Stopped, deferring
from waymark.learning.checkpoints import Checkpoint, State

EVERY = 60.0  # seconds between checkpoints within an epoch: what a kill costs at most, and the judgement on val
GRACE = 2.0  # seconds that this judgement may still take when a signal has come, so that the epoch is kept

log = logging.getLogger(__name__)


class Keeper(callbacks.Checkpoint):
    """Keeps a checkpoint after each epoch, within long ones, and when a signal asks the training to end; then ends it.

    Lightning calls what is a Checkpoint after all other callbacks, the averaging of weights among them.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.asked = checkpoint, Asked()
        self.files = Keeping(checkpoint)
        self.resuming = checkpoint.state is not None
        self.kept = str((checkpoint.state or {}).get("after", ""))
        self.began = False
        self._last = time.monotonic()

    def fit(self, trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule) -> None:
        """As trainer.fit, going on from the checkpoint where there is one. Raises Stopped where a signal asks it to."""
        with deferring() as self.asked:
            self._ask = signal.getsignal(signal.SIGTERM)
            try:
                trainer.fit(module, data, ckpt_path=self.checkpoint.path if self.resuming else None)
            except SIGTERMException:  # Lightning's own way to end, with exit code 0, where it hears of the signal first
                if not self.asked.signal:
                    raise
            if self.asked.signal:
                raise self.stopped()

    def stopped(self) -> Stopped:
        goes_on = f"goes on after {self.kept}" if self.kept else "begins anew"
        # A process that was not asked itself learns only that another was.
        return Stopped(self.asked.signal or signal.SIGTERM, f"; the next run {goes_on}")

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.began = True
        if trainer.world_size > 1:
            # Lightning's own handler speaks to the other processes in the midst of what they exchange at that moment,
            # and all would wait for each other; ours is asked between the steps.
            signal.signal(signal.SIGTERM, self._ask)
        if self.resuming:
            log.info("training goes on after %s", self.kept)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        batch = trainer.fit_loop.epoch_loop.batch_progress
        due = bool(self.asked.signal) or time.monotonic() - self._last >= EVERY
        # After an epoch's last batch Lightning would go on without the judgement on val.
        if _any_process(trainer, due) and not batch.is_last_batch:
            epoch = f"in epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
            self._keep(trainer, f"batch {batch.current.ready} of {trainer.num_training_batches} {epoch}")
            self._end_if_asked(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._end_if_asked(trainer, GRACE)

    def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        epochs, epoch = trainer.max_epochs or 0, trainer.current_epoch + 1
        if epoch < epochs:  # after the last one the model itself is written
            self._keep(trainer, f"epoch {epoch} of {epochs}")
        self._end_if_asked(trainer)

    def _keep(self, trainer: pl.Trainer, after: str) -> None:
        self.files.after = after
        trainer.save_checkpoint(self.checkpoint.path)
        self._last = time.monotonic()
        if self.files.written:
            self.kept = after

    def _end_if_asked(self, trainer: pl.Trainer, grace: float = 0.0) -> None:
        asked = self.asked.signal and time.monotonic() - self.asked.at >= grace
        if _any_process(trainer, bool(asked)):
            raise self.stopped()


def _any_process(trainer: pl.Trainer, decision: bool) -> bool:
    """Whether one of them decides so: they keep step, since each waits for the others."""
    return trainer.strategy.reduce_boolean_decision(decision, all=False)


class Keeping(CheckpointIO):
    """How Lightning writes and reads: the one checkpoint, which was read before the training began."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.after, self.written = checkpoint, "", True

    def save_checkpoint(self, checkpoint: State, path: _PATH, storage_options: Any = None) -> None:
        self.written = self.checkpoint.write(checkpoint | {"after": self.after})

    def load_checkpoint(self, path: _PATH, map_location: Any = None, weights_only: bool | None = None) -> State:
        assert self.checkpoint.state is not None
        return self.checkpoint.state

    def remove_checkpoint(self, path: _PATH) -> None:
        self.checkpoint.remove()
