"""One coordinate: the noise-to-signal ratio σ.  Grids of it and its density in training."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def log_spaced(low: float, high: float, n: int) -> Tensor:
    """``n`` rising levels from ``low`` to ``high``, equally spaced in log σ (their geometric mean if n is 1)."""
    if n == 1:
        return torch.tensor([math.sqrt(low * high)])
    return torch.linspace(math.log(low), math.log(high), n).exp()


@dataclass(frozen=True)
class LogNormal:
    """Training density: log σ ~ N(mean, std²) (Karras et al. 2022)."""

    mean: float = -0.8
    std: float = 1.4

    def draw(self, n: int, offset: float) -> Tensor:
        """``n`` rising levels of low discrepancy, one in each of n equally likely strata, all moved by ``offset`` in [0, 1)."""
        quantile = (torch.arange(n) + offset) / n
        return (self.mean + self.std * torch.special.ndtri(quantile.clamp(1e-4, 1 - 1e-4))).exp()
