"""Calibration of likelihood ratios against ratios whose truth is known, and Bayes' rule at any prevalence."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from benchmarks.resample import resample_to_prevalence
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binomtest

from bayescope.calibration import KINDS, Calibration, calibration_from_dict
from bayescope.calibration.affine import BiasCorrectedTemperatureScaling
from bayescope.calibration.base import CalibratedRatios, no_error, post_test_probability
from bayescope.calibration.cross_fit import cross_fitted_calibration, out_of_fold
from bayescope.calibration.isotonic import IsotonicCalibration
from bayescope.calibration.isotonic_map import pooled_log_ratio
from bayescope.config import EvidenceConfig
from bayescope.errors import DataError, RunError
from bayescope.evidence.denoising import LevelEvidence
from bayescope.metrics.calibration import cllr

DISTANCE = 2.0  # of the two classes, in standard deviations
SLOPE, OFFSET = 0.05, -0.7


def exact_ratio(n: int, seed: int, diseased: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """The true log-ratio of class 1, whose distribution is N(±d²/2, d²), and labels."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) < diseased * n).astype(np.int64)
    return rng.normal((labels - 0.5) * DISTANCE**2, DISTANCE), labels


def raw_of(ratio: np.ndarray) -> np.ndarray:
    """Both classes' raw ratios, of which the true ones are an affine map."""
    raw = (ratio - OFFSET) / SLOPE
    return np.stack([-raw, raw], axis=1)


EQUAL = np.full(2, 0.5)


def fitted(raw: np.ndarray, labels: np.ndarray, kind: str = "affine") -> Callable[[np.ndarray], np.ndarray]:
    """Calibrated ratios of both classes from raw ones ``(n, 2)``."""
    calibration = KINDS[kind].fit(raw / 2, labels, EQUAL)
    return lambda asked: calibrated(calibration, asked).log_likelihood_ratio


def calibrated(calibration: Calibration, raw: np.ndarray, prior: np.ndarray = EQUAL) -> CalibratedRatios:
    return calibration.calibrate(raw / 2, prior, no_error)


def test_affine_calibration_recovers_the_known_map() -> None:
    ratio, labels = exact_ratio(20_000, 0, diseased=0.2)
    calibration = BiasCorrectedTemperatureScaling.fit(raw_of(ratio) / 2, labels, EQUAL)
    assert calibration.calibrated
    assert calibration.warning == ""
    assert calibration.images == (16_000, 4_000)
    healthy, diseased = calibration.offset
    assert calibration.slope == pytest.approx(SLOPE, rel=0.05)
    assert diseased - healthy == pytest.approx(OFFSET, abs=0.06)


def test_isotonic_calibration_recovers_a_bent_map() -> None:
    ratio, labels = exact_ratio(40_000, 1)
    raw = np.stack([-(ratio**3), ratio**3], axis=1)
    fresh, _ = exact_ratio(2_000, 2)
    inner = fresh[np.abs(fresh) < 3]
    found = IsotonicCalibration.fit_ratios(raw, labels)(np.stack([-(inner**3), inner**3], axis=1))[:, 1]
    assert np.sqrt(np.mean((found - inner) ** 2)) < 0.2


@pytest.mark.parametrize("kind", ["affine", "isotonic"])
def test_separable_images_still_give_finite_modest_ratios(kind: str) -> None:
    labels = np.repeat([0, 1], 20)
    raw = np.where(labels == 1, 400.0, -400.0) + np.linspace(-50, 50, 40)
    found = fitted(np.stack([-raw, raw], axis=1), labels, kind)(np.array([[-400.0, 400.0]]))[0, 1]
    assert 0 < found < np.log(20 * 3)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 4), st.integers(0, 10_000), st.floats(1e-3, 1e3))
