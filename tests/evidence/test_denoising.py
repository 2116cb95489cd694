"""Denoising evidence of the exact denoiser against closed forms; its error bar; its independence of everything else."""

from copy import copy

import numpy as np
import pytest
import torch

from bayescope.diffusion.denoiser import LevelDenoiser
from bayescope.diffusion.gaussian import Component, GaussianMixtureDenoiser
from bayescope.diffusion.schedules import log_spaced
from bayescope.errors import ConfigError
from bayescope.evidence.denoising import level_evidence
from bayescope.evidence.denoising_errors import rows_per_batch
from bayescope.evidence.level_weights import LevelWeights, level_spacing
from bayescope.evidence.noise import draw_noise
from bayescope.types import Floats

SHAPE = (1, 5, 7)
UNIFORM = np.full(3, 1 / 3)


@pytest.fixture(scope="module")
def oracle() -> GaussianMixtureDenoiser:
    generator = torch.Generator().manual_seed(0)
    means = 0.35 * torch.randn(3, 2, *SHAPE, generator=generator, dtype=torch.float64)
    root = torch.randn(35, 35, generator=generator, dtype=torch.float64) / 12
    covariance = root @ root.T + 0.05 * torch.eye(35, dtype=torch.float64)
    return GaussianMixtureDenoiser([[Component(mean, covariance) for mean in components] for components in means])


def images(n: int, seed: int = 1) -> torch.Tensor:
    return 0.4 * torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Swapped:
    """The oracle with its first two classes exchanged."""

    n_classes = 3

    def __init__(self, oracle: GaussianMixtureDenoiser) -> None:
        self.oracle = oracle

    def at_level(self, sigma: float) -> LevelDenoiser:
        plain, order = self.oracle.at_level(sigma), torch.tensor([1, 0, 2])
        return lambda z, image, label: plain(z, image, order[label])


def levels_of(n: int, low: float, high: float) -> Floats:
    return log_spaced(low, high, n).double().numpy()


def test_evidence_of_the_oracle_is_the_exact_log_ratio(oracle: GaussianMixtureDenoiser) -> None:
    x, sigmas = images(6), levels_of(60, 0.01, 100.0)
    levels = level_evidence(oracle, x, sigmas, draw_noise(60, 64, SHAPE, seed=0).double())
    estimate, error = LevelWeights(level_spacing(sigmas), np.zeros(3)).log_likelihood_ratio(levels, UNIFORM)
    exact = oracle.log_likelihood(x).numpy()
    rest = np.stack([np.logaddexp.reduce(np.delete(exact, k, axis=1), axis=1) - np.log(2) for k in range(3)], axis=1)
    assert error.max() < 0.6
    assert (np.abs(estimate - (exact - rest)) < 4 * error + 0.02).all()


@pytest.mark.slow
@pytest.mark.parametrize(("n_levels", "numbers"), [(5, (12,)), (10, (4, 2))])
def test_ninety_percent_intervals_hold_in_about_ninety_percent(
    oracle: GaussianMixtureDenoiser, n_levels: int, numbers: tuple[int, ...]
) -> None:
    x, sigmas = images(6, seed=5), levels_of(n_levels, 0.1, 3.0)
    level_weights = LevelWeights(level_spacing(sigmas), np.zeros(3))

    def repeat(seed: int, noises: int) -> tuple[Floats, Floats]:
        noise = draw_noise(n_levels, noises, SHAPE, seed).double()
        return level_weights.log_likelihood_ratio(level_evidence(oracle, x, sigmas, noise), UNIFORM)

    truth, _ = repeat(999, 100 * max(numbers))
    for n_noises in numbers:
        covered = [np.abs(ratio - truth) < 1.645 * error for ratio, error in (repeat(seed, n_noises) for seed in range(100))]
        assert 0.85 <= np.mean(covered) <= 0.95, (n_noises, np.mean(covered))


def test_noises_come_in_opposite_pairs_when_at_least_two_pairs_fit() -> None:
    noise = draw_noise(2, 6, SHAPE, 0)
    torch.testing.assert_close(noise[:, ::2], -noise[:, 1::2], rtol=0, atol=0)
    assert noise[:, ::2].flatten(2).std().item() == pytest.approx(1, abs=0.2)
    for n_noises in (1, 2, 3, 5):
        assert (draw_noise(2, n_noises, SHAPE, 0).sum(dim=1).abs() > 0).all()


