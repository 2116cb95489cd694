"""The paper's network, and the denoiser made of it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescope.config import NetConfig, TrainingConfig
from bayescope.diffusion.denoiser import EpsilonDenoiser
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.nets.paper_unet import EMBEDDING, Block, PaperUNet
from bayescope.diffusion.networks import build_denoiser
from bayescope.diffusion.schedules import VP
from bayescope.training.losses import LOSS_WEIGHTS, generative_loss
from bayescope.training.state import TrainingState

WIDTHS = (32, 64, 128, 256, 512)


def awake(net: PaperUNet) -> PaperUNet:
    """With a head that answers something."""
    torch.nn.init.normal_(net.head.weight, std=0.1)
    return net.eval()


def small_denoiser() -> EpsilonDenoiser:
    torch.manual_seed(0)
    denoiser = build_denoiser(ImageStatistics.blank((2, 5, 7), 3), NetConfig(kind="paper", widths=(8, 16, 16), blocks=2))
    assert isinstance(denoiser, EpsilonDenoiser)
    awake(denoiser.net)
    return denoiser.eval()


def test_the_published_widths_have_4_4_million_parameters() -> None:
    net = PaperUNet(1, 2, WIDTHS)
    assert EMBEDDING == 256
    assert sum(parameter.numel() for parameter in net.parameters()) == 4_366_657


@pytest.mark.slow
def test_one_training_step_at_384_pixels() -> None:
    torch.manual_seed(0)
    config = TrainingConfig(optimizer="adam", learning_rate=1e-4, weight_decay=0)
    state = TrainingState.start(
        build_denoiser(ImageStatistics.blank((1, 384, 384), 2), NetConfig(kind="paper", widths=WIDTHS)), config
    )
    x, sigma = torch.rand(1, 1, 384, 384) * 2 - 1, VP().sigma(torch.tensor([0.5]))
    z = x + sigma * torch.randn_like(x)
    before = state.denoiser.net.head.weight.clone()
    loss = generative_loss(state.denoiser, x, z, sigma, torch.tensor([1]), LOSS_WEIGHTS["epsilon"]).denoising
    loss.backward()
    state.optimizers["optimizer"].step()
    assert loss.item() == pytest.approx(1.0, abs=0.02)  # E n²
    torch.testing.assert_close(
        (state.denoiser.net.head.weight - before).abs(), torch.full_like(before, 1e-4), rtol=0.01, atol=0
    )


@settings(max_examples=15, deadline=None)
@given(channels=st.integers(1, 3), height=st.integers(1, 21), width=st.integers(1, 21), blocks=st.integers(1, 2))
def test_any_image_side(channels: int, height: int, width: int, blocks: int) -> None:
    x_t = torch.randn(2, channels, height, width)
    net = awake(PaperUNet(channels, 3, (4, 8, 8, 12), blocks))
    assert net(x_t, torch.tensor([0.1, 0.9]), torch.tensor([0, 3])).shape == x_t.shape


def test_each_image_by_itself_and_time_and_label_matter() -> None:
    torch.manual_seed(0)
    net = awake(PaperUNet(1, 2, (8, 16)))
    x_t, t, label = torch.randn(2, 1, 5, 7), torch.tensor([0.2, 0.7]), torch.tensor([0, 1])
    noise = net(x_t, t, label)
    torch.testing.assert_close(net(x_t[:1], t[:1], label[:1]), noise[:1])
    for other in (net(x_t, t + 0.2, label), net(x_t, t, 1 - label)):
        assert (other - noise).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_denoiser_is_the_noise_prediction_taken_off_in_the_terms_of_the_vp_diffusion() -> None:
    denoiser = small_denoiser()
    t, label = torch.tensor([0.05, 0.9]), torch.tensor([2, 3])
    alpha = torch.exp(-0.25 * t**2 * 19.9 - 0.5 * t * 0.1)[:, None, None, None]  # Song et al. 2021, equation 33
    spread = (1 - alpha**2).sqrt()
    x_t = torch.randn(2, 2, 5, 7)
    expected = (x_t - spread * denoiser.net(x_t, t, label)) / alpha
    found = denoiser(x_t / alpha, (spread / alpha).flatten(), label)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


def test_every_class_at_once_and_a_ready_level_equal_one_by_one() -> None:
    denoiser = small_denoiser()
    z, sigma = torch.randn(2, 2, 5, 7), torch.tensor([0.6, 0.6])
    together = denoiser.under_every_class(z, sigma)
    image, label = torch.tensor([1, 0, 1]), torch.tensor([2, 2, 0])
    torch.testing.assert_close(denoiser.at_level(0.6)(z, image, label), together[image, label])
    for k in range(3):
        torch.testing.assert_close(together[:, k], denoiser(z, sigma, torch.full((2,), k)))


@pytest.mark.parametrize("sigma", [0.01, 0.6, 30.0])
@pytest.mark.parametrize(
    ("image", "label"),
    [([0, 0, 0, 1, 1, 1, 2, 2, 2], [0, 1, 2] * 3), ([2, 0, 1, 2, 0], [2, 3, 0, 1, 1]), ([1], [2])],
    ids=["in order", "out of order, some without a class", "one row"],
)
def test_a_ready_level_equals_one_row_at_a_time(sigma: float, image: list[int], label: list[int]) -> None:
    denoiser = small_denoiser()
    z, rows, labels = (1 + sigma) * torch.randn(3, 2, 5, 7), torch.tensor(image), torch.tensor(label)
    ready = denoiser.at_level(sigma)(z, rows, labels)
    for r, expected in enumerate(denoiser(z[rows], torch.full((len(rows),), sigma), labels)):
        torch.testing.assert_close(ready[r], expected, rtol=1e-5, atol=1e-5 * (1 + sigma))


@pytest.mark.parametrize("n_classes", [2, 5])
def test_a_ready_level_embeds_once_and_each_image_enters_once(n_classes: int) -> None:
    denoiser = build_denoiser(ImageStatistics.blank((2, 5, 7), n_classes), NetConfig(kind="paper", widths=(8, 16))).eval()
    rows: dict[str, list[int]] = {"embedding": [], "entering": [], "projections": []}
    net = denoiser.net
    projections = [module.embedding for module in net.modules() if isinstance(module, Block)]
    for name, parts in {"embedding": [net.embedding], "entering": [net.enter.first.conv], "projections": projections}.items():
        for part in parts:
            part.register_forward_hook(lambda module, given, made, name=name: rows[name].append(len(given[0])))
    level = denoiser.at_level(0.6)
    image, label = torch.arange(3).repeat_interleave(n_classes), torch.arange(n_classes).repeat(3)
    for _ in range(4):
        level(torch.randn(3, 2, 5, 7), image, label)
    assert rows["entering"] == [3] * 4
    assert len(rows["embedding"]) == 1
    assert len(rows["projections"]) == len(projections)


@pytest.mark.parametrize("loss", ["edm", "epsilon"])
def test_loss_is_the_unweighted_error_of_the_predicted_noise(loss: str) -> None:
    denoiser = small_denoiser()
    x, noise, t, label = torch.randn(2, 2, 5, 7), torch.randn(2, 2, 5, 7), torch.tensor([0.1, 0.8]), torch.tensor([0, 1])
    sigma = VP().sigma(t)
    wide = sigma[:, None, None, None]
    predicted = denoiser.net((x + wide * noise) / (1 + wide**2).sqrt(), t, label)
    found = generative_loss(denoiser, x, x + wide * noise, sigma, label, LOSS_WEIGHTS[loss]).denoising
    assert found.item() == pytest.approx((noise - predicted).square().mean().item(), rel=1e-3)