def test_maps_rise_and_never_cost_more_than_saying_nothing(n_classes: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % n_classes
    raw = scale * rng.normal(0, 1, (60, n_classes))
    found = IsotonicCalibration.fit_ratios(raw, labels)(raw)
    for k in range(n_classes):
        order = raw[:, k].argsort()
        assert (np.diff(found[order, k]) >= -1e-9).all()
        assert cllr(found[:, k], labels == k) <= 1 + 1e-6


def test_the_affine_map_has_the_least_regularised_cost() -> None:
    ratio, labels = exact_ratio(300, 3)
    raw = raw_of(ratio)
    best = cllr(fitted(raw, labels)(raw)[:, 1], labels == 1)
    rng = np.random.default_rng(0)
    for slope, offset in zip(SLOPE * rng.uniform(0.5, 2, 50), OFFSET + rng.normal(0, 0.5, 50), strict=True):
        assert cllr(slope * raw[:, 1] + offset, labels == 1) > best - 2e-3


def test_ratios_that_fall_with_the_class_are_set_to_one() -> None:
    ratio, labels = exact_ratio(400, 4)
    calibration = BiasCorrectedTemperatureScaling.fit(raw_of(-ratio) / 2, labels, EQUAL)
    assert "carry no information" in calibration.warning
    np.testing.assert_allclose(calibrated(calibration, raw_of(ratio)).log_likelihood_ratio, 0, atol=0.02)


@pytest.mark.parametrize("kind", ["affine", "isotonic"])
@pytest.mark.parametrize(
    ("labels", "n_classes"), [([], 2), ([0] * 50, 2), ([0] * 50 + [1] * 4, 2), ([0] * 20 + [1] * 20, 3), ([0, 1], 2)]
)
def test_too_few_images_are_said_to_be_and_nothing_is_guessed(labels: list[int], n_classes: int, kind: str) -> None:
    raw = np.random.default_rng(0).normal(0, 100, (len(labels), n_classes))
    levels = LevelEvidence(raw[:, :, None, None], np.ones(1))
    config = EvidenceConfig(level_weights="bound", calibration=kind)
    prior = np.full(n_classes, 1 / n_classes)
    calibration = cross_fitted_calibration(config, [levels], np.array(labels, dtype=np.int64), prior)
    assert not calibration.calibrated
    assert "uncalibrated" in calibration.warning
    assert len(calibration.images) == n_classes
    np.testing.assert_array_equal(calibration.class_evidence(raw), raw)


def test_few_images_are_calibrated_with_a_warning() -> None:
    ratio, labels = exact_ratio(30, 5)
    calibration = BiasCorrectedTemperatureScaling.fit(raw_of(ratio) / 2, labels, EQUAL)
    assert calibration.calibrated
    assert "few validation images: [15, 15]" in calibration.warning


def test_evidence_that_is_not_finite_is_refused() -> None:
    levels = LevelEvidence(np.full((40, 2, 3, 2), np.nan), np.array([0.1, 1.0, 10.0]))
    with pytest.raises(DataError, match="expected finite values"):
        cross_fitted_calibration(EvidenceConfig(level_weights="bound"), [levels], np.arange(40) % 2, EQUAL)


@pytest.mark.parametrize("kind", ["affine", "isotonic"])
def test_json_round_trip_is_exact(kind: str) -> None:
    ratio, labels = exact_ratio(200, 6)
    calibration = KINDS[kind].fit(raw_of(ratio) / 2, labels, EQUAL)
    again = calibration_from_dict(json.loads(json.dumps(calibration.to_dict(), allow_nan=False)))
    assert again == calibration
    for broken in ({"kind": kind, "maps": [{"slope": 1.0}]}, {"kind": "other"}, {}):
        with pytest.raises(RunError, match="Train the model again"):
            calibration_from_dict(broken)


def test_an_images_answer_does_not_depend_on_the_others() -> None:
    ratio, labels = exact_ratio(200, 7)
    for kind in ("affine", "isotonic"):
        answer = fitted(raw_of(ratio), labels, kind)
        np.testing.assert_array_equal(answer(raw_of(ratio))[:1], answer(raw_of(ratio)[:1]))


@settings(deadline=None, max_examples=50)
@given(st.floats(-20, 20), st.floats(1e-4, 1 - 1e-4))
def test_post_test_odds_are_pre_test_odds_times_the_ratio(log_ratio: float, prevalence: float) -> None:
    after = post_test_probability(np.array([log_ratio]), prevalence)
    assert logit(after)[0] - logit(prevalence) == pytest.approx(log_ratio, abs=1e-3)


@pytest.mark.parametrize("prevalence", [0.01, 0.1, 0.5])
def test_predicted_is_observed_at_another_prevalence(prevalence: float) -> None:
    """Calibrated at equal frequencies on 400 images, asked of resampled test sets of another prevalence."""
    ratio, labels = exact_ratio(400, 8)
    calibration = BiasCorrectedTemperatureScaling.fit(raw_of(ratio) / 2, labels, EQUAL)
    ratio, labels = exact_ratio(40_000, 9)
    prior = np.array([1 - prevalence, prevalence])
    chosen = resample_to_prevalence(labels, prior, seed=0)
    assert labels[chosen].mean() == pytest.approx(prevalence, abs=1e-3)
    posterior = np.exp(calibrated(calibration, raw_of(ratio[chosen]), prior).log_posterior)
    np.testing.assert_allclose(posterior.sum(axis=1), 1)
    for low, high in ((0.0, 1.0), (prevalence, 1.0), (0.3, 0.7)):
        inside = (posterior[:, 1] >= low) & (posterior[:, 1] <= high)
        images = min(int(inside.sum()), 500)  # the fit's own error: what 400 images can be held to
        interval = binomtest(round(labels[chosen][inside].mean() * images), images).proportion_ci(0.99)
        assert interval.low <= posterior[inside, 1].mean() <= interval.high


def test_cross_fitting_shows_no_image_to_its_own_fit() -> None:
    labels = np.arange(53) % 3
    seen: list[np.ndarray] = []

    def predict(fitting: np.ndarray, asked: np.ndarray) -> np.ndarray:
        assert not set(fitting) & set(asked)
        assert len(fitting) + len(asked) == 53
        assert set(labels[fitting]) == {0, 1, 2}
        seen.append(asked)
        return np.stack([asked, -asked], axis=1).astype(float)

    np.testing.assert_array_equal(out_of_fold(predict, labels)[:, 0], np.arange(53))
    assert sorted(np.concatenate(seen).tolist()) == list(range(53))
    with pytest.raises(DataError, match="at least two of each class"):
        out_of_fold(predict, np.array([0, 0, 1]))


def test_cross_fitting_keeps_patients_whole() -> None:
    labels = np.arange(60) % 2
    patients = [f"P{i // 4}" for i in range(60)]

    def predict(fitting: np.ndarray, asked: np.ndarray) -> np.ndarray:
        assert not {patients[i] for i in fitting} & {patients[i] for i in asked}
        return np.stack([asked, -asked], axis=1).astype(float)

    np.testing.assert_array_equal(out_of_fold(predict, labels, patients)[:, 0], np.arange(60))


def test_cross_fitted_ratios_are_honest_where_in_sample_ones_boast() -> None:
    """Level weights fitted to noise looks informative on its own images only."""
    rng = np.random.default_rng(0)
    features, labels = rng.normal(0, 1, (60, 30)), np.arange(60) % 2

    def score(fitting: np.ndarray, asked: np.ndarray) -> np.ndarray:
        contrast = features[fitting][labels[fitting] == 1].mean(axis=0) - features[fitting][labels[fitting] == 0].mean(axis=0)
        ratio = 3 * features[asked] @ contrast
        return np.stack([-ratio, ratio], axis=1)

    everyone = np.arange(60)
    boasting = BiasCorrectedTemperatureScaling.fit(score(everyone, everyone) / 2, labels, EQUAL).slope
    honest = BiasCorrectedTemperatureScaling.fit(out_of_fold(score, labels) / 2, labels, EQUAL).slope
    assert boasting > 0.3
    assert honest < boasting / 3


def test_pooling_by_hand() -> None:
    knots, ratios = pooled_log_ratio(np.array([1.0, 2.0, 3.0, 4.0, 4.0]), np.array([False, True, False, True, True]))
    np.testing.assert_array_equal(knots, [1, 2, 3, 4])
    np.testing.assert_allclose(expit(ratios + logit(0.6)), [0, 0.5, 0.5, 1])
