"""Identities of the preconditioned denoiser."""

import numpy as np
import pytest
import torch

from bayescope.config import NetConfig
from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.gaussian import Component, GaussianMixtureDenoiser
from bayescope.diffusion.image_statistics import ImageStatistics, cosine_basis
from bayescope.diffusion.networks import build_denoiser

SHAPE = (2, 5, 7)


def statistics(n_classes: int = 3, seed: int = 0) -> ImageStatistics:
    generator = torch.Generator().manual_seed(seed)
    shift = torch.randn(n_classes + 1, *SHAPE, generator=generator)
    shift[-1] = 0
    return ImageStatistics(torch.randn(SHAPE, generator=generator), 0.1 + torch.rand(SHAPE, generator=generator), shift)


def untrained(stats: ImageStatistics) -> Denoiser:
    """A denoiser whose raw network answers zero."""
    denoiser = build_denoiser(stats, NetConfig(widths=(8, 8)))
    torch.nn.init.zeros_(denoiser.net.head.weight)
    torch.nn.init.zeros_(denoiser.net.head.bias)
    return denoiser.eval()


def test_cosine_basis_is_orthonormal() -> None:
    torch.testing.assert_close(cosine_basis(7) @ cosine_basis(7).T, torch.eye(7), atol=1e-6, rtol=0)


def test_untrained_network_is_the_exact_denoiser_of_gaussian_classes() -> None:
    stats = statistics()
    basis = torch.kron(torch.eye(2), torch.kron(cosine_basis(5), cosine_basis(7))).double()
    covariance = basis.T @ torch.diag(stats.variance.double().flatten()) @ basis
    means = stats.mean.double() + (stats.class_shift[:3].double().flatten(1) @ basis).unflatten(1, SHAPE)
    covariance = (covariance + covariance.T) / 2
    oracle = GaussianMixtureDenoiser([[Component(mean, covariance)] for mean in means])
    z, sigma, label = torch.randn(4, *SHAPE), torch.tensor([0.05, 0.4, 1.0, 8.0]), torch.tensor([0, 1, 2, 0])
    denoised = untrained(stats)(z, sigma, label)
    torch.testing.assert_close(denoised, oracle(z.double(), sigma.double(), label).float(), atol=2e-4, rtol=1e-4)


def test_white_statistics_are_edm_to_the_letter() -> None:
    stats = ImageStatistics(torch.zeros(SHAPE), torch.full(SHAPE, 0.25), torch.zeros(3, *SHAPE))
    denoiser = build_denoiser(stats, NetConfig(widths=(8, 8))).eval()
    z, sigma, label = torch.randn(3, *SHAPE), torch.tensor([0.1, 1.0, 5.0]), torch.tensor([0, 1, 2])
    s = sigma[:, None, None, None]
    skip, out, scale = 0.25 / (s**2 + 0.25), s * 0.5 / (s**2 + 0.25).sqrt(), 1 / (s**2 + 0.25).sqrt()
    expected = skip * z + out * denoiser.net(scale * z, sigma.log(), label)
    torch.testing.assert_close(denoiser(z, sigma, label), expected, atol=1e-5, rtol=1e-4)
    n_pixels = np.prod(SHAPE)
    torch.testing.assert_close(denoiser.loss_weight(sigma), (sigma**2 + 0.25) / (sigma * 0.5) ** 2 / n_pixels)


@pytest.mark.parametrize("fold", [2, 4])
def test_every_class_at_once_equals_one_by_one(fold: int) -> None:
    denoiser = build_denoiser(statistics(), NetConfig(widths=(8, 8), fold=fold)).eval()
    z, sigma = torch.randn(2, *SHAPE), torch.tensor([0.2, 2.0])
    together = denoiser.under_every_class(z, sigma)
    for k in range(3):
        torch.testing.assert_close(together[:, k], denoiser(z, sigma, torch.full((2,), k)))


