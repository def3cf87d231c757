import base64
import io
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from waymark.judging import charts, copies, data_page

HOSTILE = "<script>alert('x')</script>\n\"quoted\" & more"


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.elements if name in (attributes.get("class") or "").split()]

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def manifest(count: int, classes: int = 2, per_group: int = 2) -> pd.DataFrame:
    """`count` sound images, the last fifth of them the test, labels in turn."""
    numbers = np.arange(count)
    test = numbers >= count - count // 5
    rows = pd.DataFrame(
        {
            "archive": "signs.zip",
            "member": [f"images/{number:05}.png" for number in numbers],
            "split": np.where(test, "test", "train"),
            "label": pd.array(numbers % classes, "Int16"),
            "class_name": [f"class {number % classes}" for number in numbers],
            "group": [f"{number % classes}_{number // classes // per_group:05}" for number in numbers],
            "part": "",
            "width": pd.array(30 + numbers % 40, "Int32"),
            "height": pd.array(30 + numbers % 30, "Int32"),
            "brightness": 20.0 + numbers % 200,
            "contrast": 10.0 + numbers % 90,
            "pixels_sha256": [f"{number:064x}" for number in numbers],
            "problem": "",
        }
    )
    rows.loc[test, "group"] = rows["member"]
    return rows


def pairs(*rows: tuple[int, int, int, float]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["first", "second", "distance", "correlation"]).astype(
        {"first": "int32", "second": "int32", "distance": "int16", "correlation": "float64"}
    )


def plain(row: int) -> NDArray[np.uint8]:
    return np.full((40, 30, 3), row % 256, np.uint8)


