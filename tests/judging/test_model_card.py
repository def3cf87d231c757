"""The model card names what was confused, from the predictions alone."""

from dataclasses import replace

import pandas as pd
import pytest

from waymark.contract import Contract
from waymark.judging.metrics import Metrics
from waymark.judging.model_card import model_card

CONTRACT = Contract("rendered", ("Stop", "Yield"), 32, 0.1, mean=(0.5,) * 3, std=(0.5,) * 3, temperature=1.5)
RESULT = {"": Metrics(3, 2 / 3, 0.75, 0.7, 0.5, 0.4, 0.3, 0.02, 0.9, 0.1).rounded()}
BEYOND = {"corruption_accuracy": 0.91}


def test_the_card_counts_what_was_taken_for_what() -> None:
    card = model_card(CONTRACT, RESULT, pd.DataFrame({"label": [0, 0, 1], "predicted": [0, 1, 1]}), BEYOND)
    assert "| Stop | Yield | 1 of 2 |" in card
    assert "| Yield | Stop" not in card
    assert "| accuracy | 0.666667 |" in card
    assert "temperature 1.5" in card
    assert "| corruption accuracy | 0.91 |" in card


def test_the_card_says_where_the_model_is_not_sure() -> None:
    rows = pd.DataFrame({"label": [0], "predicted": [0]})
    card = model_card(replace(CONTRACT, threshold=0.8312), RESULT, rows, BEYOND)
    assert "It is “not sure” where no class reaches a probability of 0.8312." in card
    assert "| coverage | 0.9 |\n| answered error | 0.1 |\n" in card


def test_a_model_without_mistakes_says_so() -> None:
    card = model_card(CONTRACT, RESULT, pd.DataFrame({"label": [0, 1], "predicted": [0, 1]}), BEYOND)
    assert "every test image is right" in card


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("a|b\n# x", r"a\|b # x"),
        ("a\\|b", r"a\\\|b"),
        ("`rm`\t *now*", r"\`rm\` \*now\*"),
        ("<img src=x>", r"\<img src=x>"),
        ("![x](y)", r"!\[x\](y)"),
        ("&lt;", r"\&lt;"),
        ("speed limit 20 (km/h)", "speed limit 20 (km/h)"),
    ],
)
def test_a_class_of_any_name_stays_in_its_cell(name: str, cell: str) -> None:
    rows = pd.DataFrame({"label": [0, 0, 1], "predicted": [0, 1, 1]})
    card = model_card(replace(CONTRACT, class_names=(name, "Yield")), RESULT, rows, BEYOND)
    assert f"\n| {cell} | Yield | 1 of 2 |\n" in card
