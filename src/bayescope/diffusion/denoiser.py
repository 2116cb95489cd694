"""The preconditioned denoiser D(z; σ, y) ≈ E[x | z, σ, y].

The default is :class:`~bayescope.diffusion.spectral_denoiser.SpectralDenoiser`.  The paper's network predicts the noise of a VP
diffusion instead; :class:`EpsilonDenoiser` reads it as a denoiser over σ.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.nets.backbone import Backbone
from bayescope.diffusion.schedules import Schedule
from bayescope.errors import ConfigError
from bayescope.types import Floats

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

    def relative_cost(self, sigmas: Floats) -> Floats:
        """Time of a network pass at each of these levels, relative to one on the whole image: the shape of ``sigmas``."""
        return np.ones(len(sigmas))

    def can_mix(self, sigmas: Sequence[float]) -> bool:
        """Whether images of these levels share a network call in :meth:`at_levels`."""
        return False

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
