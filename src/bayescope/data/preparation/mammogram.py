"""Prepares a mammogram for a network: cropped to the breast, chest wall to the left, one size, one scale, 16 bit.

The breast is located on a coarse copy; the part kept is resized once, with antialiasing.  No step goes through 8 bits.
Pixels that are not square are made so first, along their finer side.  Positions are (row, column) in pixels and continuous:
pixel i covers [i, i + 1], so that a box is (top, left, bottom, right) and its far sides are where its last pixel ends.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from bayescope.data.preparation.breast import find_breast
from bayescope.errors import ConfigError, DataError
from bayescope.types import Pixels

WHITE = 2**16 - 1
_NEARLY_SQUARE, _LONGEST_PIXEL = 0.005, 10.0
_CLAHE_BINS = 1024
"""Four times scikit-image's, at a quarter of its clip limit: the same limit of contrast, finer steps of grayscale."""


@dataclass(frozen=True)
class Record:
    """What was done to one image, enough to lead positions and values back.

    ``square_shape`` is the original's with square pixels, the ``original_shape`` itself unless pixels were not square.
    ``box`` is the part kept, in square pixels of the original after flipping; it fills ``inner`` = (height, width) pixels of
    the
    prepared image from ``offset`` = (row, column) on.  ``low`` becomes 0 and ``high`` the top of 16 bits.  ``chest_wall`` is
    the side it was found on, "left", "right" or None; ``breast_found`` is False where all of the image was kept.
    """

    original_shape: tuple[int, int]
    square_shape: tuple[int, int]
    breast_found: bool
    chest_wall: str | None
    flipped: bool
    box: tuple[int, int, int, int]
    inner: tuple[int, int]
    offset: tuple[int, int]
    low: float
    high: float
    clahe: bool

    @property
    def scale(self) -> tuple[float, float]:
        """Prepared pixels per original pixel, along (row, column)."""
        top, left, bottom, right = self.box
        rows, columns = self._stretch
        return self.inner[0] / (bottom - top) * rows, self.inner[1] / (right - left) * columns

    def to_original(self, points: ArrayLike) -> NDArray[np.float64]:
        """Positions ``(..., 2)`` in the prepared image, as positions in the original."""
        square = (np.asarray(points, dtype=np.float64) - self.offset) / self._square_scale + self.box[:2]
        return self._mirror(square) / self._stretch

    def to_prepared(self, points: ArrayLike) -> NDArray[np.float64]:
        """Positions ``(..., 2)`` in the original, as positions in the prepared image, or outside it if cropped away."""
        square = self._mirror(np.asarray(points, dtype=np.float64) * self._stretch)
        return (square - self.box[:2]) * self._square_scale + self.offset

    def box_to_original(self, box: ArrayLike) -> NDArray[np.float64]:
        """A box ``(4,)`` = (top, left, bottom, right) in the prepared image, as one in the original."""
        return _ordered(self.to_original(np.reshape(box, (2, 2))))

    def box_to_prepared(self, box: ArrayLike) -> NDArray[np.float64]:
        """A box ``(4,)`` = (top, left, bottom, right) in the original, as one in the prepared image."""
        return _ordered(self.to_prepared(np.reshape(box, (2, 2))))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Record":
        """The inverse of ``to_dict``, also after a way through JSON."""
        plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**plain)

    def _mirror(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.flipped:
            points[..., 1] = self.square_shape[1] - points[..., 1]
        return points

    @property
    def _stretch(self) -> NDArray[np.float64]:
        """Square pixels per original pixel, along (row, column)."""
        return np.array(self.square_shape) / np.array(self.original_shape)

    @property
    def _square_scale(self) -> NDArray[np.float64]:
        """Prepared pixels per square pixel, along (row, column)."""
        return np.array(self.scale) / self._stretch


@dataclass(frozen=True)
class Prepared:
    """``pixels``, uint16 ``(size, size)``, 0 outside the breast and in the margin; ``record`` of what was done."""

    pixels: NDArray[np.uint16]
    record: Record


@dataclass(frozen=True)
class Preparation:
    """How images are prepared; the same for training and for use, so a model carries it.

    ``size`` is the side in pixels.  ``crop`` keeps the breast only and blackens what is outside it; ``orient`` flips the
    chest wall to the left; ``clahe`` equalizes contrast locally (Zuiderveld 1994) with ``clahe_clip``, scikit-image's
    ``clip_limit``.  Values from the ``low_percentile`` to the ``high_percentile`` of the kept pixels fill 16 bits; those beyond
    are clipped.  ``window`` is the number, from 0, of the VOI LUT or window taken where a DICOM file gives several.  Raises
    ConfigError for a value out of range.
    """

    size: int
    crop: bool = True
    orient: bool = True
    clahe: bool = False
    clahe_clip: float = 0.01
    low_percentile: float = 0.1
    high_percentile: float = 99.9
    window: int = 0

    def __post_init__(self) -> None:
        if self.size < 8:
            raise ConfigError(f"size is {self.size}; expected 8 pixels or more. Give a larger one")
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise ConfigError(
                f"percentiles {self.low_percentile} to {self.high_percentile}; expected 0 ≤ low < high ≤ 100. Change them"
            )
        if not 0 < self.clahe_clip <= 1:
            raise ConfigError(f"clahe_clip is {self.clahe_clip}; expected above 0, at most 1. Change it")
        if self.window < 0:
            raise ConfigError(f"window is {self.window}; expected 0 or more, the first being 0. Change it")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preparation":
        """The inverse of ``to_dict``; raises ConfigError for names it does not know."""
        if unknown := sorted(set(values) - {known.name for known in fields(cls)}):
            raise ConfigError(f"preparation has {', '.join(unknown)}; expected only known names. Leave them out")
        return cls(**values)

    def apply(self, pixels: Pixels, name: str = "image", pixel_aspect: float = 1.0) -> Prepared:
        """Prepare one grayscale image ``(height, width)`` of any real type, high being bright.

        ``pixel_aspect``: height of a pixel over its width.  Raises DataError, under ``name``, if it has another shape, values
        that are not finite, one value only, or pixels ten times as long as wide.
        """
        _check(pixels, name)
        image = _with_square_pixels(Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32)), pixel_aspect, name)
        square_shape = image.height, image.width
        breast = find_breast(image) if self.crop or self.orient else None
        chest_wall = breast.chest_wall if breast else None
        flipped = self.orient and chest_wall == "right"
        if flipped:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            breast = find_breast(image)  # not mirrored: coarse pixels start at the left edge
        box = breast.box if breast and self.crop else (0, 0, image.height, image.width)
        fitted = _resize(image, box, self.size)
        kept = breast.mask_of(box, fitted.shape) if breast and self.crop else np.ones(fitted.shape, dtype=bool)
        low, high = (float(value) for value in np.percentile(fitted[kept], [self.low_percentile, self.high_percentile]))
        if not low < high:
            raise DataError(
                f"{name}: one value only in the part kept; expected a picture. Leave it out, or prepare with --no-crop"
            )
        scaled = ((fitted - low) / (high - low)).clip(0.0, 1.0)
        if self.clahe:
            from skimage.exposure import equalize_adapthist  # takes longest to import of all that reading images needs

            scaled = equalize_adapthist(scaled, clip_limit=self.clahe_clip * 256 / _CLAHE_BINS, nbins=_CLAHE_BINS)
        rows, columns = fitted.shape
        offset = (self.size - rows) // 2, 0 if self.orient else (self.size - columns) // 2
        square = np.zeros((self.size, self.size), dtype=np.uint16)
        square[offset[0] : offset[0] + rows, offset[1] : offset[1] + columns] = np.rint(np.where(kept, scaled, 0.0) * WHITE)
        height, width = pixels.shape
        record = Record(
            original_shape=(height, width),
            square_shape=square_shape,
            breast_found=breast is not None,
            chest_wall=chest_wall,
            flipped=flipped,
            box=box,
            inner=(rows, columns),
            offset=offset,
            low=low,
            high=high,
            clahe=self.clahe,
        )
        return Prepared(square, record)


