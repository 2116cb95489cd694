"""Denoising evidence of images under each class, at each noise level.

With the ideal denoiser (I-MMSE; Kong, Brekelmans & Ver Steeg 2023), in nats::

    log p(x|a) - log p(x|b) = ∫ E_n [ ‖x - D(x+σn; σ, b)‖² - ‖x - D(x+σn; σ, a)‖² ] / σ² d log σ

The integral becomes a sum over levels σ_k and the expectation a mean over noises n_j.  The same n is used for every class, or
the noise of the estimate would mask the difference; the same n is also used for every image, so that a prediction does not
depend on the other images.  Noises come in opposite pairs n, -n (antithetic variates; Hammersley & Morton 1956): most of
what one adds to a difference of classes is linear in it, and cancels when both are averaged.  Cost: ``levels x noises x
classes`` network passes per image, linear in pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bayescope.diffusion.denoiser import LevelDenoiser
from bayescope.errors import ConfigError
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


def check_scoring(n_classes: int, sigmas: Floats, noise: Tensor, batch_size: int | None) -> None:
    """Check the arguments of scoring.

    Parameters
    ----------
    n_classes : int
        Number of classes.
    sigmas : ndarray of shape (levels,)
        Noise levels.
    noise : Tensor
        One row of noises for each level.
    batch_size : int or None
        Images per batch.

    Raises
    ------
    ConfigError
        If images cannot be scored with these.
    """
    if n_classes < 1:
        raise ConfigError("a denoiser without classes; expected one trained with class labels")
    if not (np.asarray(sigmas) > 0).all() or len(sigmas) != len(noise):
        raise ConfigError(
            f"noise levels {np.asarray(sigmas).tolist()}; expected {len(noise)} above 0, one for each row of noise"
        )
    if noise.shape[1] < 1:
        raise ConfigError("no noise at a level; expected at least one")
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch_size {batch_size}; expected at least 1, or none for as many as memory bounds allow")


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


@dataclass(frozen=True)
class LevelEvidence:
    """``-‖x - D‖²/σ²`` of images, up to a constant common to the classes.

    Parameters
    ----------
    values : ndarray of shape (n, classes, levels, noises)
        Evidence, in nats per unit of log σ.
    sigmas : ndarray of shape (levels,)
        Noise levels.
    """

    values: Floats
    sigmas: Floats

    @property
    def mean(self) -> Floats:
        """Over noises: ``(n, classes, levels)``."""
        return self.values.mean(axis=3)

    def subset(self, images: Labels) -> "LevelEvidence":
        """That of the images at these indices."""
        return LevelEvidence(self.values[images], self.sigmas)

    @classmethod
    def joined(cls, parts: Sequence["LevelEvidence"]) -> "LevelEvidence":
        """That of all images of one or more parts, scored at the same levels."""
        return cls(np.concatenate([part.values for part in parts]), parts[0].sigmas)

    def first_noise(self, label: Labels) -> Floats:
        """At every level's first noise under one class per image, ``label (n,)``: ``(n, levels)``."""
        return np.asarray(self.values[np.arange(len(label)), label, :, 0])

    @property
    def passes(self) -> int:
        """Network passes spent per image."""
        return int(np.prod(self.values.shape[1:]))


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


@torch.inference_mode()
def level_evidence(
    denoiser: SupportsLevels,
    x: Tensor,
    sigmas: Floats,
    noise: Tensor,
    batch_size: int | None = None,
    callback: Callable[[int], None] = lambda images: None,
) -> LevelEvidence:
    """Score images at every level and noise, under every class.

    Parameters
    ----------
    denoiser : SupportsLevels
        The denoiser.
    x : Tensor of shape (n, channel, height, width)
        Images in model units.
    sigmas : ndarray of shape (levels,)
        Noise levels.
    noise : Tensor of shape (levels, noises, channel, height, width)
        Noises, the same for all images.
    batch_size : int, optional
        Images per batch, which bounds memory (default: as allowed by :func:`rows_per_batch`).
    callback : callable, optional
        Called with the number of images of each finished batch.

    Returns
    -------
    LevelEvidence
        Evidence of the images.

    Raises
    ------
    ConfigError
        For a denoiser without classes, levels that are not above 0, or no noise.
    """
    check_scoring(denoiser.n_classes, sigmas, noise, batch_size)
    batch_size = batch_size or rows_per_batch(x.shape[1:], denoiser.n_classes)
    levels = [denoiser.at_level(float(sigma)) for sigma in sigmas]
    values = np.empty((len(x), denoiser.n_classes, *noise.shape[:2]))
    for start in range(0, len(x), batch_size):
        batch = x[start : start + batch_size]
        image = np.arange(len(batch)).repeat(denoiser.n_classes)
        label = np.tile(np.arange(denoiser.n_classes), len(batch))
        for k, (level, sigma) in enumerate(zip(levels, sigmas, strict=True)):
            for j, n in enumerate(noise[k]):
                rows = draw_errors(level, batch, float(sigma), n, image, label, len(image))
                values[start : start + len(batch), :, k, j] = rows.reshape(len(batch), -1)
        callback(len(batch))
    return LevelEvidence(values, sigmas)


@torch.inference_mode()
def gaussian_evidence(denoiser: SupportsLevels, x: Tensor, sigmas: Floats) -> Floats:
    """Evidence of the classes' means and spectrum at the middle level, without a network pass.

    Parameters
    ----------
    denoiser : SupportsLevels
        The denoiser.
    x : Tensor of shape (n, channel, height, width)
        Images in model units.
    sigmas : ndarray of shape (levels,)
        Noise levels.

    Returns
    -------
    ndarray of shape (n, classes)
        Nats, up to a constant common to the classes.
    """
    middle = float(np.sqrt(sigmas[0] * sigmas[-1]))
    batches = [denoiser.gaussian_log_likelihood(batch, middle).double().cpu() for batch in x.split(rows_per_batch(x.shape[1:]))]
    return np.asarray(torch.cat(batches).numpy())


@torch.inference_mode()
def first_noise_evidence(
    denoiser: SupportsLevels, x: Tensor, sigmas: Floats, noise: Tensor, label: Labels, known: Floats
) -> Floats:
    """Evidence at the first noise of every level, under one class per image.

    Parameters
    ----------
    denoiser : SupportsLevels
        The denoiser.
    x : Tensor of shape (n, channel, height, width)
        Images in model units.
    sigmas : ndarray of shape (levels,)
        Noise levels.
    noise : Tensor of shape (levels, noises, channel, height, width)
        Noises, the same for all images.
    label : ndarray of shape (n,)
        Class of each image.
    known : ndarray of shape (n, levels)
        Values scored before, NaN elsewhere; only these need a network pass each.

    Returns
    -------
    ndarray of shape (n, levels)
        ``-‖x - D‖²/σ²``.
    """
    found = known.copy()
    for k, sigma in enumerate(sigmas):
        image = np.flatnonzero(np.isnan(known[:, k]))
        if len(image):
            level = denoiser.at_level(float(sigma))
            found[image, k] = draw_errors(level, x, float(sigma), noise[k, 0], image, label[image])
    return found


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
        error = (clean[of_row] - denoised).float().square().sum(dim=(1, 2, 3))
        found[rows] = (-error.double() / sigma**2).cpu().numpy()
    return found
