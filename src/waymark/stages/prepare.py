"""prepare: split by group, then decode, crop and resize every image once, into one array a split."""

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from waymark import params, paths
from waymark.contract import Channels, Contract, ImageError, decode
from waymark.datasets import near_duplicates, splits
from waymark.datasets.base import Read
from waymark.datasets.registry import DATASETS
from waymark.errors import WaymarkError, exit_with_sentence
from waymark.files import reading, replacing
from waymark.judging.leak import nearest_neighbour_accuracy
from waymark.params import Params

log = logging.getLogger(__name__)

IDENTITY = ["archive", "member", "label", "group", "part", "pixels_sha256"]  # what later stages need of an image
BOX = ["roi_x1", "roi_y1", "roi_x2", "roi_y2"]
PICTURE = 96  # side of a class's picture, px; sharp at the size that a page shows it on a phone
BLANK = 128  # grey of the picture of a class that has no training image


def run(params: Params) -> None:
    dataset = DATASETS[params.dataset]
    with reading(paths.MANIFEST):
        manifest = pd.read_parquet(
            paths.MANIFEST,
            columns=[*IDENTITY, "split", "frame", "width", "height", "thumbnail", *BOX],
        )
    with reading(paths.NEAR_DUPLICATES):
        pairs = pd.read_parquet(paths.NEAR_DUPLICATES)
    plan = splits.Plan(params.val_fraction, params.test_fraction, params.subset, params.seed, params.split)
    other = replace(plan, kind="random" if plan.kind == "grouped" else "grouped")
    thumbnails = near_duplicates.samples(manifest["thumbnail"])
    chosen = splits.split(manifest, pairs, dataset, plan)
    report = {plan.kind: describe(manifest, pairs, chosen, thumbnails, plan.seed)}
    try:
        compared = splits.split(manifest, pairs, dataset, other)
        report[other.kind] = describe(manifest, pairs, compared, thumbnails, plan.seed)
    except WaymarkError as error:  # what was not asked for must not stop what was
        log.warning("no %s split to compare with: %s", other.kind, error)
    manifest[["split", "reason", "group"]] = chosen

    spread = ChannelSpread()
    with replacing() as part, dataset.open(paths.raw(dataset.name)) as read:
        split_sha256 = write_split(manifest, part(paths.SPLIT))
        contract = Contract(
            dataset=dataset.name,
            class_names=dataset.class_names(paths.raw(dataset.name)),
            image_size=params.image_size,
            crop_margin=params.crop_margin,
            colour=params.colour,
            equalise=params.equalise,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            split_sha256=split_sha256,
        )
        for name in ("train", "val", "test"):
            rows = manifest[manifest["split"] == name]
            rows[IDENTITY].to_parquet(part(paths.rows(name)), index=False)
            write_images(part(paths.images(name)), rows, contract, read, spread if name == "train" else None)
            log.info("%s: %d images in %d groups", name, len(rows), rows["group"].nunique())
        write_class_pictures(part(paths.CLASS_PICTURES), manifest[manifest["split"] == "train"], contract, read)
        contract.with_statistics(*spread.mean_and_std()).write(part(paths.PREPARED_CONTRACT))
        document = {"split_sha256": split_sha256, "split": plan.kind} | dict(sorted(report.items()))
        part(paths.SPLIT_REPORT).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    for reason, rows in manifest[manifest["split"] == splits.LEFT_OUT].groupby("reason"):
        log.info("left out: %d images, %s", len(rows), reason)
    for name, labels in splits.short_classes(manifest).items():
        names = ", ".join(contract.class_names[label] for label in labels)
        log.warning("warning: no image in %s of %s; it needs more groups of images", name, names)


def write_split(manifest: pd.DataFrame, path: Path) -> str:
    """Write which image is in which split, and why one is in none; the file's SHA-256."""
    columns = ["archive", "member", "label", "group", "split", "reason"]
    text = manifest[columns].to_csv(index=False, lineterminator="\n")
    path.write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def describe(
    manifest: pd.DataFrame, pairs: pd.DataFrame, split: pd.DataFrame, thumbnails: NDArray[np.uint8], seed: int
) -> dict[str, Any]:
    """What a split holds, what crosses it, and how far mere memory comes on its val images."""
    rows = manifest.assign(split=split["split"])
    labels = manifest["label"].to_numpy(np.int64)
    return {
        "images": {name: int((split["split"] == name).sum()) for name in (*splits.RANK, splits.LEFT_OUT)},
        "near_duplicates": len(pairs),
        "near_duplicates_across_splits": int(splits.like_later_split(rows, pairs).sum()),
        "nearest_neighbour_val_accuracy": nearest_neighbour_accuracy(thumbnails, labels, split["split"], seed),
    }


