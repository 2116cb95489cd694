"""The joint likelihood of two views against brute force, and views against the correlation they claim."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayescope.data.paired_phantom import PairedPhantom
from bayescope.metrics.classification import log_loss

TINY = PairedPhantom(size=6, reach=1, mass_radius=2.0, correlation=0.6, contrasts=(0.5, 1.5))


def covariance(power: np.ndarray) -> np.ndarray:
    """Of the flattened image, from the definition of a circulant field."""
    n = len(power)
    kernel = np.fft.ifft2(power).real
    rows, columns = np.divmod(np.arange(n * n), n)
    return kernel[(rows[:, None] - rows) % n, (columns[:, None] - columns) % n]


def joint_covariance(phantom: PairedPhantom) -> np.ndarray:
    of_view = covariance(phantom.power_spectrum)
    of_both = phantom.correlation * covariance(replace(phantom, detector_noise=0.0).power_spectrum)
    return np.block([[of_view, of_both], [of_both, of_view]])


def test_the_joint_likelihood_equals_brute_force() -> None:
    pairs, _ = TINY.sample_pairs(4, seed=0)
    found, brute = TINY.joint_log_likelihood(pairs), np.empty((4, 3))
    for k, lesions in enumerate(TINY.lesions):
        means = [np.tile(lesion.ravel(), 2) for lesion in lesions]
        densities = [multivariate_normal(mean, joint_covariance(TINY)).logpdf(pairs.reshape(4, -1)) for mean in means]
        brute[:, k] = logsumexp(densities, axis=0) - np.log(len(lesions))
    np.testing.assert_allclose(found - found[:, :1], brute - brute[:, :1], atol=1e-5)


def test_views_have_the_covariance_they_claim() -> None:
    pairs, labels = TINY.sample_pairs(30_000, seed=1)
    normal = pairs[labels == 0].reshape(-1, 72)
    np.testing.assert_allclose(np.cov(normal.T), joint_covariance(TINY), atol=0.09)


def test_lesions_come_in_every_contrast() -> None:
    places = 9
    assert TINY.lesions.shape == (3, 2 * places, 6, 6)
    np.testing.assert_allclose(TINY.lesions[:, places:], 3 * TINY.lesions[:, :places])


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_both_views_tell_more_than_one_and_the_product_too_much(correlation: float) -> None:
    """Measured at equal priors: less surprise by the joint likelihood than by one view or the product."""
    phantom = replace(PairedPhantom(size=16, contrasts=(1.0,)), correlation=correlation)
    pairs, labels = phantom.sample_pairs(1500, seed=2)
    of_views = np.stack([phantom.log_likelihood(pairs[:, v]) for v in range(2)])
    losses = []
    for found in (phantom.joint_log_likelihood(pairs), of_views[0], of_views.sum(axis=0)):
        posterior = np.exp(found - logsumexp(found, axis=1, keepdims=True))
        losses.append(log_loss(posterior, labels))
    assert losses[0] < losses[1]
    assert losses[0] < losses[2] - 0.01
