import base64
import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.judging import label_review
from waymark.judging.label_review import Issue

HALF = (0.5, 0.5, 0.5)
CONTRACT = Contract("signs", ("stop", "yield", "bend", "<b>&none"), 16, 0.0, HALF, HALF)
TRACKS, FRAMES = 10, 4  # of each of three classes; the fourth has no image
WRONG = {"track 03": 1, "track 17": 2}  # the first two classes' tracks that bear another's label


def truth() -> pd.DataFrame:
    """Three classes of ten tracks in two folds, two of which bear a wrong label."""
    number = np.repeat(np.arange(3 * TRACKS), FRAMES)
    rows = pd.DataFrame({"archive": "a.zip", "label": number // TRACKS, "fold": number % 2 + 1})
    rows["group"] = [f"track {track:02}" for track in number]
    rows["member"] = [f"{image // FRAMES:02}/{image % FRAMES}.png" for image in range(len(number))]
    return rows


def answers(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Probabilities of a network that knows each image's true class, and gives the next 0.01 to 0.04 by frame."""
    labels, frame = rows["label"].to_numpy(), np.arange(len(rows)) % FRAMES
    probabilities = np.zeros((len(rows), 4))
    probabilities[np.arange(len(rows)), labels] = 0.94
    probabilities[np.arange(len(rows)), (labels + 1) % 3] = 0.01 * (1 + frame)
    probabilities[np.arange(len(rows)), (labels + 2) % 3] = 0.04 - 0.01 * frame
    probabilities[:, 3] = 0.01
    return probabilities


@pytest.fixture
def rows() -> pd.DataFrame:
    rows = truth()
    return rows.assign(label=rows["group"].map(WRONG).fillna(rows["label"]).astype(int))


def review(rows: pd.DataFrame, probabilities: NDArray[np.float64]) -> tuple[pd.DataFrame, list[Issue]]:
    judged = label_review.judge(rows, probabilities)
    return judged, label_review.rank(judged, probabilities)


def picture(row: int) -> NDArray[np.uint8]:
    return np.full((16, 16, 3), row, np.uint8)


def test_tracks_under_a_wrong_label_are_flagged_with_their_true_class_and_no_other_is(rows: pd.DataFrame) -> None:
    _, issues = review(rows, answers(truth()))
    assert issues == [
        Issue("track 03", label=1, suggested=0, quality=0.025, images=4, flagged=(12, 13, 14, 15)),
        Issue("track 17", label=2, suggested=1, quality=0.025, images=4, flagged=(68, 69, 70, 71)),
    ]


def test_quality_is_the_probability_of_the_label(rows: pd.DataFrame) -> None:
    judged, _ = review(rows, answers(truth()))
    assert judged["quality"][:4].tolist() == [0.94] * 4
    assert judged["quality"][12:16].tolist() == [0.01, 0.02, 0.03, 0.04]
    assert judged["suggested"][12:16].tolist() == [0, 0, 0, 0]


def test_track_with_one_doubtful_frame_comes_after_one_that_is_doubtful_throughout(rows: pd.DataFrame) -> None:
    probabilities = answers(truth())
    probabilities[0] = [0.001, 0.0, 0.999, 0.0]  # worse than any frame of the wrong tracks
    _, issues = review(rows, probabilities)
    assert [(issue.group, len(issue.flagged)) for issue in issues] == [
        ("track 03", 4),
        ("track 17", 4),
        ("track 00", 1),
    ]
    assert issues[2].flagged == (0,)
    assert issues[2].quality == round((0.001 + 3 * 0.94) / 4, 6)


def test_group_with_images_of_several_classes_gives_an_issue_for_each_label_in_doubt() -> None:
    rows = truth().assign(group=lambda table: "person " + table["fold"].astype(str))
    sound = answers(rows)
    rows.loc[[0, 1, 2, 3], "label"] = 1
    rows.loc[[40, 41, 42, 43], "label"] = 2
    _, issues = review(rows, sound)
    assert [(issue.group, issue.label, issue.suggested, issue.flagged) for issue in issues] == [
        ("person 1", 1, 0, (0, 1, 2, 3)),
        ("person 1", 2, 1, (40, 41, 42, 43)),
    ]
    assert [issue.images for issue in issues] == [20, 24]


def test_class_that_only_one_fold_has_is_not_judged_and_the_page_says_so(rows: pd.DataFrame) -> None:
    lonely = pd.DataFrame(
        {"archive": "a.zip", "label": 3, "fold": 1, "group": "track 99", "member": ["x.png", "y.png"]}
    )
    more = pd.concat([rows, lonely], ignore_index=True)
    never_seen = np.full((2, 4), [0.97, 0.01, 0.01, 0.01])
    judged, issues = review(more, np.concatenate([answers(truth()), never_seen]))
    assert [issue.group for issue in issues] == ["track 03", "track 17"]
    assert judged["quality"][-2:].isna().all()
    page = label_review.page(judged, issues, CONTRACT, picture)
    assert "&lt;b&gt;&amp;none: not judged (2 images); no other fold has an image of it to learn from." in page


def test_labels_of_a_single_class_cannot_be_judged(rows: pd.DataFrame) -> None:
    sentence = "no label can be judged: fewer than two classes have images in two folds; add groups of them"
    with pytest.raises(WaymarkError, match=f"^{sentence}$"):
        label_review.judge(rows.assign(label=0), answers(truth()))


def test_class_with_fewer_groups_than_folds_is_named_on_the_page(rows: pd.DataFrame) -> None:
    few = rows[(rows["label"] != 2) | (rows["group"] < "track 22")].reset_index(drop=True)
    few["fold"] = pd.factorize(few["group"])[0] % 5 + 1
    judged, issues = review(few, np.full((len(few), 4), 0.25))
    page = label_review.page(judged, issues, CONTRACT, picture)
    assert "<li>bend: 3 groups, fewer than the folds; its verdicts rest on little.</li>" in page
    assert "stop: " not in page


def test_sound_labels_give_no_issue_an_empty_table_and_a_page_that_says_so(tmp_path: Path) -> None:
    judged, issues = review(truth(), answers(truth()))
    assert issues == []
    label_review.write_csv(judged, issues, CONTRACT.class_names, tmp_path / "issues.csv")
    header = "archive,member,label,class_name,suggested,suggested_name,quality,group,fold\n"
    assert (tmp_path / "issues.csv").read_text() == header
    page = label_review.page(judged, issues, CONTRACT, picture)
    assert "<strong>0 of 120 images flagged</strong>, in 0 of 30 groups." in page
    assert "<p>No image was flagged.</p>" in page


def test_csv_has_a_line_for_each_flagged_image_issue_by_issue(rows: pd.DataFrame, tmp_path: Path) -> None:
    judged, issues = review(rows, answers(truth()))
    label_review.write_csv(judged, issues, CONTRACT.class_names, tmp_path / "issues.csv")
    lines = (tmp_path / "issues.csv").read_bytes().decode().split("\n")
    assert lines[1] == "a.zip,03/0.png,1,yield,0,stop,0.010000,track 03,2"
    assert lines[8] == "a.zip,17/3.png,2,bend,1,yield,0.040000,track 17,2"
    assert len(lines) == 10


def test_page_loads_nothing_tells_what_was_done_and_is_the_same_bytes_again(rows: pd.DataFrame) -> None:
    pages = {label_review.page(*review(rows, answers(truth())), CONTRACT, picture) for _ in range(2)}
    page = pages.pop()
    assert pages == set()
    assert not re.search(r'https?:|<script|<link|@import|url\(|src="(?!data:image/png;base64,)', page)
    assert "<strong>8 of 120 images flagged</strong>, in 2 of 30 groups." in page
    assert "2 networks were trained, each without one of 2 folds" in page
    assert "had not seen its group: 93.3% look like their label." in page
    assert "Do not rely on it" not in page
    assert "Nothing was changed" in page
    assert "<h3>1. Labelled yield (1), looks like stop (0)</h3>" in page
    assert "<p>track 03: 4 of 4 images flagged, mean probability of the label 0.025, fold 2</p>" in page


def test_issue_shows_a_typical_image_of_both_classes_and_then_its_own_as_prepared(rows: pd.DataFrame) -> None:
    page = label_review.page(*review(rows, answers(truth())), CONTRACT, picture)
    first = page.partition("<article>")[2].partition("</article>")[0]
    shown = re.findall(r'src="data:image/png;base64,([^"]+)" alt="([^"]+)"', first)
    assert [alt for _, alt in shown] == [
        "typical yield",
        "typical stop",
        "0.png: 0.010",
        "1.png: 0.020",
        "2.png: 0.030",
        "3.png: 0.040",
    ]
    pixels = [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data, _ in shown]
    assert [image.shape for image in pixels] == [(16, 16, 3)] * 6
    assert [int(image[0, 0, 0]) for image in pixels] == [40, 0, 12, 13, 14, 15]  # filled with the row's number


def test_names_from_archives_cannot_become_markup(rows: pd.DataFrame) -> None:
    hostile = '"><script>alert(1)</script>'
    rows.loc[rows["group"] == "track 03", ["group", "member"]] = hostile.replace("/", "")
    page = label_review.page(*review(rows, answers(truth())), CONTRACT, picture)
    assert "<script" not in page
    assert 'alt="&quot;&gt;&lt;script&gt;alert(1)&lt;script&gt;: 0.010"' in page


def test_page_shows_the_first_issues_and_says_how_many_more_the_table_has(rows: pd.DataFrame) -> None:
    judged, issues = review(rows, answers(truth()))
    page = label_review.page(judged, issues * 101, CONTRACT, picture)
    assert page.count("<article>") == 200
    assert "<p>The 200 most probable are shown; 2 more are in issues.csv.</p>" in page


def test_networks_that_have_learned_too_little_are_said_not_to_be_relied_on(rows: pd.DataFrame) -> None:
    clueless = np.full((len(rows), 4), [0.4, 0.3, 0.2, 0.1])  # takes each image for the first class: 36 of 120 are
    judged, issues = review(rows, clueless)
    assert label_review.doubt(judged) == (
        "only 30.0% of the images held out look like their label: the networks have learned too little to judge "
        "labels; raise epochs, or see why `dvc repro` reports so low an accuracy on val"
    )
    page = label_review.page(judged, issues, CONTRACT, picture)
    assert "<strong>Do not rely on it:</strong> only 30.0% of the images held out look like their label" in page


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; install it (Debian: apt-get install chromium)")
def test_page_opens_in_a_browser_with_its_pictures(rows: pd.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(label_review.page(*review(rows, answers(truth())), CONTRACT, picture), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command += ["--window-size=800,1400", f"--screenshot={tmp_path / 'page.png'}", file.as_uri()]
    subprocess.run(list(map(str, command)), capture_output=True, timeout=60, check=True)
    colours = set(Image.open(tmp_path / "page.png").convert("RGB").getdata())
    assert {(row, row, row) for row in (12, 13, 14, 15, 68, 69, 70, 71)} <= colours
