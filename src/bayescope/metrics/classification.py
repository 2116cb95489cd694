"""Measures of a classifier's answers, each with a bootstrap confidence interval.

All take the posterior ``(n, classes)`` and labels ``(n,)``.  What belongs to a class, such as sensitivity, is measured of each
class against the rest and told by its name.  AUC of two classes is the same for both; of more, the mean over classes.  Brier
score: mean squared error of the probability of a class (two classes: the same for both), or summed over classes (more).
"""

from collections.abc import Callable, Hashable, Sequence
from itertools import islice

import numpy as np
from scipy.stats import rankdata

from bayescope.metrics.bootstrap import N_BOOTSTRAP, Estimate, resampled_patients
from bayescope.types import Floats, Labels

_TINY = 1e-15


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


def sensitivity(posterior: Floats, labels: Labels, k: int) -> float:
    """Share of the images of class ``k`` called so; NaN if there is none."""
    return _rate(posterior, labels, k, of=True)


def specificity(posterior: Floats, labels: Labels, k: int) -> float:
    """Share of the images of other classes not called class ``k``; NaN if there is none."""
    return 1 - _rate(posterior, labels, k, of=False)


def confusion(posterior: Floats, labels: Labels) -> Labels:
    """How many images of each class (rows) are called each class (columns): ``(classes, classes)``."""
    n_classes = posterior.shape[1]
    places = n_classes * labels + posterior.argmax(axis=1)
    return np.bincount(places, minlength=n_classes**2).reshape(n_classes, n_classes)


def one_vs_rest(posterior: Floats, labels: Labels, prevalence: Floats) -> Floats:
    """``CLASS_MEASURES`` of each class against the rest: ``(classes, measures)``; NaN where images are wanting.

    An image is called its most probable class.  Predictive values are those at ``prevalence (classes,)``, by Bayes' rule on
    how often images of each class are called each class.
    """
    counts = confusion(posterior, labels)
    of_class = counts.sum(axis=1)
    rates = np.divide(counts, of_class[:, None], out=np.full(counts.shape, np.nan), where=of_class[:, None] > 0)
    hits, others = np.diag(counts), counts.sum() - of_class
    false = counts.sum(axis=0) - hits
    called, not_called = prevalence @ rates, prevalence @ (1 - rates)
    own = prevalence * np.diag(rates)
    return np.stack(
        [
            [one_vs_rest_auc(posterior[:, k], labels == k) for k in range(len(counts))],
            np.diag(rates),
            1 - _share(false, others),
            _share(own, called),
            _share(not_called - (prevalence - own), not_called),
        ],
        axis=1,
    )


def log_loss(posterior: Floats, labels: Labels) -> float:
    """Mean surprise at the true class, nats."""
    return float(-np.log(np.clip(posterior[np.arange(len(labels)), labels], _TINY, None)).mean())


def brier(posterior: Floats, labels: Labels) -> float:
    """Mean squared error of the probabilities."""
    error = ((posterior - np.eye(posterior.shape[1])[labels]) ** 2).sum(axis=1).mean()
    return float(error / 2 if posterior.shape[1] == 2 else error)


CLASS_MEASURES = ("AUC", "sensitivity", "specificity", "PPV", "NPV")
"""Of a class against the rest; PPV and NPV: positive and negative predictive value."""

MEASURES: dict[str, Callable[[Floats, Labels], float]] = {
    "AUC": auc,
    "accuracy": accuracy,
    "balanced accuracy": balanced_accuracy,
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
    """Every measure of all classes together with its interval.

    Intervals are percentiles over ``n_bootstrap`` resamples of the ``patients (n,)`` (default: of the images).  A resample that
    lacks a class leaves the measures that need it out of that resample.
    """

    def values(chosen: Labels) -> Floats:
        return np.array([function(posterior[chosen], labels[chosen]) for function in MEASURES.values()])

    return dict(zip(MEASURES, _percentiles(values, len(labels), patients, seed, n_bootstrap), strict=True))


def measure_classes(
    posterior: Floats,
    labels: Labels,
    class_names: Sequence[str],
    prevalence: Floats,
    patients: Sequence[Hashable] | None = None,
    seed: int = 0,
    n_bootstrap: int = N_BOOTSTRAP,
) -> dict[str, dict[str, Estimate]]:
    """``CLASS_MEASURES`` of each class against the rest, by its name, with intervals as of :func:`measure`.

    ``prevalence (classes,)``: at which predictive values are told.
    """

    def values(chosen: Labels) -> Floats:
        return one_vs_rest(posterior[chosen], labels[chosen], prevalence).ravel()

    rows = iter(_percentiles(values, len(labels), patients, seed, n_bootstrap))
    return {name: {measure: next(rows) for measure in CLASS_MEASURES} for name in class_names}


def _percentiles(
    values: Callable[[Labels], Floats], n: int, patients: Sequence[Hashable] | None, seed: int, n_bootstrap: int
) -> list[Estimate]:
    """``values`` of all ``n`` images with the percentile intervals over resampled patients."""
    resamples = islice(resampled_patients(patients, n, np.random.default_rng(seed)), n_bootstrap)
    measured = values(np.arange(n))
    draws = np.stack([values(chosen) for chosen in resamples])
    found = []
    for value, column in zip(measured, draws.T, strict=True):
        finite = column[np.isfinite(column)]
        low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (np.nan, np.nan)
        found.append(Estimate(float(value), float(low), float(high)))
    return found


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


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
