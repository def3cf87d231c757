"""Where the model looked: how much the probability of a class falls when a part of the image is covered.

Occlusion sensitivity (Zeiler and Fergus 2014, arXiv:1311.2901) needs answers only, so it explains the very ONNX file
that is served.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

POSITIONS = 12  # of the cover, along each side
COVER = 0.25  # its side, as a share of the image's
FAINT = 0.1  # a loss that is drawn as red as may be; where no cover costs that much, the picture stays paler
SHOWN_SIZE = 320  # px
COLOUR = np.array((255, 40, 0), np.float64)


def covered(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`image` (S, S, 3) once for each position of the cover: (POSITIONS², S, S, 3), row by row.

    The cover has the image's mean colour, which says less than black or grey. Its centres are those of POSITIONS
    equal cells, as the heat map shows them, so at the edges a part of it lies outside.
    """
    size = len(image)
    side = max(round(size * COVER), 1)
    centres = (np.arange(POSITIONS) + 0.5) * size / POSITIONS
    starts = (centres - side / 2).round().astype(int)
    copies = np.repeat(image[None], POSITIONS**2, axis=0)
    mean = image.mean(axis=(0, 1)).round().astype(np.uint8)
    for number, copy in enumerate(copies):
        row, column = starts[number // POSITIONS], starts[number % POSITIONS]
        copy[max(row, 0) : row + side, max(column, 0) : column + side] = mean
    return copies


def heat_map(image: NDArray[np.uint8], plain: float, under_cover: NDArray[np.float64]) -> bytes:
    """A PNG of `image` with red where covering costs the class its probability.

    `plain` is the probability of the class with nothing covered, `under_cover` (POSITIONS²,) that at each position.
    """
    loss = (plain - under_cover).clip(0).reshape(POSITIONS, POSITIONS)
    share = loss / max(loss.max(), FAINT)
    smooth = Image.fromarray((share * 255).astype(np.uint8)).resize((SHOWN_SIZE,) * 2, Image.Resampling.BICUBIC)
    opacity = np.asarray(smooth, np.float64)[..., None] / 255 * 0.7
    shown = Image.fromarray(image).resize((SHOWN_SIZE,) * 2, Image.Resampling.NEAREST)
    blended = np.asarray(shown) * (1 - opacity) + COLOUR * opacity
    buffer = io.BytesIO()
    Image.fromarray(blended.round().astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
