"""Out-of-fold probabilities: each image is judged by a network that learned from the other folds' groups only."""

import logging
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold
from torch import nn

from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.learning import onnx_export, training
from waymark.learning.data import Batches, Images
from waymark.params import Params

BATCH = 256  # images at a time when the network only answers

log = logging.getLogger(__name__)


class Selection(Images):
    """Rows of several splits as one, counted through; gathered a batch at a time, so that no image is copied before.

    It stands wherever Images does, but has no array `images` of its own.
    """

    def __init__(self, splits: Sequence[Images], rows: NDArray[np.int64] | None = None) -> None:
        self.splits = splits
        labels = np.concatenate([split.labels for split in splits])
        draws = np.concatenate([split.draws for split in splits])
        self.rows = np.arange(len(labels)) if rows is None else rows
        self.labels, self.draws = labels[self.rows], draws[self.rows]

    def where(self, mask: NDArray[np.bool_]) -> "Selection":
        return Selection(self.splits, self.rows[mask])

    def pictures(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        rows = self.rows[indices]
        gathered = np.empty((len(rows), *self.splits[0].images.shape[1:]), np.uint8)
        start = 0
        for split in self.splits:
            here = (rows >= start) & (rows < start + len(split))
            gathered[here] = split.images[rows[here] - start]
            start += len(split)
        return gathered


def assign(labels: NDArray[np.int64], groups: NDArray[np.object_], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold, counted from 1, that holds each image out: whole groups, each class spread over the folds.

    Raises WaymarkError for fewer than two folds, or where no class has a group for each.
    """
    if folds < 2:
        raise WaymarkError(
            f"--folds: {folds} is too few; a network judges only images that it has not learned from, so give 2 or more"
        )
    most = int(pd.Series(groups).groupby(labels).nunique().max())
    if most < folds:
        remedy = f"give --folds {most}" if most > 1 else "two groups of a class are the least, so add images"
        raise WaymarkError(
            f"--folds: no class has {folds} groups to spread over {folds} folds, the most is {most}; {remedy}"
        )
    held_out = np.zeros(len(labels), np.int64)
    with warnings.catch_warnings():
        # It warns of classes with fewer images than folds; what follows for them is said on the page.
        warnings.filterwarnings("ignore", message="The least populated class")
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        for fold, (_, rows) in enumerate(splitter.split(labels, labels, groups), start=1):
            held_out[rows] = fold
    return held_out


def out_of_fold(
    params: Params, contract: Contract, data: Selection, held_out: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Train once a fold on all other folds; (N, classes) probabilities of the images while they were held out."""
    params = params.model_copy(update={"devices": 1, "num_nodes": 1})  # Lightning would start this command once a fold
    probabilities = np.zeros((len(data), len(contract.class_names)))
    for fold in np.unique(held_out):
        here = held_out == fold
        held = data.where(here)
        # The images held out also serve as val: it is only watched, nothing is chosen by it.
        model, _ = training.fit_on(params, contract, data.where(~here), held)
        probabilities[here] = predict(model, contract, held)
        agree = (probabilities[here].argmax(axis=1) == held.labels).sum()
        log.info("fold %d of %d: %d of %d images bear the label they look like", fold, held_out.max(), agree, len(held))
    return probabilities


def predict(model: nn.Module, contract: Contract, data: Selection) -> NDArray[np.float64]:
    batches = Batches(len(data), BATCH, None)
    answers = [onnx_export.logits(model, data.pictures(indices), contract) for indices in batches]
    return contract.probabilities(np.concatenate(answers))
