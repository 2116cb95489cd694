"""The oracle: the exact denoiser and likelihood of a class-conditional Gaussian mixture.

For one component N(m, S), z = x + σn gives ``E[x|z] = m + S (S + σ²)⁻¹ (z - m)``; a mixture weighs its components by their
responsibility for z.  Used where the truth must be known: in tests and benchmarks.
"""

import math

import torch
from torch import Tensor


class GaussianMixtureDenoiser:
    """Each class an equal mixture of Gaussians that share one covariance.

    ``means``: ``(class, component, channel, height, width)``; ``covariance``: ``(pixels, pixels)`` of the flattened image.
    """

    def __init__(self, means: Tensor, covariance: Tensor) -> None:
        self.n_classes, self.n_components = means.shape[:2]
        self.image_shape = means.shape[2:]
        self._eigenvalues, self._vectors = torch.linalg.eigh(covariance)
        self._means = means.flatten(2) @ self._vectors

    def __call__(self, z: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        """E[x | z, σ, y], the shape of ``z``; ``sigma`` and ``label``: ``(batch,)``; label ``n_classes``: no class."""
        means = self._means.flatten(0, 1)
        member = torch.arange(self.n_classes).repeat_interleave(self.n_components)
        allowed = (member == label[:, None]) | (label[:, None] == self.n_classes)
        log_joint = self._log_components(z, sigma, means).masked_fill(~allowed, -math.inf)
        center = log_joint.softmax(dim=1) @ means
        gain = self._eigenvalues / (self._eigenvalues + sigma.square()[:, None])
        return self._to_pixels(center + gain * (self._to_basis(z) - center))

    def under_every_class(self, z: Tensor, sigma: Tensor) -> Tensor:
        """``(batch, class, channel, height, width)``."""
        return torch.stack([self(z, sigma, torch.full((len(z),), k)) for k in range(self.n_classes)], dim=1)

    def log_likelihood(self, z: Tensor, sigma: Tensor | None = None) -> Tensor:
        """log p(z; σ | y), nats, ``(batch, classes)``; σ = 0 if not given."""
        sigma = torch.zeros(len(z), dtype=z.dtype) if sigma is None else sigma
        parts = self._log_components(z, sigma, self._means.flatten(0, 1))
        return parts.unflatten(1, (self.n_classes, -1)).logsumexp(dim=2) - math.log(self.n_components)

    def _log_components(self, z: Tensor, sigma: Tensor, means: Tensor) -> Tensor:
        variance = self._eigenvalues + sigma.square()[:, None]
        distance = (self._to_basis(z)[:, None] - means).square() / variance[:, None]
        return -0.5 * (distance + (2 * math.pi * variance).log()[:, None]).sum(dim=2)

    def _to_basis(self, z: Tensor) -> Tensor:
        return z.flatten(1) @ self._vectors

    def _to_pixels(self, coefficients: Tensor) -> Tensor:
        return (coefficients @ self._vectors.T).unflatten(1, self.image_shape)
