"""Denoising evidence of the exact denoiser against closed forms; its error bar; its independence of everything else."""

import numpy as np
import pytest
import torch

from bayescope.calibration import Weighing, level_spacing
from bayescope.denoiser import LevelDenoiser
from bayescope.evidence.bound import draw_noise, level_evidence, rows_at_once
from bayescope.gaussian import Component, GaussianMixtureDenoiser
from bayescope.noise import log_spaced
from bayescope.shapes import Floats

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
    estimate, error = Weighing(level_spacing(sigmas), np.zeros(3)).log_likelihood_ratio(levels, UNIFORM)
    exact = oracle.log_likelihood(x).numpy()
    rest = np.stack([np.logaddexp.reduce(np.delete(exact, k, axis=1), axis=1) - np.log(2) for k in range(3)], axis=1)
    assert error.max() < 0.6
    assert (np.abs(estimate - (exact - rest)) < 4 * error + 0.02).all()


def test_ninety_percent_intervals_hold_in_about_ninety_percent(oracle: GaussianMixtureDenoiser) -> None:
    x, sigmas = images(6, seed=5), levels_of(5, 0.1, 3.0)
    weighing = Weighing(level_spacing(sigmas), np.zeros(3))

    def repeat(seed: int, noises: int) -> tuple[Floats, Floats]:
        noise = draw_noise(5, noises, SHAPE, seed).double()
        return weighing.log_likelihood_ratio(level_evidence(oracle, x, sigmas, noise), UNIFORM)

    truth, _ = repeat(999, 4000)
    covered = [np.abs(ratio - truth) < 1.66 * error for ratio, error in (repeat(seed, 24) for seed in range(100))]
    assert 0.85 <= np.mean(covered) <= 0.95, np.mean(covered)


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
    _, error = Weighing(level_spacing(sigmas), np.zeros(3)).log_likelihood_ratio(levels, UNIFORM)
    assert np.isnan(error).all()
    assert levels.passes == 6


def test_rows_of_a_network_call_are_bounded_by_their_pixels() -> None:
    assert rows_at_once((1, 28, 28)) == 256
    assert rows_at_once((1, 384, 384)) * 384**2 <= 2**20
    assert rows_at_once((3, 4096, 4096)) == 1
