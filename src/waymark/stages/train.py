"""train: learn from train, watch val, keep the averaged weights."""

import csv
import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from waymark import contract, params, paths
from waymark.errors import exit_with_sentence
from waymark.files import replacing
from waymark.learning import checkpoints, processes, recipes, training, weights
from waymark.params import Params
from waymark.tracking import live

log = logging.getLogger(__name__)


def run(params: Params) -> None:
    prepared = contract.read(paths.PREPARED_CONTRACT)
    classes = len(prepared.class_names)
    epochs = recipes.recipe(params).epochs
    if not processes.first():
        with processes.following():
            training.fit(params, prepared, checkpoint=_checkpoint(params))
        return

    with checkpoints.alone(paths.CHECKPOINT.parent), live.training(params.dataset) as curves:
        checkpoint = _checkpoint(params)
        for epoch in checkpoint.epochs():
            curves.add(epoch)

        def told(epoch: Mapping[str, float]) -> None:
            curves.add(epoch)
            if not sys.stderr.isatty():  # else a bar shows it
                say(epoch, epochs)

        model, history = training.fit(params, prepared, told, checkpoint)
        with replacing() as part:
            weights.write(model, part(paths.WEIGHTS), name=params.network, num_classes=classes, width=params.width)
            write_history(history, part(paths.HISTORY))
        checkpoint.remove()
        curves.learned(weights.sha256(paths.WEIGHTS))
    if sys.stderr.isatty():
        say(history[-1], epochs)


def _checkpoint(params: Params) -> checkpoints.Checkpoint:
    return checkpoints.Checkpoint(paths.CHECKPOINT, checkpoints.fingerprint(params))


def say(epoch: Mapping[str, float], epochs: int) -> None:
    seen = epoch["epoch"], epochs, epoch["val_accuracy"], epoch["val_loss"]
    log.info("epoch %d of %d: val accuracy %.4f, val loss %.4f", *seen)


def write_history(history: training.History, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: round(value, 6) for key, value in row.items()} for row in history)


if __name__ == "__main__":
    exit_with_sentence(lambda: run(params.load()))()
