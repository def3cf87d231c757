"""validate: list every image in a manifest and hold it against the expectations; bad data stops here."""

import functools
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
from waymark.datasets import near_duplicates, registry
from waymark.datasets.base import Read
from waymark.errors import WaymarkError, exit_with_sentence
from waymark.files import replacing
from waymark.judging import data_docs, data_page, expectations, manifest_tables
from waymark.params import Params

log = logging.getLogger(__name__)


def run(params: Params) -> None:
    """Write manifest, near-duplicates, summary, Data Docs and the page of pictures.

    Where an expectation of severity error is broken they are written all the same, to show it, and then WaymarkError
    names each broken expectation and the first rows against it.
    """
    dataset = registry.dataset(params.dataset, params.group_pattern)
    folder = paths.raw(dataset.name)
    suite = expectations.load(paths.EXPECTATIONS / f"{dataset.name}.yaml")
    manifest = manifests.build(dataset, folder, workers=os.cpu_count() or 1)
    manifests.write(manifest, paths.MANIFEST)
    pairs = near_duplicates.find(manifest)
    class_names = dataset.class_names(folder)
    tables = manifest_tables.tables(manifest, class_names, params.expected_images)
    verdict = expectations.check(tables, suite)
    data_docs.write(verdict, dataset.name, paths.DATA_DOCS)
    with replacing() as part, dataset.open(folder) as read:
        pairs.to_parquet(part(paths.NEAR_DUPLICATES), index=False)
        document = json.dumps(summary(manifest, verdict, paths.MANIFEST), indent=2) + "\n"
        part(paths.VALIDATION).write_text(document, encoding="utf-8")
        picture = functools.partial(cut, manifest, read)
        data_page.write(manifest, pairs, dataset.name, class_names, picture, part(paths.DATA_PAGE))
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


def cut(manifest: pd.DataFrame, read: Read, row: int) -> NDArray[np.uint8]:
    """The picture of one row, (H, W, 3) uint8: what lies in its box, or the whole image where it has none."""
    entry = manifest.iloc[row]
    image = decode(read(entry["archive"], entry["member"]))
    corners = [entry[column] for column in ("roi_x1", "roi_y1", "roi_x2", "roi_y2")]
    if any(pd.isna(corner) for corner in corners):
        return np.asarray(image)
    x1, y1, x2, y2 = (int(corner) for corner in corners)
    box = (max(x1, 0), max(y1, 0), min(x2 + 1, image.width), min(y2 + 1, image.height))
    return np.asarray(image.crop(box) if box[0] < box[2] and box[1] < box[3] else image)


if __name__ == "__main__":
    exit_with_sentence(lambda: run(params.load()))()
