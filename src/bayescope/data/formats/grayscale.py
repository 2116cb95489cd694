"""Reads any grayscale image file, DICOM or not, as a mammogram."""

from pathlib import Path

import numpy as np

from bayescope.data.formats import dicom
from bayescope.data.formats.channels import is_grayscale
from bayescope.data.formats.frame import Frame
from bayescope.data.formats.images import read_image
from bayescope.errors import DataError


def read_grayscale(path: Path, window: int = 0, frame: int | None = None) -> Frame:
    """One grayscale image, with number ``window`` of the windows and number ``frame`` of the frames it gives, from 0.

    Raises DataError for what cannot be read, or is in colour.
    """
    if dicom.is_dicom(path):
        return dicom.read_dicom(path, window=window, frame=frame)
    if frame:
        raise DataError(f"{path}: no frame {frame + 1}, not being DICOM; expected a picture's only one. Leave --frame out")
    if window:
        raise DataError(f"{path.name}: no window {window}, not being DICOM; expected 0. Leave --window out, or the file")
    remarks: list[str] = []
    pixels = read_image(path, warn=remarks.append)
    if not is_grayscale(pixels):
        raise DataError(f"{path.name}: a colour image; expected a grayscale one. Convert it")
    return Frame(pixels=pixels[0].astype(np.float32), bits_stored=8 * pixels.itemsize, applied=tuple(remarks))
