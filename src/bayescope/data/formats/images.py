"""Single image files: PNG, JPEG, TIFF, BMP, WebP, GIF and PGM, grayscale or RGB, up to 16 bits, as arrays of one layout.

Pixels are as a viewer shows them: the orientation in EXIF is applied, a palette looked up, white-is-zero inverted.  Fewer than
8 bits are scaled to the whole range of 8 (4 bits by 17); 9 to 16 bits keep their values.  An alpha channel is dropped, with a
warning if it is not opaque.  What would lose bits is refused.  The kind of file is determined by its content, not its suffix.

Another kind of file is a function that decodes it and a line in ``FORMATS``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from bayescope.data.formats.packed import check_not_packed
from bayescope.data.formats.resize import fit_square
from bayescope.errors import DataError
from bayescope.types import Pixels

READER = 1
"""Raised whenever the same file is read as other pixels than before."""
_TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PHOTOMETRIC = {tifffile.PHOTOMETRIC[name]: n for name, n in (("MINISBLACK", 1), ("MINISWHITE", 1), ("RGB", 3), ("PALETTE", 1))}
"""What tifffile's pixels can be taken for as they are, with the number of their channels."""
_PILLOW_DECODES = tuple(tifffile.COMPRESSION[name] for name in ("CCITTRLE", "CCITT_T4", "CCITT_T6", "OJPEG", "JPEG", "LZW"))
_ORIENTATION = 0x112


Warn = Callable[[str], None]
"""Hears what whoever uses an image should know of it, without its name."""


def read_image(path: Path, size: int | None = None, warn: Warn = lambda text: None) -> Pixels:
    """One image ``(channel, height, width)``, 8 or 16 bit; with ``size``, made ``size`` by ``size``.

    Raises DataError if the file is missing, empty, damaged or of a kind that is not read.
    """
    if path.suffix.lower() not in FORMATS:
        if path.is_file():
            check_not_packed(path, _first_bytes(path), "an image")
        kind = f"a {path.suffix} file" if path.suffix else "a file without suffix"
        raise DataError(f"{path}: {kind}; expected one of {', '.join(FORMATS)}. Convert it")
    try:
        image = FORMATS[path.suffix.lower()](path, warn)
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever they meet in a damaged file
        reason = f"{type(error).__name__}: {error}".splitlines()[0].replace(str(path), path.name)
        raise DataError(
            f"{path}: cannot be read as an image ({reason}); expected a whole image file. Put a whole copy in its place, or "
            "leave it out"
        ) from None
    pixels = _channels_first(image, path)
    return pixels if size is None else fit_square(pixels, size)


def _read_raster(path: Path, warn: Warn) -> NDArray[Any]:
    """A file of any of the common kinds, recognised by its content."""
    return _read_tiff(path, warn) if _is_tiff(path) else _read_pillow(path, warn)


def _is_tiff(path: Path) -> bool:
    return _first_bytes(path).startswith(_TIFF_MARKS)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _read_pillow(path: Path, warn: Warn) -> NDArray[Any]:
    with Image.open(path) as opened:
        n_frames = getattr(opened, "n_frames", 1)
        if n_frames > 1 and opened.format != "MPO":  # a JPEG of several sizes, the first of which is shown
            raise DataError(f"{path}: {n_frames} frames; expected one. Save the frame that is meant as a file of its own")
        if opened.mode in ("RGB", "RGBA", "LA") and _is_deep(opened):
            if opened.format != "PNG":
                raise DataError(
                    f"{path}: 16-bit colour, which would be cut to 8 bit; expected 8-bit colour or 16-bit grayscale. Save it "
                    "as TIFF"
                )
            orientation = opened.getexif().get(_ORIENTATION, 1)
            return _upright(_without_alpha(imagecodecs.png_decode(path.read_bytes()), warn), orientation)
        image = ImageOps.exif_transpose(opened)
        _warn_of_transparency(_transparent(image), warn)
        if image.mode in ("1", "LA"):
            image = image.convert("L")
        elif image.mode not in ("L", "RGB", "F") and not image.mode.startswith("I"):
            image = image.convert("RGB")
        if opened.format == "WEBP" and _is_nearly_grey(image):
            image = image.convert("L")
        return np.asarray(image)


def _is_nearly_grey(image: Image.Image) -> bool:
    """WebP has no grayscale, and decodes what was grayscale, if compressed with loss, to channels that differ by one here and
    there."""
    red, green, blue = (np.asarray(channel, dtype=np.int16) for channel in image.split())
    return bool((red == blue).all() and (abs(red - green) <= 1).all())


def _is_deep(opened: ImageFile.ImageFile) -> bool:
    """Whether colour that Pillow hands out in 8 bits has more in the file."""
    for *_, how in opened.tile:
        raw_mode, *rest = how if isinstance(how, tuple) else (how,)
        if "16" in str(raw_mode) or (opened.format == "PPM" and any(isinstance(n, int) and n > 255 for n in rest)):
            return True
    return False


