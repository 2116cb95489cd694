"""Stored pixels in the units of a model, checked, and a few images at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayescope.data.pixel_scale import PixelScale
from bayescope.data.units import in_training_units
from bayescope.errors import DataError
from bayescope.types import Pixels

_NUMBERS_AT_ONCE = 2**23
"""Pixels or draws, whichever an image has more of: 64 MiB."""


def to_model_units(
    pixels: Pixels, image_shape: tuple[int, int, int], pixel_type: str, scale: PixelScale
) -> NDArray[np.float32]:
    """Stored pixels ``(n, channel, height, width)`` in the units of a model trained on such images.

    Raises DataError if they do not fit the model: of another shape, not finite, or in other units than the training images,
    see :func:`bayescope.data.units.in_training_units`.
    """
    if pixels.ndim != 4 or pixels.shape[1:] != image_shape:
        raise DataError(
            f"images of shape {pixels.shape[1:]} (channel, height, width); the model expects {image_shape}. "
            "Resize or convert them, or train a model for this shape"
        )
    if not np.isfinite(pixels).all():
        raise DataError("pixels that are NaN or infinite; expected finite values. Correct or leave out these images")
    return scale.to_model(in_training_units(pixels, pixel_type, scale, "images"))


def in_parts(pixels: Pixels, draws: int) -> Iterator[Pixels]:
    """Images a few at a time, at least once, where ``draws`` numbers are kept of each image."""
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, int(np.prod(pixels.shape[1:])), draws))
    for start in range(0, max(1, len(pixels)), at_once):
        yield pixels[start : start + at_once]
