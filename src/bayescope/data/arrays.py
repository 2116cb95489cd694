"""Checks of image arrays passed from Python: number and order of the axes, data type and range.

Images are ``(n, channel, height, width)`` with 1, 3 or 4 channels, or ``(n, height, width)``.  Any other number of channels has
to be declared, since an array of so many is mostly one with its channels last, or of volumes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescope.errors import DataError

Shape = tuple[int, ...]
_CHANNELS = (1, 3, 4)
_EXPECTED = "expected (n, channel, height, width) with 1, 3 or 4 channels, or (n, height, width)"


def check_layout(shape: Shape, declared: Shape | None = None) -> None:
    """Raise DataError if an array of this ``shape`` is not one of images, or not of those ``declared``.

    ``declared``: ``(channel, height, width)`` by the user's word, the only way to more channels than 1, 3 or 4.
    """
    if declared is not None:
        _check_declared(declared)
    if len(shape) == 2:
        if declared is not None and shape[1] != np.prod(declared):
            raise DataError(
                f"X of shape {shape}: {shape[1]} features a row; image_shape {declared} expects {np.prod(declared)}. Give the "
                "image_shape (channel, height, width) that these rows were flattened from"
            )
    elif len(shape) == 3:
        _check_pictures(shape, declared)
    elif len(shape) == 4:
        _check_channels(shape, declared)
    elif len(shape) > 4:
        raise DataError(f"X of shape {shape}; {_EXPECTED}. Give one slice of each volume, such as X[:, 0, k]")
    else:
        raise DataError(f"X of shape {shape}; {_EXPECTED}. Give an array of images")


def check_array(X: Any, declared: Shape | None = None) -> None:
    """:func:`check_layout` of images in an array of any library; does nothing to rows and to what has no shape, as a list."""
    shape = getattr(X, "shape", ())
    if isinstance(shape, tuple) and len(shape) > 2:
        check_layout(tuple(shape), declared)


def stacked(X: Any) -> Any:
    """``X`` itself, or one array of the images that it lists.  Raises DataError if these differ in shape."""
    is_list = isinstance(X, list | tuple) or (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1)
    if not is_list or not len(X) or not all(hasattr(image, "shape") for image in X):
        return X
    shapes = {tuple(image.shape) for image in X}
    if len(shapes) > 1:
        described = ", ".join(map(str, sorted(shapes)[:3])) + (", …" if len(shapes) > 3 else "")
        raise DataError(f"X contains images of {len(shapes)} shapes, {described}; expected one. Resize them to one size first")
    return np.stack(list(X)) if isinstance(X, np.ndarray) else X


def channels_first(X: NDArray[Any], declared: Shape | None = None) -> NDArray[Any]:
    """Images, rows or pictures as ``(n, channel, height, width)``.  Raises DataError as :func:`check_layout`."""
    check_layout(X.shape, declared)
    if X.ndim == 2:
        return X.reshape(len(X), *(declared or (1, 1, X.shape[1])))
    return X[:, None] if X.ndim == 3 else X


def _check_declared(shape: Sequence[int]) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise DataError(f"image_shape {tuple(shape)}; expected (channel, height, width), each at least 1. Give these three")
    if _is_channels_last(shape):
        height, width, channels = shape
        raise DataError(
            f"image_shape {tuple(shape)}: looks channels last; expected (channel, height, width). Give "
            f"image_shape=({channels}, {height}, {width}), and images as np.moveaxis(X, -1, 1), rows flattened from such"
        )


def _check_pictures(shape: Shape, declared: Shape | None) -> None:
    _, height, width = shape
    if declared is None and width in _CHANNELS[1:] and height not in _CHANNELS:
        raise DataError(
            f"X of shape {shape}: pictures {width} pixels wide, or one colour image; {_EXPECTED}. Give one image as "
            f"np.moveaxis(X, -1, 0)[None]; if the pictures are that narrow, set image_shape=(1, {height}, {width})"
        )
    if declared is not None and declared != (1, height, width):
        _refuse_undeclared(shape, declared)


def _check_channels(shape: Shape, declared: Shape | None) -> None:
    _, channels, height, width = shape
    if declared == shape[1:]:
        return
    if _is_channels_last(shape[1:]):
        raise DataError(
            f"X of shape {shape}: looks channels last; expected (n, channel, height, width). Use np.moveaxis(X, -1, 1)"
        )
    if declared is not None and (channels in _CHANNELS or channels == declared[0]):
        _refuse_undeclared(shape, declared)
    if channels not in _CHANNELS:
        kind = "volumes" if channels > _CHANNELS[-1] else f"{channels} channels"
        raise DataError(
            f"X of shape {shape}: looks like {kind}; {_EXPECTED}. Give one slice of each, such as X[:, {channels // 2}]; or, "
            f"if axis 1 is channels, set image_shape=({channels}, {height}, {width})"
        )


def _is_channels_last(shape: Sequence[int]) -> bool:
    first, _, last = shape
    return last in _CHANNELS and first not in _CHANNELS


def _refuse_undeclared(shape: Shape, declared: Shape) -> None:
    raise DataError(
        f"X of shape {shape}; image_shape says {declared} (channel, height, width). Give images of this shape, or fit again "
        "with another image_shape"
    )
