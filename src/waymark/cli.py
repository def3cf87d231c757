"""`waymark`: what a person asks now and then, beside the stage graph that DVC runs."""

import argparse

from waymark.commands import data, experiments, pull_requests, service
from waymark.errors import exit_with_sentence


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="waymark", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    for group in (data, experiments, pull_requests, service):
        group.add(commands)
    return parser


@exit_with_sentence
def main() -> int:
    arguments = _parser().parse_args()
    return int(arguments.run(arguments))


if __name__ == "__main__":
    main()
