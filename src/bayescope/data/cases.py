"""From a list of labelled files to train, validation and test: the case table and its splits.

A case is a row ``path, label[, patient][, split]``.  A split is drawn with a seed, stratified by label; where patients
are known, whole patients are drawn, so that no patient is in two splits.  The same file twice is refused for the same reason.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from bayescope.data.files import SUFFIXES, read_images
from bayescope.data.images import Dataset, ImageSet, check_labels
from bayescope.errors import DataError, reading

SPLITS = ("train", "val", "test")
VAL_FRACTION, TEST_FRACTION = 0.1, 0.2
SPLIT_WORDS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}

Callback = Callable[[int, int], None]


def read_table(path: Path, size: int | None, seed: int, callback: Callback) -> Dataset:
    """A CSV or Parquet table; paths are relative to its folder.  Raises DataError if it cannot be used."""
    return to_dataset(table_cases(path), path.name, size, seed, callback)


def read_folder(folder: Path, size: int | None, seed: int, callback: Callback) -> Dataset:
    """Class folders of images, or ``train``, ``val`` and ``test`` folders of class folders."""
    return to_dataset(folder_cases(folder), folder.name, size, seed, callback)


def table_cases(path: Path) -> pd.DataFrame:
    """The cases of a CSV or Parquet table, paths made absolute.  Raises DataError if it cannot be used."""
    try:
        # A class may be named "None" or "NA": only an empty field is blank.
        parquet = path.suffix.lower() == ".parquet"
        table = pd.read_parquet(path) if parquet else pd.read_csv(path, dtype=str, keep_default_na=False)
    except Exception as error:
        raise DataError(f"{path.name}: cannot be read as a table ({error}); expected CSV or Parquet. Export it again") from None
    missing = {"path", "label"} - set(table.columns)
    if missing:
        raise DataError(
            f"{path.name}: columns {list(table.columns)}; expected path,label[,patient][,split], missing {sorted(missing)}. "
            "Name the columns so"
        )
    table = table[[column for column in ("path", "label", "patient", "split") if column in table.columns]]
    text = table.astype(str).apply(lambda column: column.str.strip())
    blank = (table.isna() | (text == "")).any(axis=1)
    if blank.any():
        raise DataError(f"{path.name}: {blank.sum()} rows with a blank field; expected none. Fill in or remove them")
    if text.empty:
        raise DataError(f"{path.name}: no rows; expected one for each image. Add path and label of the images")
    return text.assign(path=[str(path.parent / p) for p in text["path"]])


def folder_cases(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> pd.DataFrame:
    """The cases of class folders, with a split where folders give one.  Raises DataError if there are none."""
    with reading(folder):
        table = _split_folders(folder, suffixes) if _has_splits(folder) else _class_folders(folder, suffixes)
    if table.empty:
        raise DataError(
            f"{folder.name}: no image in class folders; expected {folder.name}/<class>/<image> with images of type "
            f"{', '.join(suffixes)}. Sort the images into one folder for each class"
        )
    return table


def divide(table: pd.DataFrame, source: str, seed: int) -> tuple[pd.DataFrame, str]:
    """The cases with the split they give, or one drawn, and how it came about.

    Raises DataError if a file is named twice, or a patient or a class is in the wrong place.
    """
    table = table.reset_index(drop=True)
    if repeated := int(table["path"].duplicated().sum()):
        raise DataError(f"{source}: {repeated} rows repeat a file; expected each file once, with one label. Remove the repeats")
    class_names = tuple(sorted(table["label"].unique()))
    labels = class_indices(table, class_names)
    if "split" in table.columns:
        split, note = _given_split(table, source), "splits as given"
    else:
        split, note = _draw_split(table, labels, source, seed)
    check_labels(labels[split == "train"], class_names, source)
    return table.assign(split=split), note


def class_indices(table: pd.DataFrame, class_names: tuple[str, ...]) -> np.ndarray:
    """Each case's class as a number."""
    return table["label"].map({name: k for k, name in enumerate(class_names)}).to_numpy(np.int64)


def to_dataset(table: pd.DataFrame, source: str, size: int | None, seed: int, callback: Callback) -> Dataset:
    """Read and split the cases of ``table``.  Raises DataError if a patient or a class is in the wrong place."""
    table, note = divide(table, source, seed)
    pixels = read_images([Path(path) for path in table["path"]], size, callback)
    class_names = tuple(sorted(table["label"].unique()))
    labels, split = class_indices(table, class_names), table["split"].to_numpy()
    sets = []
    for name in SPLITS:
        chosen = np.flatnonzero(split == name)
        image_names = tuple(Path(table["path"][i]).name for i in chosen)
        groups = tuple(map(str, table["patient"][chosen])) if "patient" in table.columns else None
        sets.append(ImageSet(pixels[chosen], labels[chosen], class_names, image_names, groups))
    return Dataset(
        sets[0], sets[1], sets[2], source=source, notes=(note,) if size is None else (note, f"resized to {size}x{size} pixels")
    )


