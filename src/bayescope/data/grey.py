"""Any grey picture file, DICOM or not, as a mammogram is read."""

from pathlib import Path

from bayescope.data import dicom
from bayescope.data.files import read_image
from bayescope.errors import DataError
from bayescope.shapes import Pixels


def read_grey(path: Path) -> Pixels:
    """One grey image ``(height, width)``, high being bright.  Raises DataError for what cannot be read, or is in colour."""
    if dicom.is_dicom(path):
        return dicom.read_dicom(path).pixels
    pixels = read_image(path)
    if any((channel != pixels[0]).any() for channel in pixels[1:]):
        raise DataError(f"{path.name}: a colour image; expected a grey one. Convert it")
    return pixels[0]
