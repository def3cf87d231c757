"""From one letter an image to a word."""

from collections.abc import Iterable, Sequence

SPACE, DELETE, NOTHING = "space", "del", "nothing"


def spells(class_names: Sequence[str]) -> bool:
    """Whether the classes are letters: each a single one, beside `space`, `del` and `nothing`."""
    return any(len(name) == 1 for name in class_names) and all(
        (len(name) == 1 and name.isalpha()) or name.lower() in (SPACE, DELETE, NOTHING) for name in class_names
    )


def word(letters: Iterable[str]) -> str:
    """`space` is a space, `del` takes the last character back, `nothing` is none."""
    written: list[str] = []
    for letter in letters:
        name = letter.lower()
        if name == SPACE:
            written.append(" ")
        elif name == DELETE:
            del written[-1:]
        elif name != NOTHING:
            written.append(letter)
    return "".join(written)
