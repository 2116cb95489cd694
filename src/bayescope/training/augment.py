"""Random augmentation, one transform per image, drawn from a given generator."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from bayescope.config import Augmentation

_FEW, _MANY = 1500, 20000

Augment = Callable[[Tensor, Generator], Tensor]
"""Images ``(batch, channel, height, width)`` to images of the same shape, each changed its own way."""


@dataclass(frozen=True)
class Affine:
    """Ranges of the transform: rotation in degrees, shift as a fraction of the side, scale as a factor off 1."""

    degrees: float
    shift: float
    scale: float
    flip: bool

    def times(self, strength: float) -> Self:
        """The same with its ranges so many times as wide."""
        return replace(self, degrees=strength * self.degrees, shift=strength * self.shift, scale=strength * self.scale)

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Images ``(batch, channel, height, width)`` moved, borders repeated; the same shape."""
        n = len(x)
        angle, zoom, ratio, down, right, mirror = (
            torch.rand(n, generator=generator, device=generator.device).to(x.device) * 2 - 1 for _ in range(6)
        )
        angle = angle * math.radians(self.degrees)
        tall = torch.exp(zoom * self.scale)
        wide = tall * torch.exp(ratio * 0.5 * self.scale)
        side = torch.where(mirror < 0, -1.0, 1.0) if self.flip else torch.ones_like(mirror)
        cos, sin = angle.cos(), angle.sin()
        theta = torch.stack(
            [
                torch.stack([side * wide * cos, -wide * sin, 2 * self.shift * right], dim=1),
                torch.stack([side * tall * sin, tall * cos, 2 * self.shift * down], dim=1),
            ],
            dim=1,
        )
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


@dataclass(frozen=True)
class Intensity:
    """Ranges of the change: contrast as a factor off 1, brightness as a share of the pixels' range [-1, 1]."""

    contrast: float
    brightness: float

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Images ``(batch, channel, height, width)`` stretched about their own mean and shifted; the same shape."""
        draws = torch.rand(2, len(x), 1, 1, 1, generator=generator, device=generator.device).to(x.device) * 2 - 1
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        return mean + torch.exp(draws[0] * self.contrast) * (x - mean) + 2 * self.brightness * draws[1]


def flip(x: Tensor, generator: Generator) -> Tensor:
    """Each image ``(batch, channel, height, width)`` mirrored left to right with probability one half."""
    mirrored = torch.rand(len(x), generator=generator, device=generator.device).to(x.device) < 0.5
    return torch.where(mirrored[:, None, None, None], x.flip(-1), x)


LIGHT = Affine(degrees=5.0, shift=0.05, scale=0.05, flip=False)
STRONG = Affine(degrees=15.0, shift=0.1, scale=0.15, flip=True)


def choose(augmentation: Augmentation, n_train: int, intensity: float = 0.0, strength: float = 1.0) -> Augment | None:
    """The transform asked for; ``auto`` goes by the number of training images: the fewer, the stronger.

    ``intensity``: range of the contrast besides, and twice that of the brightness; 0 leaves both alone.  ``strength``: how many
    times as wide all ranges are to be; at 0 nothing changes.
    """
    if strength == 0:
        return None
    if augmentation == "auto":
        augmentation = "strong" if n_train < _FEW else "light" if n_train < _MANY else "none"
    chosen = {"none": None, "flip": flip, "light": LIGHT.times(strength), "strong": STRONG.times(strength)}[augmentation]
    if intensity == 0:
        return chosen
    jitter = Intensity(strength * intensity, strength * intensity / 2)
    return jitter if chosen is None else lambda x, generator: jitter(chosen(x, generator), generator)
