"""Exact denoiser and density of class-conditional Gaussian mixtures, as a reference.

With ``p(x|y) = Σ_j w_yj N(x; μ_j, Σ_j)`` and z = x + σ n, all in closed form::

    p(z|σ, y) = Σ_j w_yj N(z; μ_j, Σ_j + σ²I)
    E[x|z, σ, y] = Σ_j r_j(z) [ μ_j + Σ_j (Σ_j + σ²I)⁻¹ (z - μ_j) ]    r_j ∝ w_yj N(z; μ_j, Σ_j + σ²I)

The covariances are kept by their eigenvalues v and eigenvectors U, so that every σ costs the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bayescope.diffusion.denoiser import LevelDenoiser
from bayescope.errors import ConfigError


@dataclass(frozen=True)
class Component:
    """One Gaussian: ``mean (c, h, w)``; ``covariance`` ``(c h w, c h w)``, or ``(c, h, w)`` for a diagonal one.

    ``weight`` is relative to the class's other components.
    """

    mean: Tensor
    covariance: Tensor
    weight: float = 1.0


class GaussianMixtureDenoiser(nn.Module):
    """Ideal denoiser of a Gaussian mixture per class; the label ``n_classes`` stands for the mixture of all classes.

    ``classes``: the components of each class; ``class_prior (classes,)``: positive, relative, uniform if not given.
    ``class_log_prior (classes,)``: its logarithm, normalised.
    Computes in double precision; what it denoises comes back in the precision it came in.
    Raises ConfigError for no components, shapes that differ, weights that are not positive or a covariance that is
    not symmetric positive definite.
    """

    mean: Tensor
    variance: Tensor
    basis: Tensor | None
    log_weight: Tensor
    class_log_prior: Tensor

    def __init__(self, classes: Sequence[Sequence[Component]], class_prior: Tensor | None = None) -> None:
        super().__init__()
        if not classes or not all(classes):
            raise ConfigError("Gaussian mixture: a class without components; expected at least one in each class")
        components = [component for members in classes for component in members]
        shapes = {tuple(component.mean.shape) for component in components}
        if len(shapes) > 1:
            raise ConfigError(f"Gaussian mixture: means of shapes {sorted(shapes)}; expected one shape")
        self.n_classes = len(classes)
        channels, height, width = components[0].mean.shape
        self.image_shape = (channels, height, width)
        self.register_buffer("mean", torch.stack([c.mean.double().flatten() for c in components]))
        spectra = [_spectrum(component) for component in components]
        self.register_buffer("variance", torch.stack([variance for variance, _ in spectra]))
        identity = torch.eye(self.mean.shape[1], dtype=torch.float64)
        diagonal = all(basis is None for _, basis in spectra)
        bases = None if diagonal else torch.stack([identity if basis is None else basis for _, basis in spectra])
        self.register_buffer("basis", bases)
        prior = _normalised(torch.ones(len(classes)) if class_prior is None else class_prior)
        if prior.shape != (len(classes),):
            raise ConfigError(f"Gaussian mixture: class prior of shape {tuple(prior.shape)} for {len(classes)} classes")
        self.register_buffer("class_log_prior", prior.log())
        weights = torch.block_diag(*(_normalised(torch.tensor([c.weight for c in members])) for members in classes))
        # A row for each class and, last, one for the mixture of all.
        self.register_buffer("log_weight", torch.cat([weights, (prior @ weights)[None]]).log())

    def forward(self, z: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        """E[x | z, σ, y], the shape of ``z`` ``(batch, c, h, w)``; ``sigma``, ``label``: ``(batch,)``."""
        log_density, component_means = self._components(z, sigma)
        responsibility = (log_density + self.log_weight[label]).softmax(dim=1)
        return torch.einsum("bm,bmd->bd", responsibility, component_means).to(z.dtype).reshape(z.shape)

    def under_every_class(self, z: Tensor, sigma: Tensor) -> Tensor:
        """The same noisy images denoised under each class: ``(batch, class, c, h, w)``."""
        log_density, component_means = self._components(z, sigma)
        responsibility = (log_density[:, None] + self.log_weight[:-1]).softmax(dim=2)
        return torch.einsum("bkm,bmd->bkd", responsibility, component_means).to(z.dtype).unflatten(2, self.image_shape)

    def at_level(self, sigma: float) -> LevelDenoiser:
        """The denoiser of one level."""

        def denoise(z: Tensor, image: Tensor, label: Tensor) -> Tensor:
            return self.under_every_class(z, torch.full((len(z),), sigma, dtype=torch.float64))[image, label]

        return denoise

    def gaussian_log_likelihood(self, x: Tensor, sigma: float) -> Tensor:
        """log N(x; mean, covariance + σ²I) with the moments of each class: nats, ``(batch, classes)``, double."""
        identity = torch.eye(self.mean.shape[1], dtype=torch.float64)
        basis = identity.expand(len(self.mean), -1, -1) if self.basis is None else self.basis
        covariance = torch.einsum("mij,mj,mkj->mik", basis, self.variance, basis)
        found = []
        for weight in self.log_weight[:-1].exp():
            mean = weight @ self.mean
            off = self.mean - mean
            total = torch.einsum("m,mik->ik", weight, covariance) + off.T @ (weight[:, None] * off) + sigma**2 * identity
            found.append(torch.distributions.MultivariateNormal(mean, total).log_prob(x.double().flatten(1)))
        return torch.stack(found, dim=1)

    def log_marginal(self, z: Tensor, sigma: Tensor) -> Tensor:
        """log p(z | σ, y) of ``z (batch, c, h, w)`` at ``sigma (batch,)``: nats, ``(batch, classes)``, double."""
        log_density, _ = self._components(z, sigma)
        return (log_density[:, None] + self.log_weight[:-1]).logsumexp(dim=2)

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(x | y) of images ``(batch, c, h, w)``: nats, ``(batch, classes)``, double."""
        return self.log_marginal(x, x.new_zeros(len(x)))

    def _components(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """For each component: log N(z; μ, Σ + σ²I) ``(batch, m)`` and E[x | z, σ] ``(batch, m, pixels)``."""
        total = self.variance + sigma.double().square()[:, None, None]
        residual = z.double().flatten(1)[:, None] - self.mean
        if self.basis is not None:
            residual = torch.einsum("bmd,mde->bme", residual, self.basis)
        log_density = -0.5 * (residual.square() / total + total.log() + math.log(2 * math.pi)).sum(dim=2)
        shrunk = residual * (self.variance / total)
        if self.basis is not None:
            shrunk = torch.einsum("bme,mde->bmd", shrunk, self.basis)
        return log_density, self.mean + shrunk


def _spectrum(component: Component) -> tuple[Tensor, Tensor | None]:
    """Eigenvalues ``(pixels,)`` and eigenvectors (the columns) of the covariance; no eigenvectors if it is diagonal."""
    covariance, pixels = component.covariance.double(), component.mean.numel()
    basis: Tensor | None = None
    if covariance.shape == component.mean.shape:
        variance = covariance.flatten()
    elif covariance.shape == (pixels, pixels) and torch.allclose(covariance, covariance.T):
        variance, basis = torch.linalg.eigh(covariance)
    else:
        raise ConfigError(
            f"Gaussian mixture: covariance of shape {tuple(covariance.shape)}; expected {tuple(component.mean.shape)} "
            f"(diagonal) or a symmetric matrix ({pixels}, {pixels})"
        )
    if not bool((variance > 0).all()):
        raise ConfigError(f"Gaussian mixture: smallest variance {float(variance.min()):.3g}; expected more than 0")
    return variance, basis


def _normalised(weights: Tensor) -> Tensor:
    if not bool((weights > 0).all()):
        raise ConfigError(f"Gaussian mixture: weights {weights.tolist()}; expected positive numbers")
    return weights.double() / weights.double().sum()
