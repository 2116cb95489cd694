"""Folders or tables of grayscale image files, including DICOM, as an archive."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bayescope.data.archives.base import COLUMNS, Archive, Summary, account
from bayescope.data.filesystem.class_folders import read_class_folders
from bayescope.data.filesystem.names import printable
from bayescope.data.formats import dicom
from bayescope.data.tables.case_table import SUFFIXES, path_column
from bayescope.data.tables.cases import Cases, divide
from bayescope.errors import DataError, reading


def read_image_folder(
    source: Path,
    seed: int = 0,
    frame: int | Literal["all"] | None = None,
    normalise_labels: bool = False,
    all_test: bool = False,
) -> Archive:
    """Class folders, DICOM among them, or a table ``path,label[,patient][,split][,frame]``, as ``bayescope train`` takes them.

    Where the table names no patients, DICOM headers do: no patient is in two splits, as far as the files show.  ``frame``:
    which
    frame of DICOM files that have several, from 1, or "all" for a case each; a column frame goes before.  ``normalise_labels``
    as of :func:`bayescope.data.load.load_dataset`.  ``all_test``: no split is drawn, every image is for testing.
    """
    cases = _cases_of(source, normalise_labels)
    table, notes = _with_patients(_with_frames(cases.table, frame))
    if all_test:
        divided, how = table.assign(split="test"), "all for testing"
    else:
        divided, how = divide(table, str(source), seed)
    columns = [*COLUMNS, *(["study"] if "study" in divided else []), "left_out"]
    blank = divided.reindex(columns=columns).astype({"left_out": object})
    blank["left_out"] = [_why_left_out(Path(path)) for path in blank["path"]]
    blank = blank.replace({np.nan: None})
    remarks = (*cases.notes, *cases.warnings, *notes)
    archive = account(printable(cases.source), "its classes", "images", blank, how, remarks, cases.files)
    summary = _of_files(archive.summary) if cases.files.found else archive.summary
    return replace(archive, summary=summary, warnings=cases.warnings)


def _cases_of(source: Path, normalise_labels: bool) -> Cases:
    with reading(source):
        is_folder, is_file = source.is_dir(), source.is_file()
    if is_folder:
        found = read_class_folders(source.resolve(), with_dicom=True)
        return Cases(found.cases, source.resolve().name, files=found.files).spelt_alike(normalise_labels)
    if source.suffix.lower() in SUFFIXES and is_file:
        cases = Cases.of_table(source, normalise_labels)
        if cases.unlabelled is not None:
            raise DataError(
                f"{source}: {len(cases.unlabelled)} rows with a blank label; expected a class for each image of a cache. "
                "Fill in or remove them"
            )
        return cases
    raise DataError(f"{source}: no such folder or table; expected class folders, or {', '.join(SUFFIXES)}. Check the path")


def _with_frames(table: pd.DataFrame, frame: int | Literal["all"] | None) -> pd.DataFrame:
    """A row for each frame that is asked for, numbered in a column frame; without numbers where files have one frame."""
    given = table["frame"].tolist() if "frame" in table.columns else [""] * len(table)
    rows = []
    for (_, row), text in zip(table.iterrows(), given, strict=True):
        if text:
            numbers: list[int | None] = [int(text) - 1]
        elif frame is None or (count := _frames(Path(row["path"]))) == 1:
            numbers = [None]
        else:
            numbers = [*range(count)] if frame == "all" else [frame - 1]
        rows += [{**row.to_dict(), "frame": number} for number in numbers]
    found = pd.DataFrame([{key: value for key, value in row.items() if key != "path"} for row in rows])
    return found.assign(path=path_column(row["path"] for row in rows))


def _frames(path: Path) -> int:
    """1 for what is not DICOM, or is broken: then it is listed once its pixels are to be read."""
    try:
        return dicom.frame_count(path) if dicom.is_dicom(path) else 1
    except DataError:
        return 1


def _of_files(summary: Summary) -> Summary:
    """The summary of a folder counts files: what was found is all that is there."""
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
    """The cases with the patients named in DICOM headers, as numbers to keep IDs private; and notes on unknown ones."""
    if "patient" in table.columns:
        return table, ()
    patients = [_patient_in_header(Path(path)) for path in table["path"]]
    n_unknown, names = patients.count(""), set(patients) - {""}
    if len(names) < 2:
        found = "the same patient in every file that names one" if names else "no file names its patient"
        kept = table
        if table["path"].duplicated().any():  # frames of one file are of one patient
            kept = table.assign(patient=[f"file {number + 1}" for number in pd.factorize(table["path"])[0]])
        return kept, (f"{found}: images of one patient may be in two splits; a column patient keeps them together",)
    own = [patient or f"\0{path}" for path, patient in zip(table["path"], patients, strict=True)]
    numbered = table.assign(patient=[f"patient {number + 1}" for number in pd.factorize(np.array(own, dtype=object))[0]])
    notes = [f"{len(names)} patients as in the DICOM headers, numbered"]
    if n_unknown:
        notes.append(f"{n_unknown} images do not name their patient and are each taken as a separate patient")
    return numbered, tuple(notes)


def _patient_in_header(path: Path) -> str:
    """Blank where the file names none, or is broken; broken files are reported when their pixels are read."""
    if not dicom.is_dicom(path):
        return ""
    try:
        return dicom.read_header(path, "PatientID")[0]
    except DataError:
        return ""
