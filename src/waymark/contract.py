"""The preprocessing contract: how an image becomes the network's input, as numbers in one file.

`prepare` writes it, `export` completes it, and `prepare`, `evaluate` and the service apply it through the same
functions, so training and serving cannot drift apart. NumPy and Pillow only: no torch.
"""

import io
import json
import reprlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from waymark.equalisation import clahe, histogram, on_luma
from waymark.errors import WaymarkError, reason

SCHEMA = 3
Colour = Literal["rgb", "grey"]
Equalise = Literal["none", "histogram", "clahe"]
EQUALISATIONS = {"histogram": histogram, "clahe": clahe}
Box = tuple[int, int, int, int]
Channels = tuple[float, float, float]
# Named, since Pillow otherwise goes by the bytes alone and knows forty more: for EPS it starts Ghostscript.
FORMATS = ("PNG", "JPEG", "PPM", "BMP", "WEBP", "GIF", "TIFF")
# What Pillow's parsers raise on bytes that were damaged; TIFF's, which read EXIF too, check no value's type.
DAMAGE = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)


TURNS = {  # by EXIF's Orientation; ImageOps.exif_transpose would read and write all the rest of EXIF, too
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(WaymarkError):
    """Bytes that do not decode to an image."""


@dataclass(frozen=True)
class Contract:
    dataset: str
    class_names: tuple[str, ...]  # index = label
    image_size: int  # side of the network's square input, px
    crop_margin: float  # context kept around the region of interest, in box sizes a side
    mean: Channels  # of each channel over the training images, in [0, 1]
    std: Channels
    colour: Colour = "rgb"  # grey: ITU-R 601 luma in three equal channels, so that pretrained networks take it too
    equalise: Equalise = "none"  # of the luma; colours keep their hue
    split_sha256: str = ""  # of data/prepared/split.csv
    temperature: float = 1.0  # logits are divided by it before the softmax; fitted on val by `export`
    threshold: float = 0.0  # an answer whose probability is below it is "not sure"; fitted on val by `export`
    weights_sha256: str = ""  # of models/model.safetensors
    onnx_sha256: str = ""  # of models/model.onnx
    schema: int = SCHEMA

    def image(self, image: Image.Image, roi: Box | None = None) -> NDArray[np.uint8]:
        """Cut `image` (RGB) around `roi`, resize it to (S, S, 3) uint8, then make it grey and equalise it where asked.

        `roi` is x1, y1, x2, y2 in pixels with the last column and row included; without it the whole image is used.
        The cut is a square around the box's centre, as far as the image reaches.
        """
        box = (0.0, 0.0, float(image.width), float(image.height)) if roi is None else self._box(image, roi)
        cut = image.resize((self.image_size, self.image_size), Image.Resampling.BILINEAR, box=box)
        if self.colour == "grey":
            cut = cut.convert("L").convert("RGB")  # Pillow's L is the luma of ITU-R BT.601
        return np.asarray(cut) if self.equalise == "none" else on_luma(cut, EQUALISATIONS[self.equalise])

    def _box(self, image: Image.Image, roi: Box) -> tuple[float, float, float, float]:
        x1, y1, x2, y2 = roi
        half = max(x2 + 1 - x1, y2 + 1 - y1) * (0.5 + self.crop_margin)
        x, y = (x1 + x2 + 1) / 2, (y1 + y2 + 1) / 2
        return (max(x - half, 0.0), max(y - half, 0.0), min(x + half, image.width), min(y + half, image.height))

    def normalise(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, S, S, 3) uint8 to the network's input: (N, 3, S, S) float32, zero mean and unit spread a channel."""
        scale = np.float32(255) * np.asarray(self.std, np.float32)
        offset = np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray((images / scale - offset).transpose(0, 3, 1, 2), np.float32)

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated class probabilities, (N, classes), each row summing to 1."""
        scaled = logits.astype(np.float64) / self.temperature
        exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    def with_statistics(self, mean: Channels, std: Channels) -> "Contract":
        return replace(self, mean=mean, std=std)

    def completed(
        self, *, temperature: float, weights_sha256: str, onnx_sha256: str, threshold: float = 0.0
    ) -> "Contract":
        fitted = replace(self, temperature=temperature, threshold=threshold)
        return replace(fitted, weights_sha256=weights_sha256, onnx_sha256=onnx_sha256)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)  # what `normalise` can hold


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any, lowest: float = _SMALLEST, highest: float = _LARGEST) -> bool:
    return type(value) in (int, float) and lowest <= value <= highest


def _three(value: Any, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(holds, value))


_EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "dataset": (_text, "text"),
    "class_names": (
        lambda value: isinstance(value, list) and value != [] and all(map(_text, value)),
        "a list of names",
    ),
    "image_size": (lambda value: type(value) is int and value >= 1, "a whole number of at least 1"),
    "crop_margin": (lambda value: _number(value, 0), "a finite number of at least 0"),
    "mean": (lambda value: _three(value, lambda each: _number(each, 0, 1)), "three numbers from 0 to 1"),
    "std": (lambda value: _three(value, _number), "three finite numbers above 0"),
    "colour": (lambda value: value in get_args(Colour), f"one of {', '.join(get_args(Colour))}"),
    "equalise": (lambda value: value in get_args(Equalise), f"one of {', '.join(get_args(Equalise))}"),
    "temperature": (_number, "a finite number above 0"),
    "threshold": (lambda value: _number(value, 0, 1), "a number from 0 to 1"),
    **dict.fromkeys(("split_sha256", "weights_sha256", "onnx_sha256"), (_text, "text")),
}


def read(path: Path) -> Contract:
    """Read a contract that this version understands; WaymarkError where it is missing, damaged or of another schema."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WaymarkError(f"{path}: cannot be read ({error.strerror}); `dvc repro` makes it") from None
    except (ValueError, RecursionError) as error:
        raise WaymarkError(f"{path}: not valid JSON ({error})") from None
    found = document.get("schema") if isinstance(document, dict) else None
    if type(found) is not int or found != SCHEMA:
        raise WaymarkError(f"{path}: contract schema {found!r}, this version reads {SCHEMA}; run `dvc repro` again")
    known = {field.name for field in fields(Contract)}
    if wrong := sorted(known ^ document.keys()):
        raise WaymarkError(f"{path}: missing or unknown keys: {', '.join(wrong)}")
    for key, (holds, expected) in _EXPECTED.items():
        if not holds(document[key]):
            raise WaymarkError(f"{path}: {key}: {reprlib.repr(document[key])} is not {expected}; run `dvc repro` again")
    lists: dict[str, Any] = {key: tuple(document[key]) for key in ("class_names", "mean", "std")}
    return Contract(**document | lists)


def decode(data: bytes) -> Image.Image:
    """Decode an image to RGB, as `rgb` says. Raises ImageError for anything that does not decode whole."""
    if not data:
        raise ImageError("zero bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            return rgb(opened)
    except UnidentifiedImageError:
        raise ImageError(f"not an image of a known format ({', '.join(FORMATS)})") from None
    except DAMAGE as error:
        raise ImageError(f"does not decode ({reason(error)})") from None


def rgb(image: Image.Image) -> Image.Image:
    """Decode an opened image to RGB, and close it: its pixels are in memory twice at most.

    EXIF rotation is applied. One-channel images become grey RGB, palettes and CMYK are converted, alpha is laid over
    black, 16-bit samples keep their upper eight bits. Raises one of DAMAGE for what does not decode whole.
    """
    image.load()
    turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    if turn is not None:
        image = _instead(image, image.transpose(turn))
    if image.mode.startswith("I"):
        wide = _instead(image, image.convert("I"))
        return wide.point(lambda sample: sample / 256).convert("L").convert("RGB")  # the way to L clips
    if image.has_transparency_data:
        if image.mode not in ("RGBA", "LA"):
            image = _instead(image, image.convert("RGBA"))
        return _instead(image, _over_black(image))
    return _instead(image, image.convert("RGB"))


def _instead(image: Image.Image, successor: Image.Image) -> Image.Image:
    image.close()
    return successor


def _over_black(image: Image.Image) -> Image.Image:
    black = Image.new("RGB", image.size)
    black.paste(image, mask=image)
    return black
