"""Affine calibration against a search for the documented optimum, and what it promises of ranks, weights and errors."""

import numpy as np
import pytest
from scipy.optimize import minimize

from bayescope.calibration.affine import BiasCorrectedTemperatureScaling, identity_calibration
from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.level_weights import LevelWeights
from bayescope.types import Floats, Labels

PRIOR = np.array([0.2, 0.7, 0.1])


def unbalanced(n: int = 120, seed: int = 0) -> tuple[Floats, Labels]:
    """Three classes of 1/2, 1/3 and 1/6 of the images, whose evidence overstates and is off by a constant."""
    rng = np.random.default_rng(seed)
    labels = np.array([0, 1, 0, 1, 0, 2])[np.arange(n) % 6]
    evidence = 4 * rng.normal(size=(n, 3)) + np.array([3.0, -2.0, 0.0])
    evidence[np.arange(n), labels] += 5
    return evidence + 100 * rng.normal(size=(n, 1)), labels


@pytest.mark.parametrize("copies", [1, 3])
def test_slope_and_offsets_are_those_of_least_cost(copies: int) -> None:
    """Each class counts alike; of every image 1/(n + 2) counts for the other classes, n without copies."""
    evidence, labels = unbalanced()
    n = len(labels) // copies

    def cost(theta: Floats) -> float:
        total = 0.0
        for row, label in zip(evidence, labels, strict=True):
            logits = theta[0] * (row - row.mean()) + np.r_[0.0, theta[1:]]
            log_posterior = logits - np.log(np.exp(logits).sum())
            target = np.where(np.arange(3) == label, 1 - 1 / (n + 2), 1 / (n + 2) / 2)
            total -= target @ log_posterior / (labels == label).sum() / 3
        return float(total)

    best = minimize(cost, [0.2, 0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 2000}).x
    found = BiasCorrectedTemperatureScaling.fit(evidence, labels, PRIOR, copies)
    assert found.slope == pytest.approx(best[0], rel=1e-3)
    np.testing.assert_allclose(np.diff(found.offset), np.diff(np.r_[0.0, best[1:]]), atol=1e-3)
    assert found.images == (60 // copies, 40 // copies, 20 // copies)
    assert found.calibrated


def test_ratios_posterior_and_errors_follow_from_the_calibrated_evidence() -> None:
    evidence, labels = unbalanced()
    calibration = BiasCorrectedTemperatureScaling.fit(evidence, labels, PRIOR)
    asked = evidence[:5]
    found = calibration.calibrate(asked, PRIOR, lambda gradient: np.abs(gradient).sum(axis=1))
    density = np.exp(calibration.slope * (asked - asked.mean(axis=1, keepdims=True)) + calibration.offset)
    posterior = density * PRIOR / (density * PRIOR).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(found.log_posterior), posterior)
    np.testing.assert_allclose(np.exp(found.log_likelihood_ratio), posterior / (1 - posterior) / (PRIOR / (1 - PRIOR)))
    np.testing.assert_allclose(found.standard_error, 2 * calibration.slope)  # a class less a mixture of the others
    np.testing.assert_allclose(found.posterior_error, posterior * (1 - posterior) * 2 * calibration.slope)


def test_raw_evidence_with_its_offset_ranks_as_the_posterior() -> None:
    evidence, labels = unbalanced()
    calibration = BiasCorrectedTemperatureScaling.fit(evidence, labels, PRIOR)
    posterior = calibration.calibrate(evidence, PRIOR, lambda gradient: gradient[:, 0]).log_posterior
    offset = calibration.stopping_offset(PRIOR)
    assert offset is not None
    np.testing.assert_allclose(np.diff(calibration.slope * (evidence + offset)), np.diff(posterior), rtol=1e-6)
    flat = BiasCorrectedTemperatureScaling(0.0, (0.1, 0.2, 0.3), (9, 9, 9), True).stopping_offset(PRIOR)
    assert flat is not None
    assert (np.argsort(flat) == np.argsort(np.log(PRIOR) + np.array([0.1, 0.2, 0.3]))).all()


def test_calibrated_weights_give_calibrated_evidence() -> None:
    rng = np.random.default_rng(1)
    levels = LevelEvidence(rng.normal(size=(4, 3, 2, 2)), np.array([0.5, 1.0]))
    weights = LevelWeights(np.array([0.7, 1.4]), np.array([0.5, 0.0, -1.0]))
    calibration = BiasCorrectedTemperatureScaling(0.3, (0.1, -0.4, 0.2), (9, 9, 9), True)
    expected = 0.3 * weights.evidence(levels) + [0.1, -0.4, 0.2]
    np.testing.assert_allclose(calibration.calibrated_weights(weights).evidence(levels), expected)
    np.testing.assert_allclose(calibration.class_evidence(weights.evidence(levels)), expected)


@pytest.mark.parametrize(("fewest", "warns"), [(19, True), (20, False)])
def test_fewer_than_twenty_images_of_a_class_come_with_a_warning(fewest: int, warns: bool) -> None:
    evidence, labels = unbalanced(240)
    rare = np.flatnonzero(labels == 2)[fewest:]
    keep = np.setdiff1d(np.arange(240), rare)
    found = BiasCorrectedTemperatureScaling.fit(evidence[keep], labels[keep], PRIOR)
    assert bool(found.warning) == warns
    assert found.images[2] == fewest


def test_evidence_that_is_the_same_for_all_images_is_worth_nothing() -> None:
    found = BiasCorrectedTemperatureScaling.fit(np.zeros((40, 2)), np.arange(40) % 2, np.full(2, 0.5))
    np.testing.assert_allclose(np.diff(found.offset), 0, atol=1e-6)
    assert np.isfinite(found.slope)


def test_the_identity_changes_nothing_and_says_why() -> None:
    calibration, evidence = identity_calibration((7, 3, 2), "why"), unbalanced()[0]
    np.testing.assert_array_equal(calibration(evidence), evidence)
    assert (calibration.images, calibration.calibrated, calibration.warning) == ((7, 3, 2), False, "why")
    assert BiasCorrectedTemperatureScaling.from_dict(calibration.to_dict()) == calibration
