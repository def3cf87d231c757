"""Sample pictures, class by class: what a person looks at before believing a data set."""

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

LABEL_WIDTH = 4.4  # of a row's label, in tiles
SHAPE = 16 / 10  # width to height of the screen that the page should suit
GAP = 2  # px around each tile
INK, PAPER = (34, 34, 34), (255, 255, 255)


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


def contact_sheet(rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], tile: int = 48) -> Image.Image:
    """One row a class, its label and then its pictures, in as many columns of classes as suit a screen.

    `rows` holds labels and pictures (H, W, 3) uint8 of any size; each is fitted into a square of `tile` px without
    distortion. A label that is too long for its place is set smaller, then cut with “…”. No rows give a blank page.
    """
    pictures = max((len(images) for _, images in rows), default=0)
    cell = round((LABEL_WIDTH + pictures) * tile) + 2 * GAP
    columns = _columns(len(rows), cell, tile)
    height = max(math.ceil(len(rows) / columns), 1)
    page = Image.new("RGB", (columns * cell + GAP, height * tile + GAP), PAPER)
    for place, (label, images) in enumerate(rows):
        column, row = divmod(place, height)
        left, top = column * cell + GAP, row * tile + GAP
        _write(page, label, left + 2 * GAP, top, tile)
        for position, image in enumerate(images):
            picture = _fitted(image, tile - GAP)
            x = left + round((LABEL_WIDTH + position) * tile) + (tile - GAP - picture.width) // 2
            page.paste(picture, (x, top + (tile - GAP - picture.height) // 2))
    return page


def _columns(count: int, cell: int, tile: int) -> int:
    """The number of columns whose page comes nearest to SHAPE."""

    def misfit(columns: int) -> float:
        return abs(math.log(columns * cell / (math.ceil(count / columns) * tile) / SHAPE))

    return min(range(1, count + 1), key=misfit, default=1)


def _fitted(image: NDArray[np.uint8], side: int) -> Image.Image:
    picture = Image.fromarray(image)
    scale = side / max(picture.size)
    width, height = (max(round(scale * length), 1) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _write(page: Image.Image, label: str, left: int, top: int, tile: int) -> None:
    """Set `label` in two lines at most, at the largest size that fits beside the pictures."""
    room = round(LABEL_WIDTH * tile) - 6 * GAP
    draw = ImageDraw.Draw(page)
    for size in range(max(round(tile * 0.34), 9), max(round(tile * 0.2), 8) - 1, -1):
        font = ImageFont.load_default(size)
        lines = _wrapped(label, font, room)
        if len(lines) <= 2:
            break
    if len(lines) > 2:
        lines = [lines[0], lines[1] + " …"]
    for number, line in enumerate(lines):
        while draw.textlength(line, font) > room and len(line) > 2:
            line = line.removesuffix("…")[:-1].rstrip() + "…"
        draw.text((left, top + tile / 2 + (number - (len(lines) - 1) / 2) * size * 1.25), line, INK, font, anchor="lm")


def _wrapped(label: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, room: float) -> list[str]:
    lines: list[str] = []
    for word in label.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
