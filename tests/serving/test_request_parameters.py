"""Regions and numbers of a request hold, or are refused with what was expected."""

import pytest

from waymark.serving.bodies import box, whole_number
from waymark.serving.uploads import Refusal


def test_a_region_has_its_last_column_and_row_in_the_image() -> None:
    assert box("0,0,3,1", 4, 2) == (0, 0, 3, 1)
    assert box("3,1,3,1", 4, 2) == (3, 1, 3, 1)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0,0,4,1", "0,0,3,2", "-1,0,3,1", "2,0,1,1", "0,1,3,0", "0,0,3", "0,0,3,1,1", "0,0,3.5,1", "0, 0,3,1"),
        *("0,0,٣,1", "0,0,3,1\n", "9" * 5000 + ",0,3,1", "nan,0,3,1"),
    ],
)
def test_any_other_region_is_refused_with_the_size_of_the_image(text: str) -> None:
    with pytest.raises(Refusal, match=r"within this image of 4 × 2 pixels$") as refusal:
        box(text, 4, 2)
    assert refusal.value.reason == "bad_request"


def test_a_number_is_read_within_its_bounds() -> None:
    def top(text: str | None) -> int:
        return whole_number(text, name="top", lowest=1, highest=43, default=5)

    assert [top(text) for text in (None, "1", "43", "007")] == [5, 1, 43, 7]
    for text in ("", "0", "44", "-1", "1.0", "1e1", "٣", "1\n", "9" * 5000, "NaN"):
        with pytest.raises(Refusal, match=r"^top has to be a whole number from 1 to 43$"):
            top(text)
