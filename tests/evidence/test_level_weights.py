"""Level weights and Bayes' rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescope.config import EvidenceConfig
from bayescope.errors import ConfigError, DataError
from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.level_weights import LevelWeights, level_spacing
from bayescope.evidence.level_weights_fit import choose_level_weights, fit_level_weights
from bayescope.inference.predictions import check_prior

SIGMAS = np.exp(np.linspace(-2, 1, 6))


def made_up(n: int, informative: int, seed: int) -> tuple[LevelEvidence, np.ndarray]:
    """Evidence of which the one informative level tells the class and the others are noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    values = rng.normal(0, 3, (n, 2, len(SIGMAS), 2))
    values[np.arange(n), labels, informative] += 3
    return LevelEvidence(values, SIGMAS), labels


def test_fitted_weights_prefer_the_informative_end_and_beat_the_bound() -> None:
    (train, labels), (test, truth) = made_up(400, 5, 0), made_up(4000, 5, 1)
    fitted = fit_level_weights(train, labels)
    assert fitted.weights[5] > 2 * fitted.weights[0]
    bound = LevelWeights(level_spacing(SIGMAS), np.zeros(2))
    hits = [(w.evidence(test).argmax(axis=1) == truth).mean() for w in (fitted, bound)]
    assert hits[0] > hits[1] + 0.02


def test_fitted_evidence_is_calibrated() -> None:
    (train, labels), (test, truth) = made_up(3000, 4, 0), made_up(20_000, 4, 1)
    ratio = np.diff(fit_level_weights(train, labels).evidence(test), axis=1)[:, 0]
    probability = 1 / (1 + np.exp(-ratio))
    for low in np.arange(0, 1, 0.1):
        inside = (probability >= low) & (probability < low + 0.1)
        assert abs(truth[inside].mean() - probability[inside].mean()) < 0.06


def test_bound_and_power_do_not_look_at_labels() -> None:
    levels, labels = made_up(20, 2, 0)
    bound = choose_level_weights(EvidenceConfig(level_weights="bound"), levels, labels)
    np.testing.assert_allclose(bound.weights, level_spacing(SIGMAS))
    power = choose_level_weights(EvidenceConfig(level_weights="power", power=2.0), levels, labels)
    np.testing.assert_allclose(power.weights, level_spacing(SIGMAS) * SIGMAS**2)


def test_a_class_missing_from_validation_leaves_the_bound() -> None:
    levels, labels = made_up(20, 2, 0)
    one_class = np.zeros_like(labels)
    with pytest.raises(DataError, match="validation images per class"):
        fit_level_weights(levels, one_class)
    found = choose_level_weights(EvidenceConfig(), levels, one_class)
    np.testing.assert_allclose(found.weights, level_spacing(SIGMAS))


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 5), st.integers(0, 10_000))
def test_ratio_and_prior_odds_give_the_posterior(n_classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = LevelEvidence(rng.normal(0, 2, (4, n_classes, len(SIGMAS), 3)), SIGMAS)
    level_weights = LevelWeights(level_spacing(SIGMAS), rng.normal(size=n_classes))
    prior = rng.dirichlet(np.ones(n_classes)) * 0.9 + 0.1 / n_classes
    joint = np.exp(level_weights.evidence(levels)) * prior
    posterior = joint / joint.sum(axis=1, keepdims=True)
    ratio, error = level_weights.log_likelihood_ratio(levels, prior)
    odds = np.exp(ratio) * prior / (1 - prior)
    np.testing.assert_allclose(odds / (1 + odds), posterior, rtol=1e-6, atol=1e-12)
    assert (error > 0).all()


@pytest.mark.parametrize("prior", [[0.5, 0.6], [1.0, 0.0], [0.3, 0.3, 0.4], [-0.5, 1.5]])
def test_a_prior_that_is_no_distribution_is_refused(prior: list[float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        check_prior(prior, ("a", "b"))
