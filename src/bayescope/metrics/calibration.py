"""Calibration of likelihood ratios and probabilities, with confidence intervals.

The cost of log-likelihood ratios l (Brümmer & du Preez 2006), in bits; 1 for l = 0, which carries no information::

    Cllr = ½ mean over positives of log2(1 + exp(-l)) + ½ mean over negatives of log2(1 + exp(l))

minCllr is the cost after the best increasing map, found on the same images (pool adjacent violators): the cost of the ratios if
they were well calibrated.  The difference is the calibration loss.  More than two classes: one against the rest.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logit
from scipy.stats import beta

from bayescope.calibration.isotonic_map import pooled_log_ratio
from bayescope.metrics.bootstrap import N_BOOTSTRAP, Estimate, bootstrap, by_image, patient_numbers
from bayescope.types import Floats, Labels

MEASURES = ("Cllr", "minCllr", "calibration loss", "ECE", "Brier score")


@dataclass(frozen=True)
class ReliabilityCurve:
    """Mean predicted probability and observed frequency in bins of equally many images: all ``(bins,)``.

    ``low`` and ``high``: 95 % Clopper-Pearson band of ``observed``, a bin counting as many images as it has patients.
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    images: Labels


def cllr(log_ratio: Floats, positive: np.ndarray) -> float:
    """Cost of log-likelihood ratios.

    Parameters
    ----------
    log_ratio : ndarray of shape (n,)
        Log-likelihood ratios, in nats.
    positive : ndarray of bool, shape (n,)
        Whether each image is of the class.

    Returns
    -------
    float
        Cost in bits; NaN if a side is absent.

    Examples
    --------
    >>> import numpy as np
    >>> cllr(np.zeros(4), np.array([True, True, False, False]))
    1.0
    """
    if positive.all() or not positive.any():
        return float("nan")
    surprise = np.logaddexp(0, np.where(positive, -log_ratio, log_ratio)) / np.log(2)
    return float((surprise[positive].mean() + surprise[~positive].mean()) / 2)


def min_cllr(log_ratio: Floats, positive: np.ndarray) -> float:
    """Cost of log-likelihood ratios after the best increasing map.

    Infinite values of the map, at an end where one side is absent, cost nothing.

    Parameters
    ----------
    log_ratio : ndarray of shape (n,)
        Log-likelihood ratios, in nats.
    positive : ndarray of bool, shape (n,)
        Whether each image is of the class.

    Returns
    -------
    float
        Cost in bits; NaN if a side is absent.
    """
    if positive.all() or not positive.any():
        return float("nan")
    knots, pooled = pooled_log_ratio(log_ratio, positive)
    return cllr(pooled[np.searchsorted(knots, log_ratio)], positive)


def expected_calibration_error(probability: Floats, positive: np.ndarray, n_bins: int = 10) -> float:
    """Mean absolute difference of predicted probability and observed frequency.

    Parameters
    ----------
    probability : ndarray of shape (n,)
        Predicted probability of the class.
    positive : ndarray of bool, shape (n,)
        Whether each image is of the class.
    n_bins : int, default 10
        Number of bins of equally many images; equal probabilities stay in one bin.

    Returns
    -------
    float
        The error.
    """
    bins = _equal_mass_bins(probability, n_bins)
    excess = np.bincount(bins, probability - positive)
    return float(np.abs(excess).sum() / len(probability))