def _check(pixels: Pixels, name: str) -> None:
    if pixels.ndim != 2 or 0 in pixels.shape or pixels.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: {pixels.dtype} of shape {pixels.shape}; expected real numbers, (height, width). Give one grayscale image"
        )
    lowest, highest = np.float32(pixels.min()), np.float32(pixels.max())
    if not np.isfinite(highest - lowest):
        raise DataError(f"{name}: values that are not finite; expected numbers. Leave it out")
    if lowest == highest:
        raise DataError(f"{name}: one value only, {lowest:g}; expected a picture. Leave it out")


def _with_square_pixels(image: Image.Image, pixel_aspect: float, name: str) -> Image.Image:
    """Interpolated along the longer side of the pixels, so that nothing is lost; as it is if they are square to half a
    percent."""
    if not 1 / _LONGEST_PIXEL < pixel_aspect < _LONGEST_PIXEL:
        raise DataError(
            f"{name}: pixels {pixel_aspect:.3g} times as high as wide; expected 1, or less than {_LONGEST_PIXEL:g} either way. "
            "Correct the spacing in the header"
        )
    if abs(np.log(pixel_aspect)) < _NEARLY_SQUARE:
        return image
    rows, columns = max(1.0, pixel_aspect), max(1.0, 1 / pixel_aspect)
    return image.resize((round(image.width * columns), round(image.height * rows)), Image.Resampling.BILINEAR)


def _resize(image: Image.Image, box: tuple[int, int, int, int], size: int) -> NDArray[np.float32]:
    """The box with its longer side made ``size``, antialiased: reduced by a whole number, then by a triangle filter."""
    top, left, bottom, right = box
    ratio = size / max(bottom - top, right - left)
    inner = max(1, round((right - left) * ratio)), max(1, round((bottom - top) * ratio))
    return np.asarray(image.resize(inner, Image.Resampling.BILINEAR, box=(left, top, right, bottom), reducing_gap=2.0))


def _ordered(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(top, left, bottom, right) of two opposite corners ``(2, 2)``."""
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])
