"""Fit a network: data, model, callbacks, trainer, fit."""

import logging
import sys
import warnings

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from waymark import paths
from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.learning import initial, machine, recipes
from waymark.learning.augmentation import Augmentation
from waymark.learning.classifier import Classifier, OnEpoch, ignore
from waymark.learning.data import Images, PreparedData
from waymark.params import Params

History = list[dict[str, float]]  # one row an epoch: epoch, loss and accuracy on train (augmented) and val


def fit(params: Params, contract: Contract, on_epoch: OnEpoch = ignore) -> tuple[nn.Module, History]:
    """Learn from the prepared train images, watching val; see `fit_on`."""
    train, val = (Images(paths.images(split), paths.rows(split)) for split in ("train", "val"))
    return fit_on(params, contract, train, val, on_epoch)


def fit_on(
    params: Params, contract: Contract, train: Images, val: Images, on_epoch: OnEpoch = ignore
) -> tuple[nn.Module, History]:
    """Learn from `train`, watching `val`; the network comes back with its averaged weights.

    `on_epoch` is told each epoch's row of the history as it ends, with the learning rate that it ended with.

    Repeatable to the last bit for the same parameters, data and machine type.
    """
    _quieten_lightning()
    machine.make_repeatable(params.seed, params.threads)
    recipe = recipes.recipe(params)
    data = PreparedData(train, val, params.batch_size, params.seed)
    augment = Augmentation(
        rotation=params.augment_rotation,
        scale=params.augment_scale,
        shift=params.augment_shift,
        shear=params.augment_shear,
        light=params.augment_light,
        flip=recipe.flip,
    )
    model = initial.build(params, len(contract.class_names))
    classifier = Classifier(
        model,
        augment,
        contract.mean,
        contract.std,
        lr=params.lr,
        weight_decay=params.weight_decay,
        label_smoothing=params.label_smoothing,
        on_epoch=on_epoch,
    )
    trainer = pl.Trainer(
        max_epochs=recipe.epochs,
        precision=machine.precision(params.precision),
        deterministic=True,
        callbacks=[WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(params.ema_decay))],
        reload_dataloaders_every_n_epochs=1,  # the order and the augmentation of each epoch are drawn anew
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
    )
    trainer.fit(classifier, data)
    return model, classifier.history


def _quieten_lightning() -> None:
    # It advises worker processes, which would only copy what one gather already has in memory, lists the devices that
    # it does not use, and trips over a deprecation in torch that is not ours to mend.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns of a frozen backbone,
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
    # It warns of data that begins anew where a training goes on within an epoch; ours does not.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