def _has_splits(folder: Path) -> bool:
    """Whether folders are splits and not classes.  Raises DataError if they are splits, but not all, or others beside them."""
    found = [child.name for child in _visible_folders(folder)]
    splits = {_split_of(name) for name in found}
    known = splits & set(SPLITS)
    if splits != set(SPLITS) and known and (known == splits or len(known) > 1):
        raise DataError(
            f"{folder.name}: folders {', '.join(found)}; expected the splits train, val and test and no others, each with "
            f"class folders. Add or move what differs, or put the class folders into {folder.name} itself to have a split drawn"
        )
    return splits == set(SPLITS)


def _split_folders(folder: Path, suffixes: tuple[str, ...]) -> pd.DataFrame:
    parts = [_class_folders(child, suffixes).assign(split=_split_of(child.name)) for child in _visible_folders(folder)]
    return pd.concat(parts, ignore_index=True)


def _split_of(name: str) -> str:
    return SPLIT_WORDS.get(name.lower(), name.lower())


def _class_folders(folder: Path, suffixes: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for child in _visible_folders(folder):
        images = [path for path in sorted(child.rglob("*")) if _is_image(path, suffixes)]
        if not images:
            raise DataError(
                f"{folder.name}: no image in class folder {child.name}; expected files of type {', '.join(suffixes)} in each. "
                "Add images, or remove the folder"
            )
        rows += [(str(path), child.name) for path in images]
    return pd.DataFrame(rows, columns=["path", "label"])


def _visible_folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _is_image(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith(".")


def _given_split(table: pd.DataFrame, source: str) -> np.ndarray:
    split = table["split"].str.lower().replace(SPLIT_WORDS)
    unknown = sorted(set(split) - set(SPLITS))
    absent = sorted(set(SPLITS) - set(split))
    if unknown or absent:
        raise DataError(
            f"{source}: splits {sorted(set(table['split']))}; expected train, val and test, each with images. "
            "Correct the column, or remove it to have a split drawn"
        )
    if "patient" in table.columns:
        leaking = (split.groupby(table["patient"]).nunique() > 1).sum()
        if leaking:
            raise DataError(
                f"{source}: {leaking} of {table['patient'].nunique()} patients are in more than one split; "
                "expected each in one. Move them, or leave the split out to have patients split"
            )
    return split.to_numpy(dtype=str)


def _draw_split(table: pd.DataFrame, labels: np.ndarray, source: str, seed: int) -> tuple[np.ndarray, str]:
    everyone = np.arange(len(table))
    patients = table["patient"].to_numpy() if "patient" in table.columns else everyone
    by_class = [len(np.unique(patients[labels == k])) for k in range(labels.max() + 1)]
    if min(by_class) < round(1 / VAL_FRACTION):
        unit = "patients" if "patient" in table.columns else "images"
        raise DataError(
            f"{source}: {min(by_class)} {unit} of the rarest class; expected at least {round(1 / VAL_FRACTION)} to draw "
            "a split. Add some, or give a split column"
        )
    split = np.full(len(table), "train", dtype="U5")
    if "patient" in table.columns:
        folds = StratifiedGroupKFold(round(1 / VAL_FRACTION), shuffle=True, random_state=seed)
        held_out = [fold for _, fold in folds.split(everyone, labels, patients)]
        split[held_out[0]] = "val"
        split[np.concatenate(held_out[1 : 1 + round(TEST_FRACTION / VAL_FRACTION)])] = "test"
        how = "whole patients"
    else:
        rest, test = train_test_split(everyone, test_size=TEST_FRACTION, stratify=labels, random_state=seed)
        share = VAL_FRACTION / (1 - TEST_FRACTION)
        _, val = train_test_split(rest, test_size=share, stratify=labels[rest], random_state=seed)
        split[val], split[test] = "val", "test"
        how = "images"
    absent = sorted({name for name in SPLITS for k in range(len(by_class)) if k not in labels[split == name]})
    if absent:
        raise DataError(
            f"{source}: the split drawn with seed {seed} leaves a class out of {', '.join(absent)}; "
            "expected every class in every split. Take another seed, or give a split column"
        )
    return split, f"{how} split 70/10/20, stratified by class, seed {seed}"