def test_opposite_pairs_leave_no_error_between_classes_that_differ_in_their_means() -> None:
    """There the noise enters linearly; as many independent noises leave an error of nats."""
    variance = torch.full(SHAPE, 0.3, dtype=torch.float64)
    oracle = GaussianMixtureDenoiser([[Component(torch.full(SHAPE, m, dtype=torch.float64), variance)] for m in (0.0, 0.5)])
    x, sigmas = images(4), levels_of(5, 0.1, 3.0)
    level_weights = LevelWeights(level_spacing(sigmas), np.zeros(2))

    def spread(noises: list[torch.Tensor]) -> Floats:
        evidence = [level_weights.evidence(level_evidence(oracle, x, sigmas, noise.double())) for noise in noises]
        return np.asarray(np.diff(evidence, axis=2).std(axis=0))

    assert spread([draw_noise(5, 4, SHAPE, seed) for seed in range(5)]).max() < 1e-5
    assert spread([draw_noise(5, 3, SHAPE, seed) for seed in range(5)]).min() > 0.3


def test_swapping_two_classes_swaps_their_evidence_exactly(oracle: GaussianMixtureDenoiser) -> None:
    x, sigmas, noise = images(3), levels_of(3, 0.1, 2.0), draw_noise(3, 2, SHAPE, 0).double()
    plain = level_evidence(oracle, x, sigmas, noise).values
    swapped = level_evidence(Swapped(oracle), x, sigmas, noise).values
    np.testing.assert_array_equal(swapped, plain[:, [1, 0, 2]])


def test_an_image_does_not_depend_on_its_batch_or_the_batch_size(oracle: GaussianMixtureDenoiser) -> None:
    x, sigmas, noise = images(7), levels_of(3, 0.1, 2.0), draw_noise(3, 2, SHAPE, 0).double()
    whole = level_evidence(oracle, x, sigmas, noise, batch_size=7).values
    for part in (x[:1], x[:3]):
        values = level_evidence(oracle, part, sigmas, noise, batch_size=2).values
        np.testing.assert_allclose(values, whole[: len(part)], rtol=1e-12)


def test_one_noise_gives_no_error_bar_rather_than_a_false_one(oracle: GaussianMixtureDenoiser) -> None:
    sigmas = levels_of(2, 0.1, 1.0)
    levels = level_evidence(oracle, images(2), sigmas, draw_noise(2, 1, SHAPE, 0).double())
    _, error = LevelWeights(level_spacing(sigmas), np.zeros(3)).log_likelihood_ratio(levels, UNIFORM)
    assert np.isnan(error).all()
    assert levels.passes == 6


@pytest.mark.parametrize(
    ("sigmas", "noises", "batch_size", "message"),
    [
        ([0.0, 1.0], 2, None, "expected 2 above 0"),
        ([0.5], 2, None, "expected 2 above 0"),
        ([0.5, 1.0], 0, None, "no noise at a level"),
        ([0.5, 1.0], 2, -1, "batch_size -1; expected at least 1"),
    ],
)
def test_the_impossible_is_refused(
    oracle: GaussianMixtureDenoiser, sigmas: list[float], noises: int, batch_size: int | None, message: str
) -> None:
    noise = torch.zeros(2, noises, *SHAPE, dtype=torch.float64)
    with pytest.raises(ConfigError, match=message):
        level_evidence(oracle, images(2), np.array(sigmas), noise, batch_size)
    with pytest.raises(ConfigError, match="without classes"):
        level_evidence(replace_classes(oracle), images(2), np.array([0.5, 1.0]), noise)


def replace_classes(oracle: GaussianMixtureDenoiser) -> GaussianMixtureDenoiser:
    bare = copy(oracle)
    bare.n_classes = 0
    return bare


def test_rows_of_a_network_call_are_bounded_by_their_pixels() -> None:
    assert rows_per_batch((1, 28, 28)) == 256
    assert rows_per_batch((1, 384, 384)) * 384**2 <= 2**20
    assert rows_per_batch((3, 4096, 4096)) == 1
