"""`waymark review`: which labels of train and val are probably wrong. The test split is not read."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from waymark import contract, paths
from waymark.errors import WaymarkError
from waymark.files import reading, replacing
from waymark.judging import label_review
from waymark.learning import folds as fold_wise
from waymark.learning.data import Images
from waymark.params import Params

LABELLED = ("train", "val")  # official test labels are what others compare with; nobody may edit them
IDENTITY = ["archive", "member", "label", "group"]

log = logging.getLogger(__name__)


def run(params: Params, folds: int, output: Path) -> None:
    """Train once a fold, then write index.html and issues.csv into `output`; no label and no archive is changed."""
    if output.exists() and not output.is_dir():
        raise WaymarkError(f"--output: {output} is a file; give a folder, index.html and issues.csv come into it")
    prepared = contract.read(paths.PREPARED_CONTRACT)
    if prepared.dataset != params.dataset:
        raise WaymarkError(
            f"{paths.PREPARED} holds {prepared.dataset}, params.yaml says {params.dataset}; run `dvc repro` first"
        )
    with reading(paths.SPLIT_REPORT):
        prepared_split = json.loads(paths.SPLIT_REPORT.read_text(encoding="utf-8"))["split"]
    if prepared_split == "random":
        raise WaymarkError(
            f"{paths.PREPARED} was split at random, every image for itself, so networks would learn from copies of "
            "what they judge; set split: grouped in params.yaml and run `dvc repro` first"
        )
    data = fold_wise.Selection([Images(paths.images(split), paths.rows(split)) for split in LABELLED])
    rows = pd.concat([_rows(split) for split in LABELLED], ignore_index=True)
    rows["fold"] = fold_wise.assign(data.labels, rows["group"].to_numpy(), folds, params.seed)
    probabilities = fold_wise.out_of_fold(params, prepared, data, rows["fold"].to_numpy())

    judged = label_review.judge(rows, probabilities)
    issues = label_review.rank(judged, probabilities)
    page = label_review.page(judged, issues, prepared, lambda row: data.pictures(np.array([row]))[0])
    with replacing() as part:
        label_review.write_csv(judged, issues, prepared.class_names, part(output / "issues.csv"))
        part(output / "index.html").write_text(page, encoding="utf-8")
    if doubt := label_review.doubt(judged):
        log.warning("%s", doubt)
    flagged = int(judged["flagged"].sum())
    log.info("%d of %d images flagged, in %d groups: %s", flagged, len(rows), len(issues), output / "index.html")


def _rows(split: str) -> pd.DataFrame:
    with reading(paths.rows(split)):
        return pd.read_parquet(paths.rows(split), columns=IDENTITY)
