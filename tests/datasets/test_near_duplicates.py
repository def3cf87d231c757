"""Near copies are found, pictures of other things are not."""

import hashlib
import io

import imagehash
import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance

from waymark.datasets import near_duplicates
from waymark.datasets.manifest import THUMBNAIL


def scene(number: int) -> Image.Image:
    """Smooth random shapes in colour, 48 px: unlike any other number's."""
    noise = np.random.default_rng(number).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(noise).resize((48, 48), Image.Resampling.BICUBIC)


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def manifest(*images: Image.Image | None) -> pd.DataFrame:
    rows = [
        {
            "pixels_sha256": hashlib.sha256(image.tobytes()).hexdigest(),
            "perceptual_hash": str(imagehash.phash(image)),
            "thumbnail": image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX).tobytes(),
        }
        if image
        else {"pixels_sha256": None, "perceptual_hash": None, "thumbnail": None}
        for image in images
    ]
    return pd.DataFrame(rows)


def found(*images: Image.Image | None) -> list[tuple[int, int]]:
    pairs = near_duplicates.find(manifest(*images))
    return list(zip(pairs["first"].tolist(), pairs["second"].tolist(), strict=True))


def test_copies_in_another_quality_size_and_light_are_found() -> None:
    picture = scene(1)
    small = picture.resize((30, 30), Image.Resampling.LANCZOS)
    brighter = ImageEnhance.Brightness(picture).enhance(1.1)
    assert found(scene(0), picture, as_jpeg(picture, 40), small, brighter, scene(2)) == [
        (1, 2),
        (1, 3),
        (1, 4),
        (2, 3),
        (2, 4),
        (3, 4),
    ]


def test_a_hundred_other_pictures_are_not() -> None:
    assert found(*map(scene, range(100))) == []


def test_exact_copies_are_each_tied_to_the_first() -> None:
    assert found(scene(1), scene(0), scene(1), scene(1)) == [(0, 2), (0, 3)]


def test_pictures_of_one_colour_and_rows_without_a_picture_are_like_nothing() -> None:
    black, grey = Image.new("RGB", (48, 48)), Image.new("RGB", (48, 48), "grey")
    assert found(black, None, grey, scene(3)) == []
    assert found(None, None) == []


def test_pairs_have_the_columns_that_the_file_promises() -> None:
    pairs = near_duplicates.find(manifest(scene(1), as_jpeg(scene(1), 60)))
    assert {name: str(kind) for name, kind in pairs.dtypes.items()} == {
        "first": "int32",
        "second": "int32",
        "distance": "int16",
        "correlation": "float64",
    }
    assert 0.98 <= pairs["correlation"][0] <= 1


def test_clusters_are_numbered_by_their_first_rows() -> None:
    clusters = near_duplicates.clusters(6, np.array([4, 1]), np.array([0, 5]))
    assert clusters.tolist() == [0, 1, 2, 3, 0, 1]
