import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bayescope.diffusion.schedules import VE, VP, Cosine, LogNormal, Schedule, log_spaced
from bayescope.errors import ConfigError
from helpers import AsDenoiser, from_schedule

SCHEDULES = [VP(), VP(1.0, 1.0), VE(0.002, 80.0), Cosine()]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def test_log_spaced_has_equal_ratios_and_its_ends():
    sigmas = log_spaced(0.01, 80.0, 5).double()
    assert sigmas[0].item() == pytest.approx(0.01)
    assert sigmas[-1].item() == pytest.approx(80.0)
    torch.testing.assert_close(sigmas[1:] / sigmas[:-1], torch.full((4,), 8000**0.25).double(), rtol=1e-5, atol=0)
    assert log_spaced(0.1, 10.0, 1).item() == pytest.approx(1.0)


@given(n=st.integers(1, 300), offset=st.floats(0, 1, exclude_max=True))
def test_training_density_puts_one_level_in_each_stratum(n, offset):
    density = LogNormal(-0.8, 1.4)
    quantile = torch.special.ndtr((density.draw(n, offset).double().log() + 0.8) / 1.4)
    expected = ((torch.arange(n) + offset) / n).clamp(1e-4, 1 - 1e-4).double()
    torch.testing.assert_close(quantile, expected, atol=1e-5, rtol=0)


def test_noise_levels_fill_every_stratum() -> None:
    density = LogNormal(-0.8, 1.4)
    quantile = torch.special.ndtr((density.draw(10, 0.3).log() + 0.8) / 1.4)
    torch.testing.assert_close(quantile, (torch.arange(10) + 0.3) / 10, atol=1e-5, rtol=0)


def test_training_density_has_its_mean_and_deviation():
    log_sigma = LogNormal(-0.8, 1.4).draw(4000, 0.5).log()
    assert log_sigma.mean().item() == pytest.approx(-0.8, abs=1e-3)
    assert log_sigma.std().item() == pytest.approx(1.4, abs=1e-2)


@every_schedule
@given(log_sigma=st.floats(math.log(0.002), math.log(80.0)))
def test_time_and_sigma_are_inverse(schedule: Schedule, log_sigma: float):
    sigma = torch.tensor([math.exp(log_sigma)], dtype=torch.float64)
    torch.testing.assert_close(schedule.sigma(schedule.time(sigma)), sigma, rtol=1e-9, atol=0)


@every_schedule
@given(t=st.floats(1e-3, 0.99))
def test_sigma_and_time_are_inverse_in_single_precision(schedule: Schedule, t: float):
    time = torch.tensor([t])
    torch.testing.assert_close(schedule.time(schedule.sigma(time)), time, rtol=1e-4, atol=0)


@every_schedule
def test_an_image_comes_back_from_a_schedule(schedule: Schedule):
    z, sigma = torch.randn(2, 1, 5, 7, dtype=torch.float64), torch.tensor([0.03, 20.0], dtype=torch.float64)
    back, sigma_back = from_schedule(schedule, *schedule.to_schedule(z, sigma))
    torch.testing.assert_close(back, z)
    torch.testing.assert_close(sigma_back, sigma)


def test_schedules_agree_with_their_definitions():
    t = torch.tensor([0.3, 0.9], dtype=torch.float64)
    # α² = exp(-∫β): Song et al. 2021, equation 33.
    alpha = torch.exp(-0.25 * t**2 * 19.9 - 0.5 * t * 0.1)
    torch.testing.assert_close(VP().scale(VP().sigma(t)), alpha)
    torch.testing.assert_close(Cosine().scale(Cosine().sigma(t)), torch.cos(t * math.pi / 2))
    torch.testing.assert_close(VE(0.01, 100.0).sigma(torch.tensor([0.5])), torch.tensor([1.0]))
    assert VE(0.01, 100.0).scale(t).tolist() == [1.0, 1.0]


@every_schedule
def test_a_noise_predictor_of_any_schedule_is_the_same_denoiser(schedule: Schedule):
    variance = 0.25

    def ideal_noise(x_t, t, label):  # of N(label, variance), in the schedule's own terms
        z, sigma = from_schedule(schedule, x_t, t)
        sigma, mean = sigma[:, None, None, None], label[:, None, None, None]
        return sigma * (z - mean) / (variance + sigma**2)

    z, sigma, label = torch.randn(2, 1, 5, 7).double(), torch.tensor([0.1, 5.0]).double(), torch.tensor([0, 2])
    wide, mean = sigma[:, None, None, None], label[:, None, None, None]
    expected = mean + variance / (variance + wide**2) * (z - mean)
    torch.testing.assert_close(AsDenoiser(ideal_noise, schedule)(z, sigma, label), expected)


@pytest.mark.parametrize("make", [lambda: VP(0.0, 1.0), lambda: VP(2.0, 1.0), lambda: VE(0.0, 1.0), lambda: VE(2.0, 1.0)])
def test_impossible_schedules_are_refused(make):
    with pytest.raises(ConfigError, match="expected 0 <"):
        make()
