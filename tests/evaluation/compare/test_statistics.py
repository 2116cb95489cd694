"""DeLong by midranks is DeLong by its definition; intervals cover; patients count, not images."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve

from bayescope.evaluation.compare.statistics import compare_observers, sensitivity_at_specificity
from bayescope.metrics.classification import balanced_accuracy
from bayescope.metrics.delong import auc, delong, placements
from bayescope.types import Floats, Labels


def brute_delong(scores: Floats, positive: np.ndarray) -> tuple[Floats, Floats]:
    """The definition of DeLong, DeLong & Clarke-Pearson (1988), pair by pair; ``scores (observers, n)``."""
    kernel = np.array(
        [[[(a > b) + 0.5 * (a == b) for b in row[~positive]] for a in row[positive]] for row in scores], dtype=float
    )
    over_negatives, over_positives = kernel.mean(axis=2), kernel.mean(axis=1)
    return kernel.mean(axis=(1, 2)), np.cov(over_negatives) / positive.sum() + np.cov(over_positives) / (~positive).sum()


def brute_obuchowski(score: Floats, positive: np.ndarray, patients: Labels) -> float:
    """Obuchowski (1997) in pairs of images; I/(I-1) of the cross term replaced by the geometric mean of the two sides'."""
    kernel = np.array([[(a > b) + 0.5 * (a == b) for b in score[~positive]] for a in score[positive]], dtype=float)
    below, above, value = kernel.mean(axis=1), kernel.mean(axis=0), kernel.mean()
    people = np.unique(patients)
    first = np.array([(below[patients[positive] == p] - value).sum() for p in people]) / positive.sum()
    second = np.array([(above[patients[~positive] == p] - value).sum() for p in people]) / (~positive).sum()
    m, n = len(np.unique(patients[positive])), len(np.unique(patients[~positive]))
    factors = m / (m - 1), n / (n - 1)
    return factors[0] * first @ first + factors[1] * second @ second + 2 * np.sqrt(factors[0] * factors[1]) * first @ second


def binary(score: Floats) -> Floats:
    return np.stack([-score, score], axis=-1)


labelled = st.integers(4, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.integers(0, 6), min_size=n, max_size=n), min_size=2, max_size=3),
        st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda p: 2 <= sum(p) <= n - 2),
        st.lists(st.integers(0, 5), min_size=n, max_size=n),
    )
)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(labelled)
def test_delong_is_the_definition(drawn: tuple[list[list[int]], list[bool], list[int]]) -> None:
    scores, positive = np.array(drawn[0], float), np.array(drawn[1])
    value, covariance = delong(binary(scores), positive.astype(np.int64))
    expected_value, expected = brute_delong(scores, positive)
    np.testing.assert_allclose(value, expected_value, atol=1e-12)
    np.testing.assert_allclose(covariance, expected, atol=1e-12)
    np.testing.assert_allclose(value, [roc_auc_score(positive, row) for row in scores], atol=1e-12)
    below, _ = placements(scores[0], positive)
    assert below.mean() == pytest.approx(value[0])


@settings(max_examples=60, deadline=None)
@given(labelled)
def test_patients_are_added_up_first(drawn: tuple[list[list[int]], list[bool], list[int]]) -> None:
    score, positive, patients = np.array(drawn[0][0], float), np.array(drawn[1]), np.array(drawn[2])
    patients = np.unique(patients, return_inverse=True)[1]
    if min(len(np.unique(patients[positive])), len(np.unique(patients[~positive]))) < 2:
        assert np.isnan(delong(binary(score)[None], positive.astype(np.int64), patients)[1]).all()
        return
    _, covariance = delong(binary(score)[None], positive.astype(np.int64), patients)
    assert covariance[0, 0] == pytest.approx(brute_obuchowski(score, positive, patients), abs=1e-12)


def test_images_shown_twice_teach_nothing_new() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    score = rng.normal(size=80) + labels
    once = delong(binary(score)[None], labels)[1]
    twice = delong(np.tile(binary(score), (2, 1))[None], np.tile(labels, 2), np.tile(np.arange(80), 2))[1]
    assert twice == pytest.approx(once)
    assert delong(np.tile(binary(score), (2, 1))[None], np.tile(labels, 2))[1] < 0.6 * once


