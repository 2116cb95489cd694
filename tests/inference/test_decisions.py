"""Guarantees of abstention and prediction sets, by repetition; the risk-coverage curve by hand."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from bayescope.errors import ConfigError, DataError
from bayescope.inference.abstention import Abstention, fit_abstention, risk_bound, risk_coverage
from bayescope.inference.conformal import ConformalSets, fit_conformal_sets

PRIOR = np.array([0.7, 0.2, 0.1])


def overconfident(n: int, seed: int, power: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from a posterior, and that posterior raised to a power: too sure of itself."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(4 * PRIOR, n)
    labels = (rng.random(n)[:, None] > true.cumsum(axis=1)).sum(axis=1).clip(max=2)
    said = true**power + 1e-12
    return said / said.sum(axis=1, keepdims=True), labels


@pytest.mark.slow
def test_guaranteed_risk_holds_by_repetition() -> None:
    """At a delta of 0.2 the risk may be broken in one repetition of five; and the promise must leave something to answer."""
    posterior, labels = overconfident(40_000, 0)
    wrong = posterior.argmax(axis=1) != labels
    broken, coverage = 0, []
    for seed in range(200):
        rule = fit_abstention(*overconfident(400, 1 + seed), risk=0.15, delta=0.2)
        answered = rule.accepts(posterior)
        coverage.append(answered.mean())
        broken += bool(answered.any() and wrong[answered].mean() > 0.15)
    assert broken <= binom.ppf(0.99, 200, 0.2)
    assert np.median(coverage) > 0.35


def test_a_risk_that_nothing_keeps_is_said_to_be_so() -> None:
    rng = np.random.default_rng(0)
    posterior, labels = overconfident(60, 3)
    rule = fit_abstention(posterior, rng.permutation(labels), risk=0.001)
    assert rule.threshold == 1
    assert not rule.accepts(posterior).any()
    assert "no prediction is guaranteed" in rule.warning


def test_few_images_are_answered_as_far_as_they_vouch_for_it() -> None:
    """78 images, the 60 surest right, the next 11 wrong: the bound on 60 is 0.049, that on all is above 0.1."""
    labels = np.zeros(78, dtype=np.int64)
    confidence = np.linspace(0.99, 0.6, 78)[:, None]
    wrong = (np.arange(78) >= 60) & (np.arange(78) < 71)
    posterior = np.where(wrong[:, None], np.hstack([1 - confidence, confidence]), np.hstack([confidence, 1 - confidence]))
    rule = fit_abstention(posterior, labels, risk=0.1)
    assert 60 / 78 <= rule.coverage < 64 / 78
    assert fit_abstention(posterior[:59], labels[:59], risk=0.05).coverage == 1


@pytest.mark.parametrize("spread", [0.0, 0.4])
def test_a_perfect_classifier_always_answers(spread: float) -> None:
    labels = np.arange(200) % 2
    posterior = np.eye(2)[labels] * 0.98 + 0.01
    posterior = posterior + spread * np.linspace(0, 1, 200)[:, None] * (0.5 - posterior)
    rule = fit_abstention(posterior, labels, risk=0.05)
    assert (rule.threshold, rule.coverage, rule.warning) == (0, 1, "")
    assert rule.accepts(np.array([[0.5, 0.5]])).all()


def test_equal_confidences_are_answered_together() -> None:
    posterior, labels = np.array([[0.99, 0.01]] * 200 + [[0.6, 0.4]] * 200), np.array([0] * 200 + [0, 1] * 100)
    rule = fit_abstention(posterior, labels, risk=0.05)
    assert rule.coverage == 0.5
    assert rule.accepts(np.array([[0.99, 0.01], [0.6, 0.4]])).tolist() == [True, False]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 200), st.floats(0, 1), st.floats(0.001, 0.5))
def test_risk_bound_is_exact(n: int, share: float, delta: float) -> None:
    errors = int(share * n)
    bound = risk_bound(errors, n, delta)
    assert bound == pytest.approx(binomtest(errors, n, alternative="less").proportion_ci(1 - delta).high)


@pytest.mark.parametrize("class_conditional", [False, True])
def test_sets_cover_within_binomial_bounds_by_repetition(class_conditional: bool) -> None:
    """Coverage over calibration and one new image each lies in [1 - miscoverage, 1 - miscoverage + 1/(n + 1)]."""
    held = np.zeros(3)
    asked = np.zeros(3)
    for seed in range(400):
        posterior, labels = overconfident(220, seed)
        rule = fit_conformal_sets(posterior[:200], labels[:200], 0.1, class_conditional)
        members = rule.sets(posterior[200:])[np.arange(20), labels[200:]]
        held += np.bincount(labels[200:], members, minlength=3)
        asked += np.bincount(labels[200:], minlength=3)
    assert 0.88 <= held.sum() / asked.sum() <= 0.945
    per_class = held / asked
    if class_conditional:
        assert (per_class > 0.87).all(), per_class
    else:
        assert per_class.min() < 0.87, per_class


def test_too_few_images_exclude_no_class() -> None:
    posterior, labels = np.full((9, 2), 0.5), np.array([0] * 8 + [1])
    rule = fit_conformal_sets(posterior, labels, 0.1)
    assert rule.least_posterior == (0, 0)
    assert rule.images == (8, 1)
    assert rule.sets(np.array([[1.0, 0.0]])).all()
    assert fit_conformal_sets(np.full((9, 2), 0.5), np.zeros(9, np.int64), 0.1).least_posterior == (0.5, 0)


def test_smallest_set_that_covers_by_hand() -> None:
    of_truth = np.linspace(0.1, 1.0, 19)
    posterior = np.stack([of_truth, 1 - of_truth], axis=1)
    rule = fit_conformal_sets(posterior, np.zeros(19, np.int64), 0.1, class_conditional=False)
    assert rule.least_posterior[0] == pytest.approx(of_truth[1])


def test_json_round_trip() -> None:
    posterior, labels = overconfident(100, 5)
    rule, sets = fit_abstention(posterior, labels, 0.2), fit_conformal_sets(posterior, labels)
    assert Abstention(**json.loads(json.dumps(asdict(rule), allow_nan=False))) == rule
    again = ConformalSets(**json.loads(json.dumps(asdict(sets), allow_nan=False)))
    np.testing.assert_array_equal(again.sets(posterior), sets.sets(posterior))


def test_risk_coverage_by_hand() -> None:
    posterior = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
    curve = risk_coverage(posterior, np.array([0, 0, 0, 0]))
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.risk, [0, 1 / 2, 1 / 3, 2 / 4])
    assert curve.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 50), st.integers(0, 10_000))
def test_equal_confidences_are_the_mean_over_orders(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    top = rng.uniform(0.5, 1, n).round(1)
    posterior, labels = np.stack([top, 1 - top], axis=1), rng.integers(2, size=n)
    curve, order = risk_coverage(posterior, labels), rng.permutation(n)
    np.testing.assert_allclose(risk_coverage(posterior[order], labels[order]).risk, curve.risk)
    assert curve.risk[-1] == pytest.approx((posterior.argmax(axis=1) != labels).mean())
    generator = np.random.default_rng(seed)
    jittered = [risk_coverage(_sharpened(posterior, generator), labels).risk for _ in range(400)]
    np.testing.assert_allclose(np.mean(jittered, axis=0), curve.risk, atol=0.15)


def _sharpened(posterior: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ties broken at random, the class called left as it is (of two equal ones the first)."""
    sign = np.where(posterior[:, 0] >= posterior[:, 1], 1, -1) * rng.uniform(1e-9, 1e-6, len(posterior))
    return posterior + np.stack([sign, -sign], axis=1)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_shares_outside_zero_and_one_are_refused(share: float) -> None:
    posterior, labels = overconfident(30, 1)
    for call in (
        lambda: fit_abstention(posterior, labels, risk=share),
        lambda: fit_abstention(posterior, labels, delta=share),
        lambda: fit_conformal_sets(posterior, labels, share),
    ):
        with pytest.raises(ConfigError, match="more than 0 and less than 1"):
            call()


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="at least one"):
        fit_abstention(np.empty((0, 2)), np.empty(0, np.int64))


def test_tests_of_a_fixed_sequence_stop_at_the_first_that_fails() -> None:
    """Of 1,000 images 87 are tested first, then 135: 30 errors between fail there, but not among all."""
    n, risk = 1000, 0.1
    confidence = np.linspace(0.99, 0.6, n)[:, None]
    wrong = ((np.arange(n) >= 90) & (np.arange(n) < 120))[:, None]
    posterior = np.where(wrong, np.hstack([1 - confidence, confidence]), np.hstack([confidence, 1 - confidence]))
    assert risk_bound(30, n, 0.05) < risk < risk_bound(30, 135, 0.05)
    rule = fit_abstention(posterior, np.zeros(n, np.int64), risk)
    assert rule.coverage < 0.2
