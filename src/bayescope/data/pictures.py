"""Folders or tables of grey picture files, DICOM among them, as an archive."""

from pathlib import Path

import numpy as np

from bayescope.data import dicom
from bayescope.data.archive import COLUMNS, Archive, account
from bayescope.data.cases import divide, folder_cases, table_cases
from bayescope.data.files import SUFFIXES
from bayescope.errors import DataError


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
