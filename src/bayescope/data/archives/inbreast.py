"""INbreast: ``INbreast.csv`` or ``INbreast.xls``, the mammograms, and the outlines of findings in ``AllXML``.

The patient is known from the file name alone, ``<File Name>_<patient>_MG_<side>_<view>_ANON.dcm``.  Labels are BI-RADS
categories, not biopsies; 4a, 4b and 4c count as 4.  Moreira et al., Academic Radiology 19:236 (2012).
"""

import plistlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescope.data.archives.base import BOX, Archive, birads_groups, choose_copy, clean_rows, find_table, finish, read_rows
from bayescope.data.filesystem.class_folders import is_image
from bayescope.data.filesystem.walk import walk
from bayescope.data.splits import FOLDS, Split
from bayescope.errors import ConfigError, DataError

TASKS = ("1-3/4-6", "1-2/4-6")
_COLUMNS = ("File Name", "Laterality", "View", "Bi-Rads")
_IMAGE_NAME = re.compile(r"(\d+)(?:_([0-9a-z]+)_MG_([LR])_[A-Z]+_ANON)?(?:\..+)?", re.IGNORECASE)


def read_inbreast(source: Path, task: str = TASKS[0], split: Split = FOLDS) -> Archive:
    """The mammograms by BI-RADS group; ``task`` names the groups, as ``TASKS`` do, and what is in none is left out.

    There is no official split: folds are drawn by patient.  Raises ConfigError for groups that overlap or another split,
    DataError if the table is missing or cannot be read, or no image is found.
    """
    classes = birads_groups(task, highest=6)
    if split.scheme != "folds":
        raise ConfigError(f"split {split.scheme!r}; expected folds, as INbreast has no official split. Give --split folds")
    found = walk(source.resolve())
    files = found.files
    rows, notes = _read_table(files)
    images = _images_by_name(files)
    outlines = {path.stem: path for path in files if path.suffix.lower() == ".xml"}
    table = pd.DataFrame([_case(row, images, outlines, classes) for row in rows.to_dict("records")])
    if n_broken := int(table.pop("outline_broken").sum()):
        notes.append(f"outlines that cannot be read: {n_broken}, the images used without box")
    notes.insert(0, "labels are BI-RADS categories given on reading, not biopsies")
    return finish("INbreast", task, "images", table.assign(split=None, kind="full"), split, notes, found)


def _read_table(files: Sequence[Path]) -> tuple[pd.DataFrame, list[str]]:
    """The rows that name an image, and a note on the others; CSV before Excel."""
    if path := find_table(files, "INbreast.csv"):
        rows = read_rows(path, _COLUMNS, separator=";")
    elif path := find_table(files, "INbreast.xls") or find_table(files, "INbreast.xlsx"):
        rows = clean_rows(_read_sheet(path), _COLUMNS, path.name)
    else:
        raise DataError("INbreast.csv: no such file, nor INbreast.xls; expected one in the folder. Put the table there")
    rows["File Name"] = rows["File Name"].str.removesuffix(".0")
    names_image = rows["File Name"].str.fullmatch(r"\d+")
    n_others = int((~names_image).sum())
    return rows[names_image], [f"{path.name}: {n_others} rows without a file name dropped"] if n_others else []


def _read_sheet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_excel(path, dtype=str)
    except ImportError as error:
        raise DataError(
            f"{path.name}: no reader for it ({' '.join(str(error).split())}); expected xlrd for .xls, openpyxl for .xlsx. "
            "Install it, or put INbreast.csv next to the file"
        ) from None
    except Exception as error:
        raise DataError(f"{path.name}: cannot be read ({error}); expected an Excel file. Download it again") from None


def _images_by_name(files: Sequence[Path]) -> Mapping[str, list[tuple[Path, str, str]]]:
    """Path, patient and side, blank where the file name does not give them, of the copies of each image."""
    found: defaultdict[str, list[tuple[Path, str, str]]] = defaultdict(list)
    for path in filter(is_image, files):
        if match := _IMAGE_NAME.fullmatch(path.name):
            name, patient, side = match.groups(default="")
            found[name].append((path, patient.lower(), side.upper()))
    return found


def _case(
    row: dict[Any, str],
    images: Mapping[str, list[tuple[Path, str, str]]],
    outlines: Mapping[str, Path],
    classes: Mapping[str, str],
) -> dict[str, Any]:
    """One row of the case table; without label, so out of the draw of folds, where the image cannot be used."""
    name, category = row["File Name"], row["Bi-Rads"]
    copies = images.get(name, [])
    named = {path: (patient, side) for path, patient, side in copies if patient}
    path, left_out = choose_copy(list(named) or [path for path, _, _ in copies])
    patient, side = named.get(path, ("", "")) if path else ("", "")
    if category[:1] not in classes:
        left_out = f"BI-RADS {category or 'not given'}, in no group of the task"
    elif path and not patient:
        left_out = "file name does not give the patient"
    elif path and side != row["Laterality"]:
        left_out = "side differs between table and file name"
    box, lesion, broken = _read_outlines(outlines.get(name))
    return {
        "path": path,
        "label": None if left_out else classes[category[:1]],
        "patient": patient,
        "side": row["Laterality"],
        "view": row["View"],
        "lesion": lesion,
        **dict(zip(BOX, box, strict=True)),
        "outline_broken": broken,
        "left_out": left_out,
    }


def _read_outlines(path: Path | None) -> tuple[tuple[float, ...], str | None, bool]:
    """Box around all outlines of an image, what they are of, and whether the file is broken."""
    no_box = (np.nan,) * len(BOX)
    if path is None:
        return no_box, None, False
    try:
        with path.open("rb") as file:
            rois = [roi for image in plistlib.load(file)["Images"] for roi in image["ROIs"]]
        texts = [text for roi in rois for text in roi["Point_px"]]
        points = np.array([text.strip("() ").split(",") for text in texts], dtype=float).reshape(-1, 2)
        lesion = ", ".join(sorted({str(roi["Name"]).strip() for roi in rois})) or None
    except Exception:  # a damaged file raises whatever its parser meets; it is counted
        return no_box, None, True
    return (*points.min(axis=0), *points.max(axis=0)) if len(points) else no_box, lesion, False
