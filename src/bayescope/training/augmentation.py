"""Random augmentation, one transform per image, drawn from a given generator."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from bayescope.errors import lookup

_FEW, _MANY = 1500, 20000


class Augment(ABC):
    """Images ``(batch, channel, height, width)`` to images of the same shape, each changed its own way."""

    @property
    @abstractmethod
    def numbers(self) -> int:
        """How many are drawn of each image."""

    @abstractmethod
    def apply(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Images changed as ``drawn (numbers, batch)`` in [0, 1) has it."""

    def draw(self, n: int, generator: Generator) -> Tensor:
        """For ``n`` images: ``(numbers, n)`` in [0, 1)."""
        rows = [torch.rand(n, generator=generator, device=generator.device) for _ in range(self.numbers)]
        return torch.stack(rows)

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        return self.apply(x, self.draw(len(x), generator))

    def in_turn(self, n: int, generator: Generator) -> Callable[[Tensor], Tensor]:
        """For ``n`` images that come some at a time, in order: how many at a time makes no difference."""
        each = iter(self.draw(n, generator).unbind(dim=1))
        return lambda x: self.apply(x, torch.stack([next(each) for _ in x], dim=1))


@dataclass(frozen=True)
class Affine(Augment):
    """Ranges of the transform: rotation in degrees, shift as a fraction of the side, scale as a factor off 1."""

    degrees: float
    shift: float
    scale: float
    flip: bool
    numbers: ClassVar[int] = 6

    def times(self, strength: float) -> Self:
        """The same with its ranges so many times as wide."""
        return replace(self, degrees=strength * self.degrees, shift=strength * self.shift, scale=strength * self.scale)

    def apply(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Images ``(batch, channel, height, width)`` moved, borders repeated; the same shape."""
        angle, zoom, ratio, down, right, mirror = drawn.to(x.device) * 2 - 1
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
class Intensity(Augment):
    """Ranges of the change: contrast as a factor off 1, brightness as a share of the pixels' range [-1, 1]."""

    contrast: float
    brightness: float
    numbers: ClassVar[int] = 2

    def apply(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Images ``(batch, channel, height, width)`` stretched about their own mean and shifted; the same shape."""
        stretch, shift = (drawn.to(x.device) * 2 - 1)[:, :, None, None, None]
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        return mean + torch.exp(stretch * self.contrast) * (x - mean) + 2 * self.brightness * shift


@dataclass(frozen=True)
class Flip(Augment):
    """Each image mirrored left to right with probability one half."""

    numbers: ClassVar[int] = 1

    def apply(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Images ``(batch, channel, height, width)``, mirrored or not."""
        return torch.where(drawn.to(x.device).T[:, :, None, None] < 0.5, x.flip(-1), x)


@dataclass(frozen=True)
class Compose(Augment):
    """One change after the other."""

    first: Augment
    second: Augment

    @property
    def numbers(self) -> int:
        return self.first.numbers + self.second.numbers

    def apply(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Images ``(batch, channel, height, width)`` changed twice."""
        first, second = drawn.split([self.first.numbers, self.second.numbers])
        return self.second.apply(self.first.apply(x, first), second)


LIGHT = Affine(degrees=5.0, shift=0.05, scale=0.05, flip=False)
STRONG = Affine(degrees=15.0, shift=0.1, scale=0.15, flip=True)


def _auto(n_train: int, strength: float) -> Augment | None:
    """The fewer training images, the stronger."""
    if n_train >= _MANY:
        return None
    return (STRONG if n_train < _FEW else LIGHT).times(strength)


AUGMENTATIONS: dict[str, Callable[[int, float], Augment | None]] = {
    "auto": _auto,
    "none": lambda n_train, strength: None,
    "flip": lambda n_train, strength: Flip(),
    "light": lambda n_train, strength: LIGHT.times(strength),
    "strong": lambda n_train, strength: STRONG.times(strength),
}
"""By word of ``training.augmentation``: the transform for so many training images, its ranges times a strength."""


def build_augmentation(augmentation: str, n_train: int, intensity: float = 0.0, strength: float = 1.0) -> Augment | None:
    """The transform that the word ``augmentation`` names, for ``n_train`` training images.

    ``intensity``: range of the contrast besides, and twice that of the brightness; 0 leaves both alone.  ``strength``: how many
    times as wide all ranges are to be, mirroring aside; at 0 nothing changes.
    Raises ConfigError for a word that is none of :data:`AUGMENTATIONS`.
    """
    chosen = lookup(AUGMENTATIONS, augmentation, "training.augmentation")(n_train, strength)
    if strength == 0:
        return None
    if intensity == 0:
        return chosen
    jitter = Intensity(strength * intensity, strength * intensity / 2)
    return jitter if chosen is None else Compose(chosen, jitter)
