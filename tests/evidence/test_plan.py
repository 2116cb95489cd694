"""The plan against conditional Gaussians written out: each prediction by solving for it, each choice by trying all."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from bayescope.evidence.plan import LevelStatistics, Plan
from bayescope.types import Floats

LEVELS = 3
WEIGHTS = np.array([0.7, 1.5, 0.4])


def statistics(n_noises: int) -> LevelStatistics:
    rng = np.random.default_rng(n_noises)
    root = rng.normal(size=(LEVELS, LEVELS))
    n_draws = LEVELS * n_noises
    return LevelStatistics(
        offset=rng.normal(size=(2, LEVELS, n_noises)),
        slope=rng.normal(size=(LEVELS, n_noises)),
        gaussian_scale=3.0,
        scale=root @ root.T + np.diag([0.2, 0.1, 0.3]),
        noise=np.array([1.0, 2.0, 0.5]),
        opposite=np.array([-0.8, -0.4, 0.1]),
        dof=7.0,
        spread=np.column_stack([np.linspace(0.5, 1.5, n_draws + 1), np.linspace(0.1, 0.6, n_draws + 1)]),
        risk=np.array([[1e-4, 1e-6], [1e-2, 1e-3], [0.5, 0.2]]),
    )


@pytest.fixture(params=[3, 4], ids=["single noises", "opposite pairs"])
def plan(request: pytest.FixtureRequest) -> Plan:
    return Plan(statistics(request.param), WEIGHTS)


def covariance(plan: Plan, draws: list[tuple[int, int]]) -> Floats:
    """Of draws given as level and noise, element by element."""
    about, paired = plan.statistics, plan.n_noises == 4
    found = np.empty((len(draws), len(draws)))
    for a, (level, noise) in enumerate(draws):
        for b, (other, another) in enumerate(draws):
            found[a, b] = about.scale[level, other]
            if level == other and noise == another:
                found[a, b] += about.noise[level]
            if level == other and paired and noise // 2 == another // 2 and noise != another:
                found[a, b] += about.opposite[level]
    return found


def draws_of(plan: Plan) -> list[tuple[int, int]]:
    return [(int(k), int(j)) for k, j in zip(plan.order, plan.noise_index, strict=True)]


def unexplained(k: Floats, share: Floats, m: int) -> float:
    """Variance of ``share @ y`` given the first ``m`` of y."""
    return float(share @ (k - k[:, :m] @ np.linalg.solve(k[:m, :m], k[:m])) @ share)


COSTS = [np.ones(1), np.array([1.0, 0.3, 0.1]), np.array([0.1, 1.0, 0.3])]


@pytest.mark.parametrize("cost", COSTS, ids=["all alike", "falling", "last level between"])
def test_each_draw_is_the_one_that_explains_most_of_the_full_evidence_for_its_cost(plan: Plan, cost: Floats) -> None:
    plan = replace(plan, statistics=replace(plan.statistics, cost=cost))
    draws = draws_of(plan)
    assert sorted(draws) == [(k, j) for k in range(LEVELS) for j in range(plan.n_noises)]
    for m in range(plan.n_draws):
        taken = draws[:m]
        following = [next(((k, j) for j in range(plan.n_noises) if (k, j) not in taken), None) for k in range(LEVELS)]
        explained = {}
        for candidate in filter(None, following):
            rest = [draw for draw in sorted(draws) if draw not in taken and draw != candidate]
            asked = [*taken, candidate, *rest]
            share = np.array([WEIGHTS[level] / plan.n_noises for level, _ in asked])
            k = covariance(plan, asked)
            of_level = np.broadcast_to(cost, LEVELS)[candidate[0]]
            explained[candidate] = (unexplained(k, share, m) - unexplained(k, share, m + 1)) / of_level
        assert draws[m] == max(explained, key=lambda draw: explained[draw])


def test_statistics_kept_without_costs_have_levels_that_cost_the_same() -> None:
    kept = statistics(3).to_dict()
    del kept["cost"]
    assert (LevelStatistics.from_dict(kept).cost == 1).all()


def test_predictions_are_conditional_expectations_and_their_errors_conditional_variances(plan: Plan) -> None:
    draws, k = draws_of(plan), covariance(plan, draws_of(plan))
    share = np.array([WEIGHTS[level] / plan.n_noises for level, _ in draws])
    y = np.random.default_rng(1).normal(size=(2, len(draws)))
    error, size = plan.predictions(y, np.array([2.0, -6.0]))
    for m in range(plan.n_draws + 1):
        expected = share @ k[:, :m] @ np.linalg.solve(k[:m, :m], y[:, :m].T)
        np.testing.assert_allclose(error[:, m], y @ share - expected, atol=1e-6)
        assert plan.variance_left[m] == pytest.approx(unexplained(k, share, m), abs=1e-6)
        squares = np.array([2.0, -6.0]) ** 2 / 9 + [row[:m] @ np.linalg.solve(k[:m, :m], row[:m]) for row in y]
        np.testing.assert_allclose(size[:, m], squares / (m + 1), rtol=1e-5)


def test_innovations_are_what_earlier_draws_did_not_foretell(plan: Plan) -> None:
    k, y = covariance(plan, draws_of(plan)), np.random.default_rng(2).normal(size=(2, 3, plan.n_draws))
    found = np.zeros_like(y)
    for m in range(plan.n_draws):
        found[:, :, m] = plan.innovation(m, y[:, :, m], found[:, :, :m])
        left = k[m, m] - k[m, :m] @ np.linalg.solve(k[:m, :m], k[:m, m])
        foretold = y[:, :, :m] @ np.linalg.solve(k[:m, :m], k[:m, m])
        np.testing.assert_allclose(found[:, :, m], (y[:, :, m] - foretold) / np.sqrt(left), atol=1e-6)


def test_the_error_against_endless_noise_counts_the_noise_that_the_full_evaluation_shares(plan: Plan) -> None:
    draws, k = draws_of(plan), covariance(plan, draws_of(plan))
    share = np.array([WEIGHTS[level] / plan.n_noises for level, _ in draws])
    latent = np.array([plan.statistics.scale[level] @ WEIGHTS for level, _ in draws])
    for m in range(plan.n_draws + 1):
        coefficients = np.r_[np.linalg.solve(k[:m, :m], k[:m] @ share), np.zeros(plan.n_draws - m)]
        expected = coefficients @ k @ coefficients - 2 * coefficients @ latent + WEIGHTS @ plan.statistics.scale @ WEIGHTS
        assert plan.error_variance[m] == pytest.approx(expected, abs=1e-6)
    assert plan.error_variance[0] == pytest.approx(WEIGHTS @ plan.statistics.scale @ WEIGHTS)


def test_before_any_draw_the_classes_offsets_and_the_gaussian_evidence_speak(plan: Plan) -> None:
    about, gaussian = plan.statistics, np.array([[1.0, -2.0], [0.5, 4.0]])
    expected = np.zeros((2, 2))
    for n, c in np.ndindex(2, 2):
        for k in range(LEVELS):
            of_draw = [float(about.expected(k, j, np.array([c]), gaussian[n, [c]])[0]) for j in range(plan.n_noises)]
            by_hand = [about.offset[c, k, j] + about.slope[k, j] * gaussian[n, c] for j in range(plan.n_noises)]
            assert of_draw == pytest.approx(by_hand)
            expected[n, c] += WEIGHTS[k] * np.mean(by_hand)
    np.testing.assert_allclose(plan.start(gaussian), expected)


@pytest.mark.parametrize("m", [0, 2, 5])
def test_the_chance_to_win_is_the_tail_of_a_t_of_the_variance_left(plan: Plan, m: int) -> None:
    gap, size = np.array([0.0, 1.3, -0.4]), np.array([0.5, 2.0, 4.0])
    level, slope = plan.statistics.spread[m]
    variance = plan.variance_left[m] * (level + slope * size / (m + 1))
    t = stats.t(7.0, scale=np.sqrt(variance / stats.t(7.0).var()))
    np.testing.assert_allclose(plan.chance_to_win(m, gap, size), t.sf(gap))
    np.testing.assert_allclose(t.var(), variance)


def test_after_all_draws_nothing_can_turn(plan: Plan) -> None:
    np.testing.assert_array_equal(plan.chance_to_win(plan.n_draws, np.array([1e-9, 3.0]), np.ones(2)), [0, 0])


def test_the_standard_error_joins_the_images_own_and_what_all_images_share(plan: Plan) -> None:
    gradient = np.array([[1.0, -1.0], [0.5, -0.5]])
    gaussian, m, size = np.array([[1.0, -2.0], [0.5, 4.0]]), np.array([2, 5]), np.array([3.0, 1.5])
    about, common = plan.statistics, np.zeros(2)
    for n in range(2):
        difference = gradient[n] @ gaussian[n]
        for k in range(LEVELS):
            said = [gradient[n] @ about.offset[:, k, j] + difference * about.slope[k, j] for j in range(plan.n_noises)]
            if plan.n_noises == 4:
                said = [(a + b) / 2 for a, b in (said[:2], said[2:])]
            common[n] += WEIGHTS[k] ** 2 * np.var(said, ddof=1) / len(said)
    np.testing.assert_allclose(plan.common_variance(gradient, gaussian), common)
    norm = np.array([1.0, 0.25])  # of a difference of two classes, and of half of one
    u = (gradient * gaussian).sum(axis=1) / 3.0
    level, slope = about.spread[m].T
    own = plan.error_variance[m] * norm * (level + slope * (size + u**2) / norm / (m + 1))
    np.testing.assert_allclose(plan.standard_error(m, size, gradient, gaussian), np.sqrt(own + common))


def test_a_scale_of_zero_leaves_the_gaussian_evidence_without_size() -> None:
    about = LevelStatistics(**{**vars(statistics(3)), "gaussian_scale": 0.0})
    np.testing.assert_array_equal(Plan(about, WEIGHTS).gaussian_size(np.array([2.0, -5.0])), [0, 0])


def test_the_share_is_interpolated_in_logarithms() -> None:
    about = statistics(3)
    assert about.share(0.0) == 0
    for share, risk in about.risk:
        assert about.share(risk) == pytest.approx(share)
    for (low, low_risk), (high, high_risk) in pairwise(about.risk):
        assert about.share(np.sqrt(low_risk * high_risk)) == pytest.approx(np.sqrt(low * high))
    assert about.share(1e-9) == pytest.approx(1e-4)
    assert about.share(0.9) == pytest.approx(0.5)


def test_statistics_survive_json() -> None:
    about = statistics(4)
    again = LevelStatistics.from_dict(about.to_dict())
    for name, value in vars(about).items():
        np.testing.assert_array_equal(getattr(again, name), value)
