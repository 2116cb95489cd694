"""The preconditioned denoiser D(z; σ, y) ≈ E[x | z, σ, y].

EDM (Karras et al. 2022, Table 1) scales the raw network's input and output with one number σ_data, as if the data were
white with that standard deviation.  Images are far from white: their power falls steeply with spatial frequency.  Here
σ_data is a spectrum: the training images' mean μ and variance v_f per coefficient of an orthonormal cosine transform C
(close to the Karhunen-Loève basis of stationary texture with reflecting borders).  Per coefficient EDM's formulas hold::

    c_skip = v/(v + σ²)    c_out = σ √v / √(v + σ²)    c_in = 1/√(v + σ²)
    D(z) = μ + Cᵀ[ c_skip C(z - μ) + c_out C F(Cᵀ c_in C(z - μ); log σ, y) ]

An untrained network (F = 0) is then the best linear denoiser (Wiener) instead of a constant shrinkage, the network sees
prewhitened images, as the ideal observer does, and all of its capacity goes into what is not Gaussian: the classes.
With v_f = σ_data² and μ = 0 it is EDM to the letter.
"""

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn

from bayescope.nets.unet import UNet

_SMALLEST_VARIANCE = 1e-5


class Denoiser(nn.Module):
    """Raw network and the image statistics that precondition it.

    ``mean``: ``(channel, height, width)`` in pixels; ``variance``: the same shape, per cosine coefficient.  A label
    equal to ``n_classes`` stands for no class: the denoiser of p(x).
    """

    mean: Tensor
    variance: Tensor
    row_basis: Tensor
    column_basis: Tensor

    def __init__(self, net: nn.Module, n_classes: int, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        self.net = net
        self.n_classes = n_classes
        self.register_buffer("mean", mean)
        self.register_buffer("variance", variance)
        self.register_buffer("row_basis", cosine_basis(mean.shape[-2]), persistent=False)
        self.register_buffer("column_basis", cosine_basis(mean.shape[-1]), persistent=False)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.mean.shape
        return channels, height, width

    def forward(self, z: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        """Denoised images, the shape of ``z`` ``(batch, channel, height, width)``; ``sigma``, ``label``: ``(batch,)``."""
        return self._denoise(z, sigma, label)[:, 0]

    def under_every_class(self, z: Tensor, sigma: Tensor) -> Tensor:
        """The same noisy images denoised under each class: ``(batch, class, channel, height, width)``."""
        labels = torch.arange(self.n_classes, device=z.device).repeat_interleave(len(z))
        return self._denoise(z, sigma, labels)

    def _denoise(self, z: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        noise_variance = sigma.square()[:, None, None, None]
        total = self.variance + noise_variance
        coefficients = self._transform(z - self.mean)
        raw = self.net(self._inverse(coefficients * total.rsqrt()), sigma.log(), labels)
        raw = raw.unflatten(0, (-1, len(z))).transpose(0, 1)
        wiener = coefficients * (self.variance / total)
        gain = (noise_variance * self.variance / total).sqrt()
        return self.mean + self._inverse(wiener[:, None] + self._transform(raw) * gain[:, None])

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """1/Σ c_out²: makes the expected squared error of the linear denoiser one at every σ: ``(batch,)``."""
        noise_variance = sigma.square()[:, None, None, None]
        return 1.0 / (noise_variance * self.variance / (self.variance + noise_variance)).sum(dim=(1, 2, 3))

    def _transform(self, x: Tensor) -> Tensor:
        return self.row_basis @ x @ self.column_basis.T

    def _inverse(self, coefficients: Tensor) -> Tensor:
        return self.row_basis.T @ coefficients @ self.column_basis


def cosine_basis(n: int) -> Tensor:
    """Orthonormal DCT-II: ``(n, n)``, one frequency a row."""
    return torch.from_numpy(dct(np.eye(n), norm="ortho", axis=0)).float()


def image_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean image and variance per cosine coefficient of images ``(n, channel, height, width)``."""
    mean = x.mean(dim=0)
    coefficients = cosine_basis(x.shape[-2]) @ (x - mean) @ cosine_basis(x.shape[-1]).T
    return mean, coefficients.square().mean(dim=0).clamp_min(_SMALLEST_VARIANCE)


def build_denoiser(
    n_classes: int, mean: Tensor, variance: Tensor, widths: tuple[int, ...], blocks: int, dropout: float
) -> Denoiser:
    """A denoiser with the default network for images of ``mean``'s shape."""
    net = UNet(mean.shape[0], n_classes, widths, blocks, dropout)
    return Denoiser(net, n_classes, mean, variance).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
