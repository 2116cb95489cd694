"""Denoising errors of pairs of image and class at one noise, by network calls of bounded memory."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bayescope.diffusion.denoiser import LevelDenoiser, LevelsDenoiser
from bayescope.types import Floats, Labels

_ROWS, _PIXELS = 256, 1 << 20


def rows_per_batch(image_shape: Sequence[int], per_item: int = 1) -> int:
    """Number of items per network call, so that memory is bounded whatever the size of an image.

    Parameters
    ----------
    image_shape : sequence of int
        Shape of an image.
    per_item : int, default 1
        Rows of the network's batch (images times classes) that an item needs.

    Returns
    -------
    int
        At least one.
    """
    return max(1, min(_ROWS, _PIXELS // int(np.prod(image_shape))) // per_item)


class SupportsLevels(Protocol):
    """A denoiser that can be prepared for one noise level."""

    n_classes: int

    def at_level(self, sigma: float) -> LevelDenoiser:
        """The denoiser at one noise level; what depends only on the level and the classes is computed once.

        Parameters
        ----------
        sigma : float
            The noise level.

        Returns
        -------
        callable
            Denoises images at this level.
        """
        ...

    def gaussian_log_likelihood(self, x: Tensor, sigma: float) -> Tensor:
        """log p(x + σn | class) of Gaussian classes.

        Parameters
        ----------
        x : Tensor of shape (n, channel, height, width)
            Images in model units.
        sigma : float
            The noise level.

        Returns
        -------
        Tensor of shape (n, classes)
            Nats, up to a constant.
        """
        ...


class SupportsSeveralLevels(SupportsLevels, Protocol):
    """A denoiser that can also be prepared for several noise levels at once."""

    def at_levels(self, sigmas: Sequence[float]) -> LevelsDenoiser:
        """The denoiser at several noise levels, for images of different levels in one call.

        Parameters
        ----------
        sigmas : sequence of float
            The noise levels.

        Returns
        -------
        callable
            Denoises images, each at one of these levels.
        """
        ...


def draw_errors(
    level: LevelDenoiser, x: Tensor, sigma: float, noise: Tensor, image: Labels, label: Labels, batch_size: int | None = None
) -> Floats:
    """``-‖x - D‖²/σ²`` of pairs of image and class, at one noise.

    Parameters
    ----------
    level : callable
        Denoiser at the level, by :meth:`SupportsLevels.at_level`.
    x : Tensor of shape (n, channel, height, width)
        Images in model units.
    sigma : float
        The noise level.
    noise : Tensor of shape (channel, height, width)
        The noise.
    image : ndarray of shape (rows,)
        Index of the image of each row.
    label : ndarray of shape (rows,)
        Class of each row.
    batch_size : int, optional
        Rows per network call (default: as allowed by :func:`rows_per_batch`).

    Returns
    -------
    ndarray of shape (rows,)
        The values.
    """
    found = np.empty(len(image))
    batch_size = batch_size or rows_per_batch(x.shape[1:])
    noise = noise.to(x)
    for start in range(0, len(image), batch_size):
        rows = slice(start, start + batch_size)
        images, place = np.unique(image[rows], return_inverse=True)
        clean = x[torch.from_numpy(images).to(x.device)]
        of_row = torch.from_numpy(place).to(x.device)
        denoised = level(clean + sigma * noise, of_row, torch.from_numpy(label[rows]).to(x.device))
        found[rows] = negative_errors(clean[of_row], denoised) / sigma**2
    return found


def negative_errors(clean: Tensor, denoised: Tensor) -> Floats:
    """``-‖x - D‖²`` of pairs of image and class.

    Parameters
    ----------
    clean : Tensor of shape (rows, channel, height, width)
        Images in model units.
    denoised : Tensor of shape (rows, channel, height, width)
        The same with noise, denoised under a class.

    Returns
    -------
    ndarray of shape (rows,)
        The values.
    """
    error = (clean - denoised).float().square().sum(dim=(1, 2, 3))
    return np.asarray((-error.double()).cpu().numpy())
