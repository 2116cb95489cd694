"""Every interval is of 95 %, not of another level."""

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import binom, binomtest, norm

from bayescope.evaluation.compare.statistics import compare_observers
from bayescope.metrics.bootstrap import bootstrap, means_of
from bayescope.metrics.calibration import expected_if_calibrated, reliability_curve
from bayescope.metrics.delong import auc, auc_interval, delong

REACH = norm.ppf(0.975)


@pytest.mark.parametrize("kind", ["percentile", "basic"])
def test_bootstrap_of_a_mean_is_the_normal_interval(kind: str) -> None:
    values = np.random.default_rng(0).normal(10, 1, 400)
    (found,) = bootstrap(means_of(values), 400, kind=kind, n_bootstrap=20_000)
    expected = REACH * values.std() / 20
    assert (found.high - found.value, found.value - found.low) == pytest.approx((expected, expected), rel=0.03)


def test_intervals_of_the_area_and_of_its_difference_reach_as_many_standard_errors() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(80) % 2
    scores = rng.normal(size=(2, 80)) + labels
    posteriors = np.stack([-scores, scores], axis=-1)
    values, covariance = delong(posteriors, labels)
    found = compare_observers({"a": posteriors[:1], "b": posteriors[1:]}, labels, None, "a", n_bootstrap=2)
    for area in (found["a"].measures["AUC"], auc_interval(posteriors[0], labels)):
        error = np.sqrt(covariance[0, 0]) / (area.value * (1 - area.value))
        assert logit([area.low, area.high]) == pytest.approx(logit(area.value) + REACH * error * np.array([-1, 1]))
    difference, error = found["b"].differences["AUC"], np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert (difference.low, difference.high) == pytest.approx(tuple(values[0] - values[1] + REACH * error * np.array([-1, 1])))


def test_the_standard_error_of_the_area_is_the_spread_of_repeated_samples() -> None:
    """Of patients with two images each, so that neither half nor twice the variance would pass."""
    rng, labels, patients = np.random.default_rng(2), (np.arange(60) % 2).repeat(2), np.arange(60).repeat(2)
    areas, variances = [], []
    for _ in range(300):
        score = (rng.normal(size=60) + np.arange(60) % 2).repeat(2) + 0.3 * rng.normal(size=120)
        posterior = np.stack([-score, score], axis=1)
        areas.append(auc(posterior, labels))
        variances.append(delong(posterior[None], labels, patients)[1][0, 0])
    assert np.mean(variances) == pytest.approx(np.var(areas), rel=0.25)


def test_the_band_of_a_reliability_curve_is_the_exact_interval_of_its_bins() -> None:
    rng = np.random.default_rng(3)
    probability = rng.random(200)
    curve = reliability_curve(probability, rng.random(200) < probability, n_bins=5)
    for observed, low, high, n in zip(curve.observed, curve.low, curve.high, curve.images, strict=True):
        exact = binomtest(round(observed * n), int(n)).proportion_ci(0.95)
        assert (low, high) == pytest.approx((exact.low, exact.high))


def test_what_is_expected_of_right_probabilities_is_the_range_of_the_binomial_distribution() -> None:
    """Of one bin of even chances the calibration error is how far the share of heads is off a half."""
    found = expected_if_calibrated(np.full(1000, 0.5), n_draws=1000)["ECE"]
    off = np.abs(np.arange(1001) / 1000 - 0.5)
    order = np.argsort(off)
    at_most = np.cumsum(binom(1000, 0.5).pmf(np.arange(1001))[order])
    assert found.high == pytest.approx(off[order][np.searchsorted(at_most, 0.975)], abs=0.0025)
