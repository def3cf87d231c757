"""`waymark`: what a person asks now and then, beside the stage graph that DVC runs."""

import argparse
import logging
from pathlib import Path

from waymark.errors import WaymarkError, exit_with_sentence

# Each command imports what it needs when it runs: the help is there at once.

logger = logging.getLogger(__name__)


def _collect(arguments: argparse.Namespace) -> int:
    if not arguments.check:
        raise WaymarkError(
            "`waymark collect` only looks, with --check; to fetch, use `dvc repro collect`, which records what came"
        )
    from waymark import freshness, params

    findings = freshness.compare(params.load())
    for finding in findings:
        print(finding)
    if all(finding.current for finding in findings):
        return 0
    logger.info("`dvc repro --force collect` fetches what is published")
    return freshness.NEWER


def _review(arguments: argparse.Namespace) -> int:
    from waymark import params, review

    review.run(params.load(), folds=arguments.folds, output=arguments.output)
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    from waymark.scoring import predict

    return predict.run(
        arguments.paths,
        kind=arguments.format,
        output=arguments.output,
        top=arguments.top,
        url=arguments.url,
        threads=arguments.threads,
    )


def _package(arguments: argparse.Namespace) -> int:
    from waymark.serving import packaging

    if not arguments.champion:
        print(packaging.run(Path(), arguments.base))
        return 0
    from waymark import params
    from waymark.tracking import artefacts

    with artefacts.of_champion(params.load().dataset) as folder:
        print(packaging.run(Path(), arguments.base, model_root=folder))
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    from waymark.tracking import promotion

    promoted, verdict = promotion.promote(Path(), arguments.run_named, arguments.force or "")
    print(verdict)
    return 0 if promoted else promotion.REFUSED


def _rollback(arguments: argparse.Namespace) -> int:
    from waymark.tracking import promotion

    print(promotion.rollback(Path()))
    return 0


def _report(arguments: argparse.Namespace) -> int:
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


def _runs(arguments: argparse.Namespace) -> int:
    from waymark import params
    from waymark.tracking import listing

    print(listing.show(Path(), params.load().dataset, arguments.format, arguments.commits))
    return 0


def _folds(text: str) -> int:
    folds = int(text)
    if folds < 2:
        raise argparse.ArgumentTypeError(f"{folds} folds leave nothing to learn from; expected 2 or more")
    return folds


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: expected the number of a pull request")
    return number


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a reason, which is recorded")
    return " ".join(text.split())


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{count}: expected 1 or more")
    return count


def _threads(text: str) -> int:
    threads = int(text)
    if not 1 <= threads <= 256:
        raise argparse.ArgumentTypeError(f"{threads}: expected 1 to 256")
    return threads


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="waymark", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    collect = commands.add_parser(
        "collect",
        help="look whether the data set's publisher has something newer",
        description="Compare what is published with what data/raw holds, downloading nothing. "
        "Exit code 0: all up to date; 10: something newer, or nothing collected yet; 1: an error.",
    )
    collect.add_argument(
        "--check", action="store_true", help="look, and fetch nothing; fetching is `dvc repro collect`"
    )
    collect.set_defaults(run=_collect)

    review = commands.add_parser(
        "review",
        help="list the images whose label is probably wrong",
        description="Let models judge images that they have not learned from; list those that contradict the label.",
    )
    review.add_argument("--folds", type=_folds, default=5, help="parts that take turns at being judged (default: 5)")
    review.add_argument(
        "--output",
        type=Path,
        default=Path("reports/label_review"),
        help="folder for the list and its images (default: reports/label_review)",
    )
    review.set_defaults(run=_review)

    predict = commands.add_parser(
        "predict",
        help="answer for images in files, folders and zips",
        description="One row an image: path, label, class name, probability, whether it is answered or not sure, the "
        "most probable classes, the error if it is refused, and the model's version. Rows stand in the order of PATHS, "
        "in natural order within each. The limits are the service's, but zips may have any size.",
        epilog="Exit code 0: each image has an answer, if only that the model is not sure; 3: some were refused, and "
        "their rows say why; 1: an error, and --output is as it was.",
    )
    predict.add_argument(
        "paths",
        nargs="+",
        metavar="PATHS",
        help="image; zip; folder, of which files that are called like images are taken, hidden ones and linked folders "
        "left out; or a quoted pattern such as 'scans/**/*.png'",
    )
    predict.add_argument(
        "--format",
        choices=("csv", "json", "parquet"),
        help="csv: further classes as columns label_2 and so on; json: one array, a row a line; parquet needs --output "
        "(default: what --output ends in, else csv)",
    )
    predict.add_argument("--output", type=Path, help="file, written whole or not at all (default: standard output)")
    predict.add_argument("--top", type=int, metavar="K", help="classes named in each row (default: 5)")
    predict.add_argument("--url", help="ask the service at this address, not the model here; http://127.0.0.1:3000")
    predict.add_argument(
        "--threads",
        type=_threads,
        metavar="N",
        help="images or requests at work at a time (default: one for each core)",
    )
    predict.set_defaults(run=_predict)

    package = commands.add_parser(
        "package",
        help="put the service and the model into a Bento",
        description="Put the service and the workspace's model into BentoML's store, in place of a package of the same "
        "model, and print the Bento's tag: `bentoml serve TAG` serves it, `bentoml containerize TAG` makes an image.",
    )
    package.add_argument(
        "--champion", action="store_true", help="MLflow's champion of the data set, not the workspace's model"
    )
    package.add_argument("--base", metavar="IMAGE", help="what such an image starts from (default: python:3.11-slim)")
    package.set_defaults(run=_package)

    runs = commands.add_parser(
        "runs",
        help="list commits and DVC experiments beside their MLflow runs",
        description="List what the workspace, the branch's last commits and DVC's experiments came to, each with its "
        "run in MLflow, and the runs that none of them leads to. The champion is named.",
    )
    runs.add_argument(
        "--commits", type=_count, default=10, metavar="N", help="of the branch that changed dvc.lock (default: 10)"
    )
    runs.add_argument(
        "--format", choices=("table", "json", "csv"), default="table", help="json and csv have all columns and rows"
    )
    runs.set_defaults(run=_runs)

    promote = commands.add_parser(
        "promote",
        help="make a model the champion, if it is better beyond chance",
        description="Register a model in MLflow, hold it against the gates of params.yaml and, on the same test "
        "images, against the champion of its data set, and make it the champion if it passes them all and is better "
        "beyond chance. The verdict is printed, and recorded with the model.",
        epilog="Exit code 0: it is the champion; 3: it is not, and the verdict says why; 1: an error, and the champion "
        "is as it was.",
    )
    promote.add_argument(
        "--run",
        dest="run_named",
        metavar="RUN",
        help="MLflow run by id or name, DVC experiment, or number or version of a registered model "
        "(default: the workspace's model)",
    )
    promote.add_argument(
        "--force",
        type=_reason,
        metavar="REASON",
        help="promote it though it is not better, cannot be compared or was rolled back; opens no gate",
    )
    promote.set_defaults(run=_promote)

    rollback = commands.add_parser(
        "rollback",
        help="make the champion before this one the champion again",
        description="Make the model that the champion replaced the champion again; once more goes one further back.",
    )
    rollback.set_defaults(run=_rollback)

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
    where.add_argument("--pr", type=_number, metavar="N", help="number of the pull request")
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
    return parser


@exit_with_sentence
def main() -> int:
    arguments = _parser().parse_args()
    return int(arguments.run(arguments))


if __name__ == "__main__":
    main()
