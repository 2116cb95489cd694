"""Isotonic calibration by hand, and what becomes of copies, errors and several classes."""

import numpy as np
import pytest
from scipy.special import logit

from bayescope.calibration.isotonic import IsotonicCalibration
from bayescope.calibration.isotonic_map import IsotonicMap, fit_isotonic
from bayescope.evidence.level_weights import LevelWeights

RAW = np.array([-3.0, -1.0, 0.0, 0.5, 2.0, 4.0])
POSITIVE = np.array([False, False, True, False, True, True])


def test_a_map_by_hand_with_a_misleading_image_at_either_end() -> None:
    found = fit_isotonic(RAW, POSITIVE)
    # Sorted, with the added: -3 (+,-), -1 (-), 0 (+), 0.5 (-), 2 (+), 4 (+,-): the pools are the pairs of neighbours.
    frequency = np.array([1 / 3, 1 / 3, 1 / 2, 1 / 2, 2 / 3, 2 / 3])
    assert found.raw == tuple(RAW)
    np.testing.assert_allclose(found.calibrated, logit(frequency) - logit(4 / 8))


def test_copies_of_images_change_nothing() -> None:
    once, thrice = fit_isotonic(RAW, POSITIVE), fit_isotonic(np.tile(RAW, 3), np.tile(POSITIVE, 3), copies=3)
    np.testing.assert_allclose(thrice.calibrated, once.calibrated)
    assert thrice.raw == once.raw


def test_a_map_is_linear_between_its_knots_and_flat_beyond() -> None:
    found = IsotonicMap((0.0, 2.0, 3.0), (-1.0, 1.0, 5.0))
    np.testing.assert_allclose(found(np.array([[-9.0, 0.5], [2.25, 9.0]])), [[-1, -0.5], [2, 5]])


def three_maps() -> IsotonicCalibration:
    maps = tuple(IsotonicMap((-4.0, 0.0, 4.0), (low, 0.1, high)) for low, high in ((-1.0, 2.0), (-3.0, 3.0), (-0.5, 1.0)))
    return IsotonicCalibration(maps, (30, 30, 30))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_each_class_is_calibrated_against_the_rest_and_posteriors_are_normalised(n_classes: int) -> None:
    calibration = IsotonicCalibration(three_maps().maps[:n_classes], (30,) * n_classes)
    prior = np.array([0.5, 0.2, 0.3])[:n_classes] / np.array([0.5, 0.2, 0.3])[:n_classes].sum()
    evidence = np.array([[1.0, -0.5, 0.3], [0.0, 2.5, 1.0]])[:, :n_classes]
    found = calibration.calibrate(evidence, prior, lambda gradient: np.array([0.25, 0.5]))
    for i in range(2):
        odds = []
        for k in range(n_classes):
            rest = [c for c in range(n_classes) if c != k]
            mixed = sum(prior[c] * np.exp(evidence[i, c]) for c in rest) / sum(prior[c] for c in rest)
            raw, error = evidence[i, k] - np.log(mixed), [0.25, 0.5][i]
            calibrate = calibration.maps[k]
            assert found.log_likelihood_ratio[i, k] == pytest.approx(float(calibrate(np.array(raw))))
            span = calibrate(np.array(raw + error)) - calibrate(np.array(raw - error))
            assert found.standard_error[i, k] == pytest.approx(float(span) / 2)
            odds.append(np.exp(found.log_likelihood_ratio[i, k]) * prior[k] / (1 - prior[k]))
        probability = np.array(odds) / (1 + np.array(odds))
        posterior = probability / probability.sum()
        np.testing.assert_allclose(np.exp(found.log_posterior[i]), posterior)
        if n_classes == 2:
            np.testing.assert_allclose(found.posterior_error[i], posterior * (1 - posterior) * found.standard_error[i])
        else:
            assert np.isnan(found.posterior_error[i]).all()


def test_fitting_on_evidence_is_fitting_on_ratios_at_that_prior() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    evidence = rng.normal(size=(90, 3))
    evidence[np.arange(90), labels] += 1
    prior = np.array([0.6, 0.3, 0.1])
    density = np.exp(evidence)
    raw = np.stack([np.log(density[:, k] * (1 - prior[k]) / (density @ prior - density[:, k] * prior[k])) for k in range(3)], 1)
    found, expected = IsotonicCalibration.fit(evidence, labels, prior), IsotonicCalibration.fit_ratios(raw, labels)
    for ours, theirs in zip(found.maps, expected.maps, strict=True):
        np.testing.assert_allclose(ours.raw, theirs.raw)
        np.testing.assert_allclose(ours.calibrated, theirs.calibrated)
    again = IsotonicCalibration.fit(np.tile(evidence, (2, 1)), np.tile(labels, 2), prior, n_copies=2)
    np.testing.assert_allclose(again(raw), found(raw))
    assert (found.images, again.images) == ((30, 30, 30), (30, 30, 30))


@pytest.mark.parametrize(
    ("counts", "warns"), [((19, 60), True), ((60, 19), True), ((20, 60), False), ((60, 20), False)], ids=str
)
@pytest.mark.parametrize("copies", [1, 2])
def test_fewer_than_twenty_images_on_a_side_come_with_a_warning(counts: tuple[int, int], warns: bool, copies: int) -> None:
    labels = np.tile(np.repeat([0, 1], counts), copies)
    raw = np.random.default_rng(0).normal(size=(len(labels), 2))
    found = IsotonicCalibration.fit_ratios(raw, labels, copies)
    assert bool(found.warning) == warns
    assert found.images == counts
    assert found.calibrated
    assert [type(count) for count in found.images] == [int, int]


def test_only_ratios_are_calibrated() -> None:
    calibration, evidence = three_maps(), np.ones((2, 3))
    assert calibration.class_evidence(evidence) is evidence
    assert calibration.stopping_offset(np.full(3, 1 / 3)) is None
    weights = LevelWeights(np.ones(2), np.zeros(3))
    assert calibration.calibrated_weights(weights) is weights
