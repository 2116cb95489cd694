"""Mean image, class means and spectrum of the training images, which precondition the denoiser's network."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

_SMALLEST_VARIANCE = 1e-5


def cosine_basis(n: int) -> Tensor:
    """Orthonormal DCT-II: ``(n, n)``, one frequency a row."""
    return torch.from_numpy(dct(np.eye(n), norm="ortho", axis=0)).float()


@dataclass(frozen=True)
class ImageStatistics:
    """What preconditions the network.

    ``mean``: pixels, ``(channel, height, width)``; ``variance`` within classes, per cosine coefficient, the same shape;
    ``class_shift``: cosine coefficients of each class's mean less ``mean``, ``(classes + 1, channel, height, width)``, zero for
    no class.
    """

    mean: Tensor
    variance: Tensor
    class_shift: Tensor

    @property
    def channels_and_classes(self) -> tuple[int, int]:
        """How many channels and classes a network for these images needs."""
        return self.mean.shape[0], len(self.class_shift) - 1

    @classmethod
    def blank(cls, image_shape: tuple[int, ...], n_classes: int) -> Self:
        """Of white images and classes without a difference: a place to load a trained denoiser's statistics into."""
        return cls(torch.zeros(image_shape), torch.ones(image_shape), torch.zeros(n_classes + 1, *image_shape))

    @classmethod
    def of(cls, x: Tensor, label: Tensor, n_classes: int) -> Self:
        """Estimate from images ``(n, channel, height, width)`` of every class.

        A coefficient of a class mean is kept only where it is significant (hard threshold at √(2 ln N) standard errors,
        Donoho & Johnstone 1994): with few images the means' noise would be taken for a difference of the classes.
        """
        members = torch.nn.functional.one_hot(label, n_classes).T.float()
        counts = members.sum(dim=1)
        means = torch.einsum("kn,nchw->kchw", members / counts[:, None], x)
        mean = means.mean(dim=0)
        rows, columns = cosine_basis(x.shape[-2]), cosine_basis(x.shape[-1])
        within = rows @ (x - means[label]) @ columns.T
        variance = within.square().mean(dim=0).clamp_min(_SMALLEST_VARIANCE)
        shift = rows @ (means - mean) @ columns.T
        threshold = 2 * math.log(mean.numel()) * variance / counts[:, None, None, None]
        shift = torch.where(shift.square() > threshold, shift, 0.0)
        return cls(mean, variance, torch.cat([shift, torch.zeros_like(shift[:1])]))