def reliability_curve(
    probability: Floats, positive: np.ndarray, n_bins: int = 10, patients: Sequence[Hashable] | None = None
) -> ReliabilityCurve:
    """Observed frequency by predicted probability.

    Parameters
    ----------
    probability : ndarray of shape (n,)
        Predicted probability of the class.
    positive : ndarray of bool, shape (n,)
        Whether each image is of the class.
    n_bins : int, default 10
        Number of bins of equally many images.
    patients : sequence of shape (n,), optional
        Patient of each image (default: each image is of another patient).

    Returns
    -------
    ReliabilityCurve
        The curve, with intervals.
    """
    groups = patient_numbers(patients, len(probability))
    bins = _equal_mass_bins(probability, n_bins)
    _, bins, images = np.unique(bins, return_inverse=True, return_counts=True)
    predicted, observed = np.bincount(bins, probability) / images, np.bincount(bins, positive) / images
    independent = np.bincount(np.unique(np.stack([bins, groups]), axis=1)[0])
    hits = observed * independent
    low = np.where(observed > 0, beta.ppf(0.025, np.maximum(hits, 1e-9), independent - hits + 1), 0.0)
    high = np.where(observed < 1, beta.ppf(0.975, hits + 1, np.maximum(independent - hits, 1e-9)), 1.0)
    return ReliabilityCurve(predicted, observed, low, high, images)


def assess(
    log_ratio: Floats,
    posterior: Floats,
    labels: Labels,
    patients: Sequence[Hashable] | None = None,
    seed: int = 0,
    n_bootstrap: int = N_BOOTSTRAP,
) -> tuple[dict[str, Estimate], ...]:
    """Measures of calibration of each class against the rest, with intervals.

    Parameters
    ----------
    log_ratio : ndarray of shape (n, classes)
        Log-likelihood ratios of each class against the rest, in nats.
    posterior : ndarray of shape (n, classes)
        Posterior probabilities.
    labels : ndarray of shape (n,)
        True class of each image.
    patients : sequence of shape (n,), optional
        Patient of each image (default: each image is of another patient).
    seed : int, default 0
        Seed of the bootstrap, which resamples whole patients.
    n_bootstrap : int, default 1000
        Number of resamples.

    Returns
    -------
    tuple of dict
        For each class, the measures by name.
    """
    n_classes = posterior.shape[1]

    def measures(chosen: Labels) -> Floats:
        rows = [_measures(log_ratio[chosen, k], posterior[chosen, k], labels[chosen] == k) for k in range(n_classes)]
        return np.concatenate(rows)

    found = bootstrap(by_image(measures), len(labels), patients, kind="basic", seed=seed, n_bootstrap=n_bootstrap)
    return tuple(
        dict(zip(MEASURES, found[start : start + len(MEASURES)], strict=True)) for start in range(0, len(found), len(MEASURES))
    )


def expected_if_calibrated(probability: Floats, seed: int = 0, n_draws: int = 200) -> dict[str, Estimate]:
    """Values of the measures expected of perfectly calibrated probabilities.

    On a few hundred images, ECE and calibration loss of perfectly calibrated probabilities are far from zero; a measured
    value within the range gives no evidence of miscalibration.

    Parameters
    ----------
    probability : ndarray of shape (n,)
        Predicted probabilities, from which labels are drawn.
    seed : int, default 0
        Seed of the labels.
    n_draws : int, default 200
        Number of draws.

    Returns
    -------
    dict of str to Estimate
        Mean and 95 % range of each measure.
    """
    rng = np.random.default_rng(seed)
    log_ratio = logit(probability) - logit(probability.mean())
    draws = np.stack([_measures(log_ratio, probability, rng.random(len(probability)) < probability) for _ in range(n_draws)])
    low, high = np.nanquantile(draws, [0.025, 0.975], axis=0)
    rows = np.stack([np.nanmean(draws, axis=0), low, high], axis=1)
    return {name: Estimate(*map(float, row)) for name, row in zip(MEASURES, rows, strict=True)}


def _measures(log_ratio: Floats, probability: Floats, positive: np.ndarray) -> Floats:
    cost, least = cllr(log_ratio, positive), min_cllr(log_ratio, positive)
    ece = expected_calibration_error(probability, positive)
    return np.array([cost, least, cost - least, ece, np.square(probability - positive).mean()])


def _equal_mass_bins(probability: Floats, n_bins: int) -> Labels:
    edges = np.quantile(probability, np.linspace(0, 1, n_bins + 1)[1:-1])
    return np.searchsorted(edges, probability, side="right")
