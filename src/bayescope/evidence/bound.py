"""Denoising evidence per noise level.

With the ideal denoiser (I-MMSE; Kong, Brekelmans & Ver Steeg 2023), in nats::

    log p(x|a) - log p(x|b) = ∫ E_n [ ‖x - D(x+σn; σ, b)‖² - ‖x - D(x+σn; σ, a)‖² ] / σ² d log σ

The integral becomes a sum over levels σ_k and the expectation a mean over noises n_j.  The same n serves every class, or
the noise of the estimate would swamp the difference; the same n also serves every image, so an image's answer does not
depend on what else is asked.  Cost: ``levels x noises x classes`` network passes per image, linear in pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bayescope.shapes import Floats

ClassDenoiser = Callable[[Tensor, Tensor], Tensor]
"""``(z (batch, c, h, w), sigma (batch,)) -> denoised under every class (batch, class, c, h, w)``."""


@dataclass(frozen=True)
class LevelEvidence:
    """``-‖x - D‖²/σ²`` for each image, class, level and noise: ``(n, classes, levels, noises)``.

    Nats per unit of log σ, up to a constant common to the classes.  ``sigmas``: ``(levels,)``.
    """

    values: Floats
    sigmas: Floats

    @property
    def mean(self) -> Floats:
        """Over noises: ``(n, classes, levels)``."""
        return self.values.mean(axis=3)

    @property
    def passes(self) -> int:
        """Network passes spent per image."""
        return int(np.prod(self.values.shape[1:]))


def draw_noise(n_levels: int, n_noises: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Independent standard normal noise: ``(levels, noises, *shape)``."""
    return torch.randn(n_levels, n_noises, *shape, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def level_evidence(
    denoise: ClassDenoiser,
    x: Tensor,
    sigmas: Floats,
    noise: Tensor,
    batch_size: int = 128,
    callback: Callable[[int], None] = lambda images: None,
) -> LevelEvidence:
    """Weigh images ``x (n, c, h, w)`` at every level and noise ``(levels, noises, c, h, w)`` under every class.

    ``callback`` hears how many images each finished batch held.  Memory is bounded by ``batch_size``.
    """
    batches = []
    for batch in x.split(batch_size):
        columns = [_errors(denoise, batch, float(sigma), n) for sigma, row in zip(sigmas, noise, strict=True) for n in row]
        batches.append(torch.stack(columns, dim=2).unflatten(2, noise.shape[:2]))
        callback(len(batch))
    return LevelEvidence(torch.cat(batches).double().cpu().numpy(), sigmas)


def _errors(denoise: ClassDenoiser, x: Tensor, sigma: float, noise: Tensor) -> Tensor:
    level = torch.full((len(x),), sigma, device=x.device)
    denoised = denoise(x + sigma * noise.to(x.device), level)
    return -(x[:, None] - denoised).float().square().sum(dim=(2, 3, 4)) / sigma**2