Write = Callable[..., tuple[str, Page]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(
        rows: pd.DataFrame,
        near: pd.DataFrame | None = None,
        names: Sequence[str] = ("class 0", "class 1"),
        name: str = "signs",
        picture: data_page.Picture = plain,
    ) -> tuple[str, Page]:
        path = tmp_path / "data.html"
        data_page.write(rows, pairs() if near is None else near, name, tuple(names), picture, path)
        source = path.read_text(encoding="utf-8")
        return source, Page(source)

    return write


def test_page_shows_each_class_once_with_pictures_of_as_many_groups(write: Write) -> None:
    _, page = write(manifest(100))
    assert len(page.of_class("card")) == 2
    alts = [image["alt"] for image in page.tags("img")]
    assert len(alts) == 16
    # 20 groups of 2 a class: evenly spaced 0, 3, 5, 8, 11, 14, 16, 19; of each the second image, of every other number
    assert alts[:3] == ["class 0: images/00002.png", "class 0: images/00014.png", "class 0: images/00022.png"]
    assert alts[7] == "class 0: images/00078.png"


def test_counts_stand_in_the_table_and_beside_the_bars(write: Write) -> None:
    _, page = write(manifest(1500))
    text = " ".join(page.text.split())
    assert "train1,20080.0%26002test30020.0%23001" in text
    assert "train: every class has 600test: every class has 150" in text
    assert "600 train 150 test" in text


def test_uneven_classes_are_told_by_name(write: Write) -> None:
    rows = manifest(100)
    rows = rows[(rows["label"] == 0) | (rows.index % 4 == 1)]
    _, page = write(rows)
    assert "train: 20 of class 1 to 40 of class 0, 2.0 times as many" in page.text


def test_parts_of_a_test_are_counted_apart(write: Write) -> None:
    rows = manifest(100)
    rows.loc[80:, "part"] = ["same_signer"] * 5 + ["other_signer"] * 15
    _, page = write(rows)
    assert "other_signer1515.0%2151same_signer55.0%251" in page.text


def test_text_from_the_data_is_never_markup(write: Write) -> None:
    rows = manifest(20)
    for column in ("member", "class_name", "archive", "part"):
        rows[column] = HOSTILE
    rows["pixels_sha256"] = "0" * 64
    source, page = write(rows, names=(HOSTILE, "class 1"), name=HOSTILE)
    assert "<script" not in source
    assert page.tags("script") == []
    shown = "<script>alert('x')</script> \"quoted\" & more"
    assert page.tags("img")[0]["alt"] == f"{shown}: {shown}"
    assert page.text.count(shown) > 4
    assert {key for _, attributes in page.elements for key in attributes if key.startswith("on")} == set()


def test_page_refers_to_nothing_outside_itself(write: Write) -> None:
    source, page = write(manifest(100), pairs((0, 2, 3, 0.99)))
    assert re.findall(r"https?:|url\(|@import", source) == []
    assert {
        key for _, attributes in page.elements for key in attributes if key in ("srcset", "data", "action")
    } == set()
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in page.tags("img"))
    anchors = {str(link["href"]) for link in page.tags("a")}
    assert anchors == {"#balance", "#samples", "#measures", "#copies", "#near"}
    assert anchors <= {f"#{element['id']}" for _, element in page.elements if "id" in element}
    (policy,) = (one["content"] for one in page.tags("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_every_picture_and_chart_is_described(write: Write) -> None:
    _, page = write(manifest(100), pairs((0, 2, 3, 0.99)))
    assert all(image["alt"] for image in page.tags("img"))
    drawings = page.tags("svg")
    assert all(one.get("aria-label") or one.get("aria-hidden") == "true" for one in drawings)
    assert [one["aria-label"] for one in page.of_class("chart")] == [
        "Widths and heights of the images",
        "Brightness, share of each split's images",
        "Contrast, share of each split's images",
    ]


def test_same_manifest_gives_the_same_bytes(write: Write) -> None:
    rows, near = manifest(200, per_group=3), pairs((0, 2, 3, 0.99), (2, 9, 5, 0.98))
    assert write(rows, near)[0] == write(rows.copy(), near.copy())[0]


def test_rows_that_could_not_be_read_break_nothing(write: Write) -> None:
    rows = manifest(20)
    broken = [3, 5]
    rows.loc[broken, ["width", "height", "label"]] = pd.NA
    rows.loc[broken, ["brightness", "contrast"]] = np.nan
    rows.loc[broken, ["pixels_sha256", "class_name"]] = None
    rows.loc[broken, "problem"] = "is cut off"
    asked: list[int] = []

    def picture(row: int) -> NDArray[np.uint8]:
        asked.append(row)
        return plain(row)

    _, page = write(rows, picture=picture)
    assert "2 entries are wrong in themselves; the validation report names them." in page.text
    assert not {3, 5} & set(asked)
    assert asked == sorted(set(asked))
    assert "No two images have the same size and pixels." in page.text


def test_manifest_of_nothing_readable_still_makes_a_page(write: Write) -> None:
    rows = manifest(10)
    rows[["width", "height", "label"]] = pd.NA
    rows[["brightness", "contrast"]] = np.nan
    rows["pixels_sha256"], rows["problem"] = None, "is cut off"
    _, page = write(rows)
    assert "No image could be measured." in page.text
    assert page.text.count("no image to learn from") == 2
    assert page.tags("img") == []


def test_class_without_an_image_keeps_its_card(write: Write) -> None:
    _, page = write(manifest(20), names=("class 0", "class 1", "nobody"))
    assert len(page.of_class("card")) == 3
    assert page.text.count("no image to learn from") == 1
    assert "train: 0 of nobody to 8 of class 0" in page.text


def test_one_size_is_said_not_drawn(write: Write) -> None:
    rows = manifest(20)
    rows["width"] = rows["height"] = 32
    _, page = write(rows)
    assert "32 × 32 px" in page.text
    assert len(page.of_class("chart")) == 2


def test_groups_of_several_sizes_are_drawn_and_of_one_size_not(write: Write) -> None:
    assert "Images of one group" not in write(manifest(100))[1].text
    _, page = write(manifest(100, per_group=3))
    assert page.of_class("chart")[-1]["aria-label"] == "Images a group in train, share of the groups"


def test_copies_are_shown_side_by_side_the_leak_first(write: Write) -> None:
    rows = manifest(100)
    rows.loc[[10, 12, 14], "pixels_sha256"] = "a" * 64  # one class, one split
    rows.loc[[20, 90], "pixels_sha256"] = "b" * 64  # a test image in train
    rows.loc[[30, 31], "pixels_sha256"] = "c" * 64  # two labels
    _, page = write(rows)
    assert "7 images in 3 clusters that have the same size and pixels; 1 reaches across splits, 1 carries" in page.text
    assert len(page.of_class("cluster")) == 3
    assert re.findall(r"\d images(?: · [a-z\d ]+)?(?=train)", page.text) == [
        "2 images · across splits",
        "2 images · 2 labels",
        "3 images",
    ]
    assert page.text.index("images/00090.png") < page.text.index("images/00031.png") < page.text.index("00014.png")


def test_near_duplicates_say_how_near(write: Write) -> None:
    _, page = write(manifest(100), pairs((0, 2, 3, 0.991), (2, 4, 6, 0.98), (50, 52, 0, 0.9987)))
    assert "5 images in 2 clusters that are nearly the same; none reaches across splits, none carries" in page.text
    assert "3 images · distance 3–6 · correlation 0.980–0.991" in page.text
    assert "2 images · distance 0 · correlation 0.999" in page.text


def test_no_more_clusters_are_shown_than_fit_and_all_are_counted(write: Write) -> None:
    near = pairs(*((row, row + 2, 1, 0.99) for start in range(0, 480, 4) for row in (start, start + 1)))
    _, page = write(manifest(600), near)
    assert "480 images in 240 clusters" in page.text
    assert "Shown: the largest, 50 in all." in page.text
    assert len(page.of_class("cluster")) == 50
    _, page = write(manifest(600), pd.concat([near, pairs((478, 598, 1, 0.99))]))
    assert "1 reaches across splits" in page.text
    assert "Shown: those first, then the largest, 50 in all." in page.text


def test_large_cluster_shows_its_first_and_counts_the_rest(write: Write) -> None:
    rows = manifest(100)
    rows.loc[10:39:1, "pixels_sha256"] = "a" * 64
    _, page = write(rows)
    assert "and 24 more" in page.text
    assert sum(str(image["alt"]).startswith("Copy ") for image in page.tags("img")) == 6


def test_cluster_of_near_copies_reaches_through_exact_ones() -> None:
    rows = manifest(100)
    rows.loc[90, "pixels_sha256"] = rows.loc[20, "pixels_sha256"]
    (cluster,) = copies.near(rows, pairs((20, 22, 4, 0.985), (20, 90, 0, 1.0), (30, 32, 0, 1.0)).iloc[:2])
    assert cluster == copies.Cluster((20, 90, 22), 2, 1, (4, 4), (0.985, 0.985))


def test_exact_copies_are_no_near_duplicates() -> None:
    rows = manifest(20)
    rows.loc[4, "pixels_sha256"] = rows.loc[2, "pixels_sha256"]
    assert copies.near(rows, pairs((2, 4, 0, 1.0))) == []
    assert copies.exact(rows) == [copies.Cluster((2, 4), 1, 1)]


def test_pictures_are_64_px_at_most_and_keep_their_proportions(write: Write) -> None:
    _, page = write(manifest(10), picture=lambda row: np.full((300, 150, 3), 77, np.uint8))
    with Image.open(io.BytesIO(base64.b64decode(str(page.tags("img")[0]["src"]).partition(",")[2]))) as image:
        assert (image.size, image.getpixel((16, 32))) == ((32, 64), (77, 77, 77))


def test_page_that_cannot_be_built_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "data.html"
    path.write_text("old")

    def picture(row: int) -> NDArray[np.uint8]:
        raise RuntimeError(f"row {row}")

    with pytest.raises(RuntimeError, match="row "):
        data_page.write(manifest(10), pairs(), "signs", ("class 0", "class 1"), picture, path)
    assert [file.name for file in tmp_path.iterdir()] == ["data.html"]
    assert path.read_text() == "old"


@pytest.mark.slow
def test_page_of_50000_images_in_1000_classes_stays_small(write: Write) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    # Smooth like a photograph; noise itself does not compress.
    smooth = np.asarray(Image.fromarray(noise[:8, :8]).resize((64, 64), Image.Resampling.BICUBIC))
    near = pairs(*((row, row + 1000, 2, 0.99) for row in range(0, 30000)))
    names = [f"class {label}" for label in range(1000)]
    source, page = write(manifest(50_000, classes=1000), near, names, picture=lambda row: np.asarray(smooth))
    assert len(source.encode()) < 5_000_000
    assert len(page.of_class("card")) == 1000


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 256, 7, [0, 50, 100, 150, 200, 250]),
        (0, 9.2, 5, [0, 2, 4, 6, 8]),
        (20, 75, 6, [20, 30, 40, 50, 60, 70]),
        (0, 0.3, 4, [0, 0.1, 0.2, 0.3]),
        (5, 5, 4, [5]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, most: int, expected: list[float]) -> None:
    assert charts.ticks(low, high, most) == expected


def test_histogram_draws_shares_and_counts_what_lies_beyond_in_the_last_bin() -> None:
    svg = charts.histogram({"train": np.array([0.0, 1.0, 5.0, 99.0])}, [0, 2, 4], "Light & <shade>", "luma")
    # Half of the values in each bin: both steps at the same height, 1/1.05 of the 198 units between 206 and 8.
    assert re.findall(r'd="(M[^"]+V[^"]+)"', svg) == ["M40.0 206.0V17.4H186.0V17.4H332.0V206.0"]
    assert 'aria-label="Light &amp; &lt;shade&gt;"' in svg


def test_size_map_names_each_cell_and_keeps_every_image() -> None:
    widths, heights = np.array([30, 30, 31, 60]), np.array([30, 30, 45, 31])
    svg = charts.size_map(widths, heights, "Sizes")
    cells = re.findall(r"<title>([^<]+)</title>", svg)
    assert sum(int(cell.rpartition(": ")[2]) for cell in cells) == 4
    assert cells[0] == "30 × 30 px: 2"


def test_size_map_of_very_different_sizes_is_logarithmic() -> None:
    sides = np.array([10, 100, 1000])
    svg = charts.size_map(sides, sides, "Sizes")
    xs = [float(x) for x in re.findall(r'class="cell" x="([\d.]+)"', svg)]
    assert xs[0] == 40
    assert (xs[2] - xs[1]) / (xs[1] - xs[0]) == pytest.approx(1, abs=0.15)
    assert "width × height, px, logarithmic" in svg
