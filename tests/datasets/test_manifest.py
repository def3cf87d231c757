import hashlib
import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

import imagehash
import pandas as pd
import pytest
from PIL import ExifTags, Image

from waymark.datasets import manifest
from waymark.datasets.base import Grouping, Origin, Read, Record
from waymark.datasets.gtsrb import GTSRB
from waymark.errors import WaymarkError


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def halves(left: int, right: int) -> Image.Image:
    image = Image.new("RGB", (4, 2), (left,) * 3)
    image.paste((right,) * 3, (2, 0, 4, 2))
    return image


@dataclass(frozen=True)
class InMemory:
    """A data set whose archive is a mapping."""

    files: dict[str, bytes]
    records: tuple[Record, ...] = ()
    name: str = "in memory"
    origins: tuple[Origin, ...] = field(default=())
    grouping: Grouping = "images"
    own_test: bool = True

    def class_names(self, folder: Path) -> tuple[str, ...]:
        return ("stop", "yield")

    def index(self, folder: Path) -> Iterator[Record]:
        yield from self.records or (Record("a.zip", name, "train", 1, name) for name in self.files)

    @contextmanager
    def open(self, folder: Path) -> Iterator[Read]:
        yield lambda archive, member: self.files[member]


def built(files: dict[str, bytes], *records: Record) -> pd.DataFrame:
    return manifest.build(InMemory(files, records), Path(), workers=1)


def test_row_tells_listing_and_pixels() -> None:
    data = encoded(halves(0, 200))
    record = Record("a.zip", "x.png", "test", 1, "g", 3, (0, 0, 3, 1), (4, 2), "list line 2", part="other")
    row = built({"x.png": data}, record).iloc[0].to_dict()
    assert row == {
        "archive": "a.zip",
        "member": "x.png",
        "row": "list line 2",
        "split": "test",
        "part": "other",
        "label": 1,
        "class_name": "yield",
        "group": "g",
        "frame": 3,
        "width": 4,
        "height": 2,
        "roi_x1": 0,
        "roi_y1": 0,
        "roi_x2": 3,
        "roi_y2": 1,
        "bytes_sha256": hashlib.sha256(data).hexdigest(),
        "pixels_sha256": hashlib.sha256(b"4x2" + halves(0, 200).tobytes()).hexdigest(),
        "brightness": 100.0,
        "contrast": 100.0,
        "mode": "RGB",
        "orientation": 1,
        "perceptual_hash": str(imagehash.phash(halves(0, 200))),
        "thumbnail": halves(0, 200).resize((12, 12), Image.Resampling.BOX).tobytes(),
        "problem": "",
    }


def test_pixels_hash_is_one_for_one_picture_in_any_format_and_shape_matters() -> None:
    picture = halves(10, 20)
    frame = built(
        {
            "a.png": encoded(picture),
            "a.ppm": encoded(picture, "PPM"),
            "turned.png": encoded(Image.frombytes("RGB", (2, 4), picture.tobytes())),
        }
    )
    assert frame["bytes_sha256"].nunique() == 3
    assert frame["pixels_sha256"][0] == frame["pixels_sha256"][1] != frame["pixels_sha256"][2]


@pytest.mark.parametrize(
    ("kind", "mode"), [("L", "L"), ("CMYK", "CMYK"), ("I;16", "I;16"), ("RGBA", "RGBA"), ("P", "P")]
)
def test_samples_that_are_no_rgb_are_told_as_stored(kind: str, mode: str) -> None:  # D4
    data = encoded(Image.new(kind, (4, 2)), "TIFF" if kind == "CMYK" else "PNG")
    assert built({"x": data}).iloc[0]["mode"] == mode


def test_rotation_that_exif_asks_for_is_told_and_applied() -> None:  # D23
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    halves(0, 200).save(file, "JPEG", exif=exif)
    row = built({"x.jpg": file.getvalue()}).iloc[0]
    assert (row["orientation"], row["width"], row["height"]) == (6, 2, 4)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "zero bytes"),
        (b"GIF87 or not", "not an image of a known format"),
        (encoded(halves(0, 9))[:50], "does not decode"),
    ],
)
def test_what_does_not_decode_is_a_problem_without_pixels(data: bytes, problem: str) -> None:
    row = built({"x.png": data}).iloc[0]
    assert problem in row["problem"]
    assert row["pixels_sha256"] is None
    assert pd.isna(row["width"])


def test_size_other_than_the_row_says_is_a_problem() -> None:
    record = Record("a.zip", "x.png", "train", 0, "g", declared_size=(5, 2))
    row = built({"x.png": encoded(halves(0, 9))}, record).iloc[0]
    assert row["problem"] == "is 4×2 px where its row says 5×2"


def test_huge_image_is_measured_by_its_header_and_not_decoded() -> None:
    row = built({"x.png": encoded(Image.new("L", (manifest.MAX_SIDE + 1, 1)))}).iloc[0]
    assert (row["width"], row["height"], row["pixels_sha256"]) == (4097, 1, None)


def test_label_without_a_class_has_no_class_name() -> None:
    rows = built({"x.png": b""}, *(Record("a.zip", "x.png", "train", label, "g") for label in (2, -1, None)))
    assert rows["class_name"].tolist() == [None] * 3
    assert rows["label"].tolist() == [2, -1, pd.NA]


def test_parquet_round_trip_is_exact_and_its_bytes_repeat(tmp_path: Path) -> None:
    frame = built({f"{n}.png": encoded(halves(n, 9)) for n in range(5)} | {"empty.png": b""})
    for name in ("a.parquet", "b.parquet"):
        manifest.write(frame, tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "a.parquet"), frame)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_full_disk_leaves_the_manifest_as_it_was_and_nothing_half_written(tmp_path: Path) -> None:  # K3
    path, limits = tmp_path / "manifest.parquet", resource.getrlimit(resource.RLIMIT_FSIZE)
    path.write_bytes(b"the one before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(WaymarkError, match=r"manifest\.parquet: cannot be written \(.*File too large\)"):
            manifest.write(built({"x.png": encoded(halves(0, 200))}), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(path.name, b"the one before")]


def test_damaged_or_foreign_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(WaymarkError, match=r"cut\.parquet: cannot be read"):
        manifest.read(tmp_path / "cut.parquet")
    with pytest.raises(WaymarkError, match=r"other\.parquet: has other columns"):
        manifest.read(tmp_path / "other.parquet")


@pytest.mark.slow
def test_result_does_not_depend_on_the_number_of_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(manifest, "CHUNK", 2)
    header = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n"
    with ZipFile(tmp_path / "archive.zip", "w") as archive:
        members = [f"Train/3/00003_00000_{n:05d}.png" for n in range(7)] + ["Test/00000.png"]
        for n, member in enumerate(members):
            archive.writestr(member, encoded(halves(n, 99)) if n != 4 else b"")
        archive.writestr("Train.csv", header + "".join(f"4,2,0,0,3,1,3,{member}\n" for member in members[:-1]))
        archive.writestr("Test.csv", header + f"4,2,0,0,3,1,3,{members[-1]}\n")
    alone, shared = (manifest.build(GTSRB, tmp_path, workers) for workers in (1, 3))
    pd.testing.assert_frame_equal(alone, shared)
    assert alone["problem"].tolist().count("zero bytes") == 1
