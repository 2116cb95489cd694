"""Divergence of an image function: the trace of its Jacobian, with the function's value.

Exact, by one backward pass per pixel, or by Hutchinson's estimate ``E_v [vᵀ J v]`` over probes v of zero mean and unit
covariance, one backward pass each.  The probes are given, and should be the same for every image and class: a fresh one
per class puts its noise into their difference.  Of a Jacobian ``aI + B`` Rademacher probes estimate the trace of ``aI``
without error, since vᵀv is the number of pixels; Gaussian ones do not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Generator, Tensor

from bayescope.errors import ConfigError

ImageFunction = Callable[[Tensor], Tensor]
"""``(batch, c, h, w) -> (batch, c, h, w)``; each image's value depends on that image alone."""


@dataclass(frozen=True)
class Divergence:
    """``value`` of the function ``(batch, c, h, w)``; ``traces`` ``(batch, estimates)``, each an estimate of the trace.

    ``passes``: network passes spent per image, a backward pass counted as two forward ones.
    """

    value: Tensor
    traces: Tensor
    passes: int


class DivergenceMethod(Protocol):
    """A way to the trace; ``estimates``: how many of it each image gets."""

    @property
    def estimates(self) -> int: ...

    def __call__(self, function: ImageFunction, z: Tensor, rows: Tensor | None = None) -> Divergence:
        """Value and divergence of ``function`` at images ``z (batch, c, h, w)``: rows ``rows (batch,)`` of all asked for."""


@dataclass(frozen=True)
class ExactDivergence:
    """The trace itself, as the single estimate.  Cost: a forward and ``c h w`` backward passes; for small images."""

    estimates: ClassVar[int] = 1

    def __call__(self, function: ImageFunction, z: Tensor, rows: Tensor | None = None) -> Divergence:
        """Value and divergence of ``function`` at images ``z (batch, c, h, w)``."""
        pixels = z.shape[1:].numel()
        basis = torch.eye(pixels, dtype=z.dtype, device=z.device).unflatten(1, z.shape[1:])
        value, products = _products(function, z, basis)
        return Divergence(value, products.sum(dim=1, keepdim=True), 1 + 2 * pixels)


@dataclass(frozen=True)
class Hutchinson:
    """Estimates by ``probes (k, c, h, w)``, the same k for every image.  Cost: a forward and k backward passes.

    ``probes (k, rows, c, h, w)`` instead: every row of what is asked has its own.  Raises ConfigError if there are no probes.
    """

    probes: Tensor

    def __post_init__(self) -> None:
        if self.probes.ndim not in (4, 5) or not len(self.probes):
            raise ConfigError(
                f"probes of shape {tuple(self.probes.shape)}; expected (k, channel, height, width) or "
                "(k, rows, channel, height, width), k >= 1"
            )

    @property
    def estimates(self) -> int:
        return len(self.probes)

    def __call__(self, function: ImageFunction, z: Tensor, rows: Tensor | None = None) -> Divergence:
        """Value and divergence of ``function`` at images ``z``, by the probes of ``rows (batch,)`` where rows have their own.

        Raises ConfigError if the probes are of another shape.
        """
        if self.probes.shape[-3:] != z.shape[1:]:
            raise ConfigError(f"probes of shape {tuple(self.probes.shape[-3:])} for images of {tuple(z.shape[1:])}")
        probes = self.probes if self.probes.ndim == 4 else self.probes[:, rows]
        value, products = _products(function, z, probes.to(z))
        return Divergence(value, products, 1 + 2 * len(probes))


def rademacher_probes(k: int, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """``k`` probes of independent signs: ``(k, *shape)``."""
    return torch.randint(0, 2, (k, *shape), generator=generator) * 2.0 - 1.0


def gaussian_probes(k: int, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """``k`` standard normal probes: ``(k, *shape)``."""
    return torch.randn(k, *shape, generator=generator)


def _products(function: ImageFunction, z: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
    """The function's value, and ``vᵀ J v`` for each image and probe v: ``(batch, k)``."""
    with torch.inference_mode(False), torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        value = function(z)
        if not value.requires_grad:  # a constant
            return value, z.new_zeros(len(z), len(probes))
        products = []
        for probe in probes:
            (gradient,) = torch.autograd.grad(value, z, probe.expand_as(value), retain_graph=True, materialize_grads=True)
            products.append((gradient * probe).sum(dim=(1, 2, 3)))
    return value.detach(), torch.stack(products, dim=1)
