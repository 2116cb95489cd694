"""Cropping of the cosine spectrum: at high noise the network is given a smaller image, of the coefficients that noise leaves
visible.

The low coefficients of an orthonormal cosine transform of n pixels, transformed back by that of n/2, are the image at half the
side, and white noise stays white with the same standard deviation.  Coefficients outside the crop are left to the linear
denoiser.  That of the classes' means stays exact there; all else is the same for every class, and cancels in likelihood ratios.
"""

import math

from torch import Tensor, nn

from bayescope.diffusion.image_statistics import cosine_basis

FACTORS = (2, 4)
SMALLEST_SIDE = 16
"""Of a cropped image behind the fold of the stem: with smaller ones chest X-rays were learned worse, or not at all."""


class SpectralCrop(nn.Module):
    """Chooses for a noise level how many times smaller a side the network sees.

    Parameters
    ----------
    image_shape : tuple of int
        Channel, height, width.
    snr : float
        Largest mean signal-to-noise ratio (of power) of the coefficients left out; 0 leaves none out.
    smallest_side : int, default 16
        Of a cropped image, pixels.
    """

    def __init__(self, image_shape: tuple[int, int, int], snr: float, smallest_side: int = SMALLEST_SIDE) -> None:
        super().__init__()
        _, height, width = image_shape
        self.snr = snr
        self.sides = {1: (height, width)}
        if snr > 0:
            smaller = {factor: (math.ceil(height / factor), math.ceil(width / factor)) for factor in FACTORS}
            self.sides |= {factor: sides for factor, sides in smaller.items() if min(sides) >= smallest_side}
        for side in {side for sides in self.sides.values() for side in sides}:
            self.register_buffer(f"basis_{side}", cosine_basis(side), persistent=False)

    def factors(self, sigma: Tensor, variance: Tensor) -> list[int]:
        """How many times smaller a side the network sees at each level of ``sigma (n,)``: 1, 2 or 4.

        ``variance``: of the coefficients, ``(channel, height, width)``.
        """
        if len(self.sides) == 1:
            return [1] * len(sigma)
        limits = {factor: self._mean_outside(variance, factor) / self.snr for factor in self.sides if factor > 1}
        return [max([1, *(f for f, limit in limits.items() if level**2 >= limit)]) for level in sigma.tolist()]

    def _mean_outside(self, variance: Tensor, factor: int) -> float:
        height, width = self.sides[factor]
        inside = variance[:, :height, :width]
        return float((variance.sum() - inside.sum()) / (variance.numel() - inside.numel()))

    def to_image(self, coefficients: Tensor, factor: int) -> Tensor:
        """The image of the lowest ``coefficients (…, height, width)``, ``factor`` times smaller a side."""
        height, width = self.sides[factor]
        return self._basis(height).T @ coefficients[..., :height, :width] @ self._basis(width)

    def to_coefficients(self, image: Tensor, factor: int) -> Tensor:
        """All coefficients ``(…, height, width)`` of a smaller ``image``, zero above its own."""
        height, width = self.sides[factor]
        own = self._basis(height) @ image @ self._basis(width).T
        if factor == 1:
            return own
        full = own.new_zeros((*own.shape[:-2], *self.sides[1]))
        full[..., :height, :width] = own
        return full

    def _basis(self, side: int) -> Tensor:
        return self.get_buffer(f"basis_{side}")
