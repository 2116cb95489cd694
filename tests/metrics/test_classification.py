"""Measures against scikit-learn and closed forms; intervals against their promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from bayescope.metrics import classification


def made_up(n: int, n_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    posterior = rng.dirichlet(np.ones(n_classes), n)
    labels = np.array([rng.choice(n_classes, p=row) for row in posterior])
    labels[:n_classes] = np.arange(n_classes)
    return posterior, labels


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 5), st.integers(20, 100), st.integers(0, 10_000))
def test_equal_scikit_learn(n_classes: int, n: int, seed: int) -> None:
    posterior, labels = made_up(n, n_classes, seed)
    called = posterior.argmax(axis=1)
    scores = posterior[:, 1] if n_classes == 2 else posterior
    assert classification.auc(posterior, labels) == pytest.approx(sk.roc_auc_score(labels, scores, multi_class="ovr"))
    assert classification.accuracy(posterior, labels) == pytest.approx(sk.accuracy_score(labels, called))
    assert classification.balanced_accuracy(posterior, labels) == pytest.approx(sk.balanced_accuracy_score(labels, called))
    assert classification.log_loss(posterior, labels) == pytest.approx(sk.log_loss(labels, posterior, labels=range(n_classes)))
    if n_classes == 2:
        assert classification.brier(posterior, labels) == pytest.approx(sk.brier_score_loss(labels, posterior[:, 1]))
    of_class = classification.one_vs_rest(posterior, labels, np.bincount(labels) / n)
    for k in range(n_classes):
        positive, found = labels == k, called == k
        expected = [
            sk.roc_auc_score(positive, posterior[:, k]),
            sk.recall_score(positive, found),
            sk.recall_score(~positive, ~found),
            sk.precision_score(positive, found, zero_division=np.nan),
            sk.precision_score(~positive, ~found, zero_division=np.nan),
        ]
        np.testing.assert_allclose(of_class[k], expected)
        assert classification.sensitivity(posterior, labels, k) == pytest.approx(expected[1])
        assert classification.specificity(posterior, labels, k) == pytest.approx(expected[2])
    np.testing.assert_array_equal(
        classification.confusion(posterior, labels), sk.confusion_matrix(labels, called, labels=range(n_classes))
    )


def test_ties_count_half() -> None:
    assert classification.one_vs_rest_auc(np.array([0.5, 0.5, 0.5]), np.array([True, False, True])) == 0.5


def test_interval_holds_the_truth_about_as_often_as_promised() -> None:
    hits = 0
    for seed in range(60):
        labels = np.random.default_rng(seed).permutation(np.arange(200) % 2)
        right = np.random.default_rng(1000 + seed).random(200) < 0.8
        posterior = np.eye(2)[np.where(right, labels, 1 - labels)] * 0.8 + 0.1
        estimate = classification.measure(posterior, labels, n_bootstrap=200)["accuracy"]
        hits += estimate.low <= 0.8 <= estimate.high
    assert hits >= 50


def test_an_absent_class_gives_nan_not_a_crash() -> None:
    posterior = np.full((5, 2), 0.5)
    estimates = classification.measure(posterior, np.zeros(5, int), n_bootstrap=20)
    assert np.isnan(estimates["AUC"].value)
    assert estimates["accuracy"].value == 1.0


def test_calibration_error_of_a_calibrated_and_an_overconfident_answer() -> None:
    posterior, labels = made_up(20_000, 2, 0)
    assert classification.expected_calibration_error(posterior, labels) < 0.02
    assert classification.expected_calibration_error(np.round(posterior), labels) > 0.2
