"""Measures of a classifier's answers, each with a bootstrap confidence interval.

All take the posterior ``(n, classes)`` and labels ``(n,)``.  With two classes, AUC, sensitivity and specificity speak of
class 1; with more, AUC is the mean over classes one against the rest, and sensitivity and specificity are means over
classes (the former is then balanced accuracy).  Brier score: mean squared error of the probability of class 1 (two
classes), or summed over classes (more).
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from bayescope.errors import DataError
from bayescope.shapes import Floats, Labels

N_BOOTSTRAP = 1000
_TINY = 1e-15


@dataclass(frozen=True)
class Estimate:
    """A measured value and the ends of its 95 % bootstrap interval: percentile of :func:`measure`, basic of ``reliability``."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


def auc(posterior: Floats, labels: Labels) -> float:
    """Area under the ROC curve; NaN if a class is absent."""
    if posterior.shape[1] == 2:
        return one_vs_rest_auc(posterior[:, 1], labels == 1)
    return float(np.mean([one_vs_rest_auc(posterior[:, k], labels == k) for k in range(posterior.shape[1])]))


def one_vs_rest_auc(score: Floats, positive: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties counting half (Mann-Whitney)."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    rank_sum = rankdata(score)[positive].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def accuracy(posterior: Floats, labels: Labels) -> float:
    """Share of images whose most probable class is theirs."""
    return float((posterior.argmax(axis=1) == labels).mean())


def balanced_accuracy(posterior: Floats, labels: Labels) -> float:
    """Mean over classes of the share found; NaN if a class is absent."""
    return float(np.mean([_rate(posterior, labels, k, of=True) for k in range(posterior.shape[1])]))


def sensitivity(posterior: Floats, labels: Labels) -> float:
    """Share of the positives called positive."""
    if posterior.shape[1] > 2:
        return balanced_accuracy(posterior, labels)
    return _rate(posterior, labels, 1, of=True)


def specificity(posterior: Floats, labels: Labels) -> float:
    """Share of the negatives called negative."""
    classes = [1] if posterior.shape[1] == 2 else range(posterior.shape[1])
    return float(np.mean([1 - _rate(posterior, labels, k, of=False) for k in classes]))


def log_loss(posterior: Floats, labels: Labels) -> float:
    """Mean surprise at the true class, nats."""
    return float(-np.log(np.clip(posterior[np.arange(len(labels)), labels], _TINY, None)).mean())


def brier(posterior: Floats, labels: Labels) -> float:
    """Mean squared error of the probabilities."""
    error = ((posterior - np.eye(posterior.shape[1])[labels]) ** 2).sum(axis=1).mean()
    return float(error / 2 if posterior.shape[1] == 2 else error)


MEASURES: dict[str, Callable[[Floats, Labels], float]] = {
    "AUC": auc,
    "accuracy": accuracy,
    "balanced accuracy": balanced_accuracy,
    "sensitivity": sensitivity,
    "specificity": specificity,
    "log loss": log_loss,
    "Brier score": brier,
}


def measure(
    posterior: Floats,
    labels: Labels,
    patients: Sequence[Hashable] | None = None,
    seed: int = 0,
    n_bootstrap: int = N_BOOTSTRAP,
) -> dict[str, Estimate]:
    """Every measure with its interval, from ``n_bootstrap`` resamples of the ``patients (n,)`` (default: of the images).

    A resample that lacks a class leaves the measures that need it out of that resample.
    """
    rng = np.random.default_rng(seed)
    draws = np.empty((n_bootstrap, len(MEASURES)))
    for row, chosen in zip(draws, resampled_patients(patients, len(labels), rng), strict=False):
        row[:] = [function(posterior[chosen], labels[chosen]) for function in MEASURES.values()]
    estimates = {}
    for (name, function), column in zip(MEASURES.items(), draws.T, strict=True):
        finite = column[np.isfinite(column)]
        low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (np.nan, np.nan)
        estimates[name] = Estimate(function(posterior, labels), float(low), float(high))
    return estimates


def resampled_patients(patients: Sequence[Hashable] | None, n: int, rng: np.random.Generator) -> Iterator[Labels]:
    """Endlessly, indices of the ``n`` images of as many patients drawn with replacement as there are.

    ``patients (n,)``: whose image each is (default: each another's).  Raises DataError if they are not ``n``.
    """
    groups = patient_numbers(patients, n)
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    while True:
        yield np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])


def patient_numbers(patients: Sequence[Hashable] | None, n: int) -> Labels:
    """Patients of ``n`` images numbered from 0: ``(n,)``; without ``patients`` each image is another's."""
    if patients is None:
        return np.arange(n)
    if len(patients) != n:
        raise DataError(f"{len(patients)} patients for {n} images; expected one per image")
    number = {patient: i for i, patient in enumerate(dict.fromkeys(patients))}
    return np.array([number[patient] for patient in patients])


def expected_calibration_error(posterior: Floats, labels: Labels, n_bins: int = 10) -> float:
    """Mean distance of confidence and accuracy over equal-width bins of the top class's probability."""
    confidence = posterior.max(axis=1)
    hit = posterior.argmax(axis=1) == labels
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = [abs(confidence[bins == b].sum() - hit[bins == b].sum()) for b in range(n_bins)]
    return float(sum(gaps) / len(labels))


def _rate(posterior: Floats, labels: Labels, k: int, of: bool) -> float:
    chosen = (labels == k) == of
    return float((posterior.argmax(axis=1)[chosen] == k).mean()) if chosen.any() else float("nan")
