import base64
import io

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from waymark.judging.contact_sheet import data_uri, representatives


def plain(colour: tuple[int, int, int], height: int = 10, width: int = 10) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


def rows(*images: tuple[str, int, str]) -> pd.DataFrame:
    """A manifest of (split, label, group) whose images are all sound."""
    frame = pd.DataFrame(images, columns=["split", "label", "group"])
    return frame.assign(label=frame["label"].astype("Int16"), problem="", pixels_sha256="0")


def test_representatives_are_the_middle_images_of_evenly_spaced_groups() -> None:
    manifest = rows(*(("train", 0, f"track {group}") for group in range(9) for _ in range(3)))
    assert representatives(manifest, classes=1, each=3) == [[1, 13, 25]]


def test_representatives_are_sound_training_images() -> None:
    manifest = rows(*(("train", 0, str(number)) for number in range(4)), ("test", 0, "4"), ("train", 1, "5"))
    manifest.loc[0, "problem"] = "is cut off"
    manifest.loc[2, "pixels_sha256"] = None
    assert representatives(manifest, classes=3, each=8) == [[1, 3], [5], []]


def test_representatives_are_numbered_by_place_whatever_the_index() -> None:
    manifest = rows(("train", 1, "a"), ("train", 0, "b")).set_axis([70, 50])
    assert representatives(manifest, classes=2, each=8) == [[1], [0]]


def test_data_uri_is_a_picture_of_the_same_colour() -> None:
    uri = data_uri(plain((200, 30, 40), height=128, width=64))
    with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))) as image:
        assert image.size == (32, 64)
        assert np.abs(np.asarray(image).astype(int) - (200, 30, 40)).max() <= 3
