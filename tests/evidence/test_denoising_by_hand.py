"""Denoising evidence of a denoiser that can be written out, image by image."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from bayescope.diffusion.denoiser import LevelDenoiser, LevelsDenoiser
from bayescope.diffusion.gaussian import Component, GaussianMixtureDenoiser
from bayescope.errors import ConfigError
from bayescope.evidence import sequential
from bayescope.evidence.denoising import LevelEvidence, first_noise_evidence, gaussian_evidence, level_evidence
from bayescope.evidence.denoising_errors import draw_errors, rows_per_batch
from bayescope.evidence.noise import draw_noise
from bayescope.evidence.plan import LevelStatistics, Plan
from bayescope.evidence.sequential import SequentialEvidence, check_stopping_settings, score_sequentially

SHAPE = (2, 3, 5)
SIGMAS = np.array([0.5, 2.0, 6.0])


class Towards:
    """Draws an image by half towards the value of its class; notes the rows of each call."""

    n_classes = 3

    def __init__(self) -> None:
        self.rows: list[int] = []

    def at_level(self, sigma: float) -> LevelDenoiser:
        def denoise(z: torch.Tensor, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            self.rows.append(len(label))
            return (z[image] + label[:, None, None, None]) / 2 / sigma

        return denoise

    def at_levels(self, sigmas: Sequence[float]) -> LevelsDenoiser:
        def denoise(z: torch.Tensor, level: torch.Tensor, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            self.rows.append(len(label))
            return (z[image] + label[:, None, None, None]) / 2 / torch.tensor(sigmas)[level[image], None, None, None]

        return denoise

    def gaussian_log_likelihood(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return torch.stack([sigma * x.sum(dim=(1, 2, 3)) + k for k in range(3)], dim=1)


def images(n: int) -> torch.Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def by_hand(x: torch.Tensor, noise: torch.Tensor) -> np.ndarray:
    found = np.empty((len(x), 3, len(SIGMAS), noise.shape[1]))
    for i, c, k, j in np.ndindex(*found.shape):
        z = x[i] + SIGMAS[k] * noise[k, j]
        found[i, c, k, j] = -((x[i] - (z + c) / 2 / SIGMAS[k]) ** 2).sum() / SIGMAS[k] ** 2
    return found


@pytest.mark.parametrize("batch_size", [None, 1, 2, 5])
def test_each_value_is_the_error_of_one_pass(batch_size: int | None) -> None:
    x, noise, done = images(5), draw_noise(3, 2, SHAPE, 1).double(), []
    found = level_evidence(Towards(), x, SIGMAS, noise, batch_size, done.append)
    np.testing.assert_allclose(found.values, by_hand(x, noise), rtol=1e-5)
    np.testing.assert_array_equal(found.sigmas, SIGMAS)
    assert done == {None: [5], 1: [1] * 5, 2: [2, 2, 1], 5: [5]}[batch_size]
    assert found.passes == 3 * 3 * 2
    np.testing.assert_allclose(found.mean, by_hand(x, noise).mean(axis=3), rtol=1e-5)
    label = np.array([2, 0, 1, 1, 2])
    np.testing.assert_array_equal(found.first_noise(label), [found.values[i, label[i], :, 0] for i in range(5)])


def test_only_what_is_not_known_costs_a_pass() -> None:
    x, noise, denoiser = images(4), draw_noise(3, 2, SHAPE, 1).double(), Towards()
    label, whole = np.array([2, 0, 1, 1]), by_hand(x, noise)
    expected = np.stack([whole[i, label[i], :, 0] for i in range(4)])
    known = np.full((4, 3), np.nan)
    known[1, 0], known[:, 1] = -7.0, [-1.0, -2.0, -3.0, -4.0]
    found = first_noise_evidence(denoiser, x, SIGMAS, noise, label, known)
    np.testing.assert_allclose(found, np.where(np.isnan(known), expected, known), rtol=1e-5)
    assert denoiser.rows == [3 + 4], "levels share a call"
    assert np.isnan(known[0, 0]), "the caller's array is left alone"


def test_rows_are_scored_in_calls_of_the_size_asked_for() -> None:
    x, noise, denoiser = images(4), draw_noise(3, 2, SHAPE, 1).double(), Towards()
    image, label = np.array([0, 3, 3, 1, 0, 2, 1]), np.array([0, 1, 2, 0, 2, 1, 1])
    found = draw_errors(denoiser.at_level(2.0), x, 2.0, noise[1, 1], image, label, batch_size=3)
    np.testing.assert_allclose(found, by_hand(x, noise)[image, label, 1, 1], rtol=1e-5)
    assert denoiser.rows == [3, 3, 1]


def test_gaussian_evidence_is_that_of_the_middle_level() -> None:
    x = images(3)
    expected = Towards().gaussian_log_likelihood(x, np.sqrt(0.5 * 6.0))
    np.testing.assert_allclose(gaussian_evidence(Towards(), x, SIGMAS), expected)
    many = images(600)
    assert gaussian_evidence(Towards(), many, SIGMAS).shape == (600, 3)


@pytest.mark.parametrize(
    ("shape", "per_item", "expected"),
    [((1, 28, 28), 1, 256), ((1, 28, 28), 3, 85), ((1, 128, 128), 1, 64), ((1, 1024, 1024), 1, 1), ((3, 2048, 2048), 5, 1)],
)
def test_rows_of_a_batch(shape: tuple[int, ...], per_item: int, expected: int) -> None:
    assert rows_per_batch(shape, per_item) == expected


def test_parts_are_joined_and_chosen_by_image() -> None:
    values = np.random.default_rng(0).normal(size=(4, 2, 3, 2))
    whole = LevelEvidence(values, SIGMAS)
    joined = LevelEvidence.joined([whole.subset(np.array([2, 0])), whole.subset(np.array([3]))])
    np.testing.assert_array_equal(joined.values, values[[2, 0, 3]])
    np.testing.assert_array_equal(joined.sigmas, SIGMAS)


def gaussian_plan() -> tuple[GaussianMixtureDenoiser, Plan]:
    oracle = GaussianMixtureDenoiser([[Component(torch.full(SHAPE, m), torch.full(SHAPE, 0.3))] for m in (0.0, 0.2, 0.4)])
    statistics = LevelStatistics(
        np.zeros((3, 3, 2)),
        np.ones((3, 2)) / 3,
        2.0,
        np.eye(3),
        np.ones(3),
        np.zeros(3),
        8.0,
        np.tile([0.7, 0.3], (7, 1)),
        np.array([[0.01, 0.001], [0.5, 0.2]]),
    )
    return oracle, Plan(statistics, np.array([1.0, 0.8, 0.6]))


def test_sequential_scoring_adds_the_offset_and_tells_its_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    oracle, plan = gaussian_plan()
    x, noise, decided = images(10), draw_noise(3, 2, SHAPE, 1).double(), []
    arguments = (oracle, x, SIGMAS, noise, plan)
    whole = score_sequentially(*arguments, np.zeros(3), 0.1, batch_size=4, callback=decided.append)
    assert sum(decided) == 10
    monkeypatch.setattr(sequential, "_CHUNK", 3)
    in_chunks = score_sequentially(*arguments, np.zeros(3), 0.1)
    for name in ("gaussian", "values", "innovations", "draws"):
        np.testing.assert_allclose(getattr(in_chunks, name), getattr(whole, name), rtol=1e-9, atol=1e-12)
    assert in_chunks.plan is plan
    np.testing.assert_array_equal(whole.gaussian, gaussian_evidence(oracle, x, SIGMAS))
    hopeless = score_sequentially(*arguments, np.array([0.0, 500.0, -500.0]), 0.1)
    assert (hopeless.draws[:, 2] <= hopeless.draws[:, 1]).all()
    assert hopeless.passes.mean() < whole.passes.mean()
    assert (score_sequentially(*arguments, np.zeros(3), 0.0).passes == 18).all()
    assert (score_sequentially(*arguments, np.zeros(3), 0.0, max_passes=4).passes <= 4).all()


def test_the_error_of_a_contrast_counts_the_draws_that_all_its_classes_were_given() -> None:
    _, plan = gaussian_plan()
    rng = np.random.default_rng(0)
    draws = np.array([[4, 2, 6], [3, 3, 0]])
    innovations = rng.normal(size=(2, 3, 6)) * (np.arange(6) < draws[:, :, None])
    gaussian = rng.normal(size=(2, 3))
    evidence = SequentialEvidence(plan, gaussian, np.zeros((2, 3)), innovations, draws)
    gradient = np.array([[1.0, -1.0, 0.0], [1.0, -0.5, -0.5]])
    taken = np.array([2, 0])
    size = np.array([sum((gradient[n] @ innovations[n, :, m]) ** 2 for m in range(taken[n])) for n in range(2)])
    np.testing.assert_allclose(evidence.standard_error(gradient), plan.standard_error(taken, size, gradient, gaussian))
    assert evidence.passes.tolist() == [12, 6]


def test_settings_at_their_bounds() -> None:
    check_stopping_settings(0.0, 3, 3)
    check_stopping_settings(0.999, None, 3)
    for rate, passes in ((1.0, None), (-1e-9, None), (0.1, 2)):
        with pytest.raises(ConfigError):
            check_stopping_settings(rate, passes, 3)
