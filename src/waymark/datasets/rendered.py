"""The data set `rendered`: GTSRB's 43 classes drawn by code, in the organisers' own archives.

It lets a bare clone run the whole graph with no download. Readers cannot tell it from GTSRB's final data set: training
images in tracks with one list a class, test images of other signs in random order, their labels in a third archive.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zipfile import ZipFile

from tqdm import tqdm

from waymark.datasets.drawing.camera import Frame, pyramid, track
from waymark.datasets.drawing.catalogue import template
from waymark.datasets.drawing.chance import Chance
from waymark.datasets.packing import entry
from waymark.datasets.traffic_sign_names import CLASS_NAMES
from waymark.datasets.workers import pool
from waymark.errors import WaymarkError

TRAINING_ARCHIVE = "GTSRB_Final_Training_Images.zip"
TEST_ARCHIVE = "GTSRB_Final_Test_Images.zip"
TEST_LABELS_ARCHIVE = "GTSRB_Final_Test_GT.zip"

_TRAINING = "GTSRB/Final_Training/Images"
_TEST = "GTSRB/Final_Test/Images"
_HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2"
_README = "These are no photographs: Waymark drew them, in the layout of GTSRB (https://benchmark.ini.rub.de).\r\n"
_TRAIN_SIGNS, _TEST_SIGNS, _TEST_ORDER = range(3)  # what a stream of random numbers is for


@dataclass(frozen=True)
class _Image:
    ppm: bytes
    row: str  # of the organisers' lists, from Width to Roi.Y2
    label: int


def render(folder: Path, *, tracks: int, frames: int, seed: int, workers: int = 2) -> None:
    """Draw the data set into `folder` as the organisers' three archives.

    Each class gets `tracks` signs of `frames` pictures for training, and a quarter as many other signs (one at least)
    for the test. The bytes depend on `tracks`, `frames` and `seed` only, not on the number of `workers` (processes),
    the machine, or the versions of Python and NumPy. Raises WaymarkError where `folder` cannot be written.
    """
    draw = partial(_draw_class, tracks=tracks, frames=frames, seed=seed)
    tests: list[_Image] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            training, test, labels = (
                stack.enter_context(_archive(folder / name))
                for name in (TRAINING_ARCHIVE, TEST_ARCHIVE, TEST_LABELS_ARCHIVE)
            )
            training.writestr(entry("GTSRB/Readme-Images.txt"), _README)
            for label, (signs, test_signs) in enumerate(_drawn(draw, workers)):
                _add_training_class(training, label, signs)
                tests += (image for sign in test_signs for image in sign)
            _add_test(test, labels, Chance(seed, _TEST_ORDER).shuffled(tests))
    except OSError as error:
        raise WaymarkError(
            f"{folder}: the drawn images cannot be written ({error.strerror}); make room, some 6 kB an image, or let"
            " this user write there"
        ) from None


_Signs = list[list[_Image]]


def _drawn(draw: "partial[tuple[_Signs, _Signs]]", workers: int) -> Iterator[tuple[_Signs, _Signs]]:
    """The classes' signs in the order of the labels, drawn by `workers` processes."""
    labels = range(len(CLASS_NAMES))
    with ExitStack() as stack:
        results: Iterable[tuple[_Signs, _Signs]] = map(draw, labels)
        if workers > 1:
            results = stack.enter_context(pool(workers)).map(draw, labels)
        # disable=None: no bar where the output is not a terminal
        yield from tqdm(results, desc="drawing signs", total=len(labels), unit="class", disable=None)


def _draw_class(label: int, *, tracks: int, frames: int, seed: int) -> tuple[_Signs, _Signs]:
    """Training and test signs of one class; each sign has random numbers of its own, so neighbours do not matter."""
    levels = pyramid(template(label))

    def signs(purpose: int, count: int) -> _Signs:
        chances = (Chance(seed, purpose, label, number) for number in range(count))
        return [[_encoded(frame, label) for frame in track(chance, levels, frames)] for chance in chances]

    return signs(_TRAIN_SIGNS, tracks), signs(_TEST_SIGNS, max(tracks // 4, 1))


def _encoded(frame: Frame, label: int) -> _Image:
    height, width, _ = frame.image.shape
    ppm = f"P6\n{width} {height}\n255\n".encode() + frame.image.tobytes()
    return _Image(ppm, ";".join(map(str, (width, height, *frame.roi))), label)


def _add_training_class(archive: ZipFile, label: int, signs: _Signs) -> None:
    rows = [f"{_HEADER};ClassId"]
    for number, sign in enumerate(signs):
        for position, image in enumerate(sign):
            name = f"{number:05d}_{position:05d}.ppm"
            archive.writestr(entry(f"{_TRAINING}/{label:05d}/{name}"), image.ppm)
            rows.append(f"{name};{image.row};{label}")
    archive.writestr(entry(f"{_TRAINING}/{label:05d}/GT-{label:05d}.csv"), _lines(rows))


def _add_test(archive: ZipFile, labels: ZipFile, images: list[_Image]) -> None:
    archive.writestr(entry("GTSRB/Readme-Images-Final-test.txt"), _README)
    for number, image in enumerate(images):
        archive.writestr(entry(f"{_TEST}/{number:05d}.ppm"), image.ppm)
    rows = [f"{number:05d}.ppm;{image.row}" for number, image in enumerate(images)]
    archive.writestr(entry(f"{_TEST}/GT-final_test.test.csv"), _lines([_HEADER, *rows]))
    labelled = [f"{row};{image.label}" for row, image in zip(rows, images, strict=True)]
    labels.writestr(entry("GT-final_test.csv"), _lines([f"{_HEADER};ClassId", *labelled]))


def _lines(rows: list[str]) -> str:
    return "".join(f"{row}\r\n" for row in rows)


@contextmanager
def _archive(path: Path) -> Iterator[ZipFile]:
    """A zip that gets its name when it is whole, and is removed when it never is."""
    unfinished = path.with_name(path.name + ".partial")
    try:
        with ZipFile(unfinished, "w") as archive:
            yield archive
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
