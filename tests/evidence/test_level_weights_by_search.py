"""Fitted level weights against a search for the documented optimum; their error bar against its formula written out."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from bayescope.config import EvidenceConfig
from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.level_weights import LevelWeights, level_spacing, log_likelihood_ratio
from bayescope.evidence.level_weights_fit import LEVEL_WEIGHTS, choose_level_weights, fit_level_weights
from bayescope.evidence.noise import draw_noise, independent, variance_of_mean
from bayescope.types import Floats

SIGMAS = np.array([0.1, 0.2, 0.5, 1.5])


def made_up(n: int, n_classes: int, n_noises: int = 2, seed: int = 0) -> tuple[LevelEvidence, np.ndarray]:
    """Evidence of an unbalanced set: the class adds most at the third level."""
    rng = np.random.default_rng(seed)
    labels = np.minimum(np.arange(n) % (n_classes + 1), n_classes - 1)
    values = rng.normal(0, 2, (n, n_classes, len(SIGMAS), n_noises))
    values[np.arange(n), labels] += np.array([0.1, 0.4, 1.5, 0.5])[:, None]
    return LevelEvidence(values, SIGMAS), labels


@pytest.mark.parametrize("n_classes", [2, 3])
def test_fitted_weights_are_those_of_greatest_penalised_likelihood(n_classes: int) -> None:
    levels, labels = made_up(80, n_classes)
    frequency = np.bincount(labels) / len(labels)
    u = 2 * np.log(SIGMAS / SIGMAS[0]) / np.log(SIGMAS[-1] / SIGMAS[0]) - 1
    spacing = [np.log(2), np.log(0.5 / 0.1) / 2, np.log(1.5 / 0.2) / 2, np.log(3)]
    # At the ends the spacing is that to the one neighbour; between, half that of both.
    np.testing.assert_allclose(level_spacing(SIGMAS), spacing)

    def weights(theta: Floats) -> Floats:
        return np.array([d * np.exp(theta[0] + theta[1] * v + theta[2] * v**2) for d, v in zip(spacing, u, strict=True)])

    def cost(theta: Floats) -> float:
        total = theta[0] ** 2 / 18 + theta[1] ** 2 / 2 + theta[2] ** 2 / 2
        for values, label in zip(levels.values.mean(axis=3), labels, strict=True):
            joint = frequency * np.exp(values @ weights(theta))
            total -= np.log(joint[label] / joint.sum())
        return float(total)

    best = min((minimize(cost, [a, 0, 0], method="Nelder-Mead", options={"xatol": 1e-6}) for a in (-2, 0)), key=lambda r: r.fun)
    found = fit_level_weights(levels, labels)
    np.testing.assert_allclose(found.weights, weights(best.x), rtol=2e-3)
    np.testing.assert_array_equal(found.class_bias, np.zeros(n_classes))


def test_weights_that_tell_nothing_end_near_zero_rather_than_negative() -> None:
    levels, labels = made_up(200, 2)
    against = LevelEvidence(-levels.values, SIGMAS)
    found = fit_level_weights(against, labels).weights
    assert (found > 0).all()
    assert found.max() < 0.05


def test_a_single_level_has_the_weight_one_and_can_be_fitted() -> None:
    levels, labels = made_up(60, 2)
    one = LevelEvidence(levels.values[:, :, 2:3], SIGMAS[2:3])
    np.testing.assert_array_equal(level_spacing(SIGMAS[:1]), [1.0])
    assert fit_level_weights(one, labels).weights[0] > 0.1


@pytest.mark.parametrize("word", ["bound", "power", "fitted"])
def test_the_word_of_the_configuration_chooses(word: str) -> None:
    levels, labels = made_up(60, 3)
    found = choose_level_weights(EvidenceConfig(level_weights=word, power=1.5), levels, labels)
    expected = {
        "bound": level_spacing(SIGMAS),
        "power": level_spacing(SIGMAS) * SIGMAS**1.5,
        "fitted": fit_level_weights(levels, labels).weights,
    }[word]
    np.testing.assert_allclose(found.weights, expected)
    np.testing.assert_array_equal(found.class_bias, np.zeros(3))
    assert LEVEL_WEIGHTS[word].is_fitted == (word == "fitted")


@pytest.mark.parametrize("n_noises", [2, 3, 6])
def test_the_error_bar_is_students_at_the_degrees_of_freedom_of_satterthwaite(n_noises: int) -> None:
    levels, _ = made_up(5, 3, n_noises)
    weights, gradient = np.array([0.5, 2.0, 1.0, 0.3]), np.array([[1.0, -0.4, -0.6]] * 5)
    found = LevelWeights(weights, np.zeros(3)).standard_error(levels, gradient)
    for n in range(5):
        variances = []
        for k in range(4):
            draws = np.array([sum(gradient[n, c] * levels.values[n, c, k, j] for c in range(3)) for j in range(n_noises)])
            if n_noises == 6:
                draws = (draws[::2] + draws[1::2]) / 2
            variances.append(weights[k] ** 2 * np.var(draws, ddof=1) / len(draws))
        replicates, total = len(draws), sum(variances)
        dof = (replicates + 1) * total**2 / sum(v**2 for v in variances) - 2
        expected = np.sqrt(total) * stats.t(dof).ppf(0.95) / stats.norm.ppf(0.95)
        assert found[n] == pytest.approx(expected)


def test_noises_that_agree_leave_no_error() -> None:
    levels = LevelEvidence(np.ones((2, 2, 4, 3)), SIGMAS)
    assert LevelWeights(np.ones(4), np.zeros(2)).standard_error(levels, np.ones((2, 2))).tolist() == [0, 0]


def test_the_rest_of_three_classes_is_mixed_by_the_prior() -> None:
    evidence, prior = np.array([[1.0, -0.5, 2.0]]), np.array([0.2, 0.3, 0.5])
    gradients = []

    def error(gradient: Floats) -> Floats:
        gradients.append(gradient[0])
        return np.abs(gradient).sum(axis=1)

    ratio, errors = log_likelihood_ratio(evidence, prior, error)
    density = np.exp(evidence[0])
    for k in range(3):
        rest = [c for c in range(3) if c != k]
        mixture = sum(prior[c] * density[c] for c in rest) / sum(prior[c] for c in rest)
        assert ratio[0, k] == pytest.approx(np.log(density[k] / mixture))
        expected = np.zeros(3)
        expected[k] = 1
        for c in rest:
            expected[c] = -prior[c] * density[c] / sum(prior[d] * density[d] for d in rest)
        np.testing.assert_allclose(gradients[k], expected)
        assert errors[0, k] == pytest.approx(2)


def test_weights_survive_json_and_add_their_bias() -> None:
    levels, _ = made_up(4, 3)
    weights = LevelWeights(np.array([0.5, 2.0, 1.0, 0.3]), np.array([0.1, -0.2, 0.4]))
    again = LevelWeights.from_dict(weights.to_dict())
    expected = np.einsum("nckj,k->nc", levels.values / 2, weights.weights) + weights.class_bias
    np.testing.assert_allclose(again.evidence(levels), expected)


def test_what_is_independent_of_noises_in_pairs() -> None:
    values = np.array([[1.0, 3.0, 5.0, 9.0]])
    np.testing.assert_array_equal(independent(values), [[2, 7]])
    np.testing.assert_allclose(variance_of_mean(values), [12.5 / 2])
    for few in (values[:, :2], values[:, :3]):
        np.testing.assert_array_equal(independent(few), few)
        np.testing.assert_allclose(variance_of_mean(few), few.var(ddof=1) / few.shape[1])
    assert draw_noise(2, 4, (1, 3, 3), 5).equal(draw_noise(2, 4, (1, 3, 3), 5))
    assert not draw_noise(2, 4, (1, 3, 3), 5).equal(draw_noise(2, 4, (1, 3, 3), 6))
