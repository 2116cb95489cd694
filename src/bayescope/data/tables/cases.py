"""Images of a list of labelled files, and their division into training, validation and test sets.

A case is a row ``path, label[, patient][, split]``.  A split is drawn with a seed, stratified by label; where patients are
known, whole patients are drawn, and images with identical pixels stay together too, so that neither is in two splits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from bayescope.data.copies import copy_groups, pixel_hashes
from bayescope.data.dataset import Dataset, ImageSet, check_labels
from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.filesystem.image_files import read_images
from bayescope.data.filesystem.names import printable
from bayescope.data.groups import breasts_of, patients_of, studies_of
from bayescope.data.labelled import SPLITS, LabelledImages, split_of
from bayescope.data.tables.case_table import check_files, read_case_table
from bayescope.data.tables.class_names import sort_class_names
from bayescope.data.tables.spelling import unify
from bayescope.errors import DataError

VAL_FRACTION, TEST_FRACTION = 0.1, 0.2

Callback = Callable[[int, int], None]


@dataclass(frozen=True)
class Cases:
    """The ``table`` of the cases of ``source``, and what else is known of them.

    ``unlabelled``: rows of images without labels, None if there are none.
    """

    table: pd.DataFrame
    source: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    files: FileSummary = field(default_factory=FileSummary)
    unlabelled: pd.DataFrame | None = None

    @classmethod
    def of_table(cls, path: Path, normalise_labels: bool) -> "Cases":
        """The cases of a table.  Raises DataError as of :func:`bayescope.data.tables.case_table.read_case_table`."""
        found = read_case_table(path, normalise_labels)
        blank = None if found.unlabelled.empty else found.unlabelled
        return cls(found.cases, path.name, found.notes, found.warnings, unlabelled=blank)

    def spelt_alike(self, normalise: bool) -> "Cases":
        """The same with classes that differ in spelling only unified, or refused by DataError unless ``normalise``."""
        labels, note = unify(self.table["label"].tolist(), "classes", self.source, normalise)
        return (
            self
            if not note
            else Cases(self.table.assign(label=labels), self.source, (*self.notes, note), self.warnings, self.files)
        )


def divide(table: pd.DataFrame, source: str, seed: int) -> tuple[pd.DataFrame, str]:
    """The cases with the split they give, or one drawn, and how it came about.

    Raises DataError if a patient or a class is in the wrong place.
    """
    table = table.reset_index(drop=True)
    class_names = sort_class_names(table["label"])
    labels = class_indices(table, class_names)
    if "split" in table.columns:
        split, note = _given_split(table, source), "splits as given"
    else:
        patients = table["patient"].to_numpy() if "patient" in table.columns else None
        split, note = draw_split(labels, patients, source, seed)
    check_labels(labels[split == "train"], class_names, source)
    return table.assign(split=split), note


def class_indices(table: pd.DataFrame, class_names: tuple[str, ...]) -> np.ndarray:
    """Each case's class as a number."""
    return table["label"].map({name: k for k, name in enumerate(class_names)}).to_numpy(np.int64)


def read_cases(cases: Cases, size: int | None, callback: Callback) -> LabelledImages:
    """All images of the cases, with the split they give.  Raises DataError if one is missing or cannot be read."""
    table = cases.table.reset_index(drop=True)
    check_files(table, cases.source)
    warnings = list(cases.warnings)
    pixels = read_images([Path(path) for path in table["path"]], size, callback, warnings.append)
    class_names = sort_class_names(table["label"])
    return LabelledImages(
        ImageSet(
            pixels,
            class_indices(table, class_names),
            class_names,
            tuple(printable(Path(path).name) for path in table["path"]),
            patients_of(table),
            breasts_of(table),
            studies_of(table),
        ),
        _known_split(table, cases.source) if "split" in table.columns else None,
        printable(cases.source),
        (*cases.notes, *(() if size is None else (f"resized to {size}x{size} pixels",))),
        tuple(map(printable, warnings)),
        files=cases.files,
        sizing="unchanged" if size is None else "fitted",
    )


def divided_cases(cases: Cases, size: int | None, seed: int, callback: Callback) -> Dataset:
    """Read and split the cases.  Raises DataError if a patient or a class is in the wrong place."""
    divided, note = divide(cases.table, cases.source, seed)  # first: reading takes long, and is not needed to refuse a table
    found = read_cases(cases, size, callback)
    split = divided["split"].to_numpy(dtype=str)
    if found.split is None:
        groups, n_copies = copy_groups(pixel_hashes(found.images.pixels), found.images.groups)
        if n_copies:
            unit = "different images" if found.images.groups is None else "patients without images in common"
            split, note = draw_split(found.images.labels, groups, cases.source, seed, unit)
            note += f"; {n_copies} copies of images kept with them"
    return found.dataset(split, note)


def _known_split(table: pd.DataFrame, source: str) -> NDArray[np.str_]:
    split = table["split"].map(split_of)
    if unknown := sorted(set(split) - set(SPLITS)):
        raise DataError(
            f"{source}: splits {', '.join(unknown)}; expected train, val and test. Correct the column, or remove it"
        )
    return split.to_numpy(dtype=str)


def _given_split(table: pd.DataFrame, source: str) -> np.ndarray:
    split = table["split"].map(split_of)
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


def draw_split(
    labels: NDArray[np.int64], patients: NDArray | None, source: str, seed: int, unit: str = "patients"
) -> tuple[NDArray[np.str_], str]:
    """Train, val or test for each image of ``labels (n,)``, whole ``patients (n,)`` if they are known, and how in words.

    Raises DataError if there are too few of a class to draw from.
    """
    everyone = np.arange(len(labels))
    owners = everyone if patients is None else patients
    by_class = [len(np.unique(owners[labels == k])) for k in range(labels.max() + 1)]
    if min(by_class) < round(1 / VAL_FRACTION):
        unit = "images" if patients is None else unit
        raise DataError(
            f"{source}: {min(by_class)} {unit} of the rarest class; expected at least {round(1 / VAL_FRACTION)} to draw "
            "a split. Add some, or give a split column"
        )
    split = np.full(len(labels), "train", dtype="U5")
    if patients is not None:
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
