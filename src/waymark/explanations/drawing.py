"""One explanation as a picture: what was given, what the network sees, where it looked, and what it answers."""

from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from waymark.contract import Box
from waymark.explanations.overlay import colours, overlay
from waymark.wording import per_cent

SIDE, GAP, MARGIN = 320, 24, 32  # px: of a panel, between panels, around all
WIDTH = 2 * MARGIN + 3 * SIDE + 2 * GAP
TOP = 122  # px above the panels
BAR = 10  # px, its height
PAPER, INK, QUIET, LINE, ACCENT, CARE = "#ffffff", "#1c2024", "#5c656e", "#dfe3e7", "#0072b2", "#a33c00"


def explanation(
    given: Image.Image,
    roi: Box | None,
    seen: NDArray[np.uint8],
    heat: NDArray[np.float32],
    explained: str,
    answer: dict[str, Any],
    model: str,
) -> Image.Image:
    """`heat` (S, S) speaks for the class named `explained`; `answer` is the service's, `model` the line at the foot."""
    ranked = answer["top"]
    height = TOP + SIDE + 48 + 34 * len(ranked) + 52
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    _line(draw, (MARGIN, 24), _said(answer), 26, CARE if not answer["answered"] else INK, bold=True)
    _line(draw, (MARGIN, 62), _beneath(answer), 15, QUIET)
    panels = (
        (f"The picture, {given.width} × {given.height} px", _framed(given, roi)),
        (f"What the network sees, {len(seen)} × {len(seen)} px", _enlarged(seen)),
        (f"Where it looked for {explained}", Image.fromarray(overlay(seen, heat, float(heat.max()), SIDE))),
    )
    for place, (title, picture) in enumerate(panels):
        left = MARGIN + place * (SIDE + GAP)
        _line(draw, (left, TOP - 26), title, 14, INK, width=SIDE)
        draw.rectangle((left, TOP, left + SIDE - 1, TOP + SIDE - 1), fill=LINE)
        sheet.paste(picture, (left + (SIDE - picture.width) // 2, TOP + (SIDE - picture.height) // 2))
    _legend(sheet, draw, heat)
    for place, rank in enumerate(ranked):
        _bar(draw, TOP + SIDE + 48 + 34 * place, rank["class_name"], rank["probability"], answer["threshold"])
    _line(draw, (MARGIN, height - 36), model, 12, QUIET, width=WIDTH - 2 * MARGIN)
    return sheet


def _said(answer: dict[str, Any]) -> str:
    sure = "" if answer["answered"] else "Not sure: "
    return f"{sure}{answer['class_name']}, {per_cent(answer['probability'])}"


def _beneath(answer: dict[str, Any]) -> str:
    way = "reaches" if answer["answered"] else "is below"
    return f"The probability {way} the model’s threshold, {per_cent(answer['threshold'])}, marked at the bars below."


def _framed(given: Image.Image, roi: Box | None) -> Image.Image:
    """The picture as large as a panel, with the box; small ones are enlarged."""
    scale = SIDE / max(given.size)
    size = (max(round(given.width * scale), 1), max(round(given.height * scale), 1))
    picture = given.resize(size, Image.Resampling.BICUBIC if scale < 1 else Image.Resampling.NEAREST)
    if roi is not None:
        x1, y1, x2, y2 = roi
        frame = (round(x1 * scale), round(y1 * scale), round((x2 + 1) * scale) - 1, round((y2 + 1) * scale) - 1)
        draw = ImageDraw.Draw(picture)
        draw.rectangle(frame, outline="black", width=4)  # seen on bright and on dark pictures
        draw.rectangle(frame, outline="white", width=2)
    return picture


def _enlarged(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def _legend(sheet: Image.Image, draw: ImageDraw.ImageDraw, heat: NDArray[np.float32]) -> None:
    left, top = MARGIN + 2 * (SIDE + GAP), TOP + SIDE + 8
    if not heat.max() > 0:
        _line(draw, (left, top), "Nothing here speaks for this class.", 12, QUIET)
        return
    ramp = colours(np.linspace(0, 1, 120))[None].repeat(8, axis=0).round().astype(np.uint8)
    _line(draw, (left, top), "nothing", 12, QUIET)
    sheet.paste(Image.fromarray(ramp), (left + 58, top + 4))
    _line(draw, (left + 186, top), "speaks most for it", 12, QUIET)


def _bar(draw: ImageDraw.ImageDraw, top: int, name: str, probability: float, threshold: float) -> None:
    """A class, its probability, and both as a bar under the third panel, with the threshold marked."""
    left, right = MARGIN + 2 * (SIDE + GAP), MARGIN + 3 * SIDE + 2 * GAP - 1
    _line(draw, (MARGIN, top), name, 15, INK, width=2 * SIDE - 80)
    draw.text((left - GAP, top), per_cent(probability), INK, _font(15, False), anchor="ra")
    draw.rectangle((left, top + 5, right, top + 5 + BAR), fill=LINE)
    draw.rectangle((left, top + 5, left + round((right - left) * probability), top + 5 + BAR), fill=ACCENT)
    mark = left + round((right - left) * threshold)
    draw.line((mark, top + 1, mark, top + 9 + BAR), fill=CARE, width=2)


def _line(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    colour: str,
    *,
    width: int = WIDTH - 2 * MARGIN,
    bold: bool = False,
) -> None:
    """One line of text; its end is left out where it would be wider than `width`."""
    font, said = _font(size, bold), " ".join(text.split())
    if font.getlength(said) > width:
        while said and font.getlength(said + "…") > width:
            said = said[:-1]
        said += "…"
    draw.text(place, said, colour, font, anchor="la")


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which Matplotlib brings: it has the letters of most alphabets, and is the same on every machine."""
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
