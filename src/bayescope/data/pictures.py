"""Any grey picture file, DICOM or not, as a mammogram is read; and folders or tables of such files as an archive."""

from pathlib import Path

import numpy as np

from bayescope.data import dicom
from bayescope.data.archive import COLUMNS, Archive, account
from bayescope.data.cases import divide, folder_cases, table_cases
from bayescope.data.files import SUFFIXES, read_image
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


def read_picture_archive(source: Path, seed: int = 0) -> Archive:
    """Class folders, DICOM among them, or a table ``path,label[,patient][,split]``, as ``bayescope train`` takes them."""
    if source.is_dir():
        table = folder_cases(source.resolve(), (*dicom.SUFFIXES, *SUFFIXES))
    elif source.suffix.lower() in (".csv", ".parquet") and source.is_file():
        table = table_cases(source)
    else:
        raise DataError(f"{source}: no such folder or table; expected class folders, or .csv or .parquet. Check the path")
    divided, note = divide(table, source.name, seed)
    blank = divided.reindex(columns=[*COLUMNS, "left_out"]).astype({"left_out": object})
    blank["left_out"] = [None if Path(path).is_file() else "file not found" for path in blank["path"]]
    blank = blank.replace({np.nan: None})
    return account(source.name, "its classes", "images", blank, note, ())
