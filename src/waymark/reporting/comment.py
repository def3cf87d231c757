"""`waymark comment`: one comment on a pull request, written by the first report and updated by each later one.

It is found again by a mark at its end, which no reader sees. The mark is CML's own, in an HTML comment: `cml comment
update` with the same title goes on with our comment, and we with CML's.
"""

import re
from pathlib import Path

from waymark.errors import WaymarkError, reason
from waymark.reporting.github import Document, GitHub, UnclearError

LIMIT = 65_536  # characters that GitHub takes in a comment
TITLE = "Waymark report"
BOT = "github-actions[bot]"  # who writes with a workflow's own token; no person's login can hold a bracket
RESULTS = "Record the results of "  # how scripts/workflows/results.sh begins the commit that it puts on a branch
ATTEMPTS = 3

_COMMIT = re.compile(r"[0-9a-f]{40}")
# Of the characters that CML escapes in a title none, and no way out of an HTML comment.
_TITLE = re.compile(r"(?!.*--)[A-Za-z0-9][A-Za-z0-9 .-]*")


def run(
    file: Path,
    *,
    pr: int | None,
    commit: str | None,
    head_repository: str | None,
    repository: str | None,
    title: str,
    author: str | None,
    dry_run: bool,
) -> str:
    """Comment with the text in `file`, and return the comment's address.

    It goes to the pull request with the number `pr`, or to the open one that `commit` belongs to. With `dry_run`
    everything is looked at and nothing posted, and the pull request's number comes back.
    """
    if not _TITLE.fullmatch(title):
        raise WaymarkError(f"--title {title!r}: expected letters, digits, spaces, dots and single hyphens")
    text = read(file)
    github = GitHub.from_environment(repository)
    try:
        request = github.get(f"pulls/{pr}") if pr else find(github, commit or "", head_repository)
        number, head = int(request["number"]), str(request["head"]["sha"])
        body = f"{text.rstrip()}\n\n{mark(title, commit or head)}"
        if len(body) > LIMIT:
            room = LIMIT - len(body) + len(text)
            raise WaymarkError(f"{file}: has {len(text):,} characters; a comment holds {room:,}")
        return str(number) if dry_run else publish(github, number, body, title, author or github.login() or BOT)
    except (KeyError, TypeError, ValueError):  # a field is missing, or of another kind
        raise github.stranger() from None


def read(file: Path) -> str:
    """The text of a report. WaymarkError where it is no text, none at all, or far more than a comment holds."""
    try:
        if file.stat().st_size > 4 * LIMIT:  # UTF-8 takes four bytes for a character at most
            raise WaymarkError(f"{file}: has {file.stat().st_size:,} bytes; a comment holds {LIMIT:,} characters")
        text = file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise WaymarkError(f"{file}: is no text in UTF-8 ({error.reason} at byte {error.start:,})") from None
    except OSError as error:
        raise WaymarkError(f"{file}: cannot be read ({reason(error)})") from None
    if "\0" in text or not text.strip():
        raise WaymarkError(f"{file}: is {'no text' if text.strip() else 'empty'}; expected a report in Markdown")
    return text


def find(github: GitHub, commit: str, head_repository: str | None = None) -> Document:
    """The open pull request whose head is `commit`, or the results that its own run has put on top of `commit`.

    Of the same commit in several pull requests, `head_repository` (owner/name) tells whose is meant. GitHub does not
    tell the pull requests of a fork's commit, so the open ones are searched for it.
    """
    if not _COMMIT.fullmatch(commit):
        raise WaymarkError(f"--commit {commit}: expected all 40 digits of a commit's hash")
    found = [
        request
        for request in github.pages("pulls?state=open&sort=updated&direction=desc&per_page=100")
        if request["head"]["sha"] == commit and head_repository in (None, _repository(request))
    ]
    if not found and head_repository in (None, github.repository):
        found = [
            request
            for request in github.pages(f"commits/{commit}/pulls?per_page=100")
            if request["state"] == "open" and _results_of(github, request, commit)
        ]
    if len(found) != 1:
        numbers = " and ".join(f"#{request['number']}" for request in found)
        known = f"is the head of {numbers}" if found else "is the head of no open pull request; it may have moved on"
        raise WaymarkError(f"{github.repository}: {commit} {known}; name one with --pr")
    return found[0]


def mark(title: str, commit: str) -> str:
    return f'<!-- ![](https://cml.dev/watermark.png#{commit} "CML watermark {title}") -->'


def publish(github: GitHub, number: int, body: str, title: str, author: str) -> str:
    """Update the comment that carries the mark of `title`, or write the first one; its address.

    What others wrote is left alone: anyone can copy the mark.
    """
    for attempt in range(ATTEMPTS):
        own = _own(github, number, title, author)
        try:
            if own is None:
                return str(github.post(f"issues/{number}/comments", {"body": body})["html_url"])
            return str(github.patch(f"issues/comments/{own}", {"body": body})["html_url"])
        except UnclearError:  # it may be there after all: look before writing a second one
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _own(github: GitHub, number: int, title: str, author: str) -> int | None:
    """The id of the comment to go on with; of several the last, as CML does."""
    marked = re.compile(
        r'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark ' + re.escape(title) + r'"\)( -->)?\s*'
    )
    own = None
    for comment in github.pages(f"issues/{number}/comments?per_page=100"):
        last_line = (comment["body"] or "").rstrip().rpartition("\n")[2].removeprefix("<!-- ")
        if (comment["user"] or {}).get("login") == author and marked.fullmatch(last_line):
            own = int(comment["id"])
    return own


def _repository(request: Document) -> str:
    """owner/name of where the pull request comes from; empty if that was deleted."""
    repository = request["head"]["repo"]
    return str(repository["full_name"]) if repository else ""


def _results_of(github: GitHub, request: Document, commit: str) -> bool:
    """Whether the pull request's head is nothing but the results of `commit`, on top of it."""
    if _repository(request) != github.repository:
        return False
    head = github.get(f"commits/{request['head']['sha']}")
    parents = [parent["sha"] for parent in head["parents"]]
    return parents == [commit] and head["commit"]["message"].startswith(RESULTS + commit)
