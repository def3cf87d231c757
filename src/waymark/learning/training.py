"""Fit a network: data, model, callbacks, trainer, fit."""

import logging
import os
import sys
import warnings

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from waymark import paths
from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.learning import initial, machine, recipes, synchronised
from waymark.learning.augmentation import Augmentation
from waymark.learning.checkpoints import Checkpoint
from waymark.learning.classifier import Classifier, OnEpoch, class_weights, ignore
from waymark.learning.data import Images, PreparedData
from waymark.learning.interruption import Keeper
from waymark.params import Params

History = list[dict[str, float]]  # one row an epoch: epoch, loss and accuracy on train (augmented) and val


def fit(
    params: Params, contract: Contract, on_epoch: OnEpoch = ignore, checkpoint: Checkpoint | None = None
) -> tuple[nn.Module, History]:
    """Learn from the prepared train images, watching val; see `fit_on`."""
    train, val = (Images(paths.images(split), paths.rows(split)) for split in ("train", "val"))
    return fit_on(params, contract, train, val, on_epoch, checkpoint)


def fit_on(
    params: Params,
    contract: Contract,
    train: Images,
    val: Images,
    on_epoch: OnEpoch = ignore,
    checkpoint: Checkpoint | None = None,
) -> tuple[nn.Module, History]:
    """Learn from `train`, watching `val`; the network comes back with its averaged weights.

    `on_epoch` is told each epoch's row of the history as it ends, with the learning rate that it ended with. With a
    `checkpoint` the training goes on from it, keeps it as it goes, and raises Stopped where a signal asks it to end.

    Repeatable to the last bit for the same parameters, data and machine type, however often it was interrupted.
    """
    _quieten_lightning()
    keeper = Keeper(checkpoint) if checkpoint else None
    try:
        return _learn(params, contract, train, val, on_epoch, keeper)
    except WaymarkError:
        raise
    except Exception:
        if checkpoint is None or keeper is None or keeper.began or not keeper.resuming:
            raise
        checkpoint.ignore("holds a state that does not fit this training")
    return _learn(params, contract, train, val, on_epoch, Keeper(checkpoint))


def _learn(
    params: Params, contract: Contract, train: Images, val: Images, on_epoch: OnEpoch, keeper: Keeper | None
) -> tuple[nn.Module, History]:
    machine.make_repeatable(params.seed, params.threads)
    recipe = recipes.recipe(params)
    classes = len(contract.class_names)
    data = PreparedData(train, val, params.batch_size, params.seed)
    augment = Augmentation(
        rotation=params.augment_rotation,
        zoom_out=params.augment_zoom_out,
        scale=params.augment_scale,
        aspect=params.augment_aspect,
        shift=params.augment_shift,
        shear=params.augment_shear,
        light=params.augment_light,
        colour=params.augment_colour,
        blur=params.augment_blur,
        noise=params.augment_noise,
        outliers=params.outliers,
        mirrored=recipe.mirrors(classes),
    )
    # Convolutions prefer weights that lie like their images. torch's types do not know this form of `to`.
    model: nn.Module = initial.build(params, classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if params.devices * params.num_nodes > 1:
        synchronised.synchronise(model, cuda=torch.cuda.is_available())
        os.environ.setdefault("OMP_NUM_THREADS", str(params.threads))  # else Lightning gives torch a number of its own
    classifier = Classifier(
        model,
        augment,
        contract.mean,
        contract.std,
        optimizer=params.optimizer,
        lr=params.lr,
        weight_decay=params.weight_decay,
        label_smoothing=params.label_smoothing,
        class_weights=class_weights(np.bincount(train.labels, minlength=classes).tolist(), params.class_balance),
        on_epoch=on_epoch,
    )
    trainer = pl.Trainer(
        max_epochs=recipe.epochs,
        devices=params.devices,
        strategy=params.strategy,
        num_nodes=params.num_nodes,
        use_distributed_sampler=False,  # our batches are shared already
        precision=machine.precision(params.precision),
        deterministic=True,
        callbacks=[
            machine.SeededSteps(params.seed),
            WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(params.ema_decay)),
            *([keeper] if keeper else []),
        ],
        plugins=[keeper.files] if keeper else [],
        reload_dataloaders_every_n_epochs=1,  # the order and the augmentation of each epoch are drawn anew
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=keeper is not None,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
    )
    if keeper:
        keeper.fit(trainer, classifier, data)
    else:
        trainer.fit(classifier, data)
    return model, classifier.history


def _quieten_lightning() -> None:
    # It advises worker processes, which would only copy what one gather already has in memory, lists the devices that
    # it does not use, and trips over a deprecation in torch that is not ours to mend.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # It warns of data that begin anew within an epoch, which ours do not, and of a frozen backbone.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
