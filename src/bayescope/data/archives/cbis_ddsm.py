"""CBIS-DDSM: the four official case tables, and images as downloaded by the NBIA tools or as a JPEG or PNG copy.

A lesion's crop and mask share the subject, such as ``Mass-Training_P_00001_LEFT_CC_1``, and often the series; neither file
number nor folder name distinguishes them, and the two columns of the tables are swapped for some lesions.  The crop is found by
the file's own SeriesDescription and size, and by its pixels where these do not decide: a mask is binary and as large as the
mammogram.  Lee et al., Sci Data 4:170177 (2017).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from bayescope.data.archives.base import BOX, Archive, choose_copy, find_table, finish, read_rows
from bayescope.data.filesystem.class_folders import is_image
from bayescope.data.filesystem.walk import walk
from bayescope.data.formats import dicom
from bayescope.data.splits import OFFICIAL, Split, settle_official
from bayescope.errors import ConfigError, DataError

TASKS = tuple(f"{lesions}-{kind}" for lesions in ("mass", "calc", "both") for kind in ("roi", "full"))
_LABELS = {"MALIGNANT": "malignant", "BENIGN": "benign", "BENIGN_WITHOUT_CALLBACK": "benign"}
_PATH_COLUMNS = {"full": "image file path", "crop": "cropped image file path", "mask": "ROI mask file path"}
_KEYS = ("patient_id", "left or right breast", "image view", "abnormality id", "abnormality type", "pathology")
_SUBJECT = re.compile(r"(?:Mass|Calc)-(?:Training|Test)_P_\d{5}_(?:LEFT|RIGHT)_(?:CC|MLO)(?:_\d+)?")
_DESCRIBING = ("PatientID", "SeriesInstanceUID", "SeriesDescription", "Rows", "Columns")
_UID = re.compile(r"\d+(?:\.\d+){5,}")
_CLEARLY_SMALLER = 0.9
_NEAR_END = 0.05


def read_cbis_ddsm(source: Path, task: str, split: Split = OFFICIAL) -> Archive:
    """The cases of ``task``, one of ``TASKS``: ``roi`` are crops of lesions, ``full`` whole mammograms, each once.

    The tables ``(mass|calc)_case_description_(train|test)_set.csv`` may be anywhere under ``source``.  Labels are benign and
    malignant; a mammogram is malignant if any of its lesions in the task is.  Raises ConfigError for an unknown task,
    DataError if a table is missing or no image is found.
    """
    if task not in TASKS:
        raise ConfigError(f"task {task!r}; expected one of {', '.join(TASKS)}. Choose one of these")
    lesion_type, kind = task.split("-")
    found = walk(source.resolve())
    files = found.files
    lesions = _read_lesions(files, ("mass", "calc") if lesion_type == "both" else (lesion_type,))
    lesions["split"], leaks = settle_official(lesions["split"], lesions["patient"], split.scheme)
    subjects, n_unknown = _files_by_subject(files, lesions)
    notes = ["BENIGN_WITHOUT_CALLBACK is benign", *leaks]
    if kind == "full":
        table, more = _mammograms(lesions, by_split=split.scheme == "official")
        located = [choose_copy([f for name in names for f in subjects[name]]) for names in table["subjects"]]
    else:
        table, finder = lesions, _CropFinder(files, subjects)
        located = [finder.find(*row) for row in lesions[["crop", "full", "crop_series", "mask_series"]].to_numpy()]
        more = [f"crops that stand under '{_PATH_COLUMNS['mask']}': {finder.n_swapped}"] if finder.n_swapped else []
    if n_unknown:
        more.append(f"image files that do not name a subject, not used: {n_unknown}")
    table[["path", "left_out"]] = pd.DataFrame(located, table.index, dtype=object)
    table.loc[table["label"].isna(), "left_out"] = "no pathology"
    table = table.assign(kind=kind, **dict.fromkeys(BOX, np.nan))
    return finish("CBIS-DDSM", task, "lesions" if kind == "roi" else "images", table, split, [*notes, *more], found)


def _read_lesions(files: Sequence[Path], lesion_types: Sequence[str]) -> pd.DataFrame:
    """One row for each lesion, with the subjects and series that the tables name."""
    tables = []
    for lesion_type, part in product(lesion_types, ("train", "test")):
        name = f"{lesion_type}_case_description_{part}_set.csv"
        path = find_table(files, name)
        if path is None:
            raise DataError(f"{name}: no such file; expected it in the folder of the archive. Put the official table there")
        tables.append(read_rows(path, (*_KEYS, *_PATH_COLUMNS.values())).assign(split=part))
    rows = pd.concat(tables, ignore_index=True)
    named = {kind: rows[column].str.split("/", expand=True).reindex(columns=range(3)) for kind, column in _PATH_COLUMNS.items()}
    return pd.DataFrame(
        {
            "label": rows["pathology"].map(_LABELS).astype(object).where(rows["pathology"].isin(_LABELS), None),
            "patient": rows["patient_id"],
            "side": rows["left or right breast"].str[:1],
            "view": rows["image view"],
            "split": rows["split"],
            "lesion": rows["abnormality type"] + " " + rows["abnormality id"],
            **{kind: parts[0] for kind, parts in named.items()},
            **{f"{kind}_series": parts[2] for kind, parts in named.items()},
        }
    )


def _mammograms(lesions: pd.DataFrame, by_split: bool) -> tuple[pd.DataFrame, list[str]]:
    """One row for each mammogram; with ``by_split``, for each in each split, as published."""
    keys = ["patient", "side", "view", *(["split"] if by_split else [])]
    groups = lesions.groupby(keys, sort=False)
    table = groups.agg(
        label=("label", lambda labels: max(labels.dropna(), default=None)),
        lesion=("lesion", lambda names: ", ".join(sorted(names))),
        split=("split", "first"),
        subjects=("full", lambda names: sorted(set(names))),
    )
    n_mixed = int((groups["label"].nunique() > 1).sum())
    n_merged = int((table["subjects"].str.len() > 1).sum())
    notes = [f"{n_mixed} images carry benign and malignant lesions and are malignant"] if n_mixed else []
    if n_merged:
        notes.append(f"{n_merged} images are in the mass and in the calcification tables and are used once")
    return table.drop(columns="split" if by_split else []).reset_index(), notes


def _files_by_subject(files: Sequence[Path], lesions: pd.DataFrame) -> tuple[Mapping[str, list[Path]], int]:
    """Image files of each subject, and the number of those whose subject is unknown."""
    pairs = [lesions[[kind, f"{kind}_series"]].to_numpy() for kind in _PATH_COLUMNS]
    of_series = {series: subject for subject, series in np.concatenate(pairs)}
    of_folder = dict(_listed_folders(find_table(files, "metadata.csv")))
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for path in filter(is_image, files):
        found[_subject(path, of_series, of_folder)].append(path)
    return found, len(found.pop("", []))


def _subject(path: Path, of_series: Mapping[str, str], of_folder: Mapping[Path, str]) -> str:
    """By a folder's name, the series it names, ``metadata.csv`` or the header, in this order; blank if none does."""
    folders = path.parent.parts[::-1]
    if named := next((name for name in folders if _SUBJECT.fullmatch(name)), None):
        return named
    if uid := next((name for name in folders if _UID.fullmatch(name)), None):
        return of_series.get(uid, uid)
    if path.parent in of_folder:
        return of_folder[path.parent]
    return _describe(path).subject if dicom.is_dicom(path) else ""


