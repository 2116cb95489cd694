"""Grayscale and colour: an RGB image whose channels are equal in every pixel is grayscale."""

import numpy as np

from bayescope.errors import DataError
from bayescope.types import Pixels

_AT_ONCE = 256


def is_grayscale(image: Pixels) -> bool:
    """Whether all channels of ``(channel, …)`` are the same."""
    return all(np.array_equal(channel, image[0]) for channel in image[1:])


def with_channels(images: Pixels, channels: int, name: str) -> Pixels:
    """Images ``(n, channel, height, width)`` with ``channels`` of them: grayscale made RGB, and RGB that is grayscale made
    grayscale.

    Raises DataError, under ``name``, if some are in colour and grayscale is asked for.
    """
    found = images.shape[1]
    if found == channels or {found, channels} != {1, 3}:
        return images
    if found == 1:
        return np.repeat(images, 3, axis=1)
    coloured = sum(_coloured(images[start : start + _AT_ONCE]) for start in range(0, len(images), _AT_ONCE))
    if coloured:
        raise DataError(
            f"{name}: {coloured} of {len(images)} images are in colour; the model was trained on grayscale ones. Convert them "
            "to "
            "grayscale, or train a model on colour images"
        )
    return np.ascontiguousarray(images[:, :1])


def _coloured(images: Pixels) -> int:
    return int((images != images[:, :1]).any(axis=(1, 2, 3)).sum())
