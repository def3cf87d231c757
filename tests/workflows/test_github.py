"""How `waymark comment` gets on with GitHub: limits, trouble, refusals, and where its token goes."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from waymark.reporting import github as client

if TYPE_CHECKING:
    from tests.workflows.conftest import Command, GitHubServer, Plan

PERSON, HEAD = "ada", "a" * 40


def test_it_works_below_the_prefix_of_github_enterprise(
    github: "GitHubServer", report: Path, run: "Command", monkeypatch: pytest.MonkeyPatch
) -> None:
    github.open_pull(7, HEAD)
    monkeypatch.setenv("GITHUB_API_URL", f"{github.url}/api/v3/")
    assert run(report, "--pr", 7) == 0
    assert len(github.bodies(7)) == 1


def test_trouble_that_stays_is_one_sentence(
    github: "GitHubServer", fault: "Plan", report: Path, run: "Command"
) -> None:
    github.open_pull(7, HEAD)
    for _ in range(3):
        fault(502, to="POST")
    expected = f"error: {github.url}: answers 502 (a fault that the test planned)"
    assert run(report, "--pr", 7) == expected
    assert github.bodies(7) == []


def test_limits_and_trouble_are_waited_for(github: "GitHubServer", fault: "Plan", report: Path, run: "Command") -> None:
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
    assert len(github.bodies(7)) == 1


def test_a_limit_longer_than_a_job_should_wait_ends_with_a_sentence(
    github: "GitHubServer", fault: "Plan", report: Path, run: "Command"
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
    run: "Command",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    github.open_pull(7, HEAD)
    monkeypatch.setenv("GITHUB_TOKEN", token)
    sentence = str(run(report, *arguments))
    assert sentence.startswith(f"error: {expected}")
    assert "\n" not in sentence
    assert not token or token not in sentence


@pytest.mark.parametrize("to", ["GET /repos/owner/name/pulls/7", "GET /repos/owner/name/issues", "POST", ""])
def test_an_answer_that_is_not_githubs_is_one_sentence(
    to: str, github: "GitHubServer", fault: "Plan", report: Path, run: "Command"
) -> None:
    github.open_pull(7, HEAD)
    if to:
        fault(200, to=to)
    else:
        github.pulls[0]["head"] = None
    sentence = f"error: {github.url}: does not answer as GitHub does; look at GITHUB_API_URL"
    assert run(report, "--pr", 7) == sentence


def test_what_github_says_cannot_command_a_terminal(
    github: "GitHubServer", fault: "Plan", report: Path, run: "Command"
) -> None:
    fault(422, message="red \x1b[31m \u202e alert" + "x" * 300)
    sentence = str(run(report, "--pr", 7))
    assert "422 (red �[31m � alertxxx" in sentence
    assert len(sentence) < 350


def test_the_token_follows_no_redirect_and_no_foreign_page(
    github: "GitHubServer", fault: "Plan", report: Path, run: "Command", authority: tuple[Path, Path]
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
    github: "GitHubServer", report: Path, run: "Command", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.open_pull(7, HEAD)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert run(report, "--pr", 7) == 0


def test_a_server_without_a_trusted_certificate_gets_no_token(
    github: "GitHubServer", report: Path, run: "Command", monkeypatch: pytest.MonkeyPatch
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
    url: str, expected: str, report: Path, run: "Command", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.GitHub.__init__, "__defaults__", (client.API, 0.0))
    monkeypatch.setenv("GITHUB_API_URL", url)
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_of-the-workflow")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert run(report, "--pr", 7) == f"error: {expected}"
