"""When the model is "not sure": conformal risk control (Angelopoulos et al. 2022, https://arxiv.org/abs/2208.02814)."""

import numpy as np
from numpy.typing import NDArray

LOWEST = 0.5  # an answer of less probability is, by the model's own account, more likely wrong than right


def fit_threshold(
    confidences: NDArray[np.float64], right: NDArray[np.bool_], groups: NDArray[np.generic], max_risk: float
) -> tuple[float, float]:
    """The probability from which on an answer is given, and the share of wrong answers that it promises at most.

    `confidences` are the best probabilities of images that the model has not learned, `right` whether it was, `groups`
    the track (or whatever is alike) that each belongs to; where none are alike, each image is a group of its own.

    A group's loss is the share of its images that are answered and wrong. The threshold is the lowest from 0.5 to 1
    with (sum of the G groups' losses + 1) / (G + 1) <= risk: over draws of the G groups and a new one alike, an image
    of the new group is answered and wrong with no more than that probability. Its proof (theorem 1, with the group as
    the unit) asks for a loss that only falls as the threshold rises, as this one does, and for groups of which none is
    likelier to be the new one; images inside a group may be as alike as they like (hierarchical exchangeability: Lee,
    Barber and Willett 2023, https://arxiv.org/abs/2306.06342). It speaks of the mean over such draws, not of each, and
    the temperature, which was fitted to the same images, is taken as given.

    The risk is `max_risk`, or the smallest that G groups can vouch for where that is more: 1 / (G + 1), and more where
    the model is wrong with a probability of 1, which no threshold withholds.
    """
    group, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    by_confidence = np.flatnonzero(~right)[np.argsort(-confidences[~right], kind="stable")]
    wrong, losses = confidences[by_confidence], (1 / sizes[group])[by_confidence]
    risks = (np.concatenate([[0.0], losses.cumsum()]) + 1) / (len(sizes) + 1)  # with none, one, two, … of them given
    certain = int((wrong >= 1).sum())
    risk = max(max_risk, float(risks[certain]))
    given = int((risks <= risk).sum()) - 1
    if given >= len(wrong) or wrong[given] < LOWEST:
        return LOWEST, risk
    # The next number above it, unrounded, so that `probability >= threshold` withholds it.
    return float(np.nextafter(wrong[given], 1)), risk
