"""Measures against scikit-learn and closed forms; intervals against their promise."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from bayescope.metrics import classification, delong


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
    assert delong.auc(posterior, labels) == pytest.approx(sk.roc_auc_score(labels, scores, multi_class="ovr"))
    assert classification.accuracy(posterior, labels) == pytest.approx(sk.accuracy_score(labels, called))
    assert classification.balanced_accuracy(posterior, labels) == pytest.approx(sk.balanced_accuracy_score(labels, called))
    assert classification.log_loss(posterior, labels) == pytest.approx(sk.log_loss(labels, posterior, labels=range(n_classes)))
    if n_classes == 2:
        assert classification.brier(posterior, labels) == pytest.approx(sk.brier_score_loss(labels, posterior[:, 1]))
        assert classification.brier(posterior, labels, positive=0) == pytest.approx(classification.brier(posterior, labels))
    names = [str(k) for k in range(n_classes)]
    of_class = classification.measure_classes(posterior, labels, names, np.bincount(labels) / n, n_bootstrap=2)
    for k in range(n_classes):
        positive, found = labels == k, called == k
        expected = [
            sk.roc_auc_score(positive, posterior[:, k]),
            sk.recall_score(positive, found),
            sk.recall_score(~positive, ~found),
            sk.precision_score(positive, found, zero_division=np.nan),
            sk.precision_score(~positive, ~found, zero_division=np.nan),
        ]
        np.testing.assert_allclose([of_class[str(k)][what].value for what in classification.CLASS_MEASURES], expected)
        assert classification.sensitivity(posterior, labels, k) == pytest.approx(expected[1])
        assert classification.specificity(posterior, labels, k) == pytest.approx(expected[2])
    np.testing.assert_array_equal(
        classification.confusion(posterior, labels), sk.confusion_matrix(labels, called, labels=range(n_classes))
    )


def test_ties_count_half() -> None:
    assert delong.one_vs_rest_auc(np.array([0.5, 0.5, 0.5]), np.array([True, False, True])) == 0.5


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


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 4), st.integers(10, 60), st.integers(0, 10_000))
def test_terms_of_images_average_to_the_measures_of_scikit_learn(n_classes: int, n: int, seed: int) -> None:
    posterior, labels = made_up(n, n_classes, seed)
    posterior[0] = np.eye(n_classes)[1] * (1 + 1e-15)  # rounding may bring a probability above 1
    assert classification.surprise(posterior, labels).mean() == pytest.approx(classification.log_loss(posterior, labels))
    assert classification.squared_error(posterior, labels).mean() == pytest.approx(classification.brier(posterior, labels))


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 4), st.integers(10, 40), st.integers(0, 10_000))
def test_weights_count_images_as_often_as_they_are_drawn(n_classes: int, n: int, seed: int) -> None:
    posterior, labels = made_up(n, n_classes, seed)
    weights = np.random.default_rng(seed).integers(0, 3, (2, n))
    for row, counts in zip(weights, classification.confusion(posterior, labels, weights), strict=True):
        drawn = np.arange(n).repeat(row)
        np.testing.assert_array_equal(counts, classification.confusion(posterior[drawn], labels[drawn]))


def test_area_of_every_class_has_the_interval_of_delong() -> None:
    posterior, labels = made_up(60, 3, 1)
    patients = (np.arange(60) // 2).tolist()
    found = classification.measure_classes(posterior, labels, ["a", "b", "c"], np.full(3, 1 / 3), patients, n_bootstrap=5)
    for k, name in enumerate("abc"):
        score = posterior[:, k]
        expected = delong.auc_interval(np.stack([1 - score, score], axis=1), (labels == k).astype(int), patients)
        assert dataclasses.astuple(found[name]["AUC"]) == pytest.approx(dataclasses.astuple(expected))
