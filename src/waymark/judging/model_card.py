"""The model card: what the model is, how good it is, where it errs."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from waymark.contract import Contract
from waymark.judging import metrics

CONFUSIONS = 10


def model_card(
    contract: Contract, parts: Mapping[str, Mapping[str, float]], rows: pd.DataFrame, beyond: Mapping[str, float]
) -> str:
    """Markdown from the contract, the metrics of each part of the test and the predictions of its first part.

    `rows` has the columns label and predicted; `beyond` are the figures of corrupted and foreign images. No date, no
    path.
    """
    lines = [
        f"# Model card: {len(contract.class_names)} classes of `{contract.dataset}`",
        "",
        f"Input: one RGB image, cut to {contract.image_size} × {contract.image_size} px with a margin of"
        f" {contract.crop_margin:g} box sizes; colour: {contract.colour}, equalised: {contract.equalise}. Output: one"
        f" probability a class, at temperature {contract.temperature:g}.",
        "",
        f"ONNX SHA-256 `{contract.onnx_sha256}`  ",
        f"Weights SHA-256 `{contract.weights_sha256}`  ",
        f"Split SHA-256 `{contract.split_sha256}`",
        "",
        *(line for name, result in parts.items() for line in _figures(name, result)),
        "## On corrupted images, and on pictures of no class",
        "",
        *_table(beyond),
        "",
        "## What it confuses most",
        "",
        *_confusions(contract, rows),
        "",
        "## Limits",
        "",
        f"It is “not sure” where no class reaches a probability of {contract.threshold:g}. Coverage is the share of"
        " images that it answers, answered error the share of errors among those. A picture of none of its classes can"
        " still reach that probability, and is then answered as one of them. The figures hold for images like those of"
        " the test split; other cameras and countries were not measured, and weather only as drawn over those images.",
        "",
    ]
    return "\n".join(lines)


def _figures(part: str, result: Mapping[str, float]) -> list[str]:
    return [
        f"## On the {result['images']:,} test images" + (f", {part.replace('_', ' ')}" if part else ""),
        "",
        *_table(result),
        "",
    ]


def _table(figures: Mapping[str, float]) -> list[str]:
    lines = (f"| {key.replace('_', ' ')} | {value:g} |" for key, value in figures.items())
    return ["| metric | value |", "|---|---|", *lines]


def _confusions(contract: Contract, rows: pd.DataFrame) -> list[str]:
    classes = len(contract.class_names)
    counts = metrics.confusion(rows["label"].to_numpy(), rows["predicted"].to_numpy(), classes)
    wrong = counts - np.diag(np.diag(counts))
    worst = [i for i in np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS] if wrong.flat[i]]
    if not worst:
        return ["Nothing: every test image is right."]
    names = [_plain(name) for name in contract.class_names]
    cells = ((i // classes, i % classes) for i in worst)
    table = [f"| {names[a]} | {names[b]} | {wrong[a, b]} of {counts[a].sum()} |" for a, b in cells]
    return ["| is | taken for | images |", "|---|---|---|", *table]


def _plain(name: str) -> str:
    """A class name of any folder, on one line, with what Markdown would take for its own escaped."""
    return re.sub(r"[\\`*_\[\]<&|]", r"\\\g<0>", " ".join(name.split()))
