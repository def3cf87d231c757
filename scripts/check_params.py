"""Check params.yaml before DVC, which skips stages whose own parameters did not change, whatever else is wrong."""

from waymark import params
from waymark.errors import exit_with_sentence


def main() -> None:
    params.load()


if __name__ == "__main__":
    exit_with_sentence(main)()
