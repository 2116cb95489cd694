"""Noise levels σ (the noise-to-signal ratio): grids, training densities, and conversion to other diffusion schedules.

An image x is observed as z = x + σ n, n ~ N(0, I).  A diffusion schedule is another parametrisation of σ: at its time t it
uses ``x_t = α (x + σ n)``.

- VP (Song et al. 2021): α = 1/√(1+σ²), σ² = exp(½ t² (β₁-β₀) + t β₀) - 1
- VE (Song et al. 2021): α = 1, σ = σ_min (σ_max/σ_min)^t
- cosine (Nichol & Dhariwal 2021, without their offset): α = cos(πt/2), σ = tan(πt/2)
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bayescope.errors import ConfigError

_SHORTEST_TIME = 1e-5

ImageDenoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``(z (batch, c, h, w), sigma (batch,), label (batch,)) -> denoised (batch, c, h, w)``, each image by itself."""


def log_spaced(low: float, high: float, n: int) -> Tensor:
    """``n`` rising levels from ``low`` to ``high``, equally spaced in log σ (their geometric mean if n is 1)."""
    if n == 1:
        return torch.tensor([math.sqrt(low * high)])
    return torch.linspace(math.log(low), math.log(high), n).exp()


class LevelDensity(Protocol):
    """A density of noise levels, drawn with low discrepancy."""

    def draw(self, n: int, offset: float) -> Tensor:
        """``n`` rising levels of low discrepancy, moved by ``offset`` in [0, 1): ``(n,)``."""
        ...


@dataclass(frozen=True)
class LogNormal:
    """Training density: log σ ~ N(mean, std²) (Karras et al. 2022).

    Parameters
    ----------
    mean : float, default -0.8
        Mean of log σ.
    std : float, default 1.4
        Standard deviation of log σ.
    """

    mean: float = -0.8
    std: float = 1.4

    def draw(self, n: int, offset: float) -> Tensor:
        """``n`` rising levels of low discrepancy, one in each of n equally likely strata, all moved by ``offset`` in [0, 1)."""
        quantile = (torch.arange(n) + offset) / n
        return (self.mean + self.std * torch.special.ndtri(quantile.clamp(1e-4, 1 - 1e-4))).exp()


class Schedule(ABC):
    """A map between a diffusion's time t and σ.  All maps are elementwise; t rises with σ."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """σ at time ``t``."""

    @abstractmethod
    def time(self, sigma: Tensor) -> Tensor:
        """The time at which the schedule passes ``sigma``."""

    @property
    def last_time(self) -> float:
        """The latest time that training draws."""
        return 1.0

    def scale(self, sigma: Tensor) -> Tensor:
        """α, the factor of the image and its noise: variance preserving by default.

        Parameters
        ----------
        sigma : Tensor
            Noise levels.

        Returns
        -------
        Tensor
            Of the same shape.
        """
        return torch.rsqrt(1 + sigma.square())

    def to_schedule(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """``z (batch, c, h, w)`` at ``sigma (batch,)`` as the schedule shows it: ``x_t`` and ``t``, the same shapes."""
        return _per_image(self.scale(sigma)) * z, self.time(sigma)


@dataclass(frozen=True)
class VP(Schedule):
    """Variance preserving, linear β from ``beta_min`` at t = 0 to ``beta_max`` at t = 1."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max:
            raise ConfigError(f"VP: beta_min {self.beta_min}, beta_max {self.beta_max}; expected 0 < beta_min <= beta_max")

    def sigma(self, t: Tensor) -> Tensor:
        """Noise level at a time.

        Parameters
        ----------
        t : Tensor
            Times.

        Returns
        -------
        Tensor
            σ.
        """
        return torch.expm1(t.square() * (0.5 * (self.beta_max - self.beta_min)) + t * self.beta_min).sqrt()

    def time(self, sigma: Tensor) -> Tensor:
        # The root of the quadratic in the form that loses no digits for small σ.
        """Time at which a noise level is passed.

        Parameters
        ----------
        sigma : Tensor
            Noise levels.

        Returns
        -------
        Tensor
            Times.
        """
        exponent = torch.log1p(sigma.square())
        return 2 * exponent / (self.beta_min + (self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * exponent).sqrt())


@dataclass(frozen=True)
class VE(Schedule):
    """Variance exploding: σ from ``sigma_min`` at t = 0 to ``sigma_max`` at t = 1, geometrically."""

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max:
            raise ConfigError(f"VE: sigma_min {self.sigma_min}, sigma_max {self.sigma_max}; expected 0 < sigma_min < sigma_max")

    def sigma(self, t: Tensor) -> Tensor:
        """Noise level at a time.

        Parameters
        ----------
        t : Tensor
            Times.

        Returns
        -------
        Tensor
            σ.
        """
        return self.sigma_min * (t * math.log(self.sigma_max / self.sigma_min)).exp()

    def time(self, sigma: Tensor) -> Tensor:
        """Time at which a noise level is passed.

        Parameters
        ----------
        sigma : Tensor
            Noise levels.

        Returns
        -------
        Tensor
            Times.
        """
        return (sigma / self.sigma_min).log() / math.log(self.sigma_max / self.sigma_min)

    def scale(self, sigma: Tensor) -> Tensor:
        """1: variance exploding.

        Parameters
        ----------
        sigma : Tensor
            Noise levels.

        Returns
        -------
        Tensor
            Of the same shape.
        """
        return torch.ones_like(sigma)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Variance preserving, α = cos(πt/2); t in [0, 1)."""

    @property
    def last_time(self) -> float:
        """Where σ = 100: at t = 1 it is infinite."""
        return 0.9936

    def sigma(self, t: Tensor) -> Tensor:
        """Noise level at a time.

        Parameters
        ----------
        t : Tensor
            Times.

        Returns
        -------
        Tensor
            σ.
        """
        return torch.tan(t * (math.pi / 2))

    def time(self, sigma: Tensor) -> Tensor:
        """Time at which a noise level is passed.

        Parameters
        ----------
        sigma : Tensor
            Noise levels.

        Returns
        -------
        Tensor
            Times.
        """
        return torch.atan(sigma) * (2 / math.pi)


SCHEDULES: dict[str, Callable[[], Schedule]] = {"vp": VP, "ve": VE, "cosine": Cosine}
"""By word of ``net.schedule`` and ``training.noise_levels``; a new one is a subclass of :class:`Schedule` and a line here."""


@dataclass(frozen=True)
class UniformTime:
    """Training density: the time of a schedule uniform from 1e-5 on (Song et al. 2021)."""

    schedule: Schedule

    def draw(self, n: int, offset: float) -> Tensor:
        """``n`` rising levels of low discrepancy, one in each of n equal stretches of time, moved by ``offset`` in [0, 1)."""
        share = (torch.arange(n) + offset) / n
        return self.schedule.sigma(_SHORTEST_TIME + (self.schedule.last_time - _SHORTEST_TIME) * share)


def _per_image(value: Tensor) -> Tensor:
    return value[:, None, None, None]
