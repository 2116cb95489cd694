"""Evidence maps: the contribution of each pixel to a log-likelihood ratio.

The denoising evidence is a sum over pixels, so every pixel has its share of the log-ratio::

    share(pixel) = Σ_k w_k mean_n [ (x - D_b)² - (x - D_a)² ] / σ_k²  + (bias_a - bias_b) / pixels

No attribution method is needed: the shares add up to the reported number, at each level.  Against several other classes,
with r their posterior among themselves, the log of a mean is a mean of logs and a constant, which is spread evenly::

    log p(x|a) - log Σ_j π_j p(x|j) = Σ_j r_j [log p(x|a) - log p(x|j)] + Σ_j r_j log(r_j / π_j)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from bayescope.evidence.level_weights import LevelWeights
from bayescope.types import Floats

ClassDenoiser = Callable[[Tensor, Tensor], Tensor]
"""``(z (batch, c, h, w), sigma (batch,)) -> denoised under every class (batch, class, c, h, w)``."""


@dataclass(frozen=True)
class EvidenceMap:
    """Shares of a log-ratio, nats: ``levels (n, levels, height, width)``, and ``constant (n,)`` that no pixel owns."""

    levels: Floats
    constant: Floats

    @property
    def total(self) -> Floats:
        """Over all levels, the constant spread evenly: ``(n, height, width)``."""
        height, width = self.levels.shape[2:]
        return self.levels.sum(axis=1) + (self.constant / (height * width))[:, None, None]

    @property
    def log_ratio(self) -> Floats:
        """What the map adds up to, nats: ``(n,)``."""
        return self.levels.sum(axis=(1, 2, 3)) + self.constant

    def scaled(self, slope: float, offset: float = 0.0) -> "EvidenceMap":
        """The map of ``slope * log_ratio + offset``: of an affinely calibrated ratio, or in bans with slope 1/ln 10."""
        return replace(self, levels=slope * self.levels, constant=slope * self.constant + offset)


@dataclass(frozen=True)
class ClassMaps:
    """Weighted evidence of each pixel.

    Parameters
    ----------
    levels : ndarray of shape (n, classes, levels, height, width)
        Evidence of each class, level and pixel, in nats.
    class_bias : ndarray of shape (classes,)
        Bias of each class, in nats.
    """

    levels: Floats
    class_bias: Floats

    @property
    def evidence(self) -> Floats:
        """Log-likelihood per class as :meth:`LevelWeights.evidence` has it: ``(n, classes)``."""
        return self.levels.sum(axis=(2, 3, 4)) + self.class_bias

    def between(self, a: int, b: int) -> EvidenceMap:
        """For class ``a``, against class ``b``."""
        bias = self.class_bias[a] - self.class_bias[b]
        return EvidenceMap(self.levels[:, a] - self.levels[:, b], np.full(len(self.levels), bias))

    def against_rest(self, a: int, class_prior: Floats) -> EvidenceMap:
        """Evidence map of a class against the others.

        Parameters
        ----------
        a : int
            Index of the class.
        class_prior : ndarray of shape (classes,)
            Mixes the other classes.

        Returns
        -------
        EvidenceMap
            Its sum is the ratio of :meth:`LevelWeights.log_likelihood_ratio`.
        """
        rest = np.arange(len(self.class_bias)) != a
        log_prior = np.log(class_prior[rest] / class_prior[rest].sum())
        share = softmax(self.evidence[:, rest] + log_prior, axis=1)
        levels = self.levels[:, a] - np.einsum("nj,njlhw->nlhw", share, self.levels[:, rest])
        divergence = (share * (np.log(np.maximum(share, np.finfo(float).tiny)) - log_prior)).sum(axis=1)
        return EvidenceMap(levels, self.class_bias[a] - share @ self.class_bias[rest] + divergence)


@torch.inference_mode()
def class_maps(
    denoise: ClassDenoiser, x: Tensor, sigmas: Floats, noise: Tensor, level_weights: LevelWeights, batch_size: int = 32
) -> ClassMaps:
    """Evidence maps of images under every class.

    Parameters
    ----------
    denoise : callable
        ``denoise(z, sigma)``, under every class.
    x : Tensor of shape (n, channel, height, width)
        Images in model units.
    sigmas : ndarray of shape (levels,)
        Noise levels.
    noise : Tensor of shape (levels, noises, channel, height, width)
        Noises; with those of :func:`bayescope.evidence.denoising.level_evidence`, maps add up to the same ratios.
    level_weights : LevelWeights
        Weights of the levels.
    batch_size : int, default 32
        Images per batch.

    Returns
    -------
    ClassMaps
        Maps, summed over channels.  The cost is that of a full evaluation.
    """
    levels = list(zip(sigmas.tolist(), noise.to(x.device), strict=True))
    batches = [torch.stack([_class_map(denoise, batch, *level) for level in levels], dim=2) for batch in x.split(batch_size)]
    maps = torch.cat(batches).cpu().numpy()
    return ClassMaps(maps * level_weights.weights[:, None, None], level_weights.class_bias)


def _class_map(denoise: ClassDenoiser, x: Tensor, sigma: float, noises: Tensor) -> Tensor:
    """-mean over noises of (x - D)²/σ², channels added up, double: ``(n, class, h, w)``."""
    level = torch.full((len(x),), sigma, device=x.device)
    errors = [(x[:, None] - denoise(x + sigma * noise, level)).double().square().sum(dim=2) for noise in noises]
    return -torch.stack(errors).mean(dim=0) / sigma**2
