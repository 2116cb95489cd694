"""The noises that all images and classes share, in opposite pairs n, -n.

Antithetic variates (Hammersley & Morton 1956): most of what a noise adds to a difference of classes is linear in it, and
cancels when both noises of a pair are averaged.
"""

import numpy as np
import torch
from torch import Tensor

from bayescope.types import Floats


def in_pairs(n_noises: int) -> bool:
    """Whether noises 2i and 2i+1 are opposite.

    Parameters
    ----------
    n_noises : int
        Number of noises of a level.

    Returns
    -------
    bool
        True for an even number of at least four, which are two pairs.
    """
    return n_noises >= 4 and n_noises % 2 == 0


def draw_noise(n_levels: int, n_noises: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Draw standard normal noise, independent except for opposite pairs (:func:`in_pairs`).

    Parameters
    ----------
    n_levels : int
        Number of levels.
    n_noises : int
        Number of noises of a level.
    shape : tuple of int
        Shape of an image.
    seed : int
        Seed.

    Returns
    -------
    Tensor of shape (levels, noises, *shape)
        The noises.
    """
    generator = torch.Generator().manual_seed(seed)
    if not in_pairs(n_noises):
        return torch.randn(n_levels, n_noises, *shape, generator=generator)
    half = torch.randn(n_levels, n_noises // 2, *shape, generator=generator)
    return torch.stack([half, -half], dim=2).flatten(1, 2)


def independent(values: Floats) -> Floats:
    """Of values at every noise ``(…, noises)`` what is independent: the means of opposite pairs, if there are any."""
    return values.reshape(*values.shape[:-1], -1, 2).mean(axis=-1) if in_pairs(values.shape[-1]) else values


def variance_of_mean(values: Floats) -> Floats:
    """Of the mean over noises, from values at two or more of :func:`draw_noise`, ``(…, noises)``: ``(…)``."""
    replicates = independent(values)
    return np.asarray(replicates.var(axis=-1, ddof=1) / replicates.shape[-1])
