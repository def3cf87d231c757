"""evaluate: judge the exported ONNX file on test, the only stage that reads it."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from waymark import contract, params, paths
from waymark.errors import exit_with_sentence
from waymark.files import reading, replacing
from waymark.judging import metrics
from waymark.judging.model_card import model_card
from waymark.params import Params
from waymark.predictor import Predictor

log = logging.getLogger(__name__)


def run(params: Params) -> None:
    completed = contract.read(paths.CONTRACT)
    with reading(paths.rows("test")):
        rows = pd.read_parquet(paths.rows("test"))
    with reading(paths.images("test")):
        images = np.load(paths.images("test"), mmap_mode="r")
    labels = rows["label"].to_numpy(np.int64)
    probabilities = completed.probabilities(Predictor(paths.ONNX, completed, params.threads).logits(images))

    result = metrics.compute(probabilities, labels)
    names = np.array(completed.class_names)
    rows["predicted"] = probabilities.argmax(axis=1)
    rows["confidence"] = probabilities.max(axis=1).round(6)
    rows["probability_of_label"] = probabilities[np.arange(len(labels)), labels].round(6)

    with replacing() as part:
        write_plots(rows, names, part)
        rows.to_parquet(part(paths.PREDICTIONS), index=False)
        part(paths.METRICS).write_text(json.dumps(result.rounded(), indent=2) + "\n", encoding="utf-8")
        part(paths.MODEL_CARD).write_text(model_card(completed, result, rows), encoding="utf-8")
    log.info("test accuracy %.4f on %d images", result.accuracy, result.images)


def write_plots(rows: pd.DataFrame, names: np.ndarray, part: Callable[[Path], Path]) -> None:
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
