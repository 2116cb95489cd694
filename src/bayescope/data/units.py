"""Checks that pixel values of an array are in the units of the training images."""

import numpy as np
from numpy.typing import NDArray

from bayescope.data.pixel_scale import PixelScale, as_stored, unlike_training
from bayescope.errors import DataError
from bayescope.types import Pixels

_LARGEST = {"uint8": 255, "uint16": 65535}


def as_trained_on(pixels: Pixels) -> Pixels:
    """``pixels`` in a type that models are trained on: 8 or 16 bit as they are, all else as float32."""
    return pixels if pixels.dtype in (np.uint8, np.uint16) else pixels.astype(np.float32)


def doubt_of_units(given: Pixels, stored: Pixels, scale: PixelScale, name: str) -> str:
    """What to warn of in images ``given`` and taken as ``stored``: stretched, or unlike those of training; or blank."""
    if stored.dtype == np.uint16 and given.dtype == np.uint8:
        doubt = f"{name} of 8 bits, the training images of 16: values are stretched to their 0 to {scale.high:g}"
    else:
        remarks = [text for text in (unlike_training(image, scale) for image in stored) if text]
        doubt = f"{len(remarks)} of {len(stored)} images of {name}: {remarks[0]}" if remarks else ""
    return doubt and f"{doubt}. Predictions may be wrong; give images in the units of the training images"


def in_training_units(pixels: Pixels, pixel_type: str, scale: PixelScale, name: str) -> Pixels:
    """``pixels`` of any type of number in the ``pixel_type`` and the units of the images that ``scale`` is of.

    The same numbers in another type are taken: integers of 0 to 255 after 8 bit, floats among them unless all are within 0
    to 1.  8 bit is stretched to a range of 16, as :func:`as_stored` does.

    Raises DataError if the values cannot be of the training images' units: floats of 0 to 1 or with negative values after
    integers, 16 bit after 8, booleans, integers of 8 or 16 bit far beyond the floats trained on.
    """
    kind = pixels.dtype.kind
    if pixels.dtype.name == pixel_type or not pixels.size:
        return pixels
    if kind not in "fiu" and not (kind == "b" and pixel_type == "float32"):
        return as_stored(pixels, pixel_type, scale, name)
    lowest, highest = pixels.min(), pixels.max()
    if pixel_type == "float32":
        if pixels.dtype in (np.uint8, np.uint16) and scale.is_beyond(lowest, highest):
            raise DataError(
                f"{name}: {pixels.dtype} values of {lowest} to {highest}; the model was trained on floats of {scale.lowest:g} "
                f"to {scale.highest:g}. Bring them to the units of the training images, such as "
                f"X / {_LARGEST[pixels.dtype.name]}"
            )
        return pixels.astype(np.float32)
    if pixels.dtype in (np.uint8, np.uint16):
        return as_stored(pixels, pixel_type, scale, name)
    _check_numbers(pixels, float(lowest), float(highest), pixel_type, name)
    return _same_numbers(pixels, pixel_type)


def _check_numbers(pixels: Pixels, lowest: float, highest: float, pixel_type: str, name: str) -> None:
    largest = _LARGEST[pixel_type]
    if pixels.dtype.kind == "f" and lowest >= 0 and 0 < highest <= 1:
        raise DataError(
            f"{name}: floats of {lowest:g} to {highest:g}; the model was trained on {pixel_type}, 0 to {largest}. Multiply "
            f"them: (X * {largest}).round().astype(np.{pixel_type}), or train a model on floats"
        )
    if lowest < 0 or highest > largest:
        raise DataError(
            f"{name}: {pixels.dtype} values of {lowest:g} to {highest:g}; the model was trained on {pixel_type}, 0 to "
            f"{largest}. Give the pixels as they are stored, without standardising them, or train a model on images like these"
        )


def _same_numbers(pixels: Pixels, pixel_type: str) -> NDArray[np.generic]:
    """In ``pixel_type`` if that represents them exactly, else as float32, with fractions between its values."""
    whole = pixels.dtype.kind != "f" or bool((pixels == np.rint(pixels)).all())
    return pixels.astype(pixel_type if whole else np.float32)
