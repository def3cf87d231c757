"""evaluate: judge the exported ONNX file on test, the only stage that reads it."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import binom

from waymark import contract, params, paths
from waymark.errors import WaymarkError, exit_with_sentence
from waymark.files import reading, replacing
from waymark.judging import corruptions, foreign, metrics, robustness
from waymark.judging.model_card import model_card
from waymark.params import Params
from waymark.predictor import Predictor

log = logging.getLogger(__name__)

CURVE_POINTS = 200  # of the risk at each coverage, enough for a smooth line
CHANCE = 0.01  # how probable it may be, for each of two classes, that most of its images were taken for the other


def run(params: Params) -> None:
    completed = contract.read(paths.CONTRACT)
    with reading(paths.rows("test")):
        rows = pd.read_parquet(paths.rows("test"))
    with reading(paths.images("test")):
        images = np.load(paths.images("test"), mmap_mode="r")
    labels = rows["label"].to_numpy(np.int64)
    predictor = Predictor(paths.ONNX, completed, params.threads)
    probabilities = completed.probabilities(predictor.logits(images))

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
    confidence = probabilities.max(axis=1)
    rows["confidence"] = confidence.round(6)
    rows["probability_of_label"] = probabilities[np.arange(len(labels)), labels].round(6)
    rows["brier_score"] = metrics.brier_scores(probabilities, labels).round(6)

    curve = metrics.risk_coverage(confidence[own], (rows["predicted"] == rows["label"]).to_numpy()[own])
    corrupted = corrupted_accuracies(predictor, images, rows[own], params.corruption_images)
    strangers = foreign_table(predictor, confidence[own])
    beyond = {
        "area_under_risk_coverage_curve": round(float(curve[:, 1].mean()), 6),
        **robustness.figures(corrupted),
        "ood_auroc": round(float(strangers["auroc"].mean()), 6),
    }
    document: dict[str, Any] = parts[part_of[0]] | beyond
    if len(parts) > 1:
        document |= parts
    document["split_sha256"] = completed.split_sha256
    with replacing() as part:
        write_plots(rows[own], names, part)
        write_robustness(curve, corrupted, strangers, part)
        rows.to_parquet(part(paths.PREDICTIONS), index=False)
        part(paths.METRICS).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        part(paths.MODEL_CARD).write_text(model_card(completed, parts, rows[own], beyond), encoding="utf-8")
    for name, of_part in parts.items():
        log.info("test accuracy %.4f on %d images%s", of_part["accuracy"], of_part["images"], f", {name}" * bool(name))
    worst = robustness.by_corruption(corrupted).index[0]
    log.info("corrupted %.4f, by %s %.4f", beyond["corruption_accuracy"], worst, beyond["worst_corruption_accuracy"])
    log.info("test images are surer than pictures of no class with an AUROC of %.4f", beyond["ood_auroc"])
    refuse_swapped_labels(metrics.confusion(labels[own], rows["predicted"].to_numpy()[own], len(names)), names)


def corrupted_accuracies(
    predictor: Predictor, images: NDArray[np.uint8], rows: pd.DataFrame, count: int
) -> pd.DataFrame:
    """The accuracy under each corruption and severity on `count` of `rows`, whose index is the place in `images`."""
    chosen = rows.iloc[robustness.spread(rows["label"].to_numpy(), rows["group"].to_numpy(), count)]
    places, labels = chosen.index.to_numpy(np.int64), chosen["label"].to_numpy(np.int64)
    return robustness.accuracies(predictor.logits, images[places], places, labels, corruptions.TEST)


def foreign_table(predictor: Predictor, confidence: NDArray[np.float64]) -> pd.DataFrame:
    """For each kind of foreign pictures its AUROC against `confidence`, and the share of them that is answered."""
    known, found = predictor.contract, []
    for kind in foreign.KINDS:
        pictures = [known.image(Image.fromarray(each)) for each in foreign.draw(kind, known.image_size)]
        scores = known.probabilities(predictor.logits(np.stack(pictures))).max(axis=1)
        found.append((kind, foreign.auroc(confidence, scores), float((scores >= known.threshold).mean())))
    return pd.DataFrame(found, columns=["kind", "auroc", "answered"])


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


def write_robustness(
    curve: NDArray[np.float64], corrupted: pd.DataFrame, strangers: pd.DataFrame, part: Callable[[Path], Path]
) -> None:
    """The tables of the risk at each coverage, of corrupted images and of foreign ones; `part` names where to write."""
    shown = np.unique(np.ceil(np.linspace(0, 1, CURVE_POINTS + 1)[1:] * len(curve)).astype(int)) - 1
    tables = {
        "risk_coverage": pd.DataFrame(curve[shown], columns=["coverage", "answered_error", "threshold"]),
        "corruptions": corrupted,
        "corruption_means": robustness.by_corruption(corrupted).reset_index(),
        "out_of_distribution": strangers,
    }
    for name, table in tables.items():
        table.round(6).to_csv(part(paths.PLOTS / f"{name}.csv"), index=False, lineterminator="\n")


if __name__ == "__main__":
    exit_with_sentence(lambda: run(params.load()))()
