"""Measures of calibration of a few images, computed by hand."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import beta

from bayescope.metrics.bootstrap import Estimate, bootstrap, by_image
from bayescope.metrics.calibration import (
    MEASURES,
    assess,
    cllr,
    expected_calibration_error,
    expected_if_calibrated,
    min_cllr,
    reliability_curve,
)

PROBABILITY = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.9])
POSITIVE = np.array([False, True, False, False, True, True])


def test_cost_of_four_ratios() -> None:
    ratio, positive = np.log([3.0, 1.0, 1 / 7, 3.0]), np.array([True, True, False, False])
    by_hand = (np.log2([4 / 3, 2]).mean() + np.log2([8 / 7, 4]).mean()) / 2
    assert cllr(ratio, positive) == pytest.approx(by_hand)
    # Pooled: 1/7 negative; 1 positive and 3 (one of each) together, 2 of 3.
    assert min_cllr(ratio, positive) == pytest.approx((np.log2(1.5) + np.log2(3) / 2) / 2)
    for one_sided in (np.ones(4, bool), np.zeros(4, bool)):
        assert np.isnan([cllr(ratio, one_sided), min_cllr(ratio, one_sided)]).all()


def test_calibration_error_and_curve_of_two_bins_of_three() -> None:
    assert expected_calibration_error(PROBABILITY, POSITIVE, 2) == pytest.approx((abs(0.6 - 1) + abs(2.2 - 2)) / 6)
    curve = reliability_curve(PROBABILITY, POSITIVE, 2)
    np.testing.assert_allclose(curve.predicted, [0.2, 2.2 / 3])
    np.testing.assert_allclose(curve.observed, [1 / 3, 2 / 3])
    np.testing.assert_array_equal(curve.images, [3, 3])
    np.testing.assert_allclose(curve.low, beta.ppf(0.025, [1, 2], [3, 2]))
    np.testing.assert_allclose(curve.high, beta.ppf(0.975, [2, 3], [2, 1]))


def test_the_band_counts_patients() -> None:
    """The first bin has three images of two patients, the second three of one, seen in both bins."""
    curve = reliability_curve(PROBABILITY, POSITIVE, 2, ["a", "a", "b", "b", "b", "b"])
    hits, n = np.array([2 / 3, 2 / 3]), np.array([2, 1])
    np.testing.assert_allclose(curve.low, beta.ppf(0.025, hits, n - hits + 1))
    np.testing.assert_allclose(curve.high, beta.ppf(0.975, hits + 1, n - hits))
    np.testing.assert_allclose(curve.observed, [1 / 3, 2 / 3])


@pytest.mark.parametrize("positive", [True, False])
def test_a_bin_of_one_kind_ends_at_its_end(positive: bool) -> None:
    curve = reliability_curve(np.linspace(0.1, 0.9, 20), np.full(20, positive), 1)
    found = (curve.low[0], curve.high[0])
    assert found == pytest.approx((0.025 ** (1 / 20), 1) if positive else (0, 1 - 0.025 ** (1 / 20)))


def test_there_are_ten_bins_and_equal_probabilities_stay_together() -> None:
    probability = np.linspace(0, 1, 100)
    assert reliability_curve(probability, probability > 0.5).images.tolist() == [10] * 10
    tied = np.repeat([0.1, 0.5, 0.9], [50, 30, 20])
    curve = reliability_curve(tied, np.arange(100) % 2 == 0)
    assert curve.images.tolist() == [50, 30, 20]
    assert expected_calibration_error(tied, np.arange(100) % 2 == 0) == pytest.approx((20 + 0 + 8) / 100)
    ten = np.abs((probability - (probability > 0.4)).reshape(10, 10).sum(axis=1)).sum() / 100
    assert expected_calibration_error(probability, probability > 0.4) == pytest.approx(ten)


def measured(posterior: np.ndarray, ratio: np.ndarray, labels: np.ndarray, **options: object) -> dict[str, Estimate]:
    return assess(ratio, posterior, labels, **options)[1]  # type: ignore[arg-type]


def test_each_measure_is_where_its_name_says() -> None:
    posterior, ratio = np.stack([1 - PROBABILITY, PROBABILITY], axis=1), logit(PROBABILITY)
    ratios, labels = np.stack([-ratio, ratio], axis=1), POSITIVE.astype(int)
    found = measured(posterior, ratios, labels, n_bootstrap=50)
    assert tuple(found) == MEASURES
    expected = {
        "Cllr": cllr(ratio, POSITIVE),
        "minCllr": min_cllr(ratio, POSITIVE),
        "calibration loss": cllr(ratio, POSITIVE) - min_cllr(ratio, POSITIVE),
        "ECE": expected_calibration_error(PROBABILITY, POSITIVE),
        "Brier score": np.mean((PROBABILITY - POSITIVE) ** 2),
    }
    assert {name: found[name].value for name in MEASURES} == pytest.approx(expected)


def test_intervals_keep_patients_whole_and_depend_on_the_seed() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    ratio = np.where(np.arange(80) < 40, 2.0, -1.0) * (2 * labels - 1) + 0.01 * rng.normal(size=80)
    ratios, posterior = np.stack([-ratio, ratio], axis=1), expit(np.stack([-ratio, ratio], axis=1))
    patients = [f"p{i // 10}" for i in range(80)]
    alone, whole = (measured(posterior, ratios, labels, patients=of, n_bootstrap=100) for of in (None, patients))
    for name in ("Cllr", "Brier score"):
        assert whole[name].high - whole[name].low > 1.8 * (alone[name].high - alone[name].low)
    one, other = (measured(posterior, ratios, labels, seed=seed, n_bootstrap=20) for seed in (1, 2))
    assert one != other


def test_what_is_expected_of_calibrated_probabilities_of_a_rare_class() -> None:
    """Cllr by the two sums over the distribution of the ratios; Brier score p (1 - p)."""
    probability = np.tile([0.02, 0.1, 0.4], 700)
    found = expected_if_calibrated(probability, n_draws=40)
    prevalence = probability.mean()
    odds = probability / (1 - probability) / (prevalence / (1 - prevalence))
    positive = (probability * np.log2(1 + 1 / odds)).sum() / probability.sum()
    negative = ((1 - probability) * np.log2(1 + odds)).sum() / (1 - probability).sum()
    assert found["Cllr"].value == pytest.approx((positive + negative) / 2, rel=0.03)
    assert found["Brier score"].value == pytest.approx((probability * (1 - probability)).mean(), rel=0.02)
    for name in MEASURES:
        assert found[name].low < found[name].value < found[name].high
    assert expected_if_calibrated(probability[:60], seed=1) != expected_if_calibrated(probability[:60], seed=2)
    assert expected_if_calibrated(probability[:60], n_draws=50) != expected_if_calibrated(probability[:60])
    assert expected_if_calibrated(probability[:60], n_draws=200) == expected_if_calibrated(probability[:60])


def test_intervals_are_the_basic_ones_of_as_many_draws_as_are_asked_for() -> None:
    """Mirrored at the value: twice the value less the quantiles of the draws, and not negative."""
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 2
    ratio = 2 * labels - 1 + rng.normal(size=60)
    ratios = np.stack([-ratio, ratio], axis=1)
    found = measured(expit(ratios), ratios, labels, seed=3, n_bootstrap=40)
    draws = bootstrap(by_image(lambda rows: np.array([cllr(ratio[rows], labels[rows] == 1)])), 60, seed=3, n_bootstrap=40)[0]
    mirrored = 2 * draws.value - draws.high, 2 * draws.value - draws.low
    assert (found["Cllr"].low, found["Cllr"].high) == pytest.approx(mirrored)
    assert min(one.low for one in found.values()) >= 0
