"""Stopping early on the exact denoiser: the disagreement rate asked for holds, the budget holds, the rest is the full
evaluation."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from bayescope.diffusion.denoiser import LevelDenoiser
from bayescope.diffusion.gaussian import Component, GaussianMixtureDenoiser
from bayescope.diffusion.schedules import log_spaced
from bayescope.errors import ConfigError
from bayescope.evidence import plan_fit
from bayescope.evidence.denoising import LevelEvidence, gaussian_evidence, level_evidence
from bayescope.evidence.level_weights import LevelWeights, level_spacing
from bayescope.evidence.noise import draw_noise
from bayescope.evidence.plan import LevelStatistics, Plan
from bayescope.evidence.plan_fit import fit_level_statistics
from bayescope.evidence.sequential import SequentialEvidence, score_sequentially
from bayescope.evidence.stopping import risk_curve
from bayescope.types import Floats, Labels

SHAPE, LEVELS, NOISES = (1, 4, 4), 5, 8
SIGMAS = log_spaced(0.1, 4.0, LEVELS).double().numpy()


@dataclass(frozen=True)
class Problem:
    """Gaussian classes, images drawn from them, and a plan learned on other images of theirs."""

    oracle: GaussianMixtureDenoiser
    x: torch.Tensor
    noise: torch.Tensor
    level_weights: LevelWeights
    plan: Plan
    full: LevelEvidence

    def score(self, disagreement_rate: float, max_passes: int | None = None, chosen: slice = slice(None)) -> SequentialEvidence:
        offset = np.zeros(self.oracle.n_classes)
        return score_sequentially(
            self.oracle, self.x[chosen], SIGMAS, self.noise, self.plan, offset, disagreement_rate, max_passes, batch_size=64
        )

    @property
    def full_evidence(self) -> Floats:
        return self.level_weights.evidence(self.full)


def gaussian_problem(n_classes: int, n: int, separation: float = 0.2, seed: int = 0) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    means = separation * torch.randn(n_classes, 2, *SHAPE, generator=generator, dtype=torch.float64)
    variances = 0.05 + 0.5 * torch.rand(n_classes, 2, *SHAPE, generator=generator, dtype=torch.float64)
    pairs = [list(zip(*of_class, strict=True)) for of_class in zip(means, variances, strict=True)]
    oracle = GaussianMixtureDenoiser([[Component(mean, variance) for mean, variance in pair] for pair in pairs])

    def draw(count: int) -> tuple[torch.Tensor, Labels]:
        labels, part = torch.randint(n_classes, (count,), generator=generator), torch.randint(2, (count,), generator=generator)
        noise = torch.randn(count, *SHAPE, generator=generator, dtype=torch.float64)
        return means[labels, part] + variances[labels, part].sqrt() * noise, labels.numpy()

    noise = draw_noise(LEVELS, NOISES, SHAPE, seed).double()
    level_weights = LevelWeights(level_spacing(SIGMAS), np.zeros(n_classes))
    held_out, labels = draw(300)
    statistics = fit_level_statistics(
        level_evidence(oracle, held_out, SIGMAS, noise), gaussian_evidence(oracle, held_out, SIGMAS), labels, level_weights
    )
    assert statistics is not None
    x, _ = draw(n)
    full = level_evidence(oracle, x, SIGMAS, noise)
    return Problem(oracle, x, noise, level_weights, Plan(statistics, level_weights.weights), full)


@pytest.fixture(scope="module")
def two() -> Problem:
    return gaussian_problem(2, 1000)


def differences(values: Floats) -> Floats:
    return values - values[:, :1]


def test_scoring_to_the_end_is_the_full_evaluation(two: Problem) -> None:
    found = two.score(0.0, chosen=slice(40))
    np.testing.assert_allclose(differences(found.values), differences(two.full_evidence[:40]), rtol=1e-6, atol=1e-6)
    assert (found.passes == 2 * LEVELS * NOISES).all()


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 5, 10])
def test_the_error_rate_asked_for_is_the_rate_got_and_bought_with_few_passes(n_classes: int) -> None:
    problem = gaussian_problem(n_classes, 1000)
    winner = problem.full_evidence.argmax(axis=1)
    for disagreement_rate in (0.1, 0.03):
        found = problem.score(disagreement_rate)
        differs = (found.values.argmax(axis=1) != winner).mean()
        assert 0.4 * disagreement_rate <= differs <= disagreement_rate + 2 * np.sqrt(disagreement_rate / 1000)
        assert found.passes.mean() < 0.2 * n_classes * LEVELS * NOISES


def test_a_share_follows_the_error_rate_at_any_scale(two: Problem) -> None:
    statistics = two.plan.statistics
    shares = [statistics.share(rate) for rate in (0.0, 1e-12, 1e-6, 1e-3, 0.03, 0.3)]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[2] < 1e-4


def test_asking_for_fewer_errors_costs_more_passes_and_makes_fewer(two: Problem) -> None:
    winner = two.full_evidence.argmax(axis=1)
    found = [two.score(rate) for rate in (0.3, 0.1, 0.01)]
    passes = [f.passes.mean() for f in found]
    errors = [(f.values.argmax(axis=1) != winner).mean() for f in found]
    assert passes == sorted(passes)
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0


@pytest.mark.slow
def test_the_error_bar_holds_after_any_number_of_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over repetitions of everything: the classes, the noises that all images share, and the images."""
    monkeypatch.setattr(plan_fit, "_SHARES", plan_fit._SHARES[[0, -1]])  # of disagreement rates, which are not asked for
    covered: dict[int, list[float]] = {2: [], 6: [], 20: []}
    for seed in range(20):
        problem = gaussian_problem(2, 40, seed=seed)
        endless = level_evidence(problem.oracle, problem.x, SIGMAS, draw_noise(LEVELS, 100, SHAPE, 99).double())
        truth = problem.level_weights.evidence(endless)
        for budget, shares in covered.items():
            found = problem.score(1e-9, budget)
            assert (found.passes <= budget).all()
            error = found.values[:, 0] - found.values[:, 1] - (truth[:, 0] - truth[:, 1])
            bar = found.standard_error(np.tile([1.0, -1.0], (40, 1)))
            shares.append(float((np.abs(error) < 1.645 * bar).mean()))
    for budget, shares in covered.items():
        assert 0.83 <= np.mean(shares) <= 0.96, budget


