"""Statistics of held-out images against the ones they were drawn from, and each fit against a search."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from bayescope.evidence import plan_fit
from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.level_weights import LevelWeights
from bayescope.evidence.plan import LevelStatistics
from bayescope.evidence.plan_fit import fit_level_statistics
from bayescope.types import Floats

LEVELS, IMAGES = 2, 4000
SCALE = np.array([[2.0, 0.9], [0.9, 1.2]])
ODD, EVEN = np.array([0.8, 0.3]), np.array([0.4, 0.6])
SLOPE = np.array([0.7, -0.4])
LABELS = np.repeat([0, 1, 1, 1], IMAGES // 4)


def drawn(n_noises: int, dof: float = np.inf, seed: int = 0) -> tuple[LevelEvidence, Floats]:
    """Evidence of two classes whose differences are a t with ``dof``: signal, odd and even noise, and Gaussian evidence."""
    rng = np.random.default_rng(seed)
    size = 1.0 if np.isinf(dof) else np.sqrt(dof / rng.chisquare(dof, IMAGES))[:, None, None]
    signal = rng.multivariate_normal(np.zeros(LEVELS), SCALE, IMAGES)[:, :, None]
    if n_noises >= 4:
        odd, even = (rng.normal(size=(IMAGES, LEVELS, n_noises // 2, 1)) for _ in range(2))
        pairs = np.sqrt(EVEN)[:, None, None] * even + np.sqrt(ODD)[:, None, None] * odd * np.array([1, -1])
        noise = pairs.reshape(IMAGES, LEVELS, n_noises)
    else:
        noise = np.sqrt(ODD + EVEN)[:, None] * rng.normal(size=(IMAGES, LEVELS, n_noises))
    gaussian = rng.normal(0, 1.5, IMAGES)
    contrast = size * (signal + noise) + SLOPE[:, None] * gaussian[:, None, None]
    of_class = np.array([0.4, -0.4])[:, None, None] * np.arange(1, n_noises + 1)
    values = np.stack([contrast, -contrast], axis=1) / 2 + of_class
    return LevelEvidence(values, np.array([0.5, 1.0])), np.stack([gaussian, -gaussian], axis=1) / 2


def fitted(levels: LevelEvidence, gaussian: Floats) -> LevelStatistics:
    found = fit_level_statistics(levels, gaussian, LABELS, LevelWeights(np.ones(LEVELS), np.zeros(2)))
    assert found is not None
    return found


@pytest.mark.parametrize("n_noises", [3, 4])
def test_what_images_were_drawn_from_is_found_again(n_noises: int) -> None:
    levels, gaussian = drawn(n_noises)
    found = fitted(levels, gaussian)
    np.testing.assert_allclose(found.slope, np.tile(SLOPE[:, None], n_noises), atol=0.06)
    assert found.gaussian_scale == pytest.approx(1.5, rel=0.05)
    expected = np.array([0.4, -0.4])[:, None, None] * np.arange(1, n_noises + 1)
    np.testing.assert_allclose(found.offset, np.broadcast_to(expected, (2, LEVELS, n_noises)), atol=0.15)
    np.testing.assert_allclose(found.noise, ODD + EVEN, rtol=0.12)
    np.testing.assert_allclose(found.opposite, EVEN - ODD if n_noises == 4 else [0, 0], atol=0.1)
    np.testing.assert_allclose(found.scale, SCALE, rtol=0.12)
    assert found.dof > 30
    np.testing.assert_allclose(found.spread.sum(axis=1), 1, atol=0.2)
    assert found.spread.shape == (LEVELS * n_noises + 1, 2)
    assert found.spread[-1].tolist() == [1, 0]


def test_a_heavy_tail_is_found_in_the_draws() -> None:
    levels, gaussian = drawn(4, dof=4.0)
    found = fitted(levels, gaussian)
    assert 3 < found.dof < 12
    np.testing.assert_allclose(found.noise / (ODD + EVEN), found.scale[0, 0] / SCALE[0, 0], rtol=0.15)
    assert found.spread[3, 1] > 0.3, "the more an image has differed so far, the more it may differ still"


def test_classes_count_alike_however_many_images_they_have() -> None:
    weight = plan_fit._class_balance(np.array([0, 1, 1, 1, 3, 3]), 4)
    np.testing.assert_allclose(weight, [2, 2 / 3, 2 / 3, 2 / 3, 1, 1])
    assert weight.mean() == pytest.approx(1)
    levels, gaussian = drawn(3)
    levels.values[LABELS == 0] += np.array([3.0, -3.0])[:, None, None]
    expected = np.array([0.4, -0.4])[:, None, None] * np.arange(1, 4) + np.array([1.5, -1.5])[:, None, None]
    np.testing.assert_allclose(fitted(levels, gaussian).offset, np.broadcast_to(expected, (2, LEVELS, 3)), atol=0.2)


def test_what_the_gaussian_evidence_says_on_average_is_not_counted_twice() -> None:
    levels, gaussian = drawn(3)
    of_class = np.array([2.0, -2.0])
    found, moved = fitted(levels, gaussian), fitted(levels, gaussian + of_class)
    np.testing.assert_allclose(moved.slope, found.slope)
    np.testing.assert_allclose(moved.offset, found.offset - found.slope * of_class[:, None, None], atol=1e-9)


def test_fifteen_images_are_too_few_and_sixteen_are_not() -> None:
    levels, gaussian = drawn(3)
    chosen = np.linspace(0, IMAGES - 1, 16).astype(int)
    weights = LevelWeights(np.ones(LEVELS), np.zeros(2))
    assert fit_level_statistics(levels.subset(chosen), gaussian[chosen], LABELS[chosen], weights) is not None
    assert fit_level_statistics(levels.subset(chosen[:15]), gaussian[chosen[:15]], LABELS[chosen[:15]], weights) is None


def test_contrasts_are_the_winner_less_each_other_class() -> None:
    values = np.array([[1.0, 5.0, 2.0], [4.0, 3.0, 9.0]])
    np.testing.assert_array_equal(plan_fit._contrasts(values, np.array([1, 2])), [4, 3, 5, 6])


def test_the_slope_is_weighted_least_squares_through_zero() -> None:
    rng = np.random.default_rng(1)
    contrasts, gaussian, weight = rng.normal(size=(20, 2, 3)), rng.normal(size=20), rng.random(20)
    root = np.sqrt(weight)
    expected = np.linalg.lstsq((root * gaussian)[:, None], (root[:, None, None] * contrasts).reshape(20, 6), rcond=None)[0]
    np.testing.assert_allclose(plan_fit._slope(contrasts, gaussian, weight).ravel(), expected[0])
    np.testing.assert_array_equal(plan_fit._slope(contrasts, np.zeros(20), weight), np.zeros((2, 3)))


def test_level_and_slope_of_the_variance_have_the_greatest_posterior() -> None:
    rng = np.random.default_rng(2)
    size, weight = rng.chisquare(3, 200), rng.uniform(0.5, 1.5, 200)
    squared = (0.6 + 0.3 * size) * rng.chisquare(1, 200)

    def log_posterior(level: float, slope: float) -> float:
        likelihood = weight @ stats.norm(0, np.sqrt(level + slope * size)).logpdf(np.sqrt(squared))
        return float(likelihood + stats.norm(0, 1).logpdf(np.log(level)) + stats.norm(-2, 2).logpdf(np.log(slope)))

    level, slope = plan_fit._fit_spread(squared, size, weight)
    best = log_posterior(level, slope)
    for factor in (0.97, 1.03):
        assert log_posterior(factor * level, slope) < best
        assert log_posterior(level, factor * slope) < best
    assert plan_fit._fit_spread(1e6 * squared, size, weight)[0] <= np.exp(4) * 1.001


def test_few_images_leave_the_variance_near_its_prior() -> None:
    """Level one and slope exp(-2), of log-normal spread 1 and 2, against a search."""
    size, squared, weight = np.array([0.5, 2.0, 6.0]), np.array([9.0, 0.1, 40.0]), np.array([1.0, 0.5, 1.5])

    def cost(theta: Floats) -> float:
        variance = np.exp(theta[0]) + np.exp(theta[1]) * size
        likelihood = weight @ (stats.norm(0, np.sqrt(variance)).logpdf(np.sqrt(squared)))
        return -float(likelihood + stats.norm(0, 1).logpdf(theta[0]) + stats.norm(-2, 2).logpdf(theta[1]))

    best = np.exp(minimize(cost, [0.0, -2.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}).x)
    assert plan_fit._fit_spread(squared, size, weight) == pytest.approx(tuple(best), rel=2e-3)


def test_degrees_of_freedom_have_the_greatest_likelihood() -> None:
    rng = np.random.default_rng(3)
    weight = rng.uniform(0.5, 1.5, 400)
    unit = stats.t(5).rvs((400, 3), random_state=3) / stats.t(5).std()

    def of_draws(dof: float) -> float:
        return float((weight[:, None] * stats.t(dof, scale=1 / stats.t(dof).std()).logpdf(unit)).sum())

    found = plan_fit._fit_tail(unit**2, weight)
    assert of_draws(found) > max(of_draws(0.97 * found), of_draws(1.03 * found))
    vectors = stats.multivariate_t(np.zeros(4), np.eye(4), df=6).rvs(400, random_state=4)

    def of_vectors(dof: float) -> float:
        return float(weight @ stats.multivariate_t(np.zeros(4), np.eye(4), df=dof).logpdf(vectors))

    found = plan_fit._fit_dof((vectors**2).sum(axis=1), weight, 4)
    assert of_vectors(found) > max(of_vectors(0.97 * found), of_vectors(1.03 * found))
    for squares in (np.full((50, 2), 1e-3), np.full((50, 2), 1.0)):
        assert 2.5 <= plan_fit._fit_tail(squares, np.ones(50)) <= 200


def test_the_curve_of_risk_rises_and_reaches_below_any_rate() -> None:
    levels, gaussian = drawn(3)
    risk = fitted(levels, gaussian).risk
    assert risk.shape == (25, 2)
    assert (np.diff(risk, axis=0) > 0).all()
    np.testing.assert_allclose(risk[1:, 0], np.geomspace(1e-4, 0.5, 24))
    np.testing.assert_allclose(risk[0], 1e-9 * risk[1])
    assert 1e-3 < risk[-1, 1] < 0.5


def test_a_matrix_is_made_positive_and_otherwise_left() -> None:
    good = np.array([[2.0, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(plan_fit._positive(good), good)
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    np.testing.assert_allclose(
        plan_fit._positive(rotation @ np.diag([3.0, -1.0]) @ rotation.T), rotation @ np.diag([3.0, 3e-6]) @ rotation.T
    )


def test_shrinking_leaves_variances_and_takes_correlations_back() -> None:
    rng = np.random.default_rng(5)
    samples = rng.multivariate_normal([0, 0], [[4, 1.8], [1.8, 1]], 60)
    found = plan_fit._shrunk(samples)
    second = samples.T @ samples / 60
    np.testing.assert_allclose(np.diag(found), np.diag(second), rtol=1e-6)
    assert 0.5 < found[0, 1] / second[0, 1] < 1
