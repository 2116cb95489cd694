"""AUC, its variance and its interval against sums over all pairs of images, written out."""

import numpy as np
import pytest
from scipy.stats import norm

from bayescope.errors import DataError
from bayescope.metrics.delong import (
    Z,
    auc,
    auc_interval,
    delong,
    log_odds_interval,
    one_vs_rest_auc,
    placements,
    pulls,
)

SCORE = np.array([0.1, 0.4, 0.4, 0.8, 0.35, 0.9, 0.4])
POSITIVE = np.array([False, False, True, True, False, True, True])
PATIENTS = np.array([0, 1, 2, 2, 1, 3, 4])
POSTERIOR = np.stack([1 - SCORE, SCORE], axis=1)


def wins(score: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Of each pair of a positive and a negative: 1 if the positive scores higher, ½ if they are equal."""
    above, below = score[positive][:, None], score[~positive][None]
    return (above > below) + 0.5 * (above == below)


def pulls_by_pairs(score: np.ndarray, positive: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Of each patient, as Obuchowski adds them up: the deviations of their positives and negatives, with m/(m - 1) of each."""
    pairs, found = wins(score, positive), []
    for patient in np.unique(patients):
        pull = 0.0
        for placed, chosen in ((pairs.mean(axis=1), positive), (pairs.mean(axis=0), ~positive)):
            owners = len(set(patients[chosen]))
            own = placed[patients[chosen] == patient] - placed.mean()
            pull += np.sqrt(owners / (owners - 1)) * own.sum() / chosen.sum()
        found.append(pull)
    return np.array(found)


def test_placements_are_shares_of_pairs() -> None:
    below, above = placements(SCORE, POSITIVE)
    pairs = wins(SCORE, POSITIVE)
    np.testing.assert_allclose(below, pairs.mean(axis=1))
    np.testing.assert_allclose(above, pairs.mean(axis=0))
    assert one_vs_rest_auc(SCORE, POSITIVE) == pytest.approx(pairs.mean())


@pytest.mark.parametrize("patients", [None, PATIENTS], ids=["images", "patients"])
def test_the_variance_is_that_of_obuchowski(patients: np.ndarray | None) -> None:
    labels = POSITIVE.astype(int)
    areas, covariance = delong(np.stack([POSTERIOR, POSTERIOR[::-1]]), labels, patients)
    whose = np.arange(7) if patients is None else patients
    assert areas == pytest.approx([wins(SCORE, POSITIVE).mean(), wins(SCORE[::-1], POSITIVE).mean()])
    pulled = np.stack([pulls_by_pairs(score, POSITIVE, whose) for score in (SCORE, SCORE[::-1])])
    np.testing.assert_allclose(covariance, pulled @ pulled.T)


def test_of_three_classes_area_and_pull_are_means_over_classes() -> None:
    rng = np.random.default_rng(0)
    posterior, labels, patients = rng.dirichlet(np.ones(3), 30), np.arange(30) % 3, np.arange(30) // 2
    each = [pulls_by_pairs(posterior[:, k], labels == k, patients) for k in range(3)]
    np.testing.assert_allclose(pulls(posterior, labels, patients), np.mean(each, axis=0))
    assert auc(posterior, labels) == pytest.approx(np.mean([wins(posterior[:, k], labels == k).mean() for k in range(3)]))


@pytest.mark.parametrize("patients", [None, [f"p{i}" for i in PATIENTS]], ids=["images", "patients"])
def test_the_interval_is_normal_in_log_odds(patients: list[str] | None) -> None:
    whose = np.arange(7) if patients is None else PATIENTS
    found = auc_interval(POSTERIOR, POSITIVE.astype(int), patients)
    area = wins(SCORE, POSITIVE).mean()
    error = np.linalg.norm(pulls_by_pairs(SCORE, POSITIVE, whose)) / (area * (1 - area))
    odds = area / (1 - area) * np.exp(norm.ppf(0.975) * error * np.array([-1, 1]))
    assert (found.value, found.low, found.high) == pytest.approx((area, *(odds / (1 + odds))))
    assert pytest.approx(norm.ppf(0.975)) == Z


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_area_of_zero_or_one_has_no_interval(value: float) -> None:
    found = log_odds_interval(value, np.array([0.1, -0.1]))
    assert found.value == value
    assert np.isnan([found.low, found.high]).all()


def test_what_a_class_of_one_patient_and_an_absent_class_leave_unknown() -> None:
    labels = POSITIVE.astype(int)
    one_owner = np.where(POSITIVE, 0, np.arange(7) + 1)
    assert np.isnan(pulls(POSTERIOR, labels, one_owner).sum())
    found = auc_interval(POSTERIOR, labels, one_owner.tolist())
    assert found.value == pytest.approx(wins(SCORE, POSITIVE).mean())
    assert np.isnan([found.low, found.high]).all()
    for every in (np.zeros(7, int), np.ones(7, int)):
        assert np.isnan(pulls(POSTERIOR, every, PATIENTS)).all()
        assert len(pulls(POSTERIOR, every, PATIENTS)) == 5
        assert np.isnan(auc(POSTERIOR, every))
    with pytest.raises(DataError, match="6 patients for 7 images"):
        auc_interval(POSTERIOR, labels, list("abcdef"))
