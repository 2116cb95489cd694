"""Antialiased resizing to one size, and a record of whether the images of a data set were resized."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.transform import resize

from bayescope.types import Pixels

Sizing = Literal["unchanged", "fitted"]
"""How images were brought to one size: not at all, or as :func:`fit` does."""

_STEPS_KEPT = 4.0
"""An image is first reduced by a whole number so that at least as many pixels per pixel of the result are left."""


def fit_square(pixels: Pixels, size: int) -> Pixels:
    """Resize the longer side to ``size`` with antialiasing, keep the aspect ratio, pad with zeros around the centre."""
    return fit(pixels, (size, size))


def fit(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """Resize an image until it fits into a frame, with antialiasing and the aspect ratio kept, and pad with zeros around it.

    Parameters
    ----------
    pixels
        One image as stored, ``(channel, height, width)``.
    shape
        Height and width of the result.

    Returns
    -------
    Pixels
        ``(channel, *shape)``, of the type of ``pixels``.
    """
    channels, height, width = pixels.shape
    scale = min(shape[0] / height, shape[1] / width)
    inner = (max(1, round(height * scale)), max(1, round(width * scale)))
    scaled = _resized(pixels, inner)
    top, left = (shape[0] - inner[0]) // 2, (shape[1] - inner[1]) // 2
    framed = np.zeros((channels, *shape), dtype=pixels.dtype)
    framed[:, top : top + inner[0], left : left + inner[1]] = np.rint(scaled)
    return framed


def _resized(pixels: Pixels, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Gaussian filter of standard deviation (step - 1)/2, then linear sampling, as scikit-image resizes.

    Large steps are taken in two: the mean over whole blocks first, then a Gaussian that makes up for the rest of the variance.
    """
    steps = np.array(pixels.shape[1:]) / shape
    block = max(1, int(steps.min() / _STEPS_KEPT))
    if block == 1:
        exact: NDArray[np.float64] = resize(pixels, (len(pixels), *shape), order=1, anti_aliasing=True, preserve_range=True)
        return exact
    variance = ((steps - 1) / 2) ** 2 - (block**2 - 1) / 12
    deviation = np.sqrt(np.maximum(variance, 0)) / block
    rows, columns = (((np.arange(n) + 0.5) * step / block - 0.5) for n, step in zip(shape, steps, strict=True))
    grid = np.meshgrid(rows, columns, indexing="ij")
    reduced = (gaussian_filter(channel, deviation, mode="mirror") for channel in _block_means(pixels, block))
    return np.stack([map_coordinates(channel, grid, order=1, mode="mirror") for channel in reduced])


def _block_means(pixels: Pixels, block: int) -> NDArray[np.float64]:
    """Means over ``block`` by ``block`` pixels ``(channel, rows, columns)``, the far edges repeated to fill the last blocks."""
    channels, height, width = pixels.shape
    edge = [(0, 0), (0, -height % block), (0, -width % block)]
    whole = np.pad(pixels, edge, mode="edge") if any(far for _, far in edge) else pixels
    rows, columns = whole.shape[1] // block, whole.shape[2] // block
    by_row = whole.reshape(channels, rows, block, columns * block).sum(axis=2, dtype=np.uint32)
    return by_row.reshape(channels, rows, columns, block).sum(axis=3, dtype=np.uint64) / float(block**2)
