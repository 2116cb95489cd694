"""Denoising evidence of images under each class, at each noise level.

With the ideal denoiser (I-MMSE; Kong, Brekelmans & Ver Steeg 2023), in nats::

    log p(x|a) - log p(x|b) = ∫ E_n [ ‖x - D(x+σn; σ, b)‖² - ‖x - D(x+σn; σ, a)‖² ] / σ² d log σ

The integral becomes a sum over levels σ_k and the expectation a mean over noises n_j.  The same n is used for every class, or
the noise of the estimate would mask the difference; the same n is also used for every image, so that a prediction does not
depend on the other images.  Cost: ``levels x noises x classes`` network passes per image, linear in pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bayescope.errors import ConfigError
from bayescope.evidence.denoising_errors import (
    SupportsLevels,
    SupportsSeveralLevels,
    draw_errors,
    negative_errors,
    rows_per_batch,
)
from bayescope.types import Floats, Labels


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


@torch.inference_mode()
def level_evidence(
    denoiser: SupportsLevels,
    x: Tensor,
    sigmas: Floats,
    noise: Tensor,
    batch_size: int | None = None,
    callback: Callable[[int], None] = lambda images: None,
    watch: Callable[[LevelEvidence, int], None] | None = None,
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
    watch : callable, optional
        Called after every noise with the evidence so far of the images of a batch, at all levels, and the index of the first of
        them.

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
        for j in range(noise.shape[1]):
            for k, (level, sigma) in enumerate(zip(levels, sigmas, strict=True)):
                rows = draw_errors(level, batch, float(sigma), noise[k, j], image, label, len(image))
                values[start : start + len(batch), :, k, j] = rows.reshape(len(batch), -1)
            if watch is not None:
                watch(LevelEvidence(values[start : start + len(batch), ..., : j + 1], sigmas), start)
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
    denoiser: SupportsSeveralLevels, x: Tensor, sigmas: Floats, noise: Tensor, label: Labels, known: Floats
) -> Floats:
    """Evidence at the first noise of every level, under one class per image.

    Parameters
    ----------
    denoiser : SupportsSeveralLevels
        The denoiser; images of different levels share its calls.
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
    found, (image, level) = known.copy(), np.nonzero(np.isnan(known))
    denoise, first, batch_size = denoiser.at_levels(sigmas.tolist()), noise[:, 0].to(x), rows_per_batch(x.shape[1:])
    scale = torch.as_tensor(sigmas, device=x.device).to(x.dtype)[:, None, None, None]
    for start in range(0, len(image), batch_size):
        rows = slice(start, start + batch_size)
        clean, k = x[torch.from_numpy(image[rows]).to(x.device)], torch.from_numpy(level[rows]).to(x.device)
        under = torch.from_numpy(label[image[rows]]).to(x.device)
        denoised = denoise(clean + scale[k] * first[k], k, torch.arange(len(k), device=x.device), under)
        found[image[rows], level[rows]] = negative_errors(clean, denoised) / sigmas[level[rows]] ** 2
    return found
