"""Sample pictures, class by class: what a person looks at before believing a data set."""

import base64
import io

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image


def representatives(manifest: pd.DataFrame, classes: int, each: int) -> list[list[int]]:
    """For each class the row numbers of `each` sound training images at most: of evenly spaced groups the middle one.

    Groups differ most between themselves, and a track's middle frame is neither its smallest nor its cut-off last.
    """
    rows = manifest.reset_index(drop=True)
    sound = rows[(rows["split"] == "train") & (rows["problem"] == "") & rows["pixels_sha256"].notna()]
    chosen = []
    for label in range(classes):
        images = sound[sound["label"] == label]
        groups = [members for _, members in sorted(images.groupby("group").indices.items())]
        spread = np.unique(np.linspace(0, len(groups) - 1, each).round().astype(int)) if groups else ()
        middle = [groups[index][len(groups[index]) // 2] for index in spread]
        chosen.append([int(row) for row in images.index.to_numpy()[middle]] if middle else [])
    return chosen


def data_uri(image: NDArray[np.uint8], side: int = 64) -> str:
    """`image` (H, W, 3) as a JPEG of `side` px at most, in the text of an `src` attribute."""
    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # Full colour resolution: halved, the red rims of small signs smear.
    picture.save(buffer, format="JPEG", quality=85, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
