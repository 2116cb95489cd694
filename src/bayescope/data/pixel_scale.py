"""The scaling of stored pixel values to the model's range, and whether an image is in the units of the training images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayescope.errors import DataError
from bayescope.types import Pixels

_A_PICTURE = 64
"""Fewest pixels of an image: rows of a table may lie within 0 to 1 by chance."""


@dataclass(frozen=True)
class PixelScale:
    """Linear map of stored pixel values to the model's range: ``low`` becomes -1 and ``high`` +1.

    Parameters
    ----------
    low, high : float
        Stored values.
    lowest, highest : float, optional
        Range of the training images, where these are floats, whose type gives no range.
    """

    low: float
    high: float
    lowest: float | None = None
    highest: float | None = None

    @classmethod
    def of(cls, pixels: Pixels) -> "PixelScale":
        """The scale of training images.

        Parameters
        ----------
        pixels : ndarray
            8 bit: 0 to 255; 16 bit: 0 to 2^k - 1, with the fewest bits k ≥ 8 that hold the maximum; float: mean ± 2 standard
            deviations.

        Returns
        -------
        PixelScale
            The scale.
        """
        if pixels.dtype == np.uint8:
            return cls(0.0, 255.0)
        if pixels.dtype == np.uint16:
            bits = max(8, int(pixels.max()).bit_length())
            return cls(0.0, float(2**bits - 1))
        mean, reach = float(pixels.mean(dtype=np.float64)), 2.0 * float(pixels.std(dtype=np.float64)) or 1.0
        return cls(mean - reach, mean + reach, float(pixels.min()), float(pixels.max()))

    def is_beyond(self, lowest: float, highest: float) -> bool:
        """Whether a range of values is far outside that of the training images.

        Parameters
        ----------
        lowest, highest : float
            Range of values of an image.

        Returns
        -------
        bool
            True if it extends beyond the training images' range by more than its width; False for integers.
        """
        if self.lowest is None or self.highest is None:
            return False
        width = self.highest - self.lowest or abs(self.highest) or 1.0
        return lowest < self.lowest - width or highest > self.highest + width

    def to_model(self, pixels: Pixels) -> NDArray[np.float32]:
        """Stored values in the model's range.

        Parameters
        ----------
        pixels : ndarray
            Stored values.

        Returns
        -------
        ndarray of float32
            Values of about -1 to 1.
        """
        return ((pixels.astype(np.float32) - self.low) * (2.0 / (self.high - self.low)) - 1.0).astype(np.float32)

    def to_display(self, x: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Model values as 8-bit images.

        Parameters
        ----------
        x : ndarray of shape (n, channel, height, width)
            Values of about -1 to 1.

        Returns
        -------
        ndarray of uint8
            ``(n, height, width)``, or ``(n, height, width, 3)`` for colour.
        """
        byte = np.clip((x + 1.0) * 127.5, 0, 255).round().astype(np.uint8)
        return byte[:, 0] if x.shape[1] == 1 else np.moveaxis(byte[:, :3], 1, -1)


def as_stored(pixels: Pixels, pixel_type: str, scale: PixelScale, name: str) -> Pixels:
    """``pixels`` in the ``pixel_type`` of the images that ``scale`` is of: 8 bit is stretched to a range of 16.

    Raises DataError for any other type than that, since its values would mean something else.
    """
    if pixels.dtype.name == pixel_type:
        return pixels
    if pixels.dtype == np.uint8 and pixel_type == "uint16":
        return np.rint(pixels * (scale.high / 255)).astype(np.uint16)
    raise DataError(
        f"{name}: pixels of type {pixels.dtype.name}; the model was trained on {pixel_type}, whose values mean something else. "
        f"Convert the images to {pixel_type} in the units of the training images, or train a model on images of this type"
    )


def unlike_training(pixels: Pixels, scale: PixelScale) -> str:
    """A warning for an image with values outside the range of ``scale``, or that use little of it; or blank.

    Integers: above the bits of the training images, or below a sixteenth of their range.  Floats: further beyond the training
    images' values than these reach, within a sixteenth of the scale, mean ± 2 deviations, or within 0 to 1 where that goes well
    below 0.
    """
    if scale.lowest is not None and scale.highest is not None:
        lowest, highest = float(pixels.min()), float(pixels.max())
        values = f"values of {lowest:g} to {highest:g}, the training images' are {scale.lowest:g} to {scale.highest:g}"
        is_narrow = 0 < highest - lowest < (scale.high - scale.low) / 16
        is_unit = pixels.size >= _A_PICTURE and 0 <= lowest < highest <= 1 and scale.low < -0.5
        return f"{values}: it may be in other units" if is_narrow or is_unit or scale.is_beyond(lowest, highest) else ""
    highest, usual = int(pixels.max()), int(scale.high)
    if highest > usual:
        return f"values above {usual}, the most that the training images can hold: it may be of more bits than they are"
    if 0 < highest < (usual + 1) // 16:
        return f"values below a sixteenth of the training images' 0 to {usual}: it may be of fewer bits than they are"
    return ""
