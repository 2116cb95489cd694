"""Measures of three images and their predictive values, counted by hand."""

import numpy as np
import pytest

from bayescope.errors import DataError
from bayescope.metrics import classification
from bayescope.metrics.bootstrap import Estimate
from bayescope.metrics.classification import (
    CLASS_MEASURES,
    MEASURES,
    balanced_accuracy,
    brier,
    confusion,
    log_loss,
    measure,
    measure_classes,
    ratio,
    sensitivity,
    specificity,
    squared_error,
    surprise,
)

POSTERIOR = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5], [0.3, 0.1, 0.6], [0.2, 0.7, 0.1]])
LABELS = np.array([0, 1, 1, 2, 2, 2])
COUNTS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 2]])


def test_counts_and_rates_of_six_images() -> None:
    np.testing.assert_array_equal(confusion(POSTERIOR, LABELS), COUNTS)
    weights = np.array([[1, 1, 1, 1, 1, 1], [0, 2, 0, 3, 0, 1]])
    np.testing.assert_array_equal(confusion(POSTERIOR, LABELS, weights)[1], [[0, 0, 0], [2, 0, 0], [0, 1, 3]])
    assert balanced_accuracy(POSTERIOR, LABELS) == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)
    found = balanced_accuracy(POSTERIOR, LABELS, np.array([[1, 1, 1, 1, 1, 1], [1, 2, 1, 3, 0, 1], [0, 1, 1, 1, 1, 1]]))
    np.testing.assert_allclose(found, [13 / 18, (1 + 1 / 3 + 3 / 4) / 3, np.nan])
    assert [sensitivity(POSTERIOR, LABELS, k) for k in range(3)] == pytest.approx([1, 1 / 2, 2 / 3])
    assert [specificity(POSTERIOR, LABELS, k) for k in range(3)] == pytest.approx([4 / 5, 3 / 4, 1])


def test_rates_of_classes_that_are_not_there() -> None:
    labels = np.array([0, 0, 0, 0, 0, 0])
    assert np.isnan(sensitivity(POSTERIOR, labels, 1))
    assert np.isnan(specificity(POSTERIOR, labels, 0))
    assert np.isnan(balanced_accuracy(POSTERIOR, labels))
    np.testing.assert_array_equal(ratio(np.array([1.0, 2.0, 0.0]), np.array([4.0, 0.0, 2.0])), [0.25, np.nan, 0.0])


@pytest.mark.parametrize("prevalence", [[1 / 3, 1 / 3, 1 / 3], [0.9, 0.08, 0.02]])
def test_predictive_values_follow_from_rates_and_prevalence(prevalence: list[float]) -> None:
    """Of a thousand images of that prevalence, with these rates."""
    rates = COUNTS / COUNTS.sum(axis=1, keepdims=True)
    called = np.array(prevalence)[:, None] * rates
    found = measure_classes(POSTERIOR, LABELS, ["a", "b", "c"], np.array(prevalence), n_bootstrap=20)
    assert list(found) == ["a", "b", "c"]
    for k, name in enumerate(found):
        assert tuple(found[name]) == CLASS_MEASURES
        assert found[name]["PPV"].value == pytest.approx(called[k, k] / called[:, k].sum())
        not_called = 1 - called[:, k].sum()
        of_others = (1 - prevalence[k]) - (called[:, k].sum() - called[k, k])
        assert found[name]["NPV"].value == pytest.approx(of_others / not_called)
        assert found[name]["sensitivity"].value == pytest.approx(rates[k, k])
        assert found[name]["specificity"].value == pytest.approx(specificity(POSTERIOR, LABELS, k))


def test_all_measures_are_there_with_their_intervals() -> None:
    found = measure(POSTERIOR, LABELS, n_bootstrap=200)
    assert tuple(found) == MEASURES
    values = {
        "accuracy": 4 / 6,
        "balanced accuracy": 13 / 18,
        "log loss": -np.log([0.7, 0.3, 0.8, 0.5, 0.6, 0.1]).mean(),
        "Brier score": squared_error(POSTERIOR, LABELS).mean(),
    }
    for name, value in values.items():
        assert found[name].value == pytest.approx(value)
        assert found[name].low < value < found[name].high
    assert squared_error(POSTERIOR, LABELS)[0] == pytest.approx(0.09 + 0.04 + 0.01)
    assert squared_error(POSTERIOR[:, :2], np.zeros(6, int))[0] == pytest.approx((0.09 + 0.04) / 2)
    assert surprise(np.array([[1.0, 0.0]]), np.array([1]))[0] == pytest.approx(-np.log(1e-15))
    assert log_loss(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1, 0])) == pytest.approx(-np.log(1e-15) / 2)
    assert brier(POSTERIOR, LABELS) == pytest.approx(values["Brier score"])
    assert brier(POSTERIOR, LABELS, positive=2) == pytest.approx(np.mean([0.01, 0.01, 0.01, 0.25, 0.16, 0.81]))


def test_intervals_keep_patients_whole_and_depend_on_the_seed() -> None:
    rng = np.random.default_rng(0)
    posterior, labels = rng.dirichlet(np.ones(2), 60), np.arange(60) % 2
    posterior[:30] = np.eye(2)[labels[:30]] * 0.8 + 0.1
    posterior[30:] = np.eye(2)[1 - labels[30:]] * 0.8 + 0.1
    patients = [f"p{i // 10}" for i in range(60)]
    names, prevalence = ["a", "b"], np.full(2, 0.5)

    def width(estimate: Estimate) -> float:
        return estimate.high - estimate.low

    alone, whole = measure(posterior, labels, n_bootstrap=300), measure(posterior, labels, patients, n_bootstrap=300)
    by_class = [measure_classes(posterior, labels, names, prevalence, of, n_bootstrap=300) for of in (None, patients)]
    for name in MEASURES[1:]:
        assert width(whole[name]) > 1.8 * width(alone[name])
    for name in CLASS_MEASURES[1:]:
        assert width(by_class[1]["b"][name]) > 1.8 * width(by_class[0]["b"][name])
    assert whole["AUC"] != alone["AUC"]
    assert by_class[0]["a"]["AUC"] != by_class[1]["a"]["AUC"]
    assert measure(posterior, labels, seed=1, n_bootstrap=50) != measure(posterior, labels, seed=2, n_bootstrap=50)
    seeded = [measure_classes(posterior, labels, names, prevalence, seed=seed, n_bootstrap=50) for seed in (1, 2, 1)]
    assert seeded[0] == seeded[2] != seeded[1]
    for of_classes in (measure, lambda *a: measure_classes(*a[:2], names, prevalence, a[2])):
        with pytest.raises(DataError, match="one per image"):
            of_classes(posterior, labels, ["p"])


def test_accuracy_is_a_share() -> None:
    assert classification.accuracy(POSTERIOR, LABELS) == pytest.approx(4 / 6)