def _listed_folders(table: Path | None) -> Iterator[tuple[Path, str]]:
    if table is not None:
        rows = read_rows(table, ("File Location", "Subject ID"))
        for location, subject in rows[["File Location", "Subject ID"]].to_numpy():
            yield table.parent / location.replace("\\", "/"), subject


@dataclass(frozen=True)
class _Picture:
    path: Path
    subject: str = ""
    series: str = ""
    description: str = ""
    n_pixels: int = 0


def _describe(path: Path) -> _Picture:
    """From the header alone; without pixels (``n_pixels`` 0) if it cannot be read."""
    try:
        if not dicom.is_dicom(path):
            with Image.open(path) as image:
                return _Picture(path, series=path.parent.name, n_pixels=image.width * image.height)
        subject, series, description, rows, columns = dicom.read_header(path, *_DESCRIBING)
        return _Picture(path, subject, series, description, int(rows or 0) * int(columns or 0))
    except Exception:  # a damaged file raises whatever its reader meets; it is counted as one that cannot be read
        return _Picture(path)


def _is_binary(path: Path) -> bool:
    """Whether all but a hundredth of the pixels are at either end of the range, as in a mask, compressed or not."""
    if dicom.is_dicom(path):
        pixels = dicom.stored_pixels(path).astype(np.float32)
    else:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("F"))
    margin = _NEAR_END * (pixels.max() - pixels.min())
    return bool(((pixels <= pixels.min() + margin) | (pixels >= pixels.max() - margin)).mean() > 0.99)


class _CropFinder:
    def __init__(self, files: Sequence[Path], subjects: Mapping[str, list[Path]]) -> None:
        self.subjects = subjects
        self.n_swapped = 0
        self.descriptions: dict[tuple[str, ...], str] = {}
        if (table := find_table(files, "dicom_info.csv")) is not None:
            rows = read_rows(table, ("image_path", "SeriesDescription"))
            named = rows["image_path"].str.split("/").str[-2:].map(tuple)
            self.descriptions = dict(zip(named, rows["SeriesDescription"], strict=True))

    def find(self, subject: str, full: str, crop_series: str, mask_series: str) -> tuple[Path | None, str | None]:
        """The crop among the files of a lesion, or the reason why there is none."""
        path, reason = choose_copy(self.subjects.get(subject, []))
        if path is None:
            return None, reason
        copies = [f for f in self.subjects[subject] if f.suffix == path.suffix and f.stat().st_size]
        pictures = [picture for f in copies if (picture := _describe(f)).n_pixels]
        if not pictures:
            return None, "file cannot be read"
        try:
            crop = self._crop(pictures, self.subjects.get(full, []))
        except Exception:  # pixels of a damaged file
            return None, "file cannot be read"
        if crop is None:
            return None, "crop missing" if len(pictures) == 1 else "crop not distinguishable from mask"
        self.n_swapped += crop_series != mask_series and crop.series == mask_series
        return crop.path, None

    def _crop(self, pictures: Sequence[_Picture], full: Sequence[Path]) -> _Picture | None:
        smallest = min(picture.n_pixels for picture in pictures)
        named = [picture for picture in pictures if "crop" in self._description(picture).lower()]
        if len(named) == 1 and named[0].n_pixels == smallest:
            return named[0]
        largest = max(picture.n_pixels for picture in (*pictures, *map(_describe, full)))
        small = [picture for picture in pictures if picture.n_pixels < _CLEARLY_SMALLER * largest]
        if len(small) == 1:
            return small[0]
        grayscale = [picture for picture in pictures if not _is_binary(picture.path)]
        return grayscale[0] if len(grayscale) == 1 else None

    def _description(self, picture: _Picture) -> str:
        return picture.description or self.descriptions.get(picture.path.parts[-2:], "")
