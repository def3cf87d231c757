import base64
import io

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from waymark.judging.contact_sheet import GAP, LABEL_WIDTH, contact_sheet, data_uri, representatives


def plain(colour: tuple[int, int, int], height: int = 10, width: int = 10) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


def pixels(sheet: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(sheet)


def test_each_picture_stands_in_the_row_of_its_label() -> None:
    sheet = contact_sheet([("red", [plain((255, 0, 0))]), ("blue", [plain((0, 0, 255))] * 2)], tile=40)
    page = pixels(sheet)
    blue = np.argwhere((page == (0, 0, 255)).all(axis=-1))
    red = np.argwhere((page == (255, 0, 0)).all(axis=-1))
    assert len(red) == 38 * 38
    assert len(blue) == 2 * 38 * 38
    assert red[:, 1].min() % (round((LABEL_WIDTH + 2) * 40) + 2 * GAP) == round(LABEL_WIDTH * 40) + GAP


def test_43_classes_fit_a_page_of_a_screens_shape() -> None:
    sheet = contact_sheet([(f"A class with a long name {k}", [plain((k, k, k))] * 8) for k in range(43)])
    assert 1 <= sheet.width / sheet.height <= 2.4
    assert sheet.height <= 1300


def test_pictures_keep_their_proportions() -> None:
    page = pixels(contact_sheet([("tall", [plain((0, 255, 0), height=60, width=20)])], tile=62))
    green = np.argwhere((page == (0, 255, 0)).all(axis=-1))
    assert np.ptp(green, axis=0).tolist() == [59, 19]


def test_label_never_runs_into_the_pictures() -> None:
    name = "Donaudampfschifffahrtsgesellschaftskapitänsmütze and " * 4
    page = pixels(contact_sheet([(name, [plain((255, 255, 255))])], tile=48))
    inked = np.flatnonzero((page < 128).all(axis=-1).any(axis=0))
    assert inked.size
    assert inked.max() < GAP + LABEL_WIDTH * 48


def test_class_without_a_picture_keeps_its_row() -> None:
    page = pixels(contact_sheet([("empty", []), ("full", [plain((9, 9, 9))])], tile=40))
    assert ((page == (9, 9, 9)).all(axis=-1)).sum() == 38 * 38


def test_no_rows_give_a_blank_page() -> None:
    assert (pixels(contact_sheet([])) == 255).all()


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