def test_the_first_noise_of_each_level_is_given_back_as_it_was_drawn(two: Problem) -> None:
    """Under the class asked for, and NaN at levels which that class was not drawn at."""
    label = np.arange(40) % 2
    found, truth = two.score(0.05, chosen=slice(40)), two.full.first_noise(np.arange(1000) % 2)[:40]
    of_level = np.array([np.flatnonzero((two.plan.order == k) & (two.plan.noise_index == 0))[0] for k in range(LEVELS)])
    taken = of_level < found.draws[np.arange(40), label][:, None]
    assert 0.1 < taken.mean() < 0.9
    np.testing.assert_allclose(found.first_noise(label), np.where(taken, truth, np.nan), rtol=1e-9)
    np.testing.assert_allclose(two.score(0.0, chosen=slice(40)).first_noise(label), truth, rtol=1e-9)


def test_a_budget_is_spent_on_the_classes_ahead() -> None:
    """Ten classes: two draws of each, and the last five passes on the five ahead, rather than on none."""
    problem = gaussian_problem(10, 300)
    found = problem.score(1e-9, 25)
    assert (found.passes == 25).all()
    assert ((found.draws == 3).sum(axis=1) == 5).all()
    winner = problem.full_evidence.argmax(axis=1)
    errors = [(problem.score(1e-9, budget).values.argmax(axis=1) != winner).mean() for budget in (10, 25, 60)]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < errors[0]