def _transparent(image: Image.Image) -> NDArray[np.bool_]:
    if not image.has_transparency_data:
        return np.zeros(0, dtype=bool)
    if image.mode.startswith("I"):
        return np.asarray(np.asarray(image) == image.info["transparency"])
    return np.asarray(np.asarray(image.convert("RGBA"))[..., 3] < 255)


def _warn_of_transparency(transparent: NDArray[np.bool_], warn: Warn) -> None:
    if transparent.any():
        warn(
            "transparent pixels, read in the colours they are stored with, whatever a viewer shows in their place. Flatten the "
            "image onto one background if that matters"
        )


def _read_tiff(path: Path, warn: Warn) -> NDArray[Any]:
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        if len(file.pages) > 1:
            raise DataError(f"{path}: {len(file.pages)} pages; expected one. Save each page as a file of its own")
        n_bits = page.bitspersample
        shallow = n_bits in (1, 2, 4, 8)
        if page.photometric not in _PHOTOMETRIC or (shallow and page.compression in _PILLOW_DECODES):
            return _read_pillow(path, warn)
        image = page.asarray()
        if page.axes == "SYX":
            image = np.moveaxis(image, 0, -1)
        image = _without_extra_channel(image, page, path, warn)
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            image = np.moveaxis((page.colormap >> 8).astype(np.uint8)[:, image.astype(np.intp)], 0, -1)
        else:
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
                image = image.dtype.type(2**n_bits - 1) - image if n_bits > 1 else ~image
            image = _full_range(image, n_bits)
        orientation = page.tags.get("Orientation")
        return image if orientation is None else _upright(image, orientation.value)


def _full_range(image: NDArray[Any], n_bits: int) -> NDArray[Any]:
    """Integers of fewer than 8 bits scaled to 8; any others as they are."""
    if n_bits >= 8 or image.dtype.kind not in "bu":
        return image
    return np.rint(image * (255 / (2**n_bits - 1))).astype(np.uint8)


def _without_extra_channel(image: NDArray[Any], page: Any, path: Path, warn: Warn) -> NDArray[Any]:
    """Without alpha, or an unspecified channel, which must be of one value."""
    n_channels = _PHOTOMETRIC[page.photometric]
    if image.ndim != 3 or image.shape[-1] != n_channels + 1:
        return image
    if page.extrasamples and page.extrasamples[0] != tifffile.EXTRASAMPLE.UNSPECIFIED:
        return _without_alpha(image, warn)
    extra = image[..., -1]
    if (extra != extra.flat[0]).any():
        raise DataError(
            f"{path}: a channel in addition to {'colour' if n_channels == 3 else 'grayscale'} whose meaning the file does not "
            "give; expected none. Save the image without it"
        )
    return image[..., :3] if n_channels == 3 else image[..., 0]


def _without_alpha(image: NDArray[Any], warn: Warn) -> NDArray[Any]:
    """``(height, width[, 3])`` of an image whose last channel is alpha if it has two or four."""
    if image.ndim == 2 or image.shape[-1] == 3:
        return image
    _warn_of_transparency(image[..., -1] < np.iinfo(image.dtype).max, warn)
    return image[..., 0] if image.shape[-1] == 2 else image[..., :3]


def _upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo the EXIF orientation, 1 … 8, of ``(height, width, …)``."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image[:, ::-1] if orientation in (2, 3, 6, 7) else image


def _channels_first(image: Any, path: Path) -> Pixels:
    image = image.astype(image.dtype.newbyteorder("="), copy=False)
    if image.dtype == np.int32 and image.size and image.min() >= 0 and image.max() < 2**16:
        image = image.astype(np.uint16)  # how Pillow hands out some 16-bit files
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: pixels of type {image.dtype}; expected unsigned 8 or 16 bit. Convert it")
    if image.ndim == 2:
        return image[None]
    if image.ndim == 3 and image.shape[2] == 3 and 0 not in image.shape:
        return np.ascontiguousarray(np.moveaxis(image, -1, 0))
    raise DataError(
        f"{path}: shape {image.shape}; expected one grayscale or RGB image, (height, width) or (height, width, 3). Convert it"
    )


Decoder = Callable[[Path, Warn], NDArray[Any]]
"""File to ``(height, width)`` or ``(height, width, 3)``, unsigned 8 or 16 bit; what it raises becomes a DataError."""
FORMATS: dict[str, Decoder] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".gif"), _read_raster),
    **dict.fromkeys((".pgm", ".pbm", ".ppm", ".pnm"), _read_raster),
}
"""By suffix, in lower case."""
SUFFIXES = FORMATS.keys()
"""Of the image files that are read, in lower case."""
