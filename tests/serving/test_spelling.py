"""Letters to a word, with what `space`, `del` and `nothing` do to it."""

import pytest

from waymark.serving.spelling import spells, word


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("", ""),
        ("H E L L O", "HELLO"),
        ("H I space space Y O U", "HI  YOU"),
        ("del A", "A"),
        ("A del del del B", "B"),
        ("A space del B", "AB"),
        ("A del space B", " B"),
        ("A nothing nothing B nothing", "AB"),
        ("A nothing del B", "B"),  # `nothing` is not there to be taken back
        ("nothing", ""),
        ("A Space B Del SPACE NOTHING", "A  "),
        ("a ß É", "aßÉ"),
    ],
)
def test_letters_make_a_word(letters: str, expected: str) -> None:
    assert word(letters.split()) == expected


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("A B C", True),
        ("A B space del nothing", True),
        ("a Space DEL Nothing", True),
        ("Ä ß", True),
        ("space del nothing", False),  # nothing to write with
        ("", False),
        ("A BC", False),
        ("A 1", False),  # a digit is no letter
        ("A ?", False),
        ("A stop", False),
    ],
)
def test_letters_are_told_from_other_classes(classes: str, expected: bool) -> None:
    assert spells(classes.split()) is expected