def test_classes_that_are_hopeless_beforehand_cost_no_pass() -> None:
    found = gaussian_problem(10, 200, separation=0.8).score(0.03)
    assert (found.draws == 0).any()
    assert ((found.draws > 0).sum(axis=1) >= 2).all()
    assert found.passes.mean() < 10


def test_more_passes_predict_the_full_evidence_better_at_every_prefix(two: Problem) -> None:
    full = differences(two.full_evidence)[:, 1]
    rms = [np.sqrt(((differences(two.score(1e-9, budget).values)[:, 1] - full) ** 2).mean()) for budget in (2, 6, 12, 24)]
    assert rms == sorted(rms, reverse=True)
    assert rms[0] < 0.5 * full.std()


def test_an_answer_does_not_depend_on_batch_mates(two: Problem) -> None:
    whole, alone = two.score(0.05), two.score(0.05, chosen=slice(3, 4))
    assert whole.passes[3] == alone.passes[0]
    np.testing.assert_allclose(alone.values[0], whole.values[3], rtol=1e-9, atol=1e-9)


@dataclass(frozen=True)
class RowsPerCall:
    """A denoiser that notes how many rows each call asks for."""

    inner: GaussianMixtureDenoiser
    rows: list[int]

    @property
    def n_classes(self) -> int:
        return self.inner.n_classes

    def gaussian_log_likelihood(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return self.inner.gaussian_log_likelihood(x, sigma)

    def at_level(self, sigma: float) -> LevelDenoiser:
        level = self.inner.at_level(sigma)

        def noted(z: torch.Tensor, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            self.rows.append(len(label))
            return level(z, image, label)

        return noted


def test_images_still_open_fill_batches(two: Problem) -> None:
    """Every round leaves one batch short at most, however many images have stopped."""
    spy = RowsPerCall(two.oracle, [])
    found = score_sequentially(spy, two.x, SIGMAS, two.noise, two.plan, np.zeros(2), 0.01, batch_size=64)
    assert sum(spy.rows) == found.passes.sum()
    assert max(spy.rows) == 64
    assert sum(rows < 64 for rows in spy.rows) <= found.draws.max()
    assert found.draws.min() < found.draws.max() / 2


@pytest.mark.slow
def test_passes_stay_a_small_share_of_the_full_evaluation_with_more_classes() -> None:
    for n_classes in (5, 10):
        found = gaussian_problem(n_classes, 300, separation=0.4).score(0.05)
        assert found.passes.mean() < 0.08 * n_classes * LEVELS * NOISES


def test_the_first_draw_is_taken_where_it_tells_most() -> None:
    statistics = LevelStatistics(
        offset=np.zeros((2, 3, 2)),
        slope=np.zeros((3, 2)),
        gaussian_scale=0.0,
        scale=np.diag([1.0, 9.0, 1.0]),
        noise=np.full(3, 0.5),
        opposite=np.zeros(3),
        dof=20.0,
        spread=np.tile([1.0, 0.0], (7, 1)),
        risk=np.ones((1, 2)),
    )
    plan = Plan(statistics, np.ones(3))
    assert plan.order[0] == 1
    assert sorted(plan.order) == [0, 0, 1, 1, 2, 2]
    assert sorted(zip(plan.order, plan.noise_index, strict=True)) == [(k, j) for k in range(3) for j in range(2)]
    assert (np.diff(plan.variance_left) <= 0).all()
    assert plan.variance_left[-1] == 0


def test_an_opposite_noise_follows_where_it_takes_back_what_the_first_added() -> None:
    statistics = LevelStatistics(
        offset=np.zeros((2, 2, 4)),
        slope=np.zeros((2, 4)),
        gaussian_scale=0.0,
        scale=np.diag([4.0, 0.2]),
        noise=np.array([1.0, 0.1]),
        opposite=np.array([-0.9, 0.0]),
        dof=20.0,
        spread=np.tile([1.0, 0.0], (9, 1)),
        risk=np.ones((1, 2)),
    )
    plan = Plan(statistics, np.ones(2))
    assert plan.order[:2].tolist() == [0, 0]
    np.testing.assert_allclose(plan.factor @ plan.factor.T, plan._draw_scale, atol=1e-9)
    pair = plan._draw_scale[:2, :2]
    share = np.full(2, 1 / 4)
    explained = (pair @ share + 2 * (4.0 / 4)) @ np.linalg.solve(pair, pair @ share + 2 * (4.0 / 4))
    whole = 4 + 0.1 / 4 + 0.2 + 0.1 / 4
    np.testing.assert_allclose(plan.variance_left[[0, 2]], [whole, whole - explained], rtol=1e-6)


def test_the_spread_of_noises_in_opposite_pairs_is_learned_as_it_is() -> None:
    """Contrasts of two classes: a signal of variance 4, of each noise an odd part of variance 2 and an even one of 0.5."""
    generator = np.random.default_rng(0)
    n, n_levels, n_pairs = 4000, 2, 3
    signal = 2 * generator.standard_normal((n, n_levels, 1, 1))
    odd = np.sqrt(2.0) * generator.standard_normal((n, n_levels, n_pairs, 1))
    even = np.sqrt(0.5) * generator.standard_normal((n, n_levels, n_pairs, 1))
    contrast = (signal + even + odd * np.array([1.0, -1.0])).reshape(n, n_levels, 2 * n_pairs)
    levels = LevelEvidence(np.stack([contrast, -contrast], axis=1) / 2, np.array([0.5, 1.0]))
    level_weights = LevelWeights(np.ones(n_levels), np.zeros(2))
    statistics = fit_level_statistics(levels, np.zeros((n, 2)), generator.integers(2, size=n), level_weights)
    assert statistics is not None
    unit = statistics.scale[0, 0] / 4
    np.testing.assert_allclose(statistics.noise / unit, 2.5, rtol=0.1)
    np.testing.assert_allclose(statistics.opposite / unit, -1.5, rtol=0.1)


def test_statistics_survive_json_and_need_enough_images(two: Problem) -> None:
    again = LevelStatistics.from_dict(two.plan.statistics.to_dict())
    np.testing.assert_array_equal(again.scale, two.plan.statistics.scale)
    assert again.dof == two.plan.statistics.dof
    few = LevelEvidence(two.full.values[:10], SIGMAS)
    assert fit_level_statistics(few, np.zeros((10, 2)), np.arange(10) % 2, two.level_weights) is None


@pytest.mark.parametrize(
    ("disagreement_rate", "max_passes", "message"),
    [(-0.1, None, "disagreement_rate -0.1"), (1.0, None, "below 1"), (0.1, 1, "max_passes 1; expected at least 2")],
)
def test_impossible_settings_are_refused(two: Problem, disagreement_rate: float, max_passes: int | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        two.score(disagreement_rate, max_passes)


def test_the_rule_is_played_on_every_class_though_images_stand_in_order_of_class(monkeypatch: pytest.MonkeyPatch) -> None:
    winners: list[Labels] = []

    def spy(*args: Labels) -> Floats:
        winners.append(args[4])
        return risk_curve(*args)

    monkeypatch.setattr(plan_fit, "risk_curve", spy)
    labels = np.repeat([0, 1], [700, 100])
    evidence = np.random.default_rng(0).normal(0, 1, (800, 2, LEVELS, 2))
    evidence[np.arange(800), labels] += 3
    level_weights = LevelWeights(np.ones(LEVELS), np.zeros(2))
    fit_level_statistics(LevelEvidence(evidence, SIGMAS), np.zeros((800, 2)), labels, level_weights)
    assert len(winners[0]) == 500
    assert 0.1 < winners[0].mean() < 0.15
