"""Losses of one batch against their formulas, and the words that choose their weight and levels."""

import pytest
import torch

from bayescope.config import NetConfig, TrainingConfig
from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.networks import build_denoiser
from bayescope.diffusion.schedules import SCHEDULES, LogNormal
from bayescope.errors import ConfigError
from bayescope.training.losses import LOSS_WEIGHTS, Losses, Temperature, draw_levels, generative_loss, joint_loss, loss_weight

SIGMA, LABEL = torch.tensor([0.4, 3.0]), torch.tensor([2, 0])


@pytest.fixture
def denoiser() -> Denoiser:
    torch.manual_seed(0)
    return build_denoiser(ImageStatistics.blank((2, 5, 7), 3), NetConfig(widths=(8, 8))).eval()


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    """Clean and noisy, of unequal sizes in every dimension."""
    x = torch.randn(2, 2, 5, 7, generator=torch.Generator().manual_seed(1))
    return x, x + SIGMA[:, None, None, None] * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))


def errors(denoiser: Denoiser, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Squared error under each class, one pass at a time: ``(batch, classes)``."""
    each = [denoiser(z, SIGMA, torch.full((2,), k)) for k in range(3)]
    return torch.stack([(x - denoised).square().sum(dim=(1, 2, 3)) for denoised in each], dim=1)


@pytest.mark.parametrize("word", LOSS_WEIGHTS)
def test_losses_are_their_formulas(denoiser: Denoiser, images: tuple[torch.Tensor, torch.Tensor], word: str) -> None:
    weight, temperature = LOSS_WEIGHTS[word], Temperature()
    torch.nn.init.normal_(temperature.log_value)
    error = errors(denoiser, *images)
    denoising = sum(weight(denoiser, SIGMA)[i] * error[i, LABEL[i]] for i in range(2)) / 2
    logits = [-temperature(SIGMA)[i] * error[i] / SIGMA[i] ** 2 for i in range(2)]
    evidence = sum(-torch.log_softmax(logits[i], dim=0)[LABEL[i]] for i in range(2)) / 2
    joint = joint_loss(denoiser, temperature, *images, SIGMA, LABEL, weight)
    torch.testing.assert_close(joint.denoising, denoising)
    torch.testing.assert_close(joint.evidence, evidence)
    alone = generative_loss(denoiser, *images, SIGMA, LABEL, weight)
    torch.testing.assert_close(alone.denoising, denoising)
    assert alone.evidence.isnan()


def test_the_weight_makes_the_loss_of_the_linear_denoiser_one_at_every_level(denoiser: Denoiser) -> None:
    torch.nn.init.zeros_(denoiser.net.head.weight)
    torch.nn.init.zeros_(denoiser.net.head.bias)
    variance = denoiser.variance if isinstance(denoiser.variance, torch.Tensor) else torch.tensor(denoiser.variance)
    generator = torch.Generator().manual_seed(3)
    for sigma in (0.05, 1.0, 20.0):
        x = variance.sqrt() * torch.randn(2000, 2, 5, 7, generator=generator)
        z = x + sigma * torch.randn(x.shape, generator=generator)
        found = generative_loss(denoiser, x, z, torch.full((2000,), sigma), torch.full((2000,), 3))
        assert found.denoising.item() == pytest.approx(1.0, abs=0.03)


def test_temperature_is_piecewise_linear_in_log_sigma_and_constant_outside() -> None:
    temperature = Temperature()
    assert temperature(torch.tensor([0.01, 1.0, 50.0])).tolist() == [1.0, 1.0, 1.0]
    with torch.no_grad():
        temperature.log_value.copy_(torch.arange(9.0))
    log_sigma = torch.tensor([-5.0, -4.5, 0.0, 2.5])
    torch.testing.assert_close(temperature(log_sigma.exp()).log(), log_sigma + 5)
    torch.testing.assert_close(temperature(torch.tensor([-9.0, 7.0]).exp()).log(), torch.tensor([0.0, 8.0]), atol=1e-3, rtol=0)


def test_what_parts_add_is_the_mean_over_the_batch(denoiser: Denoiser, images: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, z = images
    whole = joint_loss(denoiser, Temperature(), x, z, SIGMA, LABEL)
    parts = [joint_loss(denoiser, Temperature(), x[i], z[i], SIGMA[i], LABEL[i], total=2) for i in ([0], [1])]
    torch.testing.assert_close(Losses.sum(parts), whole)
    alone = [generative_loss(denoiser, x[i], z[i], SIGMA[i], LABEL[i], total=2) for i in ([0], [1])]
    torch.testing.assert_close(Losses.sum(alone).denoising, generative_loss(denoiser, x, z, SIGMA, LABEL).denoising)


def test_levels_come_from_the_density_named() -> None:
    settings = TrainingConfig(noise_mean=-1.0, noise_std=0.5)
    torch.testing.assert_close(draw_levels(settings, 9, 0.3), LogNormal(-1.0, 0.5).draw(9, 0.3))
    for word, schedule in SCHEDULES.items():
        levels = draw_levels(settings.model_copy(update={"noise_levels": word}), 64, 0.5)
        assert levels.diff().min() > 0
        time = schedule().time(levels) / schedule().last_time
        torch.testing.assert_close(time, (torch.arange(64) + 0.5) / 64, atol=1e-3, rtol=1e-3)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"training\.loss"):
        loss_weight(TrainingConfig().model_copy(update={"loss": "square"}))
    with pytest.raises(ConfigError, match=r"training\.noise_levels"):
        draw_levels(TrainingConfig().model_copy(update={"noise_levels": "linear"}), 4, 0.5)
