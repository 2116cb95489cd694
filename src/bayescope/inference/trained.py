"""A trained denoiser with the form of its images: evidence at each noise level, and samples."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bayescope.config import Config
from bayescope.data.formats.resize import Sizing
from bayescope.data.pixel_scale import PixelScale
from bayescope.data.preparation.mammogram import Preparation
from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.sampling import sample
from bayescope.diffusion.schedules import log_spaced
from bayescope.evidence.denoising import LevelEvidence, level_evidence
from bayescope.evidence.noise import draw_noise
from bayescope.inference.model_units import in_parts, to_model_units
from bayescope.types import Floats, Pixels


@dataclass(frozen=True)
class TrainedModel:
    """A trained denoiser with everything needed to score stored images, before anything is fitted on held-out images.

    Parameters
    ----------
    config : Config
        The configuration it was trained with, including the settings of scoring.
    denoiser : Denoiser
        The trained denoiser.
    scale : PixelScale
        The map from stored pixel values to the model's range.
    pixel_type : str
        Type of the training images as stored: ``"uint8"``, ``"uint16"`` or ``"float32"``.
    class_names : tuple of str
        Names of the classes.
    class_prior : ndarray of shape (classes,)
        Default probability of each class.
    preparation : Preparation, optional
        How its images were prepared from mammograms; new ones are prepared in the same way.
    sizing : str, optional
        How its images were resized: ``"unchanged"`` or ``"fitted"``; None if that was not recorded.
    """

    config: Config
    denoiser: Denoiser
    scale: PixelScale
    pixel_type: str
    class_names: tuple[str, ...]
    class_prior: Floats
    preparation: Preparation | None = field(default=None, kw_only=True)
    sizing: Sizing | None = field(default=None, kw_only=True)

    @property
    def sigmas(self) -> Floats:
        """Noise levels that images are scored at, rising: ``(levels,)``."""
        settings = self.config.evidence
        return log_spaced(settings.sigma_min, settings.sigma_max, settings.levels).double().numpy()

    def by_class(self, values: Sequence[float] | NDArray[Any]) -> dict[str, Any]:
        """Values of the classes as a dictionary.

        Parameters
        ----------
        values : sequence of shape (classes,)
            One value for each class.

        Returns
        -------
        dict
            Plain numbers by class name.
        """
        return dict(zip(self.class_names, np.asarray(values).tolist(), strict=True))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(channel, height, width)`` of its images."""
        return self.denoiser.image_shape

    def level_evidence(
        self,
        pixels: Pixels,
        callback: Callable[[int], None] = lambda images: None,
        batch_size: int | None = None,
        change: Callable[[Tensor], Tensor] = lambda x: x,
        watch: Callable[[LevelEvidence, int], None] | None = None,
    ) -> LevelEvidence:
        """Evidence of stored images at each noise level.

        Parameters
        ----------
        pixels : ndarray of shape (n, channel, height, width)
            Stored pixel values, in memory or memory-mapped.
        callback : callable, optional
            Called with the number of images scored since its last call.
        batch_size : int, optional
            Images per batch (default: as many as memory bounds allow).
        change : callable, optional
            Applied first to the images in model units.
        watch : callable, optional
            As of :func:`bayescope.evidence.denoising.level_evidence`, of the images of one of :meth:`parts`.

        Returns
        -------
        LevelEvidence
            Evidence of each image, class, level and noise.

        Raises
        ------
        DataError
            If the images are of another shape than the model's, not finite, or in other units.
        """
        sigmas, noise = self.draws()
        parts = (change(self.checked(part)) for part in self.parts(pixels))
        return LevelEvidence.joined(
            [level_evidence(self.denoiser, x, sigmas, noise, batch_size, callback, watch) for x in parts]
        )

    def sample(self, per_class: int, steps: int = 24, seed: int = 0) -> Floats:
        """Draw samples of every class.

        Parameters
        ----------
        per_class : int
            Number of samples of each class.
        steps : int, default 24
            Steps of the solver from noise to image.
        seed : int, default 0
            Seed of the noise; the i-th sample of every class starts from the same noise.

        Returns
        -------
        ndarray of shape (classes, per_class, channel, height, width)
            Images in the model's range, about -1 to 1.
        """
        rows = []
        for k in range(len(self.class_names)):
            rows.append(sample(self.denoiser, torch.full((per_class,), k), steps, seed).float().cpu().numpy())
        return np.stack(rows)

    def checked(self, pixels: Pixels) -> Tensor:
        """Convert stored images to model units, on the model's device.

        For the rules of units see :func:`bayescope.data.units.in_training_units`.

        Parameters
        ----------
        pixels : ndarray of shape (n, channel, height, width)
            Stored pixel values, in memory or memory-mapped.

        Returns
        -------
        Tensor
            The images, about -1 to 1.

        Raises
        ------
        DataError
            If the images are of another shape than the model's, not finite, or in other units.
        """
        x = to_model_units(pixels, self.image_shape, self.pixel_type, self.scale)
        return torch.from_numpy(x).to(self.denoiser.mean.device)

    def parts(self, pixels: Pixels) -> Iterator[Pixels]:
        """Divide images into parts of bounded memory, at least one; memory-mapped images are not loaded.

        Parameters
        ----------
        pixels : ndarray of shape (n, channel, height, width)
            Stored images.

        Yields
        ------
        ndarray
            Consecutive images.
        """
        settings = self.config.evidence
        return in_parts(pixels, len(self.class_names) * settings.levels * settings.noises)

    def draws(self) -> tuple[Floats, Tensor]:
        """Levels ``(levels,)`` and the noises that all images share ``(levels, noises, channel, height, width)``."""
        settings = self.config.evidence
        return self.sigmas, draw_noise(settings.levels, settings.noises, self.image_shape, self.config.seed)