class ChannelSpread:
    """Mean and standard deviation of each channel, from exact integer sums: the order of images cannot change them."""

    def __init__(self) -> None:
        self.pixels, self.sum, self.squares = 0, np.zeros(3, np.int64), np.zeros(3, np.int64)

    def add(self, image: NDArray[np.uint8]) -> None:
        values = image.reshape(-1, 3).astype(np.int64)
        self.pixels += len(values)
        self.sum += values.sum(axis=0)
        self.squares += (values * values).sum(axis=0)

    def mean_and_std(self) -> tuple[Channels, Channels]:
        """In [0, 1], rounded to six decimals."""
        mean = self.sum / self.pixels
        std = np.sqrt(np.maximum(self.squares / self.pixels - mean * mean, 1.0))  # a flat data set is still finite
        (m0, m1, m2), (s0, s1, s2) = np.round(mean / 255, 6).tolist(), np.round(std / 255, 6).tolist()
        return (m0, m1, m2), (s0, s1, s2)


def write_images(path: Path, rows: pd.DataFrame, contract: Contract, read: Read, spread: ChannelSpread | None) -> None:
    """Decode the images of `rows` into `path`, an (N, S, S, 3) uint8 array on disk, one image at a time.

    They are written, not mapped: a full disk raises OSError here, where a write to a mapping would kill the process.
    """
    shape = (len(rows), contract.image_size, contract.image_size, 3)
    columns = rows[["archive", "member", *BOX]].itertuples(index=False)
    entries = tqdm(columns, path.stem, len(rows), unit="images", disable=None)
    with path.open("wb") as file:
        write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for entry in entries:
            image = cut(contract, read, *entry)
            file.write(image.tobytes())
            if spread is not None:
                spread.add(image)


def write_class_pictures(path: Path, rows: pd.DataFrame, contract: Contract, read: Read) -> None:
    """Write a picture of each class, below each other in the order of labels, for people to know the classes by.

    It is the image with the most contrast among the class's larger ones, which have at least half as many pixels of
    what they show as its largest; of equals the largest, then the first. It is cut as the network's input is, but
    larger and in colour. A class without an image in `rows` is plain grey.
    """
    clear = replace(contract, image_size=PICTURE, colour="rgb", equalise="none")
    pictures = np.full((len(contract.class_names), PICTURE, PICTURE, 3), BLANK, np.uint8)
    box = rows[BOX].astype(np.float64)
    boxed = (box["roi_x2"] + 1 - box["roi_x1"]) * (box["roi_y2"] + 1 - box["roi_y1"])
    whole = rows["width"].astype(np.float64) * rows["height"].astype(np.float64)
    size = boxed.fillna(whole).fillna(0.0)
    grey = near_duplicates.samples(rows["thumbnail"]).reshape(len(rows), -1, 3).mean(axis=2)
    ranked = rows.assign(size=size, contrast=grey.std(axis=1))[2 * size >= size.groupby(rows["label"]).transform("max")]
    best = ranked.sort_values(["contrast", "size"], ascending=False, kind="stable").drop_duplicates("label")
    columns = best.sort_index()[["label", "archive", "member", *BOX]]  # a tar is read from its beginning
    for label, *entry in columns.itertuples(index=False):
        pictures[label] = cut(clear, read, *entry)
    Image.fromarray(pictures.reshape(-1, PICTURE, 3)).save(path, "PNG")


def cut(contract: Contract, read: Read, archive: str, member: str, *box: Any) -> NDArray[np.uint8]:
    """The image of one row of the manifest as the contract cuts it; `box` holds the four values of BOX, or none."""
    roi = None if pd.isna(box[0]) else (int(box[0]), int(box[1]), int(box[2]), int(box[3]))
    try:
        return contract.image(decode(read(archive, member)), roi)
    except ImageError as error:
        raise WaymarkError(f"{archive}: member {member}: {error}; run `dvc repro` to validate it") from None


if __name__ == "__main__":
    exit_with_sentence(lambda: run(params.load()))()
