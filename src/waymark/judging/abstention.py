"""When the model is "not sure": conformal risk control (Angelopoulos et al. 2022, https://arxiv.org/abs/2208.02814)."""

import numpy as np
from numpy.typing import NDArray

LOWEST = 0.5  # an answer of less probability is, by the model's own account, more likely wrong than right


def fit_threshold(confidences: NDArray[np.float64], right: NDArray[np.bool_], max_risk: float) -> tuple[float, float]:
    """The probability from which on an answer is given, and the share of wrong answers that it promises at most.

    `confidences` are the best probabilities of N images that the model has not learned, `right` whether it was. The
    threshold is the lowest from 0.5 to 1 with (wrong answers from it on + 1) / (N + 1) <= risk: over draws of the N
    images and a new one alike, the new one is answered and wrong with no more than that probability. Its proof
    (theorem 1) asks for a loss that only falls as the threshold rises, as this one does, and for images of which none
    is likelier to be the new one: images of one track are alike, and the promise is weaker for it.

    The risk is `max_risk`, or the smallest that N images can vouch for where that is more: 1 / (N + 1), and more where
    the model is wrong with a probability of 1, which no threshold withholds.
    """
    wrong = np.sort(confidences[~right])[::-1]
    risks = np.arange(1, len(wrong) + 2) / (len(right) + 1)  # with none, one, two, … of the wrong answers given
    certain = int((wrong >= 1).sum())
    risk = max(max_risk, float(risks[certain]))
    given = int((risks <= risk).sum()) - 1
    if given >= len(wrong) or wrong[given] < LOWEST:
        return LOWEST, risk
    # The next number above it, unrounded, so that `probability >= threshold` withholds it.
    return float(np.nextafter(wrong[given], 1)), risk
