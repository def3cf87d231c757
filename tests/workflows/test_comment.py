"""`waymark comment` against a GitHub on loopback: which comment it writes, which it leaves alone, what it says."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from waymark import cli
from waymark.reporting import comment, github

if TYPE_CHECKING:
    from tests.workflows.conftest import GitHubServer

BOT, PERSON, PERSONAL_TOKEN = "github-actions[bot]", "ada", "ghp_of-a-person"
HEAD, RESULTS, OTHER = "a" * 40, "b" * 40, "c" * 40
CML = '\n\n![](https://cml.dev/watermark.png#0123abc "CML watermark Waymark report")'

Comment = Callable[..., object]
Planned = Callable[..., None]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    (tmp_path / "report.md").write_text("Genauer: **98,2 %** → 98,9 % ✓\n", encoding="utf-8")
    return tmp_path / "report.md"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Comment:
    """`waymark comment …`: its exit code, or the sentence that stands for 1."""
    monkeypatch.setattr(github, "PAUSE", 0.001)

    def run(*arguments: object) -> object:
        monkeypatch.setattr(sys, "argv", ["waymark", "comment", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code

    return run


def bodies(server: "GitHubServer", number: int) -> list[str]:
    return [entry["body"] for entry in server.comments[number]]


def test_a_second_report_takes_the_place_of_the_first(
    github: "GitHubServer", report: Path, run: Comment, capsys: pytest.CaptureFixture[str]
) -> None:
    github.open_pull(7, HEAD)
    address = f"{github.url}/owner/name/pull/7#issuecomment-1000\n"
    assert run(report, "--pr", 7) == 0
    assert capsys.readouterr().out == address
    mark = f'<!-- ![](https://cml.dev/watermark.png#{HEAD} "CML watermark Waymark report") -->'
    assert bodies(github, 7) == [f"Genauer: **98,2 %** → 98,9 % ✓\n\n{mark}"]
    report.write_text("second", encoding="utf-8")
    assert run(report, "--pr", 7) == 0
    assert capsys.readouterr().out == address
    assert bodies(github, 7) == [f"second\n\n{mark}"]


def test_it_works_below_the_prefix_of_github_enterprise(
    github: "GitHubServer", report: Path, run: Comment, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.open_pull(7, HEAD)
    monkeypatch.setenv("GITHUB_API_URL", f"{github.url}/api/v3/")
    assert run(report, "--pr", 7) == 0
    assert len(bodies(github, 7)) == 1


def test_the_comment_of_cml_is_gone_on_with(github: "GitHubServer", report: Path, run: Comment) -> None:
    github.open_pull(7, HEAD)
    github.add_comment(7, BOT, "by CML" + CML)
    assert run(report, "--pr", 7) == 0
    assert len(bodies(github, 7)) == 1
    assert bodies(github, 7)[0].startswith("Genauer")


def test_only_the_tokens_own_comment_with_the_mark_at_its_end_is_updated(
    github: "GitHubServer", report: Path, run: Comment
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
    assert bodies(github, 7)[:4] == before
    assert len(bodies(github, 7)) == 5


def test_a_persons_token_goes_on_with_that_persons_comment(
    github: "GitHubServer", report: Path, run: Comment, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.open_pull(7, HEAD)
    github.add_comment(7, BOT, "the bot's" + CML)
    github.add_comment(7, PERSON, "mine" + CML)
    monkeypatch.setenv("GITHUB_TOKEN", f" {PERSONAL_TOKEN}\n")
    assert run(report, "--pr", 7) == 0
    assert bodies(github, 7)[0].startswith("the bot's")
    assert bodies(github, 7)[1].startswith("Genauer")


def test_the_comment_is_found_behind_two_hundred_others(github: "GitHubServer", report: Path, run: Comment) -> None:
    github.open_pull(7, HEAD)
    for number in range(203):
        github.add_comment(7, PERSON, f"remark {number}")
    github.add_comment(7, BOT, "ours" + CML)
    assert run(report, "--pr", 7) == 0
    assert len(bodies(github, 7)) == 204
    assert bodies(github, 7)[203].startswith("Genauer")


def test_two_titles_are_two_comments(github: "GitHubServer", report: Path, run: Comment) -> None:
    github.open_pull(7, HEAD)
    for title in ("GTSRB", "CIFAR-10", "GTSRB"):
        assert run(report, "--pr", 7, "--title", title) == 0
    assert len(bodies(github, 7)) == 2


@pytest.mark.parametrize("title", ["x --> <b>", "a--b", "", 'say "so"', "_", "-"])
def test_a_title_that_could_break_the_mark_is_refused(title: str, report: Path, run: Comment) -> None:
    sentence = f"error: --title {title!r}: expected letters, digits, spaces, dots and single hyphens"
    assert run(report, "--pr", 7, f"--title={title}") == sentence


def test_the_pull_request_of_a_forks_commit_is_found_among_the_open_ones(
    github: "GitHubServer", report: Path, run: Comment, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 131):
        github.open_pull(number, f"{number:040x}", "someone/name")
    github.open_pull(200, HEAD, "someone/name", state="closed")
    github.open_pull(201, HEAD, "someone/name")
    assert run(report, "--commit", HEAD, "--dry-run") == 0
    assert capsys.readouterr().out == "201\n"
    assert not bodies(github, 201)
    assert run(report, "--commit", HEAD) == 0
    assert len(bodies(github, 201)) == 1


def test_the_same_commit_from_another_fork_does_not_take_the_comment(
    github: "GitHubServer", report: Path, run: Comment
) -> None:
    github.open_pull(5, HEAD, "mallory/name")
    github.open_pull(6, HEAD, "someone/name")
    known = f"{HEAD} is the head of #5 and #6; name one with --pr"
    assert run(report, "--commit", HEAD) == f"error: owner/name: {known}"
    assert run(report, "--commit", HEAD, "--head-repository", "someone/name") == 0
    assert (len(bodies(github, 5)), len(bodies(github, 6))) == (0, 1)


def test_a_commit_under_its_own_results_is_found_and_under_anything_else_is_not(
    github: "GitHubServer", report: Path, run: Comment
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


def test_a_shortened_commit_is_refused(github: "GitHubServer", report: Path, run: Comment) -> None:
    github.open_pull(7, HEAD)
    expected = "error: --commit aaaaaaa: expected all 40 digits of a commit's hash"
    assert run(report, "--commit", "aaaaaaa") == expected


def test_an_answer_lost_on_its_way_makes_no_second_comment(
    github: "GitHubServer", fault: Planned, report: Path, run: Comment
) -> None:
    github.open_pull(7, HEAD)
    fault(502, to="POST", done=True)
    assert run(report, "--pr", 7) == 0
    assert len(bodies(github, 7)) == 1
    assert [asked.partition(" ")[0] for asked in github.asked] == ["GET", "GET", "GET", "POST", "GET", "PATCH"]


def test_trouble_that_stays_is_one_sentence(github: "GitHubServer", fault: Planned, report: Path, run: Comment) -> None:
    github.open_pull(7, HEAD)
    for _ in range(3):
        fault(502, to="POST")
    expected = f"error: {github.url}: answers 502 (a fault that the test planned)"
    assert run(report, "--pr", 7) == expected
    assert bodies(github, 7) == []


def test_limits_and_trouble_are_waited_for(github: "GitHubServer", fault: Planned, report: Path, run: Comment) -> None:
    github.open_pull(7, HEAD)
    for status, headers in (
        (429, {"Retry-After": "0"}),
        (403, {"Retry-After": "0"}),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0"}),
        (500, {}),
        (503, {}),
    ):
        fault(status, headers)
    fault(429, {"Retry-After": "0"}, to="POST")
    assert run(report, "--pr", 7) == 0
    assert len(bodies(github, 7)) == 1


def test_a_limit_longer_than_a_job_should_wait_ends_with_a_sentence(
    github: "GitHubServer", fault: Planned, report: Path, run: Comment
) -> None:
    fault(429, {"Retry-After": "3600"})
    planned = "answers 429 (a fault that the test planned) and asks to wait for 3600 s"
    expected = f"error: {github.url}: {planned}; try again later"
    assert run(report, "--pr", 7) == expected


@pytest.mark.parametrize(
    ("arguments", "token", "expected"),
    [
        (
            ["--pr", "7"],
            "ghp_wrong",
            "GET /repos/owner/name/pulls/7: 401 (Bad credentials): GITHUB_TOKEN",
        ),
        (["--pr", "7"], "ghs_that-may-only-read", "POST /repos/owner/name/issues/7/comments: 403 (Resource not"),
        (["--pr", "8"], "ghs_of-the-workflow", "GET /repos/owner/name/pulls/8: 404 (Not Found): it is not there"),
        (["--pr", "7", "--repo", "no/where"], "ghs_of-the-workflow", "GET /repos/no/where/pulls/7: 404 (Not Found)"),
        (["--pr", "7", "--repo", "../../user"], "ghs_of-the-workflow", "repository '../../user': expected owner/name"),
        (["--pr", "7"], "", "GITHUB_TOKEN: is not set, or is no token"),
        (["--pr", "7"], "two\nlines", "GITHUB_TOKEN: is not set, or is no token"),
    ],
)
def test_each_refusal_is_one_sentence_without_the_token(
    arguments: list[str],
    token: str,
    expected: str,
    github: "GitHubServer",
    report: Path,
    run: Comment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    github.open_pull(7, HEAD)
    monkeypatch.setenv("GITHUB_TOKEN", token)
    sentence = str(run(report, *arguments))
    assert sentence.startswith(f"error: {expected}")
    assert "\n" not in sentence
    assert not token or token not in sentence


def test_the_token_follows_no_redirect_and_no_foreign_page(
    github: "GitHubServer", fault: Planned, report: Path, run: Comment, authority: tuple[Path, Path]
) -> None:
    github.open_pull(7, HEAD)
    elsewhere = type(github)(authority[1])  # listens, and would note what it is asked
    fault(307, {"Location": f"{elsewhere.url}/repos/owner/name/pulls/7"})
    stays = f"error: {github.url}: sends on to {elsewhere.url}; the token stays here"
    assert run(report, "--pr", 7) == stays
    for number in range(101):
        github.add_comment(7, PERSON, f"remark {number}")
    github.url = elsewhere.url  # whose address now stands in the Link header
    sentence = str(run(report, "--pr", 7))
    assert sentence.endswith(f"names {elsewhere.url} for the next page; the token stays here")
    assert elsewhere.asked == []
    elsewhere.server_close()


def test_a_netrc_does_not_take_the_tokens_place(
    github: "GitHubServer", report: Path, run: Comment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.open_pull(7, HEAD)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert run(report, "--pr", 7) == 0


def test_a_server_without_a_trusted_certificate_gets_no_token(
    github: "GitHubServer", report: Path, run: Comment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    sentence = str(run(report, "--pr", 7))
    assert sentence.startswith(f"error: {github.url}: cannot be trusted (")
    assert "CERTIFICATE_VERIFY_FAILED" in sentence
    assert github.asked == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1", "GITHUB_API_URL=http://127.0.0.1:1: expected an address that begins with https://"),
        (
            "https://127.0.0.1:1",
            "https://127.0.0.1:1: cannot be reached (Connection refused) for 0 s; try again later",
        ),
    ],
)
def test_an_address_that_does_not_answer_is_named(
    url: str, expected: str, report: Path, run: Comment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github.GitHub.__init__, "__defaults__", (github.API, 0.0))
    monkeypatch.setenv("GITHUB_API_URL", url)
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_of-the-workflow")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert run(report, "--pr", 7) == f"error: {expected}"


def test_the_longest_comment_is_written_and_a_longer_one_is_refused_before(
    github: "GitHubServer", report: Path, run: Comment
) -> None:
    github.open_pull(7, HEAD)
    room = comment.LIMIT - len(comment.mark(comment.TITLE, HEAD)) - 2
    report.write_text("é" * room, encoding="utf-8")
    assert run(report, "--pr", 7) == 0
    assert len(bodies(github, 7)[0]) == 65_536
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
def test_what_is_no_report_is_refused_unasked(content: bytes, expected: str, report: Path, run: Comment) -> None:
    report.write_bytes(content)
    assert run(report, "--pr", 7) == f"error: {report}: {expected}"
