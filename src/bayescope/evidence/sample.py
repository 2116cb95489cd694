"""What the model imagines: images drawn from p(x|y) along the probability flow.

``dz/d log σ = z - D(z; σ, y)`` from noise at σ_max down to σ_min, Heun's second order (Karras et al. 2022, Algorithm 1),
then one last denoising.
"""

from itertools import pairwise

import torch
from torch import Tensor

from bayescope.denoiser import Denoiser
from bayescope.noise import log_spaced

_SIGMA_MIN, _SIGMA_MAX = 0.01, 40.0


@torch.inference_mode()
def sample(denoiser: Denoiser, label: Tensor, steps: int, seed: int) -> Tensor:
    """One image per entry of ``label`` (``n_classes``: of no class): ``(n, channel, height, width)``.

    The i-th image starts from the same noise whatever its class.  Cost: ``2 steps`` passes per image.
    """
    device = denoiser.mean.device
    label = label.to(device)
    generator = torch.Generator().manual_seed(seed)
    sigmas = log_spaced(_SIGMA_MIN, _SIGMA_MAX, steps + 1).flip(0).tolist()
    z = denoiser.mean + sigmas[0] * torch.randn(len(label), *denoiser.image_shape, generator=generator).to(device)

    def slope(z: Tensor, sigma: float) -> Tensor:
        return (z - denoiser(z, torch.full((len(z),), sigma, device=device), label)) / sigma

    for sigma, following in pairwise(sigmas):
        here = slope(z, sigma)
        ahead = slope(z + (following - sigma) * here, following)
        z = z + (following - sigma) * 0.5 * (here + ahead)
    return denoiser(z, torch.full((len(z),), sigmas[-1], device=device), label)
