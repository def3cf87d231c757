"""`waymark report` and `waymark comment`: what a change does to the model, for those who review it."""

import argparse
from pathlib import Path

from waymark.commands.arguments import Subcommands, whole


def add(commands: Subcommands) -> None:
    report = commands.add_parser(
        "report",
        help="compare two revisions: is the model better, what changed, which images moved",
        description="Compare a revision's model with another's on the same test images, and write report.md, for a "
        "comment on a pull request, and report.html, with pictures. What is not on this machine comes from DVC's "
        "remote; what cannot be had is said in the report.",
    )
    report.add_argument(
        "--base", required=True, metavar="REV", help="commit, branch, tag or DVC experiment to hold it against"
    )
    report.add_argument("--head", metavar="REV", help="what is judged (default: the workspace)")
    report.add_argument(
        "--output",
        type=Path,
        default=Path("reports/pull_request"),
        help="folder for both pages (default: reports/pull_request)",
    )
    report.set_defaults(run=_report)

    comment = commands.add_parser(
        "comment",
        help="write a report as a comment on a pull request, or update it",
        description="Write FILE as a comment on a pull request of GitHub, in place of the one that was written there "
        "before, and print its address. GITHUB_TOKEN is the token; GITHUB_API_URL names a GitHub of your own.",
    )
    comment.add_argument("file", type=Path, metavar="FILE", help="report in Markdown, as `waymark report` writes it")
    where = comment.add_mutually_exclusive_group(required=True)
    where.add_argument("--pr", type=whole(1), metavar="N", help="number of the pull request")
    where.add_argument("--commit", metavar="SHA", help="head of the open pull request, in full")
    comment.add_argument("--head-repository", metavar="OWNER/NAME", help="where the pull request with --commit is from")
    comment.add_argument("--repo", metavar="OWNER/NAME", help="where the pull request is (default: GITHUB_REPOSITORY)")
    comment.add_argument(
        "--title", default="Waymark report", help="which comment, where there are several (default: Waymark report)"
    )
    comment.add_argument(
        "--author",
        metavar="LOGIN",
        help="whose comment may be updated (default: the token's owner, github-actions[bot] in a workflow)",
    )
    comment.add_argument("--dry-run", action="store_true", help="post nothing; print the pull request's number")
    comment.set_defaults(run=_comment)


def _report(arguments: argparse.Namespace) -> int:
    from waymark.reporting import request

    request.begin(Path(), arguments.base, arguments.head)
    from waymark.reporting import run

    report = run.run(Path(), arguments.base, arguments.head, arguments.output)
    print(report.verdict)
    print(f"{report.markdown} and {report.page} tell the rest")
    return 0


def _comment(arguments: argparse.Namespace) -> int:
    from waymark.reporting import comment

    print(
        comment.run(
            arguments.file,
            pr=arguments.pr,
            commit=arguments.commit,
            head_repository=arguments.head_repository,
            repository=arguments.repo,
            title=arguments.title,
            author=arguments.author,
            dry_run=arguments.dry_run,
        )
    )
    return 0
