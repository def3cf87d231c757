"""validate: list every image in a manifest and hold it against the expectations; bad data stops here."""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from waymark import params, paths
from waymark.contract import decode
from waymark.datasets import manifest as manifests
from waymark.datasets.base import Dataset, Read
from waymark.datasets.registry import DATASETS
from waymark.errors import WaymarkError, exit_with_sentence
from waymark.files import replacing
from waymark.judging import data_docs, expectations, manifest_tables
from waymark.judging.contact_sheet import contact_sheet
from waymark.params import Params

log = logging.getLogger(__name__)

SUITES = Path("expectations")
SHEET_IMAGES = 8  # a class, each from another track


def run(params: Params) -> None:
    """Write manifest, summary, Data Docs and contact sheet.

    Where an expectation of severity error is broken they are written all the same, to show it, and then WaymarkError
    names each broken expectation and the first rows against it.
    """
    dataset = DATASETS[params.dataset]
    suite = expectations.load(SUITES / f"{dataset.name}.yaml")
    manifest = manifests.build(dataset, paths.raw(dataset.name), workers=os.cpu_count() or 1)
    manifests.write(manifest, paths.MANIFEST)
    verdict = expectations.check(manifest_tables.tables(manifest, dataset.class_names), suite)
    data_docs.write(verdict, dataset.name, paths.DATA_DOCS)
    with replacing() as part:
        document = json.dumps(summary(manifest, verdict, paths.MANIFEST), indent=2) + "\n"
        part(paths.VALIDATION).write_text(document, encoding="utf-8")
    write_contact_sheet(manifest, dataset, paths.CONTACT_SHEET)
    for outcome in verdict.warnings:
        log.warning("warning: %s", outcome.sentence())
    if verdict.broken:
        reasons = "; also ".join(outcome.sentence() for outcome in verdict.broken)
        raise WaymarkError(f"{dataset.name}: {reasons}; all of it is in {paths.DATA_DOCS}/index.html")
    log.info("%s: %d images hold %d expectations", dataset.name, len(manifest), len(verdict.outcomes))


def summary(manifest: pd.DataFrame, verdict: expectations.Verdict, written: Path) -> dict[str, Any]:
    """What was counted and what was found, without times or random identifiers; `written` is the manifest's file."""
    return {
        "success": not verdict.broken,
        "manifest_sha256": hashlib.sha256(written.read_bytes()).hexdigest(),
        "splits": {
            str(split): {
                "images": len(rows),
                "classes": int(rows["label"].nunique()),
                "groups": int(rows["group"].nunique()),
            }
            for split, rows in manifest.groupby("split")
        },
        "expectations": {
            outcome.expectation.name: {
                "success": outcome.success,
                "severity": outcome.expectation.severity,
                "unexpected": outcome.unexpected_count,
            }
            for outcome in verdict.outcomes
        },
    }


def write_contact_sheet(manifest: pd.DataFrame, dataset: Dataset, path: Path) -> None:
    """A row a class: training images of evenly spaced tracks, at their middle frame, cut at the sign's box."""
    sound = manifest[(manifest["split"] == "train") & (manifest["problem"] == "") & manifest["pixels_sha256"].notna()]
    rows = []
    with dataset.open(paths.raw(dataset.name)) as read:
        for label, name in enumerate(dataset.class_names):
            tracks = [track for _, track in sound[sound["label"] == label].groupby("group")]
            spread = np.unique(np.linspace(0, len(tracks) - 1, SHEET_IMAGES).round().astype(int)) if tracks else ()
            chosen = [tracks[index].iloc[len(tracks[index]) // 2] for index in spread]
            rows.append((f"{label} {name}", [_cut(row, read) for row in chosen]))
    with replacing() as part:
        contact_sheet(rows).save(part(path), format="PNG")


def _cut(row: pd.Series, read: Read) -> NDArray[np.uint8]:
    image = decode(read(row["archive"], row["member"]))
    corners = [row[column] for column in ("roi_x1", "roi_y1", "roi_x2", "roi_y2")]
    if any(pd.isna(corner) for corner in corners):
        return np.asarray(image)
    x1, y1, x2, y2 = (int(corner) for corner in corners)
    box = (max(x1, 0), max(y1, 0), min(x2 + 1, image.width), min(y2 + 1, image.height))
    return np.asarray(image.crop(box) if box[0] < box[2] and box[1] < box[3] else image)


if __name__ == "__main__":
    exit_with_sentence(lambda: run(params.load()))()
