"""The faults that test_validate.py plants into traffic signs, planted into the other data sets."""

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from waymark import params, paths
from waymark.datasets import asl, cifar10
from waymark.errors import WaymarkError
from waymark.stages import validate

REPOSITORY = Path(__file__).parents[2]
Members = dict[str, bytes]
Batches = dict[str, tuple[NDArray[np.uint8], list[object]]]  # pixels (N, 3072) and labels of each


def noise(number: int, mean: float = 127, spread: float = 0, size: tuple[int, int] = (24, 24)) -> Image.Image:
    """Grey noise whose level is normal, from 12 to 243 of 255."""
    generator = np.random.default_rng(number)
    level = np.clip(generator.normal(mean, spread), 12, 243)
    samples = level + generator.uniform(-10, 10, (size[1], size[0], 3))
    return Image.fromarray(samples.astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", orientation: int = 1) -> bytes:
    file, exif = io.BytesIO(), Image.Exif()
    if orientation != 1:
        exif[ExifTags.Base.Orientation] = orientation
    image.save(file, kind, quality=95, exif=exif)
    return file.getvalue()


# --- class folders: three classes, two scenes for learning, one for choosing and one for judging ---

CAT = "train/cat/scene0_0.png"


def class_folders() -> Members:
    scenes = {"train": (0, 1), "val": (2,), "test": (3,)}
    paths_ = [
        f"{split}/{name}/scene{scene}_{picture}.png"
        for split, numbers in scenes.items()
        for name in ("cat", "dog", "owl")
        for scene in numbers
        for picture in (0, 1)
    ]
    return {path: encoded(noise(number)) for number, path in enumerate(paths_)}


def holding(member: str, data: bytes | Callable[[Members], bytes]) -> Callable[[Members], None]:
    def plant(members: Members) -> None:
        members[member] = data if isinstance(data, bytes) else data(members)

    return plant


def without(start: str) -> Callable[[Members], None]:
    def plant(members: Members) -> None:
        for member in [member for member in members if member.startswith(start)]:
            del members[member]

    return plant


def as_tiff(member: str) -> Callable[[Members], bytes]:
    return lambda members: encoded(Image.open(io.BytesIO(members[member])), "TIFF")


IN_CAT = f"images.zip: member {CAT}: "


@pytest.mark.parametrize(
    ("plant", "sentence"),
    [
        pytest.param(holding(CAT, lambda m: m[CAT][:600]), IN_CAT + "does not decode (", id="D1"),
        pytest.param(holding(CAT, b""), IN_CAT + "zero bytes", id="D2"),
        pytest.param(holding(CAT, encoded(noise(0, size=(1, 1)))), IN_CAT + "is 1 px wide", id="D5"),
        pytest.param(holding(CAT, encoded(noise(0, size=(8, 4097)))), IN_CAT + "is 4097 px high", id="D6"),
        pytest.param(
            holding(CAT, lambda m: m["train/dog/scene1_0.png"]),
            IN_CAT + "the same pixels as images.zip train/dog/scene1_0.png with label 1",
            id="D8",
        ),
        pytest.param(
            holding("val/cat/scene0_9.png", encoded(noise(99))), IN_CAT + "scene0 is in train and val", id="D9"
        ),
        pytest.param(
            holding(CAT, lambda m: m["test/cat/scene3_1.png"]),
            IN_CAT + "the same bytes as images.zip test/cat/scene3_1.png",
            id="D10-bytes",
        ),
        pytest.param(
            holding(CAT, as_tiff("val/cat/scene2_1.png")),
            IN_CAT + "the same pixels as images.zip val/cat/scene2_1.png",
            id="D10-pixels",
        ),
        pytest.param(
            holding("train/scene0_0.png", encoded(noise(99))),
            "images.zip: member train/scene0_0.png: lies in no class folder",
            id="D11",
        ),
        pytest.param(without("train/dog/"), "class 1 (dog): no sound image in train", id="D12"),
        pytest.param(without("test/dog/"), "class 1 (dog): no sound image in test", id="D12-test"),
        pytest.param(
            holding("train/cat/no.png", encoded(noise(99))),
            "images.zip: member train/cat/no.png: group_pattern",
            id="group",
        ),
        pytest.param(
            holding("../cat/scene9_0.png", encoded(noise(99))),
            "images.zip: member ../cat/scene9_0.png: leads out",
            id="D17",
        ),
        pytest.param(holding(CAT, encoded(Image.new("RGB", (24, 24)))), IN_CAT + "shows nothing", id="D20"),
    ],
)
def test_fault_in_class_folders_is_named(plant: Callable[[Members], None], sentence: str, workplace: None) -> None:
    members = class_folders()
    plant(members)
    assert sentence in refused("folder", members, group_pattern=r"(scene\d+)_")


def test_class_folders_of_another_number_than_declared_are_refused(workplace: None) -> None:
    """D22."""
    assert refused("folder", class_folders(), expected_images=500) == (
        "folder: There are as many training images as `expected_images` declares: images.zip: member "
        "train/owl/scene1_1.png: is the last of 12 training images where 500 are declared (expected_images); all of it "
        "is in reports/data_docs/index.html"
    )


@pytest.mark.parametrize(
    ("plant", "name"),
    [
        pytest.param(holding(CAT, lambda m: m["train/cat/scene0_1.png"]), "picture_stands_once", id="D7"),
        pytest.param(holding(CAT, encoded(noise(0), "JPEG", 6)), "picture_is_stored_upright", id="D23"),
        pytest.param(holding(CAT, encoded(noise(0).convert("CMYK"), "TIFF")), None, id="D4-CMYK"),
    ],
)
def test_doubt_about_class_folders_does_not_stop(
    plant: Callable[[Members], None], name: str | None, workplace: None
) -> None:
    members = class_folders()
    plant(members)
    assert warnings("folder", members) == ({name: 1} if name else {})


# --- the ASL alphabet: three frames of each letter, and the published test images of three ---

A1 = "asl_alphabet_train/asl_alphabet_train/A/A1.jpg"
IN_A1 = f"images.zip: member {A1}: "


def alphabet() -> Members:
    train = [f"{name}/{name}{frame}.jpg" for name in asl.CLASS_NAMES for frame in (1, 2, 3)]
    members = [f"asl_alphabet_train/asl_alphabet_train/{path}" for path in train]
    members += [f"asl_alphabet_test/asl_alphabet_test/{name}_test.jpg" for name in "ABC"]
    return {member: encoded(noise(number, 134, 15), "JPEG") for number, member in enumerate(members)}


def many_frames(members: Members) -> None:
    for frame in range(10, 110):
        members[A1.replace("A1", f"A{frame}")] = encoded(noise(1000 + frame, 134, 15), "JPEG")


def darkened(members: Members) -> None:
    for member, data in members.items():
        members[member] = encoded(Image.open(io.BytesIO(data)).point(lambda sample: sample // 4), "JPEG")


@pytest.mark.parametrize(
    ("plant", "sentence"),
    [
        pytest.param(holding(A1, lambda m: m[A1][:600]), IN_A1 + "does not decode (", id="D1"),
        pytest.param(holding(A1, b""), IN_A1 + "zero bytes", id="D2"),
        pytest.param(holding(A1, encoded(noise(0, size=(1, 1)), "JPEG")), IN_A1 + "is 1 px wide", id="D5"),
        pytest.param(
            holding(A1, lambda m: m[A1.replace("A", "B").replace("Bsl", "asl")]),
            IN_A1 + "the same pixels as images.zip asl_alphabet_train/asl_alphabet_train/B/B1.jpg with label 1",
            id="D8",
        ),
        pytest.param(
            holding(A1.replace("/A1", "/B7"), encoded(noise(99), "JPEG")),
            "images.zip: member asl_alphabet_train/asl_alphabet_train/A/B7.jpg: named B7 but lies in the folder A",
            id="D11",
        ),
        pytest.param(without(A1[:-8] + "del/"), "class 26 (del): no sound image in train", id="D12"),
        pytest.param(
            many_frames,
            "Every class has its equal share of the training images: "
            "class 0 (A): 103 sound images in train, 15.97 times its share",
            id="D13",
        ),
        pytest.param(darkened, "luma averages 32 where 134 is usual, of 0 to 255", id="D19"),
        pytest.param(holding(A1, encoded(Image.new("RGB", (24, 24)), "JPEG")), IN_A1 + "shows nothing", id="D20"),
        pytest.param(holding(A1, encoded(noise(0), "JPEG", 6)), IN_A1 + "has EXIF orientation 6", id="D23"),
    ],
)
def test_fault_in_the_alphabet_is_named(plant: Callable[[Members], None], sentence: str, workplace: None) -> None:
    members = alphabet()
    plant(members)
    assert sentence in refused("asl", members)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        pytest.param(holding(A1, lambda m: m[A1.replace("A1", "A2")]), {"picture_stands_once": 1}, id="D7"),
        pytest.param(
            holding(A1, lambda m: m["asl_alphabet_test/asl_alphabet_test/A_test.jpg"]),
            {"no_file_in_a_later_split": 1, "no_picture_in_a_later_split": 1},
            id="D10",
        ),
        pytest.param(
            holding(A1, encoded(noise(0).convert("CMYK"), "JPEG")), {"picture_is_stored_as_rgb": 1}, id="D4-CMYK"
        ),
        pytest.param(
            holding(A1, encoded(noise(0).convert("L"), "JPEG")), {"picture_is_stored_as_rgb": 1}, id="D4-one-channel"
        ),
        pytest.param(lambda members: None, {}, id="sound"),
    ],
)
def test_doubt_about_the_alphabet_does_not_stop(
    plant: Callable[[Members], None], found: dict[str, int], workplace: None
) -> None:
    members = alphabet()
    plant(members)
    assert warnings("asl", members) == found


# --- CIFAR-10: two pictures of each class in each batch ---


def batches() -> Batches:
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    return {
        name: (
            np.stack([pixels_of(noise(20 * batch + place, 123, 32, (32, 32))) for place in range(20)]),
            [place % 10 for place in range(20)],
        )
        for batch, name in enumerate(names)
    }


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """The red plane, the green and the blue."""
    return np.asarray(image).transpose(2, 0, 1).reshape(-1)


def labelled(label: object, place: int = 3) -> Callable[[Batches], None]:
    def plant(found: Batches) -> None:
        found["data_batch_1"][1][place] = label

    return plant


def copied(source: str, place: int, onto: int) -> Callable[[Batches], None]:
    def plant(found: Batches) -> None:
        found["data_batch_1"][0][onto] = found[source][0][place]

    return plant


def black(found: Batches) -> None:
    found["data_batch_1"][0][3] = 0


def every_bird_a_cat(found: Batches) -> None:
    for name in found.keys() - {"test_batch"}:
        found[name][1][:] = [3 if label == 2 else label for label in found[name][1]]


def a_quarter_of_the_light(found: Batches) -> None:
    for pixels, _ in found.values():
        pixels //= 4


def many_cats(found: Batches) -> None:
    pixels = np.stack([pixels_of(noise(1000 + number, 123, 32, (32, 32))) for number in range(100)])
    found["data_batch_1"] = (np.concatenate([found["data_batch_1"][0], pixels]), found["data_batch_1"][1] + [3] * 100)


IN_BATCH = "images.tar.gz: member cifar-10-batches-py/data_batch_1#3 (data_batch_1_3.png): "


@pytest.mark.parametrize(
    ("plant", "sentence"),
    [
        pytest.param(
            copied("data_batch_2", 4, onto=3),
            IN_BATCH + "the same pixels as images.tar.gz cifar-10-batches-py/data_batch_2#4 with label 4",
            id="D8",
        ),
        pytest.param(labelled(10), IN_BATCH + "label 10 is not one of 0 to 9", id="D11-10"),
        pytest.param(labelled(-1), IN_BATCH + "label -1 is not one of 0 to 9", id="D11-minus-1"),
        pytest.param(labelled(b"x"), IN_BATCH + "the label is x; expected a whole number", id="D11-x"),
        pytest.param(labelled(""), IN_BATCH + "the label is ; expected a whole number", id="D11-empty"),
        pytest.param(every_bird_a_cat, "class 2 (bird): no sound image in train", id="D12"),
        pytest.param(many_cats, "class 3 (cat): 110 sound images in train, 5.5 times its share", id="D13"),
        pytest.param(a_quarter_of_the_light, "luma averages 28 where 123 is usual, of 0 to 255", id="D19"),
        pytest.param(black, IN_BATCH + "shows nothing", id="D20"),
    ],
)
def test_fault_in_the_batches_is_named(plant: Callable[[Batches], None], sentence: str, workplace: None) -> None:
    found = batches()
    plant(found)
    assert sentence in refused("cifar10", found)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        pytest.param(copied("data_batch_2", 3, onto=3), {"picture_stands_once": 1}, id="D7"),
        pytest.param(
            copied("test_batch", 3, onto=3), {"no_file_in_a_later_split": 1, "no_picture_in_a_later_split": 1}, id="D10"
        ),
        pytest.param(lambda found: None, {}, id="sound"),
    ],
)
def test_doubt_about_the_batches_does_not_stop(
    plant: Callable[[Batches], None], found: dict[str, int], workplace: None
) -> None:
    planted = batches()
    plant(planted)
    assert warnings("cifar10", planted) == found


