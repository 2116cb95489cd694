"""The default denoiser, preconditioned by the spectrum of the images.

EDM (Karras et al. 2022, Table 1) scales the raw network's input and output with one number σ_data, as if the data were
white with that standard deviation.  Images are far from white: their power falls steeply with spatial frequency.  Here
σ_data is a spectrum: the training images' mean μ and variance v per coefficient of an orthonormal cosine transform C
(close to the Karhunen-Loève basis of stationary texture with reflecting borders), and each class has its own mean
μ + m_y.  Per coefficient EDM's formulas hold::

    c_skip = v/(v + σ²)    c_out = σ √v / √(v + σ²)    c_in = 1/√(v + σ²)
    D(z; y) = μ + Cᵀ[ c_skip C(z - μ) + (1 - c_skip) C m_y + c_out C F(Cᵀ c_in C(z - μ); log σ, y) ]

An untrained network (F = 0) is then the exact denoiser of Gaussian classes, and classifies as the Hotelling observer
does; the network sees prewhitened images, and all of its capacity goes into what is not Gaussian.  With v = σ_data²,
μ = m_y = 0 it is exactly EDM.

With ``crop_snr`` above 0, the network sees a smaller image at high noise, and F is zero in the coefficients left out: see
:mod:`bayescope.diffusion.spectral_crop`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from bayescope.diffusion.denoiser import Denoiser, LevelDenoiser, LevelsDenoiser
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.nets.backbone import Backbone
from bayescope.diffusion.nets.csp import common_spatial_patterns
from bayescope.diffusion.nets.unet import STEM_SIDE, Stem
from bayescope.diffusion.spectral_crop import SMALLEST_SIDE, SpectralCrop
from bayescope.types import Floats

_FIXED_COST = 0.1
"""Share of a pass that does not shrink with the crop: transforms and errors of the whole image."""


class SpectralDenoiser(Denoiser):
    """A network between whitening and unwhitening of cosine coefficients.

    Parameters
    ----------
    net : Backbone
        The network.
    statistics : ImageStatistics
        Of the training images.
    crop_snr : float, default 0
        Coefficients of a lower mean signal-to-noise ratio are left to the linear denoiser; 0 leaves none.
    fold : int, default 1
        Pixels a side that the network folds into one, which limits the crop.
    """

    variance: Tensor
    class_shift: Tensor

    def __init__(self, net: Backbone, statistics: ImageStatistics, crop_snr: float = 0.0, fold: int = 1) -> None:
        super().__init__(net, statistics)
        self.register_buffer("variance", statistics.variance)
        self.register_buffer("class_shift", statistics.class_shift)
        self.crop = SpectralCrop(self.image_shape, crop_snr, SMALLEST_SIDE * fold)

    @property
    def class_means(self) -> Tensor:
        """Mean image of each class: ``(classes, c, h, w)``."""
        return self.mean + self._inverse(self.class_shift[: self.n_classes])

    def gaussian_log_likelihood(self, x: Tensor, sigma: float) -> Tensor:
        """The Hotelling observer: classes of their own means and one spectrum."""
        total = self.variance + sigma**2
        template = self.class_shift[: self.n_classes] / total
        match = torch.einsum("nchw,kchw->nk", self._transform(x - self.mean), template)
        return match - (template * self.class_shift[: self.n_classes]).sum(dim=(1, 2, 3)) / 2

    def at_level(self, sigma: float | Tensor) -> LevelDenoiser:
        """The denoiser of one level, with all that depends on level and class alone worked out once."""
        levels = self._prepare(torch.as_tensor(sigma, dtype=torch.float64)[None])
        only = torch.zeros(1, dtype=torch.long, device=self.mean.device)
        return lambda z, image, label: levels(z, only, only, image, label)

    def relative_cost(self, sigmas: Floats) -> Floats:
        """Time of a network pass at each of these levels, as far as it grows with the pixels that the network sees."""
        factors = np.array(self._factors(torch.as_tensor(sigmas)))
        return np.asarray(_FIXED_COST + (1 - _FIXED_COST) / factors**2)

    def can_mix(self, sigmas: Sequence[float]) -> bool:
        """Whether the network sees images of the same size at these levels."""
        return len(set(self._factors(torch.as_tensor(sigmas)))) == 1

    def at_levels(self, sigmas: Sequence[float]) -> LevelsDenoiser:
        """The denoiser of several levels, for images of different levels in one call where :meth:`can_mix` allows it."""
        if not self.can_mix(sigmas):
            return super().at_levels(sigmas)
        levels = self._prepare(torch.as_tensor(sigmas, dtype=torch.float64))
        return lambda z, level, image, label: levels(z, level, level[image], image, label)

    @torch.inference_mode()
    def _prepare(self, sigmas: Tensor) -> Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]:
        """``(z, level of each image, level of each row, image, label)`` to rows; one level may stand for all."""
        sigmas = sigmas.to(self.mean.device, torch.float64)
        factor = self._factors(sigmas)[0]
        labels = torch.arange(self.n_classes, device=self.mean.device)
        log_sigma = sigmas.log().to(self.mean.dtype).repeat_interleave(self.n_classes)
        modulation = self.net.modulate(log_sigma, labels.repeat(len(sigmas)))
        sigma, noise_variance = (power.to(self.mean.dtype)[:, None, None, None] for power in (sigmas, sigmas**2))
        total = self.variance + noise_variance
        whitening, skip, gain = total.rsqrt(), self.variance / total, sigma * (self.variance / total).sqrt()
        class_weight = noise_variance / total

        def denoise(z: Tensor, level: Tensor, row_level: Tensor, image: Tensor, label: Tensor) -> Tensor:
            coefficients, of_class = self._transform(z - self.mean), row_level * self.n_classes + label
            white = self.crop.to_image(coefficients * whitening[level], factor)
            raw = self.crop.to_coefficients(self.net.under(white, image, [rows[of_class] for rows in modulation]), factor)
            class_mean = self.class_shift[label] * class_weight[row_level]
            linear = (coefficients * skip[level])[image] + class_mean
            return self.mean + self._inverse(linear + raw * gain[row_level])

        return denoise

    def _denoise(self, z: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        noise_variance = sigma.square()[:, None, None, None]
        total = self.variance + noise_variance
        coefficients = self._transform(z - self.mean)
        labels = labels.unflatten(0, (-1, len(z)))
        raw = self._raw(coefficients * total.rsqrt(), sigma, labels)
        skip = (coefficients * (self.variance / total))[:, None]
        gain = (noise_variance * self.variance / total).sqrt()[:, None]
        class_mean = self.class_shift[labels.T] * (noise_variance / total)[:, None]
        return self.mean + self._inverse(skip + class_mean + raw * gain)

    def _raw(self, white: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        """Coefficients of what the network makes of ``white (batch, c, h, w)`` under ``labels (k, batch)``: ``(batch, k, …)``.

        Images that the network sees at the same size share a call.
        """
        factors = self._factors(sigma)
        if len(set(factors)) == 1:
            return self._raw_at(white, sigma, labels, factors[0])
        parts, rows = [], []
        for factor in set(factors):
            chosen = torch.tensor([row for row, own in enumerate(factors) if own == factor], device=white.device)
            parts.append(self._raw_at(white[chosen], sigma[chosen], labels[:, chosen], factor))
            rows.append(chosen)
        return torch.cat(parts)[torch.cat(rows).argsort()]

    def _raw_at(self, white: Tensor, sigma: Tensor, labels: Tensor, factor: int) -> Tensor:
        raw = self.net(self.crop.to_image(white, factor), sigma.log(), labels.flatten())
        return self.crop.to_coefficients(raw.unflatten(0, labels.shape).transpose(0, 1), factor)

    def _factors(self, sigma: Tensor) -> list[int]:
        return self.crop.factors(sigma, self.variance)

    def start_filters(self, x: Tensor, label: Tensor, sigma: float, count: int) -> None:
        """Start ``count`` of the stem's filters from common spatial patterns of ``x (n, c, h, w)`` at level ``sigma``."""
        stem = getattr(self.net, "stem", None)
        if not isinstance(stem, Stem):
            return super().start_filters(x, label, sigma, count)
        white = self._inverse(self._transform(x - self.mean) * (self.variance + sigma**2).rsqrt())
        stem.start_from(common_spatial_patterns(white, label, self.n_classes, STEM_SIDE, count))

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """1/Σ c_out²: makes the expected squared error of the linear denoiser one at every σ: ``(batch,)``."""
        noise_variance = sigma.square()[:, None, None, None]
        return 1.0 / (noise_variance * self.variance / (self.variance + noise_variance)).sum(dim=(1, 2, 3))

    def _transform(self, x: Tensor) -> Tensor:
        return self.crop.to_coefficients(x, 1)

    def _inverse(self, coefficients: Tensor) -> Tensor:
        return self.crop.to_image(coefficients, 1)
