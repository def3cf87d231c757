"""prepare: split by group, then decode, crop and resize every image once, into one array a split."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray
from tqdm import tqdm

from waymark import params, paths
from waymark.contract import Channels, Contract, ImageError, decode
from waymark.datasets import splits
from waymark.datasets.base import Read
from waymark.datasets.registry import DATASETS
from waymark.errors import WaymarkError, exit_with_sentence
from waymark.files import reading, replacing
from waymark.params import Params

log = logging.getLogger(__name__)

IDENTITY = ["archive", "member", "label", "group"]  # what later stages need to know of an image
BOX = ["roi_x1", "roi_y1", "roi_x2", "roi_y2"]


def run(params: Params) -> None:
    dataset = DATASETS[params.dataset]
    with reading(paths.MANIFEST):
        manifest = pd.read_parquet(paths.MANIFEST, columns=[*IDENTITY, "split", *BOX])
    manifest["split"] = splits.split(manifest, params.val_fraction, params.seed)
    contract = Contract(
        dataset=dataset.name,
        class_names=dataset.class_names,
        image_size=params.image_size,
        crop_margin=params.crop_margin,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    spread = ChannelSpread()
    with replacing() as part, dataset.open(paths.raw(dataset.name)) as read:
        for split in ("train", "val", "test"):
            rows = manifest[manifest["split"] == split]
            rows[IDENTITY].to_parquet(part(paths.rows(split)), index=False)
            write_images(part(paths.images(split)), rows, contract, read, spread if split == "train" else None)
            log.info("%s: %d images in %d groups", split, len(rows), rows["group"].nunique())
        contract.with_statistics(*spread.mean_and_std()).write(part(paths.PREPARED_CONTRACT))


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
        for archive, member, x1, y1, x2, y2 in entries:
            roi = None if pd.isna(x1) else (int(x1), int(y1), int(x2), int(y2))
            try:
                image = contract.image(decode(read(archive, member)), roi)
            except ImageError as error:
                raise WaymarkError(f"{archive}: member {member}: {error}; run `dvc repro` to validate it") from None
            file.write(image.tobytes())
            if spread is not None:
                spread.add(image)


if __name__ == "__main__":
    exit_with_sentence(lambda: run(params.load()))()
