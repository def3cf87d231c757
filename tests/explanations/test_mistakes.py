"""`waymark mistakes`: the surest wrong answers first, with a picture for either class, and no markup from the data."""

import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from waymark import paths
from waymark.errors import WaymarkError
from waymark.explanations import mistakes

if TYPE_CHECKING:
    from tests.explanations.conftest import Planted

ALL = 24


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def written(root: Path, output: Path, worst: int = ALL) -> tuple[str, Page]:
    said = mistakes.run(root, worst=worst, output=output)
    return said, Page(output.read_text(encoding="utf-8"))


@pytest.fixture
def copied(planted: "Planted", tmp_path: Path) -> Path:
    return Path(shutil.copytree(planted.root, tmp_path / "copied"))


def shown(page: Page) -> list[int]:
    """The numbers of the test images, in the order of the page."""
    return [int(number) for number in re.findall(r"<i>(\d+)\.png", page.text)]


def test_surest_mistakes_come_first_and_only_mistakes(planted: "Planted", tmp_path: Path) -> None:
    said, page = written(planted.root, tmp_path / "page.html")
    rows = pd.read_parquet(planted.root / paths.PREDICTIONS).loc[list(planted.mislabelled)]
    assert shown(page) == rows.sort_values("confidence", ascending=False, kind="stable").index.tolist()
    assert said == f"{tmp_path / 'page.html'}: 4 images of 4 mistakes on 12 test images"
    assert page.tags.count("img") == 3 * len(planted.mislabelled)
    _, two = written(planted.root, tmp_path / "two.html", worst=2)
    assert shown(two) == shown(page)[:2]


def test_each_mistake_names_label_answer_probabilities_and_track(planted: "Planted", tmp_path: Path) -> None:
    _, page = written(planted.root, tmp_path / "page.html")
    rows = pd.read_parquet(planted.root / paths.PREDICTIONS)
    for number in planted.mislabelled:
        row, names = rows.to_dict("records")[number], planted.contract.class_names
        said = f"{names[row['label']]} taken for {names[row['predicted']]} {100 * row['confidence']:.2f} %"
        assert said in " ".join(page.text.split())
    assert "track 1 · 2 of its 3 test images are wrong" in page.text  # 4 and 5 of 3, 4, 5
    assert "4 of 12 test images were taken for another class" in page.text


def test_names_from_the_data_are_text_and_nothing_comes_from_elsewhere(planted: "Planted", tmp_path: Path) -> None:
    _, page = written(planted.root, tmp_path / "page.html")
    assert not {"b", "i", "script"} & set(page.tags)
    assert planted.contract.class_names[0] in page.text
    assert all(source.startswith("data:image/") for source in page.sources)


def test_page_is_the_same_bytes_again(planted: "Planted", tmp_path: Path) -> None:
    for name in ("first.html", "second.html"):
        written(planted.root, tmp_path / name)
    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "second.html").read_bytes()


def test_model_without_a_mistake_gets_a_page_that_says_so(copied: Path, tmp_path: Path) -> None:
    rows = pd.read_parquet(copied / paths.PREDICTIONS)
    rows.assign(label=rows["predicted"]).to_parquet(copied / paths.PREDICTIONS)
    said, page = written(copied, tmp_path / "page.html")
    assert said.endswith(": 0 images of 0 mistakes on 12 test images")
    assert "None of 12 test images was taken for another class." in page.text
    assert "img" not in page.tags


def fewer_images(root: Path) -> None:
    path = root / paths.images("test")
    np.save(path, np.load(path)[:-1])


def other_confidences(root: Path) -> None:
    rows = pd.read_parquet(root / paths.PREDICTIONS)
    rows.assign(confidence=rows["confidence"] - 0.01).to_parquet(root / paths.PREDICTIONS)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda root: (root / paths.PREDICTIONS).unlink(), "predictions.parquet: cannot be read (No such file"),
        (lambda root: (root / paths.images("test")).write_bytes(b"no"), "test.npy: cannot be read ("),
        (fewer_images, "predictions.parquet: is of other images than"),
        (other_confidences, "predictions.parquet: is of another model than models/model.onnx; run `dvc repro`"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    copied: Path, tmp_path: Path, change: Callable[[Path], None], sentence: str
) -> None:
    change(copied)
    with pytest.raises(WaymarkError, match=re.escape(sentence)):
        mistakes.run(copied, worst=ALL, output=tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
