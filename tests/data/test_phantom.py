"""The ideal observer against brute force, and the phantom against its own covariance."""

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from scipy.stats import multivariate_normal

from bayescope.data.phantom import Phantom
from bayescope.metrics.classification import accuracy
from bayescope.metrics.delong import one_vs_rest_auc

TINY = Phantom(size=6, reach=1, mass_radius=2.0)


def covariance(phantom: Phantom) -> np.ndarray:
    """K of the flattened image, from the definition of a circulant field."""
    n = phantom.size
    kernel = np.fft.ifft2(phantom.power_spectrum).real
    rows, columns = np.divmod(np.arange(n * n), n)
    return kernel[(rows[:, None] - rows) % n, (columns[:, None] - columns) % n]


def test_exact_likelihood_equals_brute_force_on_tiny_images() -> None:
    images, _ = TINY.sample(5, seed=0)
    brute = np.empty((5, 3))
    for k, places in enumerate(TINY.lesions):
        densities = [multivariate_normal(place.ravel(), covariance(TINY)).logpdf(images.reshape(5, -1)) for place in places]
        brute[:, k] = logsumexp(densities, axis=0) - np.log(len(places))
    np.testing.assert_allclose(TINY.log_likelihood(images), brute, rtol=1e-6)


def test_images_have_the_covariance_they_claim() -> None:
    images, labels = TINY.sample(60_000, seed=1)
    normal = images[labels == 0].reshape(-1, 36)
    np.testing.assert_allclose(np.cov(normal.T), covariance(TINY), atol=0.04)


def test_texture_has_unit_variance_and_detector_noise_adds_its_own() -> None:
    assert np.isclose(Phantom().power_spectrum.mean(), 1 + 0.7**2)


def test_there_are_25_places_and_equal_classes() -> None:
    _, labels = Phantom().sample(300, seed=2)
    assert Phantom().lesions.shape == (3, 25, 32, 32)
    assert np.bincount(labels).tolist() == [100, 100, 100]


@pytest.mark.slow
def test_ideal_observer_reaches_the_published_figures() -> None:
    phantom = Phantom()
    images, labels = phantom.sample(6000, seed=3)
    posterior = np.exp(log_softmax(phantom.log_likelihood(images), axis=1))
    aucs = [one_vs_rest_auc(posterior[:, k], labels == k) for k in range(3)]
    np.testing.assert_allclose(aucs, [0.90, 0.92, 0.93], atol=0.02)
    assert abs(accuracy(posterior, labels) - 0.78) < 0.02
