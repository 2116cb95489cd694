"""Single image files: PNG, JPEG and TIFF of 8 or 16 bit, grey or RGB, to one common shape.

Pixels are as a viewer shows them: the orientation in EXIF is applied, a palette looked up, white-is-zero inverted.  An alpha
channel is dropped.  What would lose bits in silence is refused.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps
from skimage.transform import resize

from bayescope.errors import DataError
from bayescope.shapes import Pixels

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_SHOWN = 5
_PHOTOMETRIC = tuple(tifffile.PHOTOMETRIC[name] for name in ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE"))
_PLAIN_COMPRESSION = tuple(tifffile.COMPRESSION[name] for name in ("NONE", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS"))


def read_image(path: Path, size: int | None = None) -> Pixels:
    """One image ``(channel, height, width)``, 8 or 16 bit; with ``size``, made ``size`` by ``size``.

    Raises DataError if the file is missing, empty, damaged or of a kind that is not read.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path.name}: a {path.suffix or 'nameless'} file; expected one of {', '.join(SUFFIXES)}. Convert it")
    try:
        image = _read_tiff(path) if path.suffix.lower().startswith(".tif") else _read_pillow(path)
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever they meet in a damaged file
        reason = f"{type(error).__name__}: {error}".splitlines()[0].replace(str(path), path.name)
        raise DataError(
            f"{path.name}: cannot be read as an image ({reason}); expected a whole image file. Replace it"
        ) from None
    pixels = _channels_first(image, path.name)
    return pixels if size is None else fit_square(pixels, size)


def read_images(
    paths: Sequence[Path], size: int | None, callback: Callable[[int, int], None] = lambda done, total: None
) -> Pixels:
    """All images as one array ``(n, channel, height, width)``; 16 bit if any is, an 8-bit image then scaled by 257.

    Raises DataError listing the files that cannot be read, or if sizes or channel counts differ.
    """
    images, broken = [], []
    for number, path in enumerate(paths, start=1):
        try:
            images.append(read_image(path, size))
        except DataError as error:
            broken.append(str(error))
        callback(number, len(paths))
    if broken:
        more = f"\n… and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        raise DataError(
            f"{len(broken)} of {len(paths)} images cannot be read; expected all readable. Mend or remove them:\n"
            + "\n".join(broken[:_SHOWN])
            + more
        )
    first = images[0].shape
    for path, image in zip(paths, images, strict=True):
        if image.shape[0] != first[0]:
            raise DataError(
                f"{path.name} has {image.shape[0]} channels and {paths[0].name} has {first[0]}; "
                "expected all grey or all RGB. Convert them to one kind"
            )
        if image.shape != first:
            raise DataError(
                f"{path.name} is {image.shape[1]}x{image.shape[2]} and {paths[0].name} {first[1]}x{first[2]} pixels; "
                "expected one size. Give --size N to bring all to N by N"
            )
    if any(image.dtype == np.uint16 for image in images):
        images = [image if image.dtype == np.uint16 else image.astype(np.uint16) * np.uint16(257) for image in images]
    return np.stack(images)


def fit_square(pixels: Pixels, size: int) -> Pixels:
    """Resize the longer side to ``size`` with antialiasing, keep the aspect ratio, pad with zeros around the centre."""
    channels, height, width = pixels.shape
    scale = size / max(height, width)
    inner = (channels, max(1, round(height * scale)), max(1, round(width * scale)))
    scaled = resize(pixels, inner, order=1, anti_aliasing=True, preserve_range=True)
    top, left = (size - inner[1]) // 2, (size - inner[2]) // 2
    square = np.zeros((channels, size, size), dtype=pixels.dtype)
    square[:, top : top + inner[1], left : left + inner[2]] = np.rint(scaled)
    return square


def _read_pillow(path: Path) -> NDArray[Any]:
    with Image.open(path) as opened:
        if opened.mode in ("RGB", "RGBA", "LA") and any("16" in str(tile[3]) for tile in opened.tile):
            raise DataError(f"{path.name}: 16-bit colour, which would be cut to 8 bit; expected 16-bit grey. Save it as TIFF")
        image = ImageOps.exif_transpose(opened)
        if image.mode in ("P", "PA", "CMYK", "YCbCr"):
            image = image.convert("RGB")
        elif image.mode in ("1", "LA"):
            image = image.convert("L")
        return np.asarray(image)


def _read_tiff(path: Path) -> NDArray[Any]:
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        if len(file.pages) > 1:
            raise DataError(f"{path.name}: {len(file.pages)} pages; expected one. Save each page as a file")
        white_is_zero = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE  # Pillow inverts it at 8 bit only
        if page.photometric not in _PHOTOMETRIC or (page.compression not in _PLAIN_COMPRESSION and not white_is_zero):
            return _read_pillow(path)
        image = page.asarray()
        if white_is_zero:
            image = image.dtype.type(2**page.bitspersample - 1) - image
        elif page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            image = np.moveaxis((page.colormap >> 8).astype(np.uint8)[:, image], 0, -1)
        elif page.axes == "SYX":
            image = np.moveaxis(image, 0, -1)
        orientation = page.tags.get("Orientation")
        return image if orientation is None else _upright(image, orientation.value)


def _upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo the EXIF orientation, 1 … 8, of ``(height, width, …)``."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image[:, ::-1] if orientation in (2, 3, 6, 7) else image


def _channels_first(image: Any, name: str) -> Pixels:
    image = image.astype(image.dtype.newbyteorder("="), copy=False)
    if image.dtype == np.int32 and image.size and image.min() >= 0 and image.max() < 2**16:
        image = image.astype(np.uint16)  # how Pillow hands out some 16-bit files
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{name}: pixels of type {image.dtype}; expected unsigned 8 or 16 bit. Convert it")
    if image.ndim == 2:
        return image[None]
    if image.ndim == 3 and image.shape[2] in (3, 4) and 0 not in image.shape:
        return np.ascontiguousarray(np.moveaxis(image[..., :3], -1, 0))
    raise DataError(
        f"{name}: shape {image.shape}; expected one grey or RGB image, (height, width) or (height, width, 3). Convert it"
    )
