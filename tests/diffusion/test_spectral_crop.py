"""Cropping of the cosine spectrum: smaller images at high noise, and what is left of the denoiser outside the crop."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bayescope.config import NetConfig
from bayescope.diffusion.image_statistics import ImageStatistics, cosine_basis
from bayescope.diffusion.networks import build_denoiser
from bayescope.diffusion.spectral_crop import SpectralCrop
from bayescope.diffusion.spectral_denoiser import SpectralDenoiser
from bayescope.errors import ConfigError
from bayescope.export.graph import trace

SHAPE = (1, 32, 58)
SNR = 0.05


def spectrum(shape: tuple[int, int, int] = SHAPE) -> Tensor:
    """Power that falls with the fourth power of frequency."""
    rows, columns = (torch.arange(n)[:, None] / n for n in shape[1:])
    return (1 / (1 + 400 * (rows**2 + columns.T**2)) ** 2).expand(shape).clone()


def statistics(shape: tuple[int, int, int] = SHAPE, variance: Tensor | None = None) -> ImageStatistics:
    blank = ImageStatistics.blank(shape, 2)
    shift = blank.class_shift.clone()
    shift[0, :, 28, 3], shift[1, :, 1, 2] = 0.5, -0.3  # one outside of every crop, one inside
    return replace(blank, variance=spectrum(shape) if variance is None else variance, class_shift=shift)


def denoiser(snr: float = SNR) -> SpectralDenoiser:
    torch.manual_seed(0)
    built = build_denoiser(statistics(), NetConfig(widths=(8, 8), fold=1, crop_snr=snr)).eval()
    return cast(SpectralDenoiser, built)


def images(n: int) -> Tensor:
    return torch.randn((n, *SHAPE), generator=torch.Generator().manual_seed(1))


@given(height=st.integers(31, 60), width=st.integers(31, 60))
@settings(max_examples=20, deadline=None)
def test_crop_keeps_low_coefficients_and_the_power_of_white_noise(height: int, width: int) -> None:
    crop = SpectralCrop((1, height, width), snr=1.0)
    image = torch.randn(1, height, width)
    coefficients = crop.to_coefficients(image, 1)
    small = crop.to_image(coefficients, 2)
    assert small.shape == (1, -(-height // 2), -(-width // 2))
    back = crop.to_coefficients(small, 2)
    rows, columns = small.shape[-2:]
    torch.testing.assert_close(back[:, :rows, :columns], coefficients[:, :rows, :columns], atol=1e-5, rtol=1e-4)
    assert not back[:, rows:].any()
    assert not back[:, :, columns:].any()
    torch.testing.assert_close(small.square().sum(), coefficients[:, :rows, :columns].square().sum(), rtol=1e-4, atol=1e-4)


def test_cropped_image_is_the_image_at_half_the_side() -> None:
    """A wave of low frequency keeps its shape; values double, as half as many pixels carry its power in each direction."""
    wave = lambda n: torch.cos(2 * torch.pi * (torch.arange(n) + 0.5) / n)  # noqa: E731
    crop = SpectralCrop((1, 48, 48), snr=1.0)
    small = crop.to_image(crop.to_coefficients(wave(48).expand(1, 48, 48), 1), 2)
    torch.testing.assert_close(small, 2 * wave(24).expand(1, 24, 24), atol=1e-5, rtol=0)


def test_factor_rises_with_noise_where_the_ratio_allows() -> None:
    variance, crop = spectrum(), SpectralCrop(SHAPE, SNR)
    outside = np.ones(SHAPE, bool)
    outside[:, :16, :29] = False
    limit = float(np.sqrt(variance.numpy()[outside].mean() / SNR))
    assert crop.factors(torch.tensor([0.99 * limit, 1.01 * limit]), variance) == [1, 2]
    assert list(crop.sides) == [1, 2]  # a quarter of 32 rows would be too small


def test_no_ratio_and_no_room_crop_nothing() -> None:
    high = torch.tensor([1e6])
    assert SpectralCrop(SHAPE, 0.0).factors(high, spectrum()) == [1]
    assert SpectralCrop((1, 31, 64), SNR).factors(high, spectrum((1, 31, 64))) == [2]
    assert SpectralCrop((1, 30, 64), SNR).factors(high, spectrum((1, 30, 64))) == [1]
    assert SpectralCrop((1, 64, 64), SNR).factors(high, spectrum((1, 64, 64))) == [4]
    assert SpectralCrop((1, 64, 64), SNR, smallest_side=32).factors(high, spectrum((1, 64, 64))) == [2]


@pytest.mark.parametrize(("fold", "sides"), [(1, [1, 2, 4]), (2, [1, 2]), (4, [1])])
def test_a_larger_fold_leaves_less_to_crop(fold: int, sides: list[int]) -> None:
    built = build_denoiser(ImageStatistics.blank((1, 64, 64), 2), NetConfig(fold=fold, crop_snr=SNR))
    assert list(cast(SpectralDenoiser, built).crop.sides) == sides


def test_outside_the_crop_the_denoiser_is_the_linear_one_of_each_class() -> None:
    model, sigma = denoiser(), 10.0
    z, level = images(3), torch.full((3,), sigma)
    rows, columns = cosine_basis(32), cosine_basis(58)
    found = rows @ (model.under_every_class(z, level) - model.mean) @ columns.T
    skip = model.variance / (model.variance + sigma**2)
    linear = skip * (rows @ z @ columns.T)[:, None] + (1 - skip) * model.class_shift[:2]
    torch.testing.assert_close(found[..., 16:, :], linear[..., 16:, :], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[..., 29:], linear[..., 29:], atol=1e-5, rtol=0)
    assert (found - linear)[..., :16, :29].abs().max() > 1e-2


def test_network_is_given_the_smaller_image() -> None:
    model, seen = denoiser(), []
    model.net.register_forward_pre_hook(lambda net, given: seen.append(tuple(given[0].shape)))
    model.under_every_class(images(3), torch.tensor([10.0, 0.01, 10.0]))
    assert sorted(seen) == [(1, 1, 32, 58), (2, 1, 16, 29)]


@torch.no_grad()
def test_images_of_several_sizes_are_denoised_as_each_alone() -> None:
    model, z, sigma = denoiser(), images(4), torch.tensor([10.0, 0.01, 3.0, 0.02])
    together = model.under_every_class(z, sigma)
    alone = torch.cat([model.under_every_class(z[i : i + 1], sigma[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    of_class = model(z, sigma, torch.tensor([1, 0, 0, 1]))
    torch.testing.assert_close(of_class, together[range(4), [1, 0, 0, 1]], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_prepared_levels_denoise_as_the_forward_pass_does() -> None:
    model, z, sigmas = denoiser(), images(4), [10.0, 0.01, 3.0]
    level, image, label = torch.tensor([0, 1, 2, 1]), torch.arange(4), torch.tensor([0, 1, 1, 0])
    expected = model(z, torch.tensor(sigmas)[level], label)
    assert not model.can_mix(sigmas)
    assert model.can_mix([10.0, 3.0])
    torch.testing.assert_close(model.at_levels(sigmas)(z, level, image, label), expected, atol=1e-5, rtol=1e-4)
    one = model.at_level(10.0)(z, image, label)
    torch.testing.assert_close(one, model(z, torch.full((4,), 10.0), label), atol=1e-5, rtol=1e-4)


def test_gradients_reach_the_network_from_every_size() -> None:
    model = denoiser().train()
    model(images(2), torch.tensor([10.0, 0.01]), torch.tensor([0, 1])).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.net.parameters())


def test_without_a_ratio_the_network_sees_the_whole_image_at_every_level() -> None:
    model = denoiser(snr=0.0)
    assert model.can_mix([1e-3, 1e3])


def test_export_refuses_a_cropped_network() -> None:
    with pytest.raises(ConfigError, match=r"crop_snr 0.05.*expected 0"):
        trace(denoiser())


def test_cost_of_a_pass_falls_with_the_pixels_that_the_network_sees() -> None:
    cost = denoiser().relative_cost(np.array([0.01, 10.0]))
    assert cost[0] == 1
    assert 1 / 4 < cost[1] < 0.35
