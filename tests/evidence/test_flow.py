import math

import numpy as np
import pytest
import torch

from bayescope.diffusion.divergence import ExactDivergence, Hutchinson, rademacher_probes
from bayescope.diffusion.gaussian import Component, GaussianMixtureDenoiser
from bayescope.diffusion.ode import DormandPrince, heun, rk4
from bayescope.diffusion.schedules import log_spaced
from bayescope.errors import ConfigError
from bayescope.evidence.flow import TerminalGaussian, bits_per_dim, dequantization_width, flow_log_likelihood

SHAPE = (1, 5, 7)
ENDS = torch.tensor([0.002, 200.0])


def draw(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def oracle():
    """Two classes of correlated pixels, the first a mixture of two."""
    root = draw(35, 35, seed=1) / 8
    covariance = root @ root.T + 0.05 * torch.eye(35)
    first = [Component(0.3 * draw(*SHAPE, seed=2), covariance), Component(-0.3 * draw(*SHAPE, seed=2), 0.5 * covariance)]
    return GaussianMixtureDenoiser([first, [Component(0.3 * draw(*SHAPE, seed=3), torch.full(SHAPE, 0.2))]])


# The classes' means: those of the first class's components cancel.
TERMINAL = TerminalGaussian(torch.stack([torch.zeros(SHAPE), 0.3 * draw(*SHAPE, seed=3)]))


def probes(k):
    return Hutchinson(rademacher_probes(k, SHAPE, torch.Generator().manual_seed(4)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "sigmas", "atol"),
    [
        (DormandPrince(1e-3, max_step=1.0), ENDS, 0.3),
        (DormandPrince(1e-4, max_step=1.0), ENDS, 0.03),
        (DormandPrince(1e-5, max_step=1.0), ENDS, 0.003),
        (heun, log_spaced(0.002, 200.0, 65), 0.1),
        (rk4, log_spaced(0.002, 200.0, 33), 0.3),
    ],
    ids=["dp 1e-3", "dp 1e-4", "dp 1e-5", "heun 64", "rk4 32"],
)
def test_exact_trace_gives_the_closed_form_in_nats(solver, sigmas, atol):
    ideal, x = oracle(), 0.4 * draw(2, *SHAPE, seed=5)
    found = flow_log_likelihood(ideal, x, 2, sigmas, ExactDivergence(), solver, TERMINAL)
    np.testing.assert_allclose(found.log_likelihood, ideal.log_likelihood(x).numpy(), atol=atol, rtol=0)
    assert (found.standard_error == 0).all()
    assert found.estimates.shape == (2, 2, 1)


def test_the_answer_is_the_density_at_the_smallest_level():
    ideal, x = oracle(), 0.4 * draw(2, *SHAPE, seed=5)
    found = flow_log_likelihood(ideal, x, 2, torch.tensor([0.3, 200.0]), ExactDivergence(), DormandPrince(1e-4), TERMINAL)
    blurred = ideal.log_marginal(x, torch.full((2,), 0.3)).numpy()
    np.testing.assert_allclose(found.log_likelihood, blurred, atol=0.01, rtol=0)
    assert np.abs(found.log_likelihood - ideal.log_likelihood(x).numpy()).min() > 0.1


def test_shared_probes_agree_with_the_exact_trace_within_their_error():
    ideal, x = oracle(), 0.4 * draw(3, *SHAPE, seed=6)
    truth = ideal.log_likelihood(x).numpy()
    found = flow_log_likelihood(ideal, x, 2, ENDS, probes(24), terminal=TERMINAL)
    assert found.estimates.shape == (3, 2, 24)
    assert (np.abs(found.log_likelihood - truth) < 3.5 * found.standard_error + 0.1).all()
    assert (found.standard_error[:, 0] > 0.1).all()
    assert (found.standard_error[:, 1] < 1e-6).all()  # its Jacobian is diagonal, which these probes see exactly


def test_a_single_probe_has_no_standard_error():
    found = flow_log_likelihood(oracle(), draw(1, *SHAPE, seed=7), 2, ENDS, probes(1))
    assert np.isnan(found.standard_error).all()
    assert np.isfinite(found.log_likelihood).all()


def test_passes_are_those_of_the_network_backward_counted_twice():
    ideal, forward = oracle(), 0

    def counting(z, sigma, label):
        nonlocal forward
        forward += len(z)
        return ideal(z, sigma, label)

    x = draw(2, *SHAPE, seed=8)
    assert flow_log_likelihood(counting, x, 2, log_spaced(0.01, 80, 5), probes(3), heun).passes.tolist() == [2 * 4 * 2 * 7] * 2
    forward = 0
    adaptive = flow_log_likelihood(counting, x, 2, ENDS, probes(1), DormandPrince(1e-2))
    assert adaptive.passes.sum() == 3 * forward


@pytest.mark.parametrize("solver", [heun, DormandPrince(1e-3)], ids=["heun", "adaptive"])
def test_an_image_does_not_depend_on_its_batch_mates(solver):
    x, sigmas, heard = (
        draw(3, *SHAPE, seed=9) * torch.tensor([0.1, 1.0, 10.0])[:, None, None, None],
        log_spaced(0.01, 80, 9),
        [],
    )
    together = flow_log_likelihood(oracle(), x, 2, sigmas, probes(2), solver)
    alone = flow_log_likelihood(oracle(), x[:1], 2, sigmas, probes(2), solver)
    split = flow_log_likelihood(oracle(), x, 2, sigmas, probes(2), solver, batch_size=2, callback=heard.append)
    np.testing.assert_allclose(together.estimates[:1], alone.estimates, rtol=1e-9)
    np.testing.assert_allclose(together.estimates, split.estimates, rtol=1e-9)
    assert together.passes.tolist() == split.passes.tolist()
    assert heard == [2, 1]


def test_an_image_that_cannot_be_carried_is_nan_alone():
    x = draw(2, *SHAPE, seed=9)
    x[0, 0, 0, 0] = torch.nan
    found = flow_log_likelihood(oracle(), x, 2, ENDS, probes(1)).log_likelihood
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_single_precision_images_are_enough():
    ideal, x = oracle(), 0.4 * draw(2, *SHAPE, seed=10)
    single, double = (flow_log_likelihood(ideal, y, 2, ENDS, probes(2), DormandPrince(1e-4)) for y in (x.float(), x))
    np.testing.assert_allclose(single.estimates, double.estimates, atol=0.01, rtol=0)


def test_a_density_of_one_pixel_integrates_to_one():
    one = (1, 1, 1)
    peaks = [Component(torch.full(one, mean), torch.full(one, 0.04), weight) for mean, weight in ((-0.6, 1.0), (0.5, 2.0))]
    ideal = GaussianMixtureDenoiser([peaks])
    x = torch.linspace(-2.5, 2.5, 401, dtype=torch.float64)
    found = flow_log_likelihood(
        ideal, x[:, None, None, None], 1, torch.tensor([0.01, 80.0]), ExactDivergence(), DormandPrince(1e-5), batch_size=401
    )
    assert np.trapezoid(np.exp(found.log_likelihood[:, 0]), x.numpy()) == pytest.approx(1, abs=1e-4)


def test_terminal_gaussian_makes_a_small_sigma_max_right():
    mean, variance = torch.stack([draw(*SHAPE, seed=11), -draw(*SHAPE, seed=11)]), 0.3
    ideal = GaussianMixtureDenoiser([[Component(m, torch.full(SHAPE, variance))] for m in mean])
    x, sigmas = mean[:1] + 0.5 * draw(2, *SHAPE, seed=12), torch.tensor([0.002, 2.0])
    solver, truth = DormandPrince(1e-5), ideal.log_likelihood(x).numpy()
    exact = flow_log_likelihood(ideal, x, 2, sigmas, probes(2), solver, TerminalGaussian(mean, variance))
    np.testing.assert_allclose(exact.log_likelihood, truth, atol=0.01, rtol=0)
    plain = flow_log_likelihood(ideal, x, 2, sigmas, probes(2), solver)
    assert np.abs(plain.log_likelihood - truth).min() > 0.5


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_uniform_pixels_of_any_depth_cost_their_depth(bits):
    high = 2**bits - 1
    width = dequantization_width(0, high)
    # Dequantized in model units they fill [-1 - w/2, 1 + w/2] evenly.
    log_likelihood = np.array([[-35 * math.log(2 + width)]])
    np.testing.assert_allclose(bits_per_dim(log_likelihood, SHAPE, 0, high), bits, rtol=1e-12)


def test_bits_do_not_depend_on_the_scale_chosen():
    """Normal pixels of deviation 50, mapped by two scales: the same bits, the entropy h(50) in units of one gray level."""
    entropy = 0.5 * math.log2(2 * math.pi * math.e * 50**2)
    for low, high in ((0, 255), (-1024, 3071)):
        std = 50 * 2 / (high - low)
        log_likelihood = np.array([-35 * 0.5 * math.log(2 * math.pi * math.e * std**2)])
        assert bits_per_dim(log_likelihood, SHAPE, low, high)[0] == pytest.approx(entropy)
        assert bits_per_dim(log_likelihood, SHAPE, low, high, step=16)[0] == pytest.approx(entropy - 4)


def test_impossible_settings_are_refused():
    x = draw(1, *SHAPE, seed=13)
    for sigmas in ([0.1], [], [10.0, 0.1], [0.0, 1.0], [0.1, 0.1], [0.1, math.nan]):
        with pytest.raises(ConfigError, match="positive and rising"):
            flow_log_likelihood(oracle(), x, 2, torch.tensor(sigmas), probes(1))
    with pytest.raises(ConfigError, match="0 classes"):
        flow_log_likelihood(oracle(), x, 0, ENDS, probes(1))
    with pytest.raises(ConfigError, match="batch size 0"):
        flow_log_likelihood(oracle(), x, 2, ENDS, probes(1), batch_size=0)
    with pytest.raises(ConfigError, match="probes"):
        probes(0)
    with pytest.raises(ConfigError, match="low < high"):
        dequantization_width(255, 0)
    with pytest.raises(ConfigError, match="low < high"):
        dequantization_width(7, 7)


def test_the_standard_error_is_the_spread_over_probes():
    """Neither half nor twice the variance would pass."""
    ideal, x = oracle(), 0.4 * draw(2, *SHAPE, seed=6)

    def repeat(seed):
        shared = Hutchinson(rademacher_probes(8, SHAPE, torch.Generator().manual_seed(seed)))
        return flow_log_likelihood(ideal, x, 2, log_spaced(0.02, 20.0, 7), shared, heun, terminal=TERMINAL)

    found = [repeat(seed) for seed in range(40)]
    spread = np.var([one.log_likelihood[:, 0] for one in found], axis=0, ddof=1)
    told = np.mean([one.standard_error[:, 0] ** 2 for one in found], axis=0)
    assert told.sum() == pytest.approx(spread.sum(), rel=0.4)
