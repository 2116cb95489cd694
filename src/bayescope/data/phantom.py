"""A phantom with a known likelihood: lesions in 1/f³ texture, and their ideal observer.

Textures as in mammographic model-observer work (Burgess et al., J. Opt. Soc. Am. A 2001): a Gaussian field of power
spectrum 1/f³ (unit variance) plus white detector noise.  Three classes: normal texture, a mass (designer nodule) and a
cluster of five microcalcifications, the lesion at any of 25 places with equal probability.  The covariance K is
circulant, so the log-likelihood of a class is exact by FFT::

    log p(x | class) = log mean_places N(x; s_place, K)

and Bayes' rule on it is the ideal observer: no classifier can do better on these images.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

CLASS_NAMES = ("normal", "mass", "microcalcifications")
_SPECKS = ((0.0, 0.0), (-2.5, 1.0), (1.5, 2.5), (2.5, -1.5), (-1.5, -2.5))


@dataclass(frozen=True)
class Phantom:
    """Texture with or without a lesion, periodic at the image border.

    ``size`` is the side in pixels, ``exponent`` the fall of the texture's power spectrum, ``detector_noise`` the standard
    deviation of the white noise in units of the texture's, ``reach`` how many pixels the lesion's centre may be off the
    image's centre on either axis: ``(2 reach + 1)²`` places.
    """

    size: int = 32
    exponent: float = 3.0
    detector_noise: float = 0.7
    mass_contrast: float = 1.2
    mass_radius: float = 4.5
    speck_contrast: float = 1.5
    speck_width: float = 0.6
    reach: int = 2

    @cached_property
    def power_spectrum(self) -> NDArray[np.float64]:
        """Eigenvalues of the covariance K, one per spatial frequency: ``(size, size)``.

        The texture has no power at frequency zero: its brightness is the detector's."""
        axis = np.fft.fftfreq(self.size) * self.size
        radius = np.hypot(axis[:, None], axis[None, :])
        radius[0, 0] = np.inf
        texture = radius**-self.exponent
        return texture / texture.mean() + self.detector_noise**2

    @cached_property
    def lesions(self) -> NDArray[np.float64]:
        """Noise-free lesion profiles: ``(class, place, size, size)``; class 0 is empty."""
        offsets = range(-self.reach, self.reach + 1)
        centre = (self.size - 1) // 2
        places = [(centre + dy, centre + dx) for dy in offsets for dx in offsets]
        return np.stack(
            [
                np.zeros((len(places), self.size, self.size)),
                np.stack([self._mass(*place) for place in places]),
                np.stack([self._cluster(*place) for place in places]),
            ]
        )

    def sample(self, n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Draw ``n`` images with classes as equally frequent as can be, in random order.

        Returns images ``(n, size, size)`` in units of the texture's standard deviation, and labels ``(n,)``.
        """
        rng = np.random.default_rng(seed)
        labels = rng.permutation(np.arange(n) % len(CLASS_NAMES))
        places = rng.integers(self.lesions.shape[1], size=n)
        images = np.empty((n, self.size, self.size), dtype=np.float32)
        for start in range(0, n, 4096):
            chunk = slice(start, min(start + 4096, n))
            images[chunk] = self.texture(len(images[chunk]), rng) + self.lesions[labels[chunk], places[chunk]]
        return images, labels

    def texture(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """``n`` images of the background alone: ``(n, size, size)``."""
        white = rng.standard_normal((n, self.size, self.size))
        return np.asarray(np.fft.ifft2(np.fft.fft2(white) * np.sqrt(self.power_spectrum)).real)

    def log_likelihood(self, images: NDArray[Any]) -> NDArray[np.float64]:
        """Exact log p(x | class) of images ``(n, size, size)``, in nats: ``(n, classes)``."""
        return logsumexp(self.log_likelihood_by_place(images), axis=2) - np.log(self.lesions.shape[1])

    def log_likelihood_by_place(self, images: NDArray[Any]) -> NDArray[np.float64]:
        """log N(x; s, K) for each lesion s, in nats: ``(n, classes, places)``."""
        scale = 1.0 / np.sqrt(self.power_spectrum * self.size**2)
        whitened = self._features(images, scale)
        lesions = self._features(self.lesions, scale)
        log_norm = -0.5 * np.log(2 * np.pi * self.power_spectrum).sum()
        cross = np.einsum("nf,cpf->ncp", whitened, lesions)
        energy = 0.5 * (lesions**2).sum(-1)
        return log_norm - 0.5 * (whitened**2).sum(-1)[:, None, None] + cross - energy

    @staticmethod
    def _features(images: NDArray[Any], scale: NDArray[np.float64]) -> NDArray[np.float64]:
        spectrum = np.fft.fft2(images) * scale
        parts = np.stack([spectrum.real, spectrum.imag], axis=-1)
        return parts.reshape(*spectrum.shape[:-2], -1)

    def _grid(self, row: float, column: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        axis = np.arange(self.size, dtype=float)
        return axis[:, None] - row, axis[None, :] - column

    def _mass(self, row: float, column: float) -> NDArray[np.float64]:
        dy, dx = self._grid(row, column)
        inside = np.clip(1.0 - (dy**2 + dx**2) / self.mass_radius**2, 0.0, None)
        return self.mass_contrast * inside**1.5

    def _cluster(self, row: float, column: float) -> NDArray[np.float64]:
        specks = np.zeros((self.size, self.size))
        for speck_row, speck_column in _SPECKS:
            dy, dx = self._grid(row + speck_row, column + speck_column)
            specks += self.speck_contrast * np.exp(-0.5 * (dy**2 + dx**2) / self.speck_width**2)
        return specks
