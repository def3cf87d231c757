"""The report in Markdown: what it says, and how long it may be."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from waymark.git import FileChange
from waymark.judging.latency import Latency
from waymark.reporting import markdown, page
from waymark.reporting.composing import compose
from waymark.reporting.findings import examine
from waymark.reporting.snapshot import Snapshot

Build = Callable[..., Snapshot]

GOLDEN = Path(__file__).with_name("report.md")
LIMIT = 65_536  # characters that GitHub takes, https://github.com/orgs/community/discussions/41331
WATERMARK = 1_000  # characters that whoever posts it may add


def report(old: Snapshot, new: Snapshot, **more: Any) -> str:
    return markdown.render(compose(examine(old, new, **more)))


@pytest.fixture(scope="module")
def pair(build: Build, build_manifest: Callable[..., pd.DataFrame]) -> tuple[Snapshot, Snapshot]:
    """A base that has 24 images wrong, and a head that learned with another rate, from other data, and has 6 wrong."""
    before = build_manifest(40)
    after = build_manifest(60, class_name={3: "Stop"}, split={5: "val"}, pixels_sha256={7: "another"}).iloc[1:]
    data = {
        "archives": {"signs.zip": {"sha256": "a" * 64}, "more.zip": {"sha256": "b" * 64}},
        "split": {"split": "grouped", "split_sha256": "a", "grouped": {"images": {"train": 90, "val": 30}}},
    }
    old = build("origin/main", range(0, 120, 5), commit="0123456789abcdef" * 2, manifest=before, **data)
    changed = {
        "archives": {"signs.zip": {"sha256": "c" * 64}},
        "split": {"split": "grouped", "split_sha256": "b", "grouped": {"images": {"train": 1_089, "test": 30}}},
    }
    new = build(wrong=(0, 1, 2, 41, 42, 43), lr=0.02, manifest=after, **changed)
    train = dict(new.stages["train"])
    train["cmd"] = "train --fast"
    train["deps"] = [{"path": "src/waymark/learning/network.py", "md5": "b2" * 16}, *train["deps"][1:]]
    params = {**new.params, "gate_max_ece": 0.01}
    return old, replace(new, params=params, stages={**new.stages, "train": train})


@pytest.fixture(scope="module")
def files() -> list[FileChange]:
    return [FileChange("src/waymark/learning/network.py", 12, 3), FileChange("README.md", 1, 1)]


def test_report_says_what_the_golden_file_says(pair: tuple[Snapshot, Snapshot], files: list[FileChange]) -> None:
    """Where the change is meant: write what `written` is into tests/reporting/report.md, and read it."""
    latency = (Latency(2.5, 200), Latency(2.0, 200))
    written = report(*pair, files=files, latency=latency, missing_commits=2)
    assert written == GOLDEN.read_text(encoding="utf-8")


def test_same_states_give_the_same_bytes(pair: tuple[Snapshot, Snapshot]) -> None:
    assert report(*pair) == report(*pair)


def test_report_on_a_state_and_itself_finds_nothing(pair: tuple[Snapshot, Snapshot]) -> None:
    written = report(pair[0], pair[0])
    assert written.startswith(
        "**No real difference**: accuracy 80.00 % → 80.00 %, 0.00 points (95 % interval 0.00 to 0.00, p = 1.00)\n"
    )
    assert "### Parameters\n\nThe same.\n" in written
    assert "As before: prepare, train, evaluate." in written


def test_other_data_set_is_said_and_not_compared(build: Build) -> None:
    old = build("origin/main")
    new = build(params={**old.params, "dataset": "asl"})
    written = report(old, new)
    assert written.startswith(
        "**No verdict**: the two were tested on different data sets; accuracy 100.00 % at the base;"
    )
    assert "> ⚠️ Another data set: the base has folder, the head asl.\n" in written
    assert "### Data\n\nAnother data set: folder → asl.\n" in written


@pytest.mark.parametrize("value", [None, "a lot", -1, float("nan")])
def test_spread_between_seeds_that_is_no_number_is_said(build: Build, value: object) -> None:
    old = build()
    new = build(params={**old.params, "seed_std": value})
    assert report(old, new).startswith("**No verdict**: seed_std in the head’s params.yaml is no number from 0 up;")


def test_same_onnx_file_has_the_same_latency(build: Build) -> None:
    assert "Both have the same ONNX file: the latency is the same.\n" in report(build(), build())
    assert "Latency was not measured: both ONNX files have to be at hand.\n" in report(build(), build(lr=0.2))


def test_test_of_one_group_has_no_interval_and_no_verdict(build: Build) -> None:
    old, new = (build(wrong=wrong) for wrong in (range(60), ()))
    of_one = [
        replace(state, predictions=state.predictions.assign(group="all"))
        for state in (old, new)
        if state.predictions is not None
    ]
    written = report(of_one[0], of_one[1])
    assert written.startswith("**No real difference**: accuracy 50.00 % → 100.00 %, +50.00 points")
    assert "| macro f1 | 0.5000 | 1.0000 | +0.5000 | ? to ? | no real difference |" in written


def test_other_parts_of_a_test_stand_beside_the_verdict(build: Build) -> None:
    """As another signer's hands do: the first part is the data set's own test, whose figures stand at the top."""
    old, new = (
        build(
            metrics={"accuracy": 1.0, "own": {"accuracy": 1.0}, "other signer": {"images": 870, "accuracy": accuracy}}
        )
        for accuracy in (0.5, 0.625)
    )
    written = report(old, new)
    assert "| other signer | 870 | 0.5000 | 0.6250 | +0.1250 |\n" in written
    assert "| own |" not in written


def test_report_that_cannot_be_cut_any_more_keeps_its_verdict(build: Build) -> None:
    notes = ["A note. " * 100] * 200
    assert markdown.render(compose(examine(build(), build()), notes)) == (
        "**No real difference**: accuracy 100.00 % → 100.00 %, 0.00 points (95 % interval 0.00 to 0.00, p = 1.00)\n\n"
        "More, with pictures: `report.html`, beside this file or in the workflow’s artefact.\n"
    )


def test_report_stays_below_githubs_limit_whatever_there_is(build: Build) -> None:
    """Everything is long, and every character takes the most room that it can: six of Markdown, or four bytes."""
    for character in ("|", "𐎀", "😀"):
        names = [character * 300 + str(number) for number in range(4)]
        old, new = (
            build(
                character * 300,
                wrong,
                class_names=names,
                members=[character * 300] * 120,
                params={character * 300 + str(key): character * 300 + str(seed) for key in range(300)},
                archives={character * 300 + str(key): {"sha256": str(seed)} for key in range(200)},
                stages={f"{character * 300}{key}": {"cmd": str(seed)} for key in range(50)},
            )
            for seed, wrong in ((1, range(0, 60)), (2, range(60, 120)))
        )
        written = report(old, new, files=[FileChange(character * 300 + str(key), 1, 1) for key in range(1000)])
        assert len(written.encode()) <= LIMIT - WATERMARK
        assert "more parameters" in written


def test_long_tables_say_how_much_they_leave_out(build: Build) -> None:
    old, new = build(wrong=range(0, 120)), build(wrong=())
    written = report(old, new)
    assert "<b>Newly right: 120 images</b>" in written
    assert written.count("`Images/") == 20
    assert "… and 100 more images" in written


@pytest.mark.parametrize(("number", "said"), [(1, "… and 1 more image"), (2, "… and 2 more images")])
def test_rows_that_are_left_out_are_counted_in_words_that_fit(build: Build, number: int, said: str) -> None:
    old, new = build(wrong=range(20 + number)), build(wrong=())
    assert f"\n{said}\n" in report(old, new)


def test_page_begins_with_a_capital_and_shows_pictures_before_classes(build: Build) -> None:
    document = compose(examine(build(wrong=range(20)), build(wrong=())))
    written = page.render(document, {0: "data:,"})
    assert '<p class="headline">Accuracy 83.33 %' in written
    assert 0 < written.index("<img") < written.index("Classes that moved")


@pytest.mark.parametrize(
    ("old_wrong", "seed_std", "said"),
    [
        ((0, 30, 60, 90), 0.0, "p is not below 0.05"),
        (range(0, 120, 5), 0.1, "the interval widened by seed_std holds 0"),
        ((0, 30, 60, 90), 0.1, "p is not below 0.05, and the interval widened by seed_std holds 0"),
    ],
)
def test_verdict_that_the_interval_seems_to_deny_says_why(
    build: Build, old_wrong: Sequence[int], seed_std: float, said: str
) -> None:
    old, new = build(wrong=old_wrong), build(wrong=())
    written = report(old, replace(new, params={**new.params, "seed_std": seed_std})).splitlines()[0]
    assert written.startswith("**No real difference**: accuracy ")
    assert written.endswith(f"): {said}")