def test_class_means_that_are_only_noise_are_dropped() -> None:
    x = torch.randn(60, *SHAPE, generator=torch.Generator().manual_seed(1))
    stats = ImageStatistics.of(x, torch.arange(60) % 2, 2)
    assert stats.class_shift.count_nonzero() <= 2
    x[::2] += 1.0
    assert ImageStatistics.of(x, torch.arange(60) % 2, 2).class_shift[0].abs().max() > 1.0


@pytest.mark.parametrize("fold", [2, 4])
@pytest.mark.parametrize("shape", [(1, 1, 20), (1, 28, 28), (3, 9, 6)])
def test_any_image_side(shape: tuple[int, int, int], fold: int) -> None:
    stats = ImageStatistics(torch.zeros(shape), torch.ones(shape), torch.zeros(3, *shape))
    denoiser = build_denoiser(stats, NetConfig(widths=(8, 8, 8), fold=fold))
    assert denoiser(torch.zeros(2, *shape), torch.ones(2), torch.zeros(2, dtype=int)).shape == (
        2,
        *shape,
    )


def test_gaussian_likelihood_is_that_of_the_classes_the_statistics_describe() -> None:
    """Ratios between classes, against a multivariate normal of the same mean and covariance in pixels."""
    generator = torch.Generator().manual_seed(5)
    shape = (1, 4, 6)
    shift = torch.cat([0.5 * torch.randn(3, *shape, generator=generator), torch.zeros(1, *shape)])
    variance = 0.1 + torch.rand(shape, generator=generator)
    mean = torch.randn(shape, generator=generator)
    denoiser = build_denoiser(ImageStatistics(mean, variance, shift), NetConfig(widths=(8, 8)))
    x = torch.randn(5, *shape, generator=generator)
    basis = torch.kron(cosine_basis(4), cosine_basis(6)).double()
    covariance = basis.T @ torch.diag(variance.flatten().double() + 0.3**2) @ basis
    means = denoiser.class_means.flatten(1).double()
    expected = torch.distributions.MultivariateNormal(means, covariance).log_prob(x.flatten(1).double()[:, None])
    found = denoiser.gaussian_log_likelihood(x, 0.3)
    torch.testing.assert_close(found[:, :1] - found, (expected[:, :1] - expected).float(), rtol=1e-4, atol=1e-4)


def test_the_papers_network_knows_nothing_of_the_classes_beforehand() -> None:
    denoiser = build_denoiser(ImageStatistics.blank((1, 32, 32), 2), NetConfig(kind="paper", widths=(8, 8)))
    assert (denoiser.gaussian_log_likelihood(torch.randn(3, 1, 32, 32), 0.5) == 0).all()


def test_filters_from_patterns_stand_alone_in_the_stem() -> None:
    blank = ImageStatistics.blank((1, 8, 8), 2)
    beside, alone = (build_denoiser(blank, NetConfig(widths=(8, 8), csp_filters=count)).net.stem.fold for count in (0, 12))
    assert beside.in_channels == alone.in_channels + 1


@pytest.mark.parametrize("kind", ["fast", "paper"])
def test_images_of_several_levels_in_one_call_are_as_at_each_level_alone(kind: str) -> None:
    denoiser = build_denoiser(statistics(), NetConfig(kind=kind, widths=(8, 16))).eval()
    torch.nn.init.normal_(list(denoiser.net.parameters())[-2], std=0.1)
    sigmas, level = [0.1, 0.7, 5.0], torch.tensor([2, 0, 2, 1])
    z, image, label = torch.randn(4, *SHAPE), torch.tensor([3, 0, 0, 2, 1, 3]), torch.tensor([0, 1, 2, 2, 0, 1])
    found = denoiser.at_levels(sigmas)(z, level, image, label)
    expected = [denoiser.at_level(sigmas[level[i]])(z, i[None], k[None]) for i, k in zip(image, label, strict=True)]
    with torch.no_grad():
        torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-5)
