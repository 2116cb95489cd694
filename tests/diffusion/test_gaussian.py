import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from bayescope.diffusion.gaussian import Component, GaussianMixtureDenoiser
from bayescope.errors import ConfigError

SHAPE = (1, 5, 7)


def draw(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def full(seed):
    root = draw(35, 35, seed=seed) / 6
    return root @ root.T + 0.05 * torch.eye(35)


def mixture():
    """Two classes: two components (one full, one diagonal covariance), and one."""
    first = [
        Component(draw(*SHAPE, seed=1), full(2), 1.0),
        Component(draw(*SHAPE, seed=3), draw(*SHAPE, seed=4) ** 2 + 0.1, 3.0),
    ]
    return GaussianMixtureDenoiser([first, [Component(draw(*SHAPE, seed=5), full(6), 2.0)]], torch.tensor([2.0, 1.0]))


def scipy_density(z, sigma):
    """The same mixture by another road: (batch, classes)."""
    diagonal = torch.diag((draw(*SHAPE, seed=4) ** 2 + 0.1).flatten())
    parts = [(1, full(2)), (3, diagonal), (5, full(6))]
    log = [
        multivariate_normal(
            draw(*SHAPE, seed=seed).flatten().numpy(), (cov + sigma**2 * torch.eye(35, dtype=torch.float64)).numpy()
        ).logpdf(z.flatten(1).numpy())
        for seed, cov in parts
    ]
    return np.stack([np.logaddexp(log[0] + math.log(0.25), log[1] + math.log(0.75)), log[2]], axis=1)


@pytest.mark.parametrize("sigma", [0.0, 0.3, 20.0])
def test_log_marginal_agrees_with_scipy(sigma):
    z = draw(2, *SHAPE, seed=7) * (1 + sigma)
    found = mixture().log_marginal(z, torch.full((2,), sigma, dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), scipy_density(z, sigma), rtol=1e-8)
    if sigma == 0:
        np.testing.assert_allclose(mixture().log_likelihood(z).numpy(), scipy_density(z, 0.0), rtol=1e-8)


@pytest.mark.parametrize("label", [0, 1, 2])
def test_denoiser_is_the_score(label):
    """Tweedie: D = z + σ² ∇ log p(z | σ, y), for each class and for the mixture of both."""
    oracle = mixture()
    z, sigma = draw(2, *SHAPE, seed=8).requires_grad_(), torch.tensor([0.2, 4.0], dtype=torch.float64)
    log_p = oracle.log_marginal(z, sigma)
    log_p = (log_p + oracle.class_log_prior).logsumexp(dim=1) if label == 2 else log_p[:, label]
    (score,) = torch.autograd.grad(log_p.sum(), z)
    denoised = oracle(z.detach(), sigma, torch.tensor([label, label]))
    torch.testing.assert_close(denoised, z.detach() + sigma[:, None, None, None] ** 2 * score)


def test_denoiser_of_one_gaussian_by_hand():
    oracle = GaussianMixtureDenoiser([[Component(torch.full(SHAPE, 0.5), torch.full(SHAPE, 0.25))]])
    z = draw(2, *SHAPE, seed=9).float()
    denoised = oracle(z, torch.tensor([0.5, 1.0]), torch.tensor([0, 0]))
    assert denoised.dtype == torch.float32
    torch.testing.assert_close(denoised[0], 0.5 + 0.5 * (z[0] - 0.5))
    torch.testing.assert_close(denoised[1], 0.5 + 0.2 * (z[1] - 0.5))


def test_diagonal_and_full_covariance_are_the_same_gaussian():
    variance = draw(*SHAPE, seed=10) ** 2 + 0.1
    mean, z, sigma = draw(*SHAPE, seed=11), draw(2, *SHAPE, seed=12), torch.tensor([0.1, 3.0])
    diagonal = GaussianMixtureDenoiser([[Component(mean, variance)]])
    dense = GaussianMixtureDenoiser([[Component(mean, torch.diag(variance.flatten()))]])
    label = torch.zeros(2, dtype=torch.int64)
    torch.testing.assert_close(diagonal(z, sigma, label), dense(z, sigma, label))
    torch.testing.assert_close(diagonal.log_marginal(z, sigma), dense.log_marginal(z, sigma))


def test_every_class_at_once_is_each_class_in_turn():
    oracle, z, sigma = mixture(), draw(2, *SHAPE, seed=13), torch.tensor([0.1, 3.0])
    together = oracle.under_every_class(z, sigma)
    assert together.shape == (2, 2, *SHAPE)
    for label in range(2):
        torch.testing.assert_close(together[:, label], oracle(z, sigma, torch.tensor([label, label])))


def test_an_image_does_not_depend_on_its_batch_mates():
    oracle, z, sigma, label = mixture(), draw(2, *SHAPE, seed=14), torch.tensor([0.1, 3.0]), torch.tensor([1, 2])
    torch.testing.assert_close(oracle(z, sigma, label)[:1], oracle(z[:1], sigma[:1], label[:1]))
    torch.testing.assert_close(oracle.log_likelihood(z)[:1], oracle.log_likelihood(z[:1]))


def test_shape_prior_and_limits():
    oracle, z = mixture(), draw(2, *SHAPE, seed=15)
    assert (oracle.n_classes, oracle.image_shape) == (2, SHAPE)
    assert oracle.class_log_prior.exp().tolist() == pytest.approx([2 / 3, 1 / 3])
    # Without noise the image is known; with nothing but noise the class mean is all that is left.
    torch.testing.assert_close(oracle(z, torch.zeros(2), torch.tensor([0, 2])), z)
    lost = oracle(z, torch.full((2,), 1e5), torch.tensor([0, 1]))
    torch.testing.assert_close(lost[0], 0.25 * draw(*SHAPE, seed=1) + 0.75 * draw(*SHAPE, seed=3), atol=1e-3, rtol=0)
    torch.testing.assert_close(lost[1], draw(*SHAPE, seed=5), atol=1e-3, rtol=0)


ZERO, ONE = torch.zeros(SHAPE), torch.ones(SHAPE)


@pytest.mark.parametrize(
    ("classes", "prior", "message"),
    [
        ([], None, "without components"),
        ([[]], None, "without components"),
        ([[Component(ZERO, ONE)], [Component(ZERO.mT, ONE.mT)]], None, "one shape"),
        ([[Component(ZERO, torch.ones(4, 4))]], None, "covariance of shape"),
        ([[Component(ZERO, torch.eye(35).tril() + torch.ones(35, 35).triu())]], None, "symmetric"),
        ([[Component(ZERO, -ONE)]], None, "smallest variance"),
        ([[Component(ZERO, ONE, weight=0.0)]], None, "weights"),
        ([[Component(ZERO, ONE)]], torch.tensor([1.0, 1.0]), "class prior"),
    ],
)
def test_impossible_mixtures_are_refused(classes, prior, message):
    with pytest.raises(ConfigError, match=message):
        GaussianMixtureDenoiser(classes, prior)


def test_moments_are_those_of_the_mixture():
    """A single Gaussian is its own moments; a mixture's are its samples'."""
    oracle, x = mixture(), draw(6, *SHAPE, seed=9)
    found = oracle.gaussian_log_likelihood(x, 0.7)
    np.testing.assert_allclose(found[:, 1].numpy(), scipy_density(x, 0.7)[:, 1], rtol=1e-9)
    weights, means = [0.25, 0.75], [draw(*SHAPE, seed=seed).flatten() for seed in (1, 3)]
    spread = [full(2), torch.diag((draw(*SHAPE, seed=4) ** 2 + 0.1).flatten())]
    mean = sum(w * m for w, m in zip(weights, means, strict=True))
    second = sum(w * (c + torch.outer(m, m)) for w, m, c in zip(weights, means, spread, strict=True))
    covariance = second - torch.outer(mean, mean) + 0.49 * torch.eye(35, dtype=torch.float64)
    expected = multivariate_normal(mean.numpy(), covariance.numpy()).logpdf(x.flatten(1).numpy())
    np.testing.assert_allclose(found[:, 0].numpy(), expected, rtol=1e-9)