# --- running the stage ---


def refused(dataset: str, content: Members | Batches, **changed: object) -> str:
    with pytest.raises(WaymarkError) as stopped:
        run(dataset, content, **changed)
    assert "\n" not in str(stopped.value)
    return str(stopped.value)


def warnings(dataset: str, content: Members | Batches) -> dict[str, int]:
    """How many rows are against each expectation that is broken, none of which stops the stage."""
    run(dataset, content)
    report = json.loads(paths.VALIDATION.read_text())["expectations"]
    return {name: entry["unexpected"] for name, entry in report.items() if not entry["success"]}


def run(dataset: str, content: Members | Batches, **changed: object) -> None:
    folder = paths.raw(dataset)
    folder.mkdir(parents=True)
    files = {name: data if isinstance(data, bytes) else pickled(name, *data) for name, data in content.items()}
    if dataset == "cifar10":
        files["batches.meta"] = pickle.dumps({b"label_names": [name.encode() for name in cifar10.CLASS_NAMES]}, 2)
        with tarfile.open(folder / "images.tar.gz", "w:gz", compresslevel=1) as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    else:
        with ZipFile(folder / "images.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    defaults = params.load(REPOSITORY / "params.yaml")
    validate.run(defaults.model_copy(update={"dataset": dataset, **changed}))


def pickled(name: str, pixels: NDArray[np.uint8], labels: list[object]) -> bytes:
    names = [f"{name}_{place}.png".encode() for place in range(len(labels))]
    return pickle.dumps({b"data": pixels, b"labels": labels, b"filenames": names}, 2)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "expectations").symlink_to(REPOSITORY / "expectations")
