"""`waymark`: what a person asks now and then, beside the stage graph that DVC runs."""

import argparse
import sys

from waymark.commands import data, experiments, explanations, pull_requests, service, sweeps
from waymark.errors import exit_with_sentence


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="waymark", description=__doc__)
    commands = parser.add_subparsers(metavar="command")
    for group in (data, experiments, sweeps, pull_requests, service, explanations):
        group.add(commands)
    return parser


@exit_with_sentence
def main() -> int:
    parser = _parser()
    arguments = parser.parse_args()
    if "run" not in arguments:
        parser.print_help(sys.stderr)
        return 2
    return int(arguments.run(arguments))


if __name__ == "__main__":
    main()
