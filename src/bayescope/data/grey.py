"""Any grey picture file, DICOM or not, as a mammogram is read."""

from pathlib import Path

import numpy as np

from bayescope.data import dicom
from bayescope.data.files import read_image
from bayescope.data.frame import Frame
from bayescope.errors import DataError


def read_grey(path: Path, window: int = 0, frame: int | None = None) -> Frame:
    """One grey image, with number ``window`` of the windows it gives and, of several frames, number ``frame``, both from 0.

    Raises DataError for what cannot be read, is in colour, or has several frames and none named.
    """
    if dicom.is_dicom(path):
        return dicom.read_dicom(path, window=window, frame=frame)
    if window:
        raise DataError(f"{path.name}: no window {window}, not being DICOM; expected 0. Leave the window out, or the file")
    if frame:
        raise DataError(f"{path}: no frame {frame + 1}, not being DICOM; expected a picture's only one. Leave --frame out")
    pixels = read_image(path)
    if any((channel != pixels[0]).any() for channel in pixels[1:]):
        raise DataError(f"{path.name}: a colour image; expected a grey one. Convert it")
    return Frame(pixels=pixels[0].astype(np.float32), bits_stored=8 * pixels.itemsize)
