"""Class folders: the class and split of each image in a folder, and the files that are left out.

A class is a folder of images, nested to any depth; ``train``, ``val`` and ``test`` with class folders in each give the split.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.filesystem.names import class_name, printable
from bayescope.data.filesystem.walk import LeftOut, Walk, visible_folders, walk
from bayescope.data.formats.dicom import is_dicom
from bayescope.data.formats.images import SUFFIXES
from bayescope.data.labelled import SPLITS, split_of
from bayescope.data.tables.case_table import path_column
from bayescope.errors import DataError

_TABLES = (".csv", ".tsv", ".parquet", ".xls", ".xlsx", ".ods")
_LONGEST_SUFFIX = 8


@dataclass(frozen=True)
class ClassFolders:
    """``cases``: path and label of each image, and its split where folders give one; ``files``: what was found there."""

    cases: pd.DataFrame
    files: FileSummary


def read_class_folders(folder: Path, with_dicom: bool = False, partial: bool = False) -> ClassFolders:
    """The images in class folders under ``folder``; ``with_dicom``: DICOM files too, recognised by their content.

    ``partial``: a lone ``test`` folder of class folders is a split too, or any of the three.
    Class names are in composed Unicode (NFC) without blanks at their ends.  Raises DataError if there is no image, if a class
    folder has none, if folders of one class are side by side, or if a link puts an image in a second class or split.
    """
    has_splits = _has_splits(folder, partial)
    tops = visible_folders(folder)
    places = _places(tops) if not has_splits else [place for top in tops for place in _places(visible_folders(top), top.name)]
    found = walk(folder)
    images, others = sort_images(found.files, with_dicom)
    rows, loose = _cases(images, found, places)
    if not places or not rows:
        raise DataError(_no_image(folder, with_dicom, [*others, *loose, *found.left_out]))
    for place in places:
        if place not in {row[0] for row in rows}:
            raise DataError(_no_image_in(place.folder, with_dicom, [*others, *found.left_out]))
    table = pd.DataFrame({"path": path_column(path for _, path in rows), "label": [place.label for place, _ in rows]})
    if has_splits:
        table["split"] = [place.split for place, _ in rows]
    return ClassFolders(table, found.account(len(rows), [*others, *loose]))


def sort_images(files: Iterable[Path], with_dicom: bool) -> tuple[list[Path], list[LeftOut]]:
    """The images among files, by their suffix, or as DICOM by their content; and the others, with the reason."""
    images, others = [], []
    for path in files:
        reason = _why_no_image(path, with_dicom)
        if reason is None:
            images.append(path)
        else:
            others.append(LeftOut(path, reason))
    return images, others


def is_image(path: Path) -> bool:
    """Whether the name is that of a picture, or the content that of a DICOM file."""
    return path.suffix.lower() in SUFFIXES or is_dicom(path)


def _why_no_image(path: Path, with_dicom: bool) -> str | None:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return None
    if is_dicom(path):
        return None if with_dicom else "DICOM, which `bayescope prepare folder` reads"
    if path.stat().st_size == 0:
        return "empty file"
    if suffix in _TABLES:
        return f"{suffix} is a table: give its path in place of the folder's to use it"
    if 1 < len(suffix) <= _LONGEST_SUFFIX and not suffix[1:].isdigit():
        return f"{printable(suffix)} is not read"
    return "not DICOM, and not named as an image"


@dataclass(frozen=True)
class _Place:
    """A class folder, in a split or in none."""

    folder: Path
    label: str
    split: str = ""


def _places(folders: list[Path], split: str = "") -> list[_Place]:
    by_label: defaultdict[str, list[Path]] = defaultdict(list)
    for folder in folders:
        by_label[class_name(folder.name)].append(folder)
    for label, same in by_label.items():
        if len(same) > 1:
            names = " and ".join(printable(repr(path.name)) for path in same)
            raise DataError(
                f"{same[0].parent}: folders {names} are both of class {label!r}, spelt with other Unicode or blanks; expected "
                "one folder for each class. Move the images of one into the other"
            )
    return [_Place(same[0], label, split_of(split)) for label, same in by_label.items()]


def _cases(images: list[Path], found: Walk, places: list[_Place]) -> tuple[list[tuple[_Place, Path]], list[LeftOut]]:
    """Each image with its place, and the images that have none.  DataError if a link leads from one place to another."""
    by_folder = {place.folder: place for place in places}
    rows, loose = [], []
    for path in images:
        if place := _place_of(path, found.root, by_folder):
            rows.append((place, path))
        else:
            loose.append(LeftOut(path, "image in no class folder"))
    for file in found.left_out:
        if file.same_as is None or file.same_as == found.root:
            continue
        own, other = (_place_of(path, found.root, by_folder) for path in (file.path, file.same_as))
        if own and other and own != other:
            raise DataError(
                f"{file.path}: the same as {file.same_as}; expected each image in one class and one split. Remove one of them"
            )
    return sorted(rows, key=lambda row: (places.index(row[0]), row[1])), loose


def _place_of(path: Path, root: Path, by_folder: Mapping[Path, _Place]) -> _Place | None:
    return next((by_folder[folder] for folder in _upwards(path, root) if folder in by_folder), None)


def _upwards(path: Path, root: Path) -> Iterator[Path]:
    while path != root:
        yield path
        path = path.parent


def _no_image(folder: Path, with_dicom: bool, others: list[LeftOut]) -> str:
    name = printable(folder.name)
    return (
        f"{folder}: no image in class folders; expected {name}/<class>/<image> with {_kinds(with_dicom)}"
        f"{_found_instead(others)}. {_remedy(others, with_dicom) or 'Sort the images into one folder for each class'}"
    )


def _no_image_in(folder: Path, with_dicom: bool, others: list[LeftOut]) -> str:
    inside = [file for file in others if file.path.is_relative_to(folder)]
    return (
        f"{folder.parent}: no image in class folder {printable(folder.name)}; expected {_kinds(with_dicom)} in each"
        f"{_found_instead(inside)}. {_remedy(inside, with_dicom) or 'Add images, or remove the folder'}"
    )


def _found_instead(others: list[LeftOut]) -> str:
    account = FileSummary.of(0, (file.reason for file in others))
    return f" ({account})" if account.found else ""


def _kinds(with_dicom: bool) -> str:
    return f"{'DICOM files, or ' if with_dicom else ''}files of type {', '.join(SUFFIXES)}"


def _remedy(others: list[LeftOut], with_dicom: bool) -> str:
    if with_dicom or not any(file.reason.startswith("DICOM") for file in others):
        return ""
    return "Make a cache of the DICOM files with `bayescope prepare folder`, and train on that"


def _has_splits(folder: Path, partial: bool) -> bool:
    """Whether folders are splits and not classes.

    Raises DataError if they are splits, but not all (unless ``partial``), or if there are other folders.
    """
    found = [child.name for child in visible_folders(folder)]
    splits = {split_of(name) for name in found}
    known = splits & set(SPLITS)
    if partial and known and known == splits:
        return True
    if splits != set(SPLITS) and known and (known == splits or len(known) > 1):
        raise DataError(
            f"{folder}: folders {', '.join(map(printable, found))}; expected the splits train, val and test and no others, "
            f"each with class folders. Add or move what differs, or put the class folders into {printable(folder.name)} "
            "itself to have a split drawn"
        )
    return splits == set(SPLITS)
