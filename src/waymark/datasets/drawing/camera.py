"""One physical sign as a camera sees it from a nearing car: pose, background, light, blur, sensor noise.

Only the exact operations of canvas.py, chance.py and optics.py are used, so a track is the same bytes on every machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waymark.datasets.drawing import optics
from waymark.datasets.drawing.canvas import SPAN, Colour, Shape, box, cosine, disc, paint, sine
from waymark.datasets.drawing.chance import NOISE, Chance, Drift

SAMPLES = 3  # a side of a pixel, before blur and averaging
SCENE_SIZE = 128  # px of the square background
RIM = 1  # px of nothing around the sign's pictures
FIXED = 16  # steps of a sample's value between two levels of 0 … 255
LEVELS = (256, 128, 64, 32)  # px of the sign's pictures, from which a frame takes one at least twice its own size

# Colours that surround signs on German roads.
FOLIAGE: tuple[Colour, ...] = ((52, 72, 38), (38, 54, 30), (84, 98, 52), (96, 84, 56), (28, 36, 26), (112, 104, 78))
TOWN: tuple[Colour, ...] = (
    (150, 142, 132),
    (104, 100, 98),
    (172, 120, 92),
    (70, 72, 78),
    (198, 192, 182),
    (128, 60, 48),
)
SKY: tuple[Colour, ...] = ((206, 220, 236), (178, 196, 220), (228, 230, 232), (160, 172, 190))
METAL: Colour = (120, 122, 124)


@dataclass(frozen=True)
class Frame:
    image: NDArray[np.uint8]  # (H, W, 3) red, green, blue
    roi: tuple[int, int, int, int]  # x1, y1, x2, y2 of the sign, last column and row included


def pyramid(template: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """The sign's picture (256, 256, 4) at each of LEVELS, each the 2 × 2 average of the one before."""
    levels = [template]
    while len(levels) < len(LEVELS):
        levels.append(optics.averaged(levels[-1].astype(np.int32), 2).astype(np.uint8))
    return tuple(levels)


def track(chance: Chance, levels: Sequence[NDArray[np.uint8]], frames: int) -> list[Frame]:
    """`frames` pictures of one sign, growing from some 16 to some 50 px as a car nears it at an even speed."""
    far, near = chance.uniform(12, 20), chance.uniform(40, 62)
    view = _View(chance, levels)
    pictures = []
    for number in range(frames):
        progress = number / max(frames - 1, 1)
        size = 1 / (1 / far + (1 / near - 1 / far) * progress)  # inversely as the distance
        pictures.append(view.frame(chance, size, progress))
    return pictures


