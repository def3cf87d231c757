"""`waymark comment` against a GitHub on loopback: which comment it writes, which it leaves alone, what it refuses."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from waymark.reporting import comment

if TYPE_CHECKING:
    from tests.workflows.conftest import Command, GitHubServer, Plan

BOT, PERSON, PERSONAL_TOKEN = "github-actions[bot]", "ada", "ghp_of-a-person"
HEAD, RESULTS, OTHER = "a" * 40, "b" * 40, "c" * 40
CML = '\n\n![](https://cml.dev/watermark.png#0123abc "CML watermark Waymark report")'


def test_a_second_report_takes_the_place_of_the_first(
    github: "GitHubServer", report: Path, run: "Command", capsys: pytest.CaptureFixture[str]
) -> None:
    github.open_pull(7, HEAD)
    address = f"{github.url}/owner/name/pull/7#issuecomment-1000\n"
    assert run(report, "--pr", 7) == 0
    assert capsys.readouterr().out == address
    mark = f'<!-- ![](https://cml.dev/watermark.png#{HEAD} "CML watermark Waymark report") -->'
    assert github.bodies(7) == [f"Genauer: **98,2 %** → 98,9 % ✓\n\n{mark}"]
    report.write_text("second", encoding="utf-8")
    assert run(report, "--pr", 7) == 0
    assert capsys.readouterr().out == address
    assert github.bodies(7) == [f"second\n\n{mark}"]


def test_the_comment_of_cml_is_gone_on_with(github: "GitHubServer", report: Path, run: "Command") -> None:
    github.open_pull(7, HEAD)
    github.add_comment(7, BOT, "by CML" + CML)
    assert run(report, "--pr", 7) == 0
    assert len(github.bodies(7)) == 1
    assert github.bodies(7)[0].startswith("Genauer")


def test_only_the_tokens_own_comment_with_the_mark_at_its_end_is_updated(
    github: "GitHubServer", report: Path, run: "Command"
) -> None:
    github.open_pull(7, HEAD)
    kept = [
        github.add_comment(7, "mallory", "copied" + CML),
        github.add_comment(7, "github-actions", "no bot" + CML),
        github.add_comment(7, BOT, "quoted" + CML + "\nand more"),
        github.add_comment(7, BOT, "another title" + CML.replace("Waymark report", "Waymark reports")),
    ]
    before = [entry["body"] for entry in kept]
    assert run(report, "--pr", 7) == 0
    assert github.bodies(7)[:4] == before
    assert len(github.bodies(7)) == 5


def test_a_persons_token_goes_on_with_that_persons_comment(
    github: "GitHubServer", report: Path, run: "Command", monkeypatch: pytest.MonkeyPatch
) -> None:
    github.open_pull(7, HEAD)
    github.add_comment(7, BOT, "the bot's" + CML)
    github.add_comment(7, PERSON, "mine" + CML)
    monkeypatch.setenv("GITHUB_TOKEN", f" {PERSONAL_TOKEN}\n")
    assert run(report, "--pr", 7) == 0
    assert github.bodies(7)[0].startswith("the bot's")
    assert github.bodies(7)[1].startswith("Genauer")


def test_the_comment_is_found_behind_two_hundred_others(github: "GitHubServer", report: Path, run: "Command") -> None:
    github.open_pull(7, HEAD)
    for number in range(203):
        github.add_comment(7, PERSON, f"remark {number}")
    github.add_comment(7, BOT, "ours" + CML)
    assert run(report, "--pr", 7) == 0
    assert len(github.bodies(7)) == 204
    assert github.bodies(7)[203].startswith("Genauer")


def test_two_titles_are_two_comments(github: "GitHubServer", report: Path, run: "Command") -> None:
    github.open_pull(7, HEAD)
    for title in ("GTSRB", "CIFAR-10", "GTSRB"):
        assert run(report, "--pr", 7, "--title", title) == 0
    assert len(github.bodies(7)) == 2


@pytest.mark.parametrize("title", ["x --> <b>", "a--b", "", 'say "so"', "_", "-"])
def test_a_title_that_could_break_the_mark_is_refused(title: str, report: Path, run: "Command") -> None:
    sentence = f"error: --title {title!r}: expected letters, digits, spaces, dots and single hyphens"
    assert run(report, "--pr", 7, f"--title={title}") == sentence


def test_the_pull_request_of_a_forks_commit_is_found_among_the_open_ones(
    github: "GitHubServer", report: Path, run: "Command", capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 131):
        github.open_pull(number, f"{number:040x}", "someone/name")
    github.open_pull(200, HEAD, "someone/name", state="closed")
    github.open_pull(201, HEAD, "someone/name")
    assert run(report, "--commit", HEAD, "--dry-run") == 0
    assert capsys.readouterr().out == "201\n"
    assert not github.bodies(201)
    assert run(report, "--commit", HEAD) == 0
    assert len(github.bodies(201)) == 1


def test_the_same_commit_from_another_fork_does_not_take_the_comment(
    github: "GitHubServer", report: Path, run: "Command"
) -> None:
    github.open_pull(5, HEAD, "mallory/name")
    github.open_pull(6, HEAD, "someone/name")
    known = f"{HEAD} is the head of #5 and #6; name one with --pr"
    assert run(report, "--commit", HEAD) == f"error: owner/name: {known}"
    assert run(report, "--commit", HEAD, "--head-repository", "someone/name") == 0
    assert (len(github.bodies(5)), len(github.bodies(6))) == (0, 1)


def test_a_commit_under_its_own_results_is_found_and_under_anything_else_is_not(
    github: "GitHubServer", report: Path, run: "Command"
) -> None:
    github.open_pull(7, RESULTS)
    gone = f"error: owner/name: {HEAD} is the head of no open pull request; it may have moved on; name one with --pr"
    subject = f"Record the results of {HEAD}"
    for parents, message, expected in (
        ([HEAD], subject, 0),
        ([HEAD], "A person's commit", gone),
        ([HEAD], f"Record the results of {OTHER}", gone),
        ([HEAD, OTHER], subject, gone),
    ):
        github.commits[RESULTS] = {"parents": [{"sha": sha} for sha in parents], "commit": {"message": message}}
        assert run(report, "--commit", HEAD, "--head-repository", "owner/name") == expected
    github.commits[RESULTS] = {"parents": [{"sha": HEAD}], "commit": {"message": subject}}
    assert run(report, "--commit", HEAD, "--head-repository", "someone/name") == gone


def test_a_shortened_commit_is_refused(github: "GitHubServer", report: Path, run: "Command") -> None:
    github.open_pull(7, HEAD)
    expected = "error: --commit aaaaaaa: expected all 40 digits of a commit's hash"
    assert run(report, "--commit", "aaaaaaa") == expected


def test_an_answer_lost_on_its_way_makes_no_second_comment(
    github: "GitHubServer", fault: "Plan", report: Path, run: "Command"
) -> None:
    github.open_pull(7, HEAD)
    fault(502, to="POST", done=True)
    assert run(report, "--pr", 7) == 0
    assert len(github.bodies(7)) == 1
    assert [asked.partition(" ")[0] for asked in github.asked] == ["GET", "GET", "GET", "POST", "GET", "PATCH"]


def test_the_longest_comment_is_written_and_a_longer_one_is_refused_before(
    github: "GitHubServer", report: Path, run: "Command"
) -> None:
    github.open_pull(7, HEAD)
    room = comment.LIMIT - len(comment.mark(comment.TITLE, HEAD)) - 2
    report.write_text("é" * room, encoding="utf-8")
    assert run(report, "--pr", 7) == 0
    assert len(github.bodies(7)[0]) == 65_536
    github.asked.clear()
    report.write_text("é" * (room + 1), encoding="utf-8")
    assert run(report, "--pr", 7) == f"error: {report}: has {room + 1:,} characters; a comment holds {room:,}"
    assert github.asked == ["GET /repos/owner/name/pulls/7"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty; expected a report in Markdown"),
        (b" \n", "is empty; expected a report in Markdown"),
        (b"a\0b", "is no text; expected a report in Markdown"),
        (b"\x89PNG", "is no text in UTF-8 (invalid start byte at byte 0)"),
        (b"x" * 262_145, "has 262,145 bytes; a comment holds 65,536 characters"),
    ],
)
def test_what_is_no_report_is_refused_unasked(content: bytes, expected: str, report: Path, run: "Command") -> None:
    report.write_bytes(content)
    assert run(report, "--pr", 7) == f"error: {report}: {expected}"
