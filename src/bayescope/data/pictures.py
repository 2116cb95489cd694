"""Folders or tables of grey picture files, DICOM among them, as an archive."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bayescope.data import dicom
from bayescope.data.archive import COLUMNS, Archive, Summary, account
from bayescope.data.cases import divide, table_cases
from bayescope.data.file_account import FileAccount
from bayescope.data.folders import read_class_folders
from bayescope.data.names import printable
from bayescope.errors import DataError, reading


def read_picture_archive(source: Path, seed: int = 0) -> Archive:
    """Class folders, DICOM among them, or a table ``path,label[,patient][,split]``, as ``bayescope train`` takes them.

    Where the table names no patients, DICOM headers do: no patient is in two splits, as far as the files tell.
    """
    with reading(source):
        is_folder, is_file = source.is_dir(), source.is_file()
    files = FileAccount()
    if is_folder:
        found = read_class_folders(source.resolve(), with_dicom=True)
        table, files = found.cases, found.files
    elif source.suffix.lower() in (".csv", ".parquet") and is_file:
        table = table_cases(source)
    else:
        raise DataError(f"{source}: no such folder or table; expected class folders, or .csv or .parquet. Check the path")
    table, notes = _with_patients(table)
    divided, how = divide(table, source.name, seed)
    blank = divided.reindex(columns=[*COLUMNS, "left_out"]).astype({"left_out": object})
    blank["left_out"] = [_why_left_out(Path(path)) for path in blank["path"]]
    blank = blank.replace({np.nan: None})
    archive = account(printable(source.name), "its classes", "images", blank, how, notes, files)
    return archive if not is_folder else replace(archive, summary=_of_files(archive.summary))


def _of_files(summary: Summary) -> Summary:
    """The summary of a folder counts files: what was found is all that lies there."""
    left_out = dict(summary.left_out)
    for reason, n in summary.files.left_out.items():
        left_out[reason] = left_out.get(reason, 0) + n
    return replace(summary, unit="files", found=summary.found + sum(summary.files.left_out.values()), left_out=left_out)


def _why_left_out(path: Path) -> str | None:
    try:
        return None if path.is_file() else "file not found"
    except OSError as error:
        return f"file cannot be reached ({error.strerror})"


def _with_patients(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The cases with the patients that headers tell, numbered, since an ID is nobody else's business; and what is unknown."""
    if "patient" in table.columns:
        return table, ()
    told = [_patient_in_header(Path(path)) for path in table["path"]]
    n_unknown, names = told.count(""), set(told) - {""}
    if len(names) < 2:
        found = "the same patient in every file that tells one" if names else "no file tells its patient"
        return table, (f"{found}: images of one patient may be in two splits; a column patient keeps them together",)
    own = [patient or f"\0{row}" for row, patient in enumerate(told)]
    numbered = table.assign(patient=[f"patient {number + 1}" for number in pd.factorize(np.array(own, dtype=object))[0]])
    notes = [f"{len(names)} patients as in the DICOM headers, numbered"]
    if n_unknown:
        notes.append(f"{n_unknown} images do not tell their patient and are each taken for one of its own")
    return numbered, tuple(notes)


def _patient_in_header(path: Path) -> str:
    """Blank where the file tells none, or is broken: then it is listed once its pixels are to be read."""
    if not dicom.is_dicom(path):
        return ""
    try:
        return dicom.read_header(path, "PatientID")[0]
    except DataError:
        return ""
