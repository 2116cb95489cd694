"""The preconditioned denoiser D(z; σ, y) ≈ E[x | z, σ, y].

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

The paper's network predicts the noise of a VP diffusion instead; :class:`EpsilonDenoiser` reads it as a denoiser over σ.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bayescope.diffusion.image_statistics import ImageStatistics, cosine_basis
from bayescope.diffusion.nets.backbone import Backbone
from bayescope.diffusion.nets.csp import common_spatial_patterns
from bayescope.diffusion.nets.unet import STEM_SIDE, Stem
from bayescope.diffusion.schedules import Schedule
from bayescope.errors import ConfigError

_SMALLEST_VARIANCE = 1e-5

LevelDenoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A denoiser made ready for one level: ``(z (n, c, h, w), image (rows,), label (rows,)) -> (rows, c, h, w)``, where row r is
``z[image[r]]`` denoised under class ``label[r]``."""
LevelsDenoiser = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""The same for several levels: ``(z, level (n,), image, label)``, where ``z[i]`` is at the level of index ``level[i]``."""


class Denoiser(nn.Module, ABC):
    """A raw network and what makes a denoiser of it, for images of one shape.

    A label equal to ``n_classes`` stands for no class: the denoiser of p(x).
    """

    mean: Tensor
    net: Backbone

    def __init__(self, net: Backbone, statistics: ImageStatistics) -> None:
        super().__init__()
        self.net = net
        self.n_classes = len(statistics.class_shift) - 1
        self.register_buffer("mean", statistics.mean)

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

    @property
    def class_means(self) -> Tensor:
        """Mean image as far as known: ``(c, h, w)``, or of each class ``(classes, c, h, w)``."""
        return self.mean

    def gaussian_log_likelihood(self, x: Tensor, sigma: float) -> Tensor:
        """log p(x + σn | class) were classes Gaussian as the statistics have them, up to a constant: ``(batch, classes)``.

        Zero where nothing is known of the classes.  No network pass.
        """
        return x.new_zeros(len(x), self.n_classes)

    def start_filters(self, x: Tensor, label: Tensor, sigma: float, count: int) -> None:
        """Start ``count`` filters of the network from common spatial patterns of ``x (n, c, h, w)`` at level ``sigma``.

        Raises ConfigError if the network has no filters for them.
        """
        raise ConfigError(
            f"net.csp_filters: found {count} for {type(self.net).__name__}, which has no stem for them; expected 0. Set it to 0"
        )

    @abstractmethod
    def at_level(self, sigma: float | Tensor) -> LevelDenoiser:
        """The denoiser of one level, with all that depends on level and class alone worked out once.

        A tensor ``()`` in the place of a number lets a graph take the level as its input.
        """

    def at_levels(self, sigmas: Sequence[float]) -> LevelsDenoiser:
        """The denoiser of several levels, for images of different levels in one call: here, one level after the other."""
        levels = [self.at_level(sigma) for sigma in sigmas]

        def denoise(z: Tensor, level: Tensor, image: Tensor, label: Tensor) -> Tensor:
            found = z.new_empty((len(image), *z.shape[1:]))
            for k in level[image].unique().tolist():
                rows = level[image] == k
                images, place = image[rows].unique(return_inverse=True)
                found[rows] = levels[k](z[images], place, label[rows])
            return found

        return denoise

    @abstractmethod
    def loss_weight(self, sigma: Tensor) -> Tensor:
        """1/Σ c_out², of what scales the network's output: ``(batch,)``."""

    @abstractmethod
    def _denoise(self, z: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        """``labels (k * batch,)``, the batch under each of k labels in turn; returns ``(batch, k, channel, height, width)``."""


class SpectralDenoiser(Denoiser):
    """The default: preconditioned by the images' statistics."""

    variance: Tensor
    class_shift: Tensor
    row_basis: Tensor
    column_basis: Tensor

    def __init__(self, net: Backbone, statistics: ImageStatistics) -> None:
        super().__init__(net, statistics)
        self.register_buffer("variance", statistics.variance)
        self.register_buffer("class_shift", statistics.class_shift)
        self.register_buffer("row_basis", cosine_basis(self.mean.shape[-2]), persistent=False)
        self.register_buffer("column_basis", cosine_basis(self.mean.shape[-1]), persistent=False)

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

    def at_levels(self, sigmas: Sequence[float]) -> LevelsDenoiser:
        """The denoiser of several levels, for images of different levels in one call."""
        levels = self._prepare(torch.as_tensor(sigmas, dtype=torch.float64))
        return lambda z, level, image, label: levels(z, level, level[image], image, label)

    @torch.inference_mode()
    def _prepare(self, sigmas: Tensor) -> Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]:
        """``(z, level of each image, level of each row, image, label)`` to rows; one level may stand for all."""
        sigmas = sigmas.to(self.mean.device, torch.float64)
        labels = torch.arange(self.n_classes, device=self.mean.device)
        log_sigma = sigmas.log().to(self.mean.dtype).repeat_interleave(self.n_classes)
        modulation = self.net.modulate(log_sigma, labels.repeat(len(sigmas)))
        sigma, noise_variance = (power.to(self.mean.dtype)[:, None, None, None] for power in (sigmas, sigmas**2))
        total = self.variance + noise_variance
        whitening, skip, gain = total.rsqrt(), self.variance / total, sigma * (self.variance / total).sqrt()
        class_weight = noise_variance / total

        def denoise(z: Tensor, level: Tensor, row_level: Tensor, image: Tensor, label: Tensor) -> Tensor:
            coefficients, of_class = self._transform(z - self.mean), row_level * self.n_classes + label
            white = self._inverse(coefficients * whitening[level])
            raw = self._transform(self.net.under(white, image, [rows[of_class] for rows in modulation]))
            class_mean = self.class_shift[label] * class_weight[row_level]
            linear = (coefficients * skip[level])[image] + class_mean
            return self.mean + self._inverse(linear + raw * gain[row_level])

        return denoise

    def _denoise(self, z: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        noise_variance = sigma.square()[:, None, None, None]
        total = self.variance + noise_variance
        coefficients = self._transform(z - self.mean)
        raw = self.net(self._inverse(coefficients * total.rsqrt()), sigma.log(), labels)
        skip = (coefficients * (self.variance / total))[:, None]
        gain = (noise_variance * self.variance / total).sqrt()[:, None]
        raw, shift = (part.unflatten(0, (-1, len(z))).transpose(0, 1) for part in (raw, self.class_shift[labels]))
        class_mean = shift * (noise_variance / total)[:, None]
        return self.mean + self._inverse(skip + class_mean + self._transform(raw) * gain)

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
        return self.row_basis @ x @ self.column_basis.T

    def _inverse(self, coefficients: Tensor) -> Tensor:
        return self.row_basis.T @ coefficients @ self.column_basis


class EpsilonDenoiser(Denoiser):
    """A network trained to predict the noise of a diffusion schedule: ``D(z; σ, y) = z - σ ε(α z, t(σ), y)``.

    Here c_out = σ (Karras et al. 2022, Table 1, VP), so the weighted loss is the unweighted error of the predicted noise.
    """

    def __init__(self, net: Backbone, statistics: ImageStatistics, schedule: Schedule) -> None:
        super().__init__(net, statistics)
        self.schedule = schedule

    @torch.inference_mode()
    def at_level(self, sigma: float | Tensor) -> LevelDenoiser:
        """The denoiser of one level, with all that depends on level and class alone worked out once."""
        labels = torch.arange(self.n_classes + 1, device=self.mean.device)
        level = torch.as_tensor(sigma, dtype=self.mean.dtype, device=self.mean.device).expand(labels.shape)
        alpha, modulation = self.schedule.scale(level[0]), self.net.modulate(self.schedule.time(level), labels)

        def denoise(z: Tensor, image: Tensor, label: Tensor) -> Tensor:
            return z[image] - sigma * self.net.under(alpha * z, image, [rows[label] for rows in modulation])

        return denoise

    def loss_weight(self, sigma: Tensor) -> Tensor:
        return epsilon_weight(self, sigma)

    def _denoise(self, z: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        noise = self.net(*self.schedule.to_schedule(z, sigma), labels).unflatten(0, (-1, len(z))).transpose(0, 1)
        return z[:, None] - sigma[:, None, None, None, None] * noise


def epsilon_weight(denoiser: Denoiser, sigma: Tensor) -> Tensor:
    """1/(σ² N), N pixels: turns ``‖D - x‖²`` into the mean squared error of the predicted noise, ``(batch,)``."""
    return 1.0 / (sigma.square() * denoiser.mean.numel())
