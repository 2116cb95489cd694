"""The graph computes what the denoiser does, for any numbers of images and rows."""

import pytest
import torch

from bayescope.config import NetConfig
from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.networks import build_denoiser
from bayescope.export.formats import FORMATS
from bayescope.export.graph import DrawScorer, HalfNetwork, trace

SHAPE = (2, 5, 7)
BATCHES = [(1, 1), (1, 3), (3, 5), (4, 4), (9, 64), (70, 65)]
"""Numbers of images and rows; 3 and 5 are traced."""


def denoiser_of(kind: str) -> Denoiser:
    """Random weights, none of them zero."""
    generator = torch.Generator().manual_seed(0)
    statistics = ImageStatistics.of(torch.randn(12, *SHAPE, generator=generator), torch.arange(12) % 3, 3)
    denoiser = build_denoiser(statistics, NetConfig(kind=kind, widths=(8, 12))).eval().requires_grad_(False)
    for parameter in denoiser.parameters():
        parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return denoiser


def inputs(images: int, rows: int, sigma: float = 0.4) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(images)
    x, noise = torch.randn(images, *SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)
    choices = (torch.randint(most, (rows,), generator=generator) for most in (images, 3))
    return x, noise, torch.tensor(sigma), *choices


@pytest.mark.parametrize("network", ["fast", "paper"])
def test_evidence_by_hand(network: str) -> None:
    denoiser = denoiser_of(network)
    x, noise, sigma, image, label = inputs(3, 4)
    denoised, evidence = DrawScorer(denoiser)(x, noise, sigma, image, label)
    for row in range(4):
        i, k = int(image[row]), label[row : row + 1]
        expected = denoiser((x[i] + 0.4 * noise)[None], sigma[None], k)[0]
        torch.testing.assert_close(denoised[row], expected)
        torch.testing.assert_close(evidence[row], -((x[i] - expected) ** 2).sum() / 0.4**2)


@pytest.mark.parametrize("sigma", [0.002, 0.37, 80.0])
@pytest.mark.parametrize("network", ["fast", "paper"])
def test_a_level_as_a_tensor_is_that_of_the_number(network: str, sigma: float) -> None:
    denoiser, (x, _, _, image, label) = denoiser_of(network), inputs(3, 4)
    expected = denoiser.at_level(sigma)(x, image, label)
    torch.testing.assert_close(denoiser.at_level(torch.tensor(sigma))(x, image, label), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(denoiser.at_level(torch.tensor(sigma, dtype=torch.float64))(x, image, label), expected)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["fast", "paper"])
def test_other_batches_than_the_exported(network: str) -> None:
    denoiser = denoiser_of(network)
    program = trace(denoiser)
    graphs = [file_format.ready(program, file_format.pack(program, "abc")) for file_format in FORMATS.values()]
    for images, rows in BATCHES:
        for sigma in (0.05, 3.0):
            given = inputs(images, rows, sigma)
            expected = DrawScorer(denoiser)(*given)[0]
            for graph in graphs:
                torch.testing.assert_close(graph(*given), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_exported_model_is_left_as_it_was() -> None:
    denoiser = denoiser_of("fast")
    before = {key: value.clone() for key, value in denoiser.state_dict().items()}
    trace(denoiser, half=True)
    assert not isinstance(denoiser.net, HalfNetwork)
    assert all(torch.equal(value, before[key]) for key, value in denoiser.state_dict().items())
