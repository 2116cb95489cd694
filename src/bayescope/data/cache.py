"""Prepared images as they lie on disk: written once, mapped into memory, never loaded whole.

::

    images.npy      uint16 (n, size, size), train before val before test, so that a split is one stretch of the file
    cases.parquet   a row for each image: the case table, boxes in prepared pixels, how it was shown and what was done to it
    progress.jsonl  a line for each file, broken ones too: its stamp and what came of it, so that only changed files are redone
    cache.json      written last: preparation, archive, versions, what was left out and why, hashes

While it is being filled, ``partial.npy`` holds the rows, and ``progress.jsonl`` tells which; a cache without ``cache.json`` is
not finished.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from bayescope.data.archive import BOX
from bayescope.data.cases import SPLITS, class_indices
from bayescope.data.images import Dataset, ImageSet, check_labels
from bayescope.data.manifest import MANIFEST, read_manifest
from bayescope.errors import DataError, reading
from bayescope.shapes import Pixels

IMAGES, CASES, PARTIAL, PROGRESS = "images.npy", "cases.parquet", "partial.npy", "progress.jsonl"


def is_cache(folder: Path) -> bool:
    """Whether ``folder`` is a cache, finished or not; a lone ``partial.npy`` is one that was hardly begun.

    Raises DataError if the system does not let it be reached.
    """
    with reading(folder):
        if (folder / MANIFEST).is_file() or (folder / PROGRESS).is_file():
            return True
        return folder.is_dir() and [path.name for path in folder.iterdir()] == [PARTIAL]


def read_cache(folder: Path) -> Dataset:
    """The prepared images, mapped from the file.  Raises DataError if the cache is unfinished or its parts do not agree."""
    manifest = read_manifest(folder)
    try:
        table = pd.read_parquet(folder / CASES, columns=["path", "label", "patient", "split"])
        pixels = np.load(folder / IMAGES, mmap_mode="r")
    except Exception as error:
        raise DataError(
            f"{folder}: cannot be read ({error}); expected {IMAGES} and {CASES}. Prepare the images again, with --force"
        ) from None
    _check_parts(folder, table, pixels, manifest.class_names)
    labels, split = class_indices(table, manifest.class_names), table["split"].to_numpy()
    check_labels(labels[split == "train"], manifest.class_names, folder.name)
    groups = None if table["patient"].isna().any() else table["patient"].astype(str).to_numpy()
    brief = table["path"].map(lambda path: Path(path).name)
    all_names = (table["path"] if brief.duplicated().any() else brief).tolist()
    sets, start = [], 0
    for name in SPLITS:
        end = start + int((split == name).sum())
        names = tuple(all_names[start:end])
        owners = None if groups is None else tuple(groups[start:end])
        sets.append(ImageSet(pixels[start:end, None], labels[start:end], manifest.class_names, names, owners))
        start = end
    summary = manifest.summary
    note = f"{summary.archive}, task {summary.task}, split {summary.split}"
    return Dataset(sets[0], sets[1], sets[2], folder.name, (note, *summary.notes), preparation=manifest.preparation)


def _check_parts(folder: Path, table: pd.DataFrame, pixels: Pixels, class_names: Sequence[str]) -> None:
    otherwise = "Prepare the images again, with --force"
    if pixels.ndim != 3 or pixels.dtype != np.uint16 or len(pixels) != len(table):
        raise DataError(
            f"{folder}: {pixels.dtype} pixels of shape {pixels.shape} for {len(table)} cases; expected one square of 16 bits "
            f"for each. {otherwise}"
        )
    if unknown := sorted(set(table["label"].map(str)) - set(class_names)):
        raise DataError(f"{folder}: labels {', '.join(unknown)}; expected {', '.join(class_names)}. {otherwise}")
    order = table["split"].map({name: k for k, name in enumerate(SPLITS)})
    if order.isna().any() or not order.is_monotonic_increasing:
        raise DataError(f"{folder}: cases out of order; expected train, val, test. {otherwise}")


def create_pixels(path: Path, n: int, size: int) -> None:
    """A blank file of ``n`` squares of 16 bit.  Its space is taken at once where the system can: none is missing later."""
    try:
        pixels = open_memmap(path, mode="w+", dtype=np.uint16, shape=(n, size, size))
        pixels.flush()
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError:
        path.unlink(missing_ok=True)  # what it did get of a full disk is of use to others
        raise


def copy_rows(source: Path, rows: Sequence[int], to: Path, places: Sequence[int], n: int) -> None:
    """A file of ``n`` squares, blank but for the ``places``, where the ``rows`` of ``source`` go."""
    given = np.load(source, mmap_mode="r")
    create_pixels(to, n, given.shape[1])
    target = np.load(to, mmap_mode="r+")
    for row, place in zip(rows, places, strict=True):
        target[place] = given[row]
    target.flush()


def boxes_to_prepared(table: pd.DataFrame, boxes: Sequence[Sequence[float] | None]) -> pd.DataFrame:
    """The case table with its boxes in prepared pixels, each (top, left, bottom, right) or None."""
    rows = [[np.nan] * 4 if box is None else [box[1], box[0], box[3], box[2]] for box in boxes]
    return table.assign(**dict(zip(BOX, np.array(rows, dtype=float).reshape(-1, 4).T, strict=True)))
