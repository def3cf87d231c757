"""How good predictions are: NumPy in, numbers out."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]

BINS = 15  # equal-mass bins of the calibration error, the field's usual number


@dataclass(frozen=True)
class Metrics:
    """Of one split. All but `negative_log_likelihood` and `brier_score` lie in [0, 1]."""

    images: int
    accuracy: float
    balanced_accuracy: float  # mean recall of the classes that occur
    macro_f1: float
    min_class_recall: float
    negative_log_likelihood: float  # nats
    brier_score: float  # summed over classes, [0, 2]
    expected_calibration_error: float
    coverage: float  # share of the images that are answered: where the best probability reaches the threshold
    answered_error: float  # share of wrong answers among them; 0 where none is answered

    def rounded(self) -> dict[str, float]:
        """For a tracked file: six decimals, beyond what any test set here can tell apart."""
        return {key: round(value, 6) for key, value in asdict(self).items()}


def confusion(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """Counts, (classes, classes): row = label, column = prediction."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def recalls(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Recall of each class from its confusion counts; NaN for a class without images."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diag(counts) / counts.sum(axis=1))


def f1_scores(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of each class; NaN for a class that neither occurs nor is predicted."""
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * np.diag(counts) / (counts.sum(axis=0) + counts.sum(axis=1)))


def negative_log_likelihood(probabilities: Probabilities, labels: Labels) -> float:
    """Mean over images of -log p(label), in nats."""
    of_label = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(of_label, np.finfo(np.float64).tiny)).mean())


def brier_scores(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Each image's squared distance to its one-hot label (Brier 1950), in [0, 2]."""
    of_label = probabilities[np.arange(len(labels)), labels]
    return np.asarray((probabilities**2).sum(axis=1) - 2 * of_label + 1)


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(bins, 3): mean confidence, accuracy and images of each of up to 15 bins of equal mass, by rising confidence."""
    by_confidence = np.argsort(confidence, kind="stable")
    bins = [b for b in np.array_split(by_confidence, BINS) if len(b)]
    return np.array([(confidence[b].mean(), right[b].mean(), len(b)) for b in bins])


def expected_calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Mean over images of |confidence - accuracy| of their bin (equal mass: arXiv:1904.01685, section 4)."""
    bins = reliability(confidence, right)
    return float((np.abs(bins[:, 0] - bins[:, 1]) * bins[:, 2]).sum() / bins[:, 2].sum())


def risk_coverage(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, 3): coverage, share of wrong answers among the answered, and the threshold that answers them.

    Row k answers the k + 1 surest images (El-Yaniv and Wiener 2010, https://www.jmlr.org/papers/v11/el-yaniv10a.html).
    """
    surest_first = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(right) + 1)
    errors = (~right[surest_first]).cumsum() / answered
    return np.stack([answered / len(right), errors, confidence[surest_first]], axis=1)


def compute(probabilities: Probabilities, labels: Labels, threshold: float) -> Metrics:
    """All metrics of `probabilities`, (N, classes) with rows summing to 1, against `labels`, (N,).

    `threshold` is the contract's; only the last two metrics depend on it.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right, answered = predicted == labels, confidence >= threshold
    counts = confusion(labels, predicted, probabilities.shape[1])
    recall = recalls(counts)
    return Metrics(
        images=len(labels),
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.nanmean(recall)),
        macro_f1=float(np.nanmean(f1_scores(counts))),
        min_class_recall=float(np.nanmin(recall)),
        negative_log_likelihood=negative_log_likelihood(probabilities, labels),
        brier_score=float(brier_scores(probabilities, labels).mean()),
        expected_calibration_error=expected_calibration_error(confidence, right),
        coverage=float(answered.mean()),
        answered_error=float((answered & ~right).sum() / max(answered.sum(), 1)),
    )
