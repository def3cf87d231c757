"""`waymark collect` and `waymark review`: questions to the data."""

import argparse
import logging
from pathlib import Path

from waymark.commands.arguments import Subcommands, whole
from waymark.errors import WaymarkError

logger = logging.getLogger(__name__)


def add(commands: Subcommands) -> None:
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
    review.add_argument("--folds", type=whole(2), default=5, help="parts that take turns at being judged (default: 5)")
    review.add_argument(
        "--output",
        type=Path,
        default=Path("reports/label_review"),
        help="folder for the list and its images (default: reports/label_review)",
    )
    review.set_defaults(run=_review)


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
