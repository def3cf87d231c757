"""`waymark runs`, `waymark promote` and `waymark rollback`: which model is the best, and who says so."""

import argparse
import shutil
import sys
import textwrap
from pathlib import Path

from waymark.commands.arguments import Subcommands, reason, whole


def add(commands: Subcommands) -> None:
    runs = commands.add_parser(
        "runs",
        help="list commits and DVC experiments beside their MLflow runs",
        description="List what the workspace, the branch's last commits and DVC's experiments came to, each with its "
        "run in MLflow, and the runs that none of them leads to. The champion is named.",
    )
    runs.add_argument(
        "--commits", type=whole(1), default=10, metavar="N", help="of the branch that changed dvc.lock (default: 10)"
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
        type=reason,
        nargs="?",
        const="",  # no reason: `reason` says so, as of an empty one
        metavar="REASON",
        help="promote it though it is not better, cannot be compared or was rolled back; the reason is recorded, and "
        "opens no gate",
    )
    promote.set_defaults(run=_promote)

    rollback = commands.add_parser(
        "rollback",
        help="make the champion before this one the champion again",
        description="Make the model that the champion replaced the champion again; once more goes one further back.",
    )
    rollback.set_defaults(run=_rollback)


def _runs(arguments: argparse.Namespace) -> int:
    from waymark import params
    from waymark.tracking import listing

    print(listing.show(Path(), params.load().dataset, arguments.format, arguments.commits))
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    from waymark.tracking import promotion

    promoted, verdict = promotion.promote(Path(), arguments.run_named, arguments.force or "")
    print(_paragraph(verdict))
    return 0 if promoted else promotion.REFUSED


def _rollback(arguments: argparse.Namespace) -> int:
    from waymark.tracking import promotion

    print(_paragraph(promotion.rollback(Path())))
    return 0


def _paragraph(text: str) -> str:
    """As wide as the terminal; one line where no person reads it."""
    if not sys.stdout.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