@pytest.mark.slow
def test_intervals_cover_the_truth_over_patients_of_several_classes() -> None:
    """Three classes, three images a patient: about 95 of 100 intervals hold the AUC and the difference of very many images."""
    rng = np.random.default_rng(1)

    def draw(n_patients: int) -> tuple[Floats, Labels, Labels]:
        labels = np.arange(n_patients) % 3
        person = rng.normal(size=(n_patients, 3)) + 1.2 * np.eye(3)[labels]
        image = person[:, None] + 0.4 * rng.normal(size=(n_patients, 3, 3))
        good = image.reshape(-1, 3)
        return np.stack([good, good + 0.8 * rng.normal(size=good.shape)]), labels.repeat(3), np.arange(n_patients).repeat(3)

    many, labels, _ = draw(60_000)
    truth = [auc(one, labels) for one in many]
    held = np.zeros(3)
    trials, fewest = 200, {"balanced accuracy": balanced_accuracy}
    for _ in range(trials):
        posteriors, labels, patients = draw(90)
        both = {"a": posteriors[:1], "b": posteriors[1:]}
        found = compare_observers(both, labels, patients, "a", n_bootstrap=1, measures=fewest)
        one, difference = found["a"].measures["AUC"], found["b"].differences["AUC"]
        narrow = compare_observers({"a": both["a"]}, labels, n_bootstrap=1, measures=fewest)["a"].measures["AUC"]
        held[0] += one.low <= truth[0] <= one.high
        held[1] += difference.low <= truth[0] - truth[1] <= difference.high
        held[2] += narrow.low <= truth[0] <= narrow.high
    assert (held[:2] / trials > 0.9).all()
    assert held[2] / trials < 0.85  # images taken for patients: too narrow


@settings(max_examples=60, deadline=None)
@given(labelled)
def test_measures_are_those_of_scikit_learn(drawn: tuple[list[list[int]], list[bool], list[int]]) -> None:
    score, labels, counts = np.array(drawn[0][0]) / 6, np.array(drawn[1]).astype(np.int64), np.array(drawn[2])
    posterior, chosen = np.stack([1 - score, score], axis=1), np.arange(len(labels)).repeat(counts)
    if len(np.unique(labels[chosen])) < 2:
        assert np.isnan(balanced_accuracy(posterior, labels, counts[None].astype(float)))
        assert np.isnan(sensitivity_at_specificity(posterior, labels, counts[None].astype(float), positive=1))
        return
    weights = np.stack([counts, np.ones_like(counts)]).astype(float)
    for i, rows in enumerate((chosen, np.arange(len(labels)))):
        expected = balanced_accuracy_score(labels[rows], posterior[rows].argmax(axis=1))
        assert balanced_accuracy(posterior, labels, weights)[i] == pytest.approx(expected)
        false, true, _ = roc_curve(labels[rows], score[rows], drop_intermediate=False)
        assert sensitivity_at_specificity(posterior, labels, weights, positive=1)[i] == pytest.approx(
            true[false <= 0.1 + 1e-9].max()
        )


def test_bootstrap_agrees_with_the_spread_of_repeated_samples() -> None:
    rng = np.random.default_rng(2)

    def draw() -> tuple[Floats, Labels]:
        labels = np.arange(300) % 2
        p = 1 / (1 + np.exp(-(rng.normal(size=(2, 1, 300)) + (labels - 0.5) * 1.5)))
        return np.stack([1 - p, p], axis=-1), labels

    accuracies = []
    for _ in range(300):
        posteriors, labels = draw()
        one = np.ones((1, 300))
        accuracies.append(balanced_accuracy(posteriors[0, 0], labels, one) - balanced_accuracy(posteriors[1, 0], labels, one))
    spread = np.std(accuracies)
    widths = []
    for _ in range(5):
        posteriors, labels = draw()
        difference = compare_observers({"a": posteriors[0], "b": posteriors[1]}, labels, None, "a", n_bootstrap=400)[
            "b"
        ].differences
        widths.append((difference["balanced accuracy"].high - difference["balanced accuracy"].low) / 3.92)
    assert np.mean(widths) == pytest.approx(spread, rel=0.12)


def test_seeds_are_averaged_and_their_spread_told_apart() -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(60) % 2
    posteriors = binary(rng.normal(size=(3, 60)) + labels)
    scores = compare_observers({"a": posteriors, "same": posteriors}, labels, reference="a", n_bootstrap=20)
    values = [auc(one, labels) for one in posteriors]
    assert scores["a"].measures["AUC"].value == pytest.approx(np.mean(values))
    assert scores["a"].seed_deviation == pytest.approx(np.std(values, ddof=1))
    assert scores["a"].differences == {}
    for difference, edge in product(scores["same"].differences.values(), ("value", "low", "high")):
        assert getattr(difference, edge) == 0


def test_perfect_separation_has_no_interval() -> None:
    labels = np.arange(20) % 2
    found = compare_observers({"a": binary(labels.astype(float))[None]}, labels, n_bootstrap=10)["a"].measures["AUC"]
    assert found.value == 1
    assert np.isnan(found.low)
    assert np.isnan(found.high)
