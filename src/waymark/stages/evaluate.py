"""evaluate: judge the exported ONNX file on test, the only stage that reads it."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from waymark import contract, params, paths
from waymark.errors import WaymarkError, exit_with_sentence
from waymark.files import reading, replacing
from waymark.judging import metrics
from waymark.judging.model_card import model_card
from waymark.params import Params
from waymark.predictor import Predictor

log = logging.getLogger(__name__)

CHANCE = 0.01  # how probable it may be, for each of two classes, that most of its images were taken for the other


def run(params: Params) -> None:
    completed = contract.read(paths.CONTRACT)
    with reading(paths.rows("test")):
        rows = pd.read_parquet(paths.rows("test"))
    with reading(paths.images("test")):
        images = np.load(paths.images("test"), mmap_mode="r")
    labels = rows["label"].to_numpy(np.int64)
    probabilities = completed.probabilities(Predictor(paths.ONNX, completed, params.threads).logits(images))

    # The first part is the data set's own test; the others, such as another signer's hands, stand beside it.
    part_of = rows["part"].to_numpy()
    own = part_of == part_of[0]
    parts = {
        str(name): metrics.compute(
            probabilities[part_of == name], labels[part_of == name], completed.threshold
        ).rounded()
        for name in pd.unique(part_of)
    }
    names = np.array(completed.class_names)
    rows["predicted"] = probabilities.argmax(axis=1)
    rows["confidence"] = probabilities.max(axis=1).round(6)
    rows["probability_of_label"] = probabilities[np.arange(len(labels)), labels].round(6)
    rows["brier_score"] = metrics.brier_scores(probabilities, labels).round(6)

    document: dict[str, Any] = dict(parts[part_of[0]])
    if len(parts) > 1:
        document |= parts
    document["split_sha256"] = completed.split_sha256
    with replacing() as part:
        write_plots(rows[own], names, part)
        rows.to_parquet(part(paths.PREDICTIONS), index=False)
        part(paths.METRICS).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        part(paths.MODEL_CARD).write_text(model_card(completed, parts, rows[own]), encoding="utf-8")
    for name, of_part in parts.items():
        log.info("test accuracy %.4f on %d images%s", of_part["accuracy"], of_part["images"], f", {name}" * bool(name))
    refuse_swapped_labels(metrics.confusion(labels[own], rows["predicted"].to_numpy()[own], len(names)), names)


def refuse_swapped_labels(confusion: NDArray[np.int64], names: NDArray[np.str_]) -> None:
    """Raise WaymarkError where two classes are each mostly taken for the other, beyond chance.

    A network that cannot tell two classes apart guesses, or errs towards one of them; to err most of the time in both
    directions takes labels that are swapped. Chance is a one-sided sign test for each class.
    """
    counts = confusion.sum(axis=1, keepdims=True)
    taken = (binom.sf(confusion - 1, counts, 0.5) < CHANCE) & (counts > 0)
    both = np.triu(taken & taken.T, k=1)
    swapped = [
        f"{names[a]} is taken for {names[b]} in {confusion[a, b]} of {confusion[a].sum()} images and {names[b]} for "
        f"{names[a]} in {confusion[b, a]} of {confusion[b].sum()}"
        for a, b in np.argwhere(both)
    ]
    if swapped:
        raise WaymarkError(
            f"{'; '.join(swapped)}: their labels are probably swapped in the training or in the test images; compare "
            f"both in {paths.DATA_PAGE}"
        )


def write_plots(rows: pd.DataFrame, names: NDArray[np.str_], part: Callable[[Path], Path]) -> None:
    """The tables behind `dvc plots`: confusion, reliability and recall of each class; `part` names where to write."""
    predicted, labels = rows["predicted"].to_numpy(), rows["label"].to_numpy()
    confusion = pd.DataFrame({"actual": names[labels], "predicted": names[predicted]})
    confusion.to_csv(part(paths.PLOTS / "confusion.csv"), index=False, lineterminator="\n")

    bins = metrics.reliability(rows["confidence"].to_numpy(), predicted == labels).round(6)
    reliability = pd.DataFrame(bins, columns=["confidence", "accuracy", "images"]).astype({"images": int})
    reliability.to_csv(part(paths.PLOTS / "reliability.csv"), index=False, lineterminator="\n")

    recall = metrics.recalls(metrics.confusion(labels, predicted, len(names))).round(6)
    per_class = pd.DataFrame({"class_name": names, "recall": recall}).dropna()
    per_class.to_csv(part(paths.PLOTS / "class_recall.csv"), index=False, lineterminator="\n")


if __name__ == "__main__":
    exit_with_sentence(lambda: run(params.load()))()
