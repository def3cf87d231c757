import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from waymark.judging import data_docs, expectations
from waymark.judging.expectations import Expectation, Verdict

IN_RANGE = Expectation(
    name="label_in_range",
    guards="Every label is 0 or 1",
    severity="error",
    table="images",
    type="ExpectColumnValuesToBeBetween",
    arguments={"column": "label", "min_value": 0, "max_value": 1},
    offender="label {label}",
)


def verdict(*labels: int, member: str = "a.png") -> Verdict:
    rows = pd.DataFrame({"archive": "a.zip", "member": member, "row": "", "label": labels, "group": "g"})
    return expectations.check({"images": rows}, (IN_RANGE,))


@pytest.mark.parametrize("labels", [(0, 1), (0, 7)], ids=["holds", "broken"])
def test_page_loads_nothing_from_anywhere(labels: tuple[int, ...]) -> None:
    page = data_docs.page(verdict(*labels), "signs")
    assert not re.search(r"https?:|//[a-z]|<script|<link|<img|@import|url\(|src=", page)


def test_page_is_the_same_bytes_for_the_same_verdict_and_tells_no_time_or_path(tmp_path: Path) -> None:
    first, second = (data_docs.page(verdict(0, 7, 8), "signs") for _ in range(2))
    assert first == second
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-|\d{8}T\d{6}|20\d\d-\d\d|/home/|/tmp/", first)


def test_broken_expectation_stands_with_its_offenders_in_our_words_and_in_great_expectations() -> None:
    page = data_docs.page(verdict(0, 7), "signs")
    assert "✘ broken" in page
    assert "<li>a.zip: member a.png: label 7</li>" in page
    assert "1 unexpected values found" in page


def test_names_from_archives_cannot_become_markup() -> None:
    page = data_docs.page(verdict(7, member="$label ${x <script>alert(1)</script>.png"), "signs")
    assert "<script" not in page
    assert page.count("$label ${x &lt;script&gt;alert(1)&lt;/script&gt;.png") == 2  # ours and Great Expectations'


def test_write_replaces_the_folder_and_leaves_no_partial(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "old.html").write_text("old")
    data_docs.write(verdict(0), "signs", folder)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "docs",
        "docs/index.html",
    ]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; install it (Debian: apt-get install chromium)")
def test_page_opens_in_a_browser_that_reaches_nothing(tmp_path: Path) -> None:
    data_docs.write(verdict(0, 7), "signs", tmp_path / "docs")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]
    url = (tmp_path / "docs" / "index.html").as_uri()
    done = subprocess.run([*map(str, command), url], capture_output=True, text=True, timeout=60, check=True)
    assert "<li>a.zip: member a.png: label 7</li>" in done.stdout