class _View:
    """What stays the same, or changes slowly, while a car passes one sign."""

    def __init__(self, chance: Chance, levels: Sequence[NDArray[np.uint8]]) -> None:
        uniform = chance.uniform
        fading = int(uniform(0, 0.4) * 256)
        self.coverage = levels[-2][..., 3]
        self.levels = [_faded(level, fading) for level in levels]
        self.turns = tuple(Drift(chance, -a, a, a / 3) for a in (38, 16, 10))  # yaw, pitch, roll; °
        self.scene = paint(_scene(chance), SCENE_SIZE, samples=1)[..., :3].astype(np.int32)
        self.scene_x, self.scene_y = Drift(chance, -12, 12, 8), Drift(chance, -12, 12, 8)
        self.post = uniform(5, 9), uniform(-12, 12)
        self.plate = uniform(104, 112) if chance.happens(0.3) else None  # top of a small white plate underneath
        # A third of the tracks are dim, as at dusk or against the light.
        self.exposure = Drift(chance, 0.2, 0.55, 0.1) if chance.happens(0.35) else Drift(chance, 0.6, 1.3, 0.25)
        self.tint = tuple(uniform(0.88, 1.12) for _ in range(3))
        self.haze = Drift(chance, 0, 34, 8) if chance.happens(0.4) else Drift(chance, 0, 8, 0)
        self.slope = uniform(-0.22, 0.22), uniform(-0.22, 0.22)
        self.shadow = (uniform(0, 360), Drift(chance, -0.6, 0.6, 0.4), uniform(0.45, 1.0))
        self.defocus = Drift(chance, 0, 1.3, 0.4)  # px
        # Half of the cars shake: so many px, mostly sideways (axis 1).
        self.shake = uniform(0, 3.2) if chance.happens(0.5) else 0.0, int(chance.happens(0.6))
        self.grain = uniform(1, 11)  # standard deviation, levels

    def frame(self, chance: Chance, size: float, progress: float) -> Frame:
        """The picture in which the longer side of the sign's box is `size` px, with a border around it."""
        yaw, pitch, roll = (angle.at(progress) + chance.uniform(-1.5, 1.5) for angle in self.turns)
        posed = optics.pose(yaw, pitch, roll)
        left, top, right, bottom = optics.extent(posed, self.coverage)
        scale = size / max(right - left, bottom - top)
        across, down = (int(scale * span + 0.999) for span in (right - left, bottom - top))
        # "a border of 10 % around the actual traffic sign (at least 5 pixels)", says the organisers' readme.
        border_x, border_y = max(5, (across + 5) // 10), max(5, (down + 5) // 10)
        width, height = across + 2 * border_x, down + 2 * border_y
        # People drew the organisers' boxes: the sign lies up to 3 % beside its own.
        x0 = width / 2 - scale * (left + right) / 2 + chance.uniform(-0.03, 0.03) * size
        y0 = height / 2 - scale * (top + bottom) / 2 + chance.uniform(-0.03, 0.03) * size
        to_sign = optics.inverse(optics.scaled(posed, scale, x0, y0))
        u = ((np.arange(width * SAMPLES) + 0.5) / SAMPLES)[None, :]
        v = ((np.arange(height * SAMPLES) + 0.5) / SAMPLES)[:, None]
        x, y = optics.mapped(to_sign, u, v)
        seen = self._composed(size, x, y, (u - x0) / scale, (v - y0) / scale, progress)
        lit = self._lit(seen, u * (2 / width) - 1, v * (2 / height) - 1, progress)
        sharp = min(1.0, size / 40)  # far signs are small in the lens too: the same blur would leave nothing
        blurred = self._blurred(lit, sharp * SAMPLES, progress)
        grain = chance.noise((height, width, 3)) * int(self.grain * FIXED) // NOISE
        values = optics.averaged(blurred, SAMPLES) + grain
        image = np.clip((values + FIXED // 2) // FIXED, 0, 255).astype(np.uint8)
        return Frame(image, (border_x, border_y, width - 1 - border_x, height - 1 - border_y))

    def _composed(
        self,
        size: float,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        u: NDArray[np.float64],
        v: NDArray[np.float64],
        progress: float,
    ) -> NDArray[np.int32]:
        """Sign over plate over post over background, in levels of 0 … 255, without light."""
        zoom = 0.72 - 0.18 * progress  # what is behind the sign grows more slowly
        u, v = u * zoom + self.scene_x.at(progress), v * zoom + self.scene_y.at(progress)
        seen = self.scene[optics.index(v, SCENE_SIZE), optics.index(u, SCENE_SIZE)]
        radius, centre = self.post
        seen[(abs(x - centre) < radius) & (y > 0)] = METAL
        if self.plate is not None:
            inside = (abs(x) < 74) & (y > self.plate) & (y < self.plate + 50)
            seen[inside] = (228, 228, 224)
            seen[inside & (abs(abs(x) - 69) < 3)] = (40, 40, 42)
        level = next(level for level in reversed(self.levels) if level.shape[0] >= 2.1 * size)
        side = level.shape[0] - 2 * RIM
        sign = level[optics.index(y, side, RIM), optics.index(x, side, RIM)]
        return np.asarray(sign[..., :3] + seen * (255 - sign[..., 3:]) // 255)

    def _lit(
        self, seen: NDArray[np.int32], u: NDArray[np.float64], v: NDArray[np.float64], progress: float
    ) -> NDArray[np.int32]:
        """The scene under its light, in FIXED steps a level; `u` and `v` run from -1 to 1 over the picture."""
        angle, edge, depth = self.shadow
        shaded = np.clip((cosine(angle) * u + sine(angle) * v - edge.at(progress)) * 5, 0, 1)
        light = self.exposure.at(progress) * (1 + self.slope[0] * u + self.slope[1] * v) * (1 - shaded * (1 - depth))
        haze = self.haze.at(progress)
        channels = [seen[..., c] * light * self.tint[c] + haze for c in range(3)]
        return np.stack([np.floor(channel * FIXED).astype(np.int32) for channel in channels], axis=-1)

    def _blurred(self, lit: NDArray[np.int32], unit: float, progress: float) -> NDArray[np.int32]:
        """Out of focus (two box filters an axis are nearly a bell) and shaken; `unit` samples are one pixel of blur."""
        width = int(unit * max(self.defocus.at(progress), 0))
        for axis in (0, 1, 0, 1):
            lit = optics.blurred(lit, 1 + width, axis)
        length, axis = self.shake
        return optics.blurred(lit, 1 + int(unit * length), axis)


def _faded(level: NDArray[np.uint8], fading: int) -> NDArray[np.int32]:
    """The sign's picture with its paint turned `fading` 256ths to grey, in a clear rim: nothing is beside the sign."""
    picture = level.astype(np.int32)
    grey = (picture[..., 0] * 77 + picture[..., 1] * 150 + picture[..., 2] * 29) >> 8  # ITU-R BT.601
    picture[..., :3] += ((grey[..., None] - picture[..., :3]) * fading) >> 8
    return np.pad(picture, ((RIM, RIM), (RIM, RIM), (0, 0)))


def _scene(chance: Chance) -> list[Shape]:
    """A cluttered background: sky above, then leaves or walls, blurred to patches by its distance."""
    uniform = chance.uniform
    palette = chance.one_of((FOLIAGE, TOWN))
    horizon = uniform(-140, 60)
    ground = _varied(chance, palette)
    shapes = [box(-SPAN, -SPAN, SPAN, SPAN, _varied(chance, SKY)), box(-SPAN, horizon, SPAN, SPAN + 1, ground)]
    for _ in range(50):
        x, y, radius = uniform(-110, 110), uniform(horizon, 110), uniform(4, 22)
        colour = _varied(chance, SKY if chance.happens(0.08) else palette)
        if palette is FOLIAGE or chance.happens(0.3):
            shapes.append(disc(x, y, radius, colour))
        else:
            shapes.append(box(x - radius, y - uniform(6, 40), x + radius, y + uniform(6, 40), colour))
    return shapes


def _varied(chance: Chance, palette: Sequence[Colour]) -> Colour:
    light = chance.uniform(0.7, 1.25)
    red, green, blue = (min(int(light * value), 255) for value in chance.one_of(palette))
    return red, green, blue
