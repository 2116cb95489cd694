"""Two roads to the same number: bound and flow, whatever schedule the noise predictor knows, whatever the pixels' depth."""

import numpy as np
import pytest
import torch

from bayescope.diffusion.divergence import Hutchinson, rademacher_probes
from bayescope.diffusion.gaussian import Component, GaussianMixtureDenoiser
from bayescope.diffusion.ode import DormandPrince
from bayescope.diffusion.schedules import VE, VP, Cosine, Schedule, log_spaced
from bayescope.evidence.denoising import level_evidence
from bayescope.evidence.flow import bits_per_dim, dequantization_width, flow_log_likelihood
from bayescope.evidence.level_weights import LevelWeights, level_spacing
from bayescope.evidence.noise import draw_noise
from helpers import AsDenoiser, from_schedule

SHAPE = (1, 5, 7)


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def oracle() -> GaussianMixtureDenoiser:
    """Two classes, each a mixture of two components."""
    means = 0.3 * draw(2, 2, *SHAPE, seed=1)
    return GaussianMixtureDenoiser([[Component(mean, torch.full(SHAPE, 0.2)) for mean in pair] for pair in means])


@pytest.fixture(scope="module")
def probes() -> Hutchinson:
    return Hutchinson(rademacher_probes(16, SHAPE, torch.Generator().manual_seed(2)))


def test_bound_and_flow_agree_within_their_errors(oracle: GaussianMixtureDenoiser, probes: Hutchinson) -> None:
    x, sigmas = 0.5 * draw(6, *SHAPE, seed=3), log_spaced(0.01, 100.0, 60).double().numpy()
    level_weights = LevelWeights(level_spacing(sigmas), np.zeros(2))
    levels = level_evidence(oracle, x, sigmas, draw_noise(60, 64, SHAPE, seed=0).double())
    bound, bound_error = level_weights.log_likelihood_ratio(levels, np.full(2, 0.5))
    flow = flow_log_likelihood(oracle, x, 2, torch.tensor([0.002, 200.0]), probes, DormandPrince(1e-5, max_step=1.0))
    difference = flow.estimates[:, 0] - flow.estimates[:, 1]
    flow_error = difference.std(axis=1, ddof=1) / 4
    assert bound_error.max() < 0.6
    gap = np.abs(bound[:, 0] - difference.mean(axis=1))
    assert (gap < 4 * np.hypot(bound_error[:, 0], flow_error) + 0.03).all()


@pytest.mark.parametrize("schedule", [VP(), VE(0.002, 200.0), Cosine()], ids=["VP", "VE", "cosine"])
def test_a_noise_predictor_of_any_schedule_gives_the_same_evidence(
    oracle: GaussianMixtureDenoiser, probes: Hutchinson, schedule: Schedule
) -> None:
    def predict_noise(x_t: torch.Tensor, t: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        z, sigma = from_schedule(schedule, x_t, t)
        return (z - oracle(z, sigma, label)) / sigma[:, None, None, None]

    asked, x = AsDenoiser(predict_noise, schedule), 0.5 * draw(3, *SHAPE, seed=4)
    ends = torch.tensor([0.01, 80.0])
    expected, found = (flow_log_likelihood(d, x, 2, ends, probes, DormandPrince(1e-4)).log_likelihood for d in (oracle, asked))
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("depth", [8, 12, 16])
def test_bits_per_pixel_by_the_flow_are_the_closed_form_at_any_depth(depth: int) -> None:
    """Stored pixels, dequantized, from a level well below a gray level: deviation 0.6 of the model's range of two."""
    ideal, high = GaussianMixtureDenoiser([[Component(torch.zeros(SHAPE), torch.full(SHAPE, 0.36))]]), 2**depth - 1
    width = dequantization_width(0, high)
    stored = ((0.6 * draw(3, *SHAPE, seed=5).clamp(-1.5, 1.5) + 1) * high / 2).round()
    noise = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(6), dtype=torch.float64) - 0.5
    x = stored * width - 1 + width * noise
    probes = Hutchinson(rademacher_probes(1, SHAPE, torch.Generator().manual_seed(7)))
    found = flow_log_likelihood(ideal, x, 1, torch.tensor([width / 10, 200.0]), probes, DormandPrince(1e-5, max_step=1.0))
    expected = bits_per_dim(ideal.log_likelihood(x).numpy(), SHAPE, 0, high)
    np.testing.assert_allclose(bits_per_dim(found.log_likelihood, SHAPE, 0, high), expected, atol=1e-3)
    assert (np.abs(expected - (depth - np.log2(2 / 0.6) + 0.5 * np.log2(2 * np.pi * np.e))) < 0.5).all()
