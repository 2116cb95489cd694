"""Sampling from p(x|y), and transport of images to another noise level, by the probability flow.

``dz/dσ = (z - D(z; σ, y))/σ``, by Heun's method of second order (Karras et al. 2022, Algorithm 1).
"""

import torch
from torch import Tensor

from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.ode import heun
from bayescope.diffusion.schedules import ImageDenoiser, log_spaced

_SIGMA_MIN, _SIGMA_MAX = 0.01, 40.0


@torch.inference_mode()
def sample(denoiser: Denoiser, label: Tensor, steps: int, seed: int) -> Tensor:
    """One image per entry of ``label`` (``n_classes``: of no class): ``(n, channel, height, width)``.

    From noise at σ = 40 down to σ = 0.01, then one last denoising.  The i-th image starts from the same noise whatever its
    class.  Cost: ``2 steps + 1`` passes per image.
    """
    device = denoiser.mean.device
    label = label.to(device)
    generator = torch.Generator().manual_seed(seed)
    sigmas = log_spaced(_SIGMA_MIN, _SIGMA_MAX, steps + 1).flip(0).double()
    noise = torch.randn(len(label), *denoiser.image_shape, generator=generator).to(device)
    z = flow(denoiser, denoiser.mean + _SIGMA_MAX * noise, label, sigmas)
    return denoiser(z, torch.full((len(z),), _SIGMA_MIN, device=device), label)


def flow(denoiser: ImageDenoiser, z: Tensor, label: Tensor, sigmas: Tensor) -> Tensor:
    """Carry ``z (n, c, h, w)`` along the probability flow from ``sigmas[0]`` to ``sigmas[-1]``: the shape of ``z``."""

    def slope(sigma: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        here = y.to(z.dtype).unflatten(1, z.shape[1:])
        denoised = denoiser(here, sigma.to(z.dtype), label[rows])
        return (y - denoised.flatten(1)) / sigma[:, None]

    return heun(slope, z.flatten(1), sigmas).state.to(z.dtype).reshape(z.shape)
