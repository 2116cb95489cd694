"""Prepared images on disk: written once, memory-mapped, never loaded completely.

::

    images.npy      uint16 (n, size, size), train before val before test, so that a split is one stretch of the file
    cases.parquet   a row for each image: the case table, boxes in prepared pixels, how it was shown and what was done to it
    progress.jsonl  a line for each file, broken ones too: its stamp and what came of it, so that only changed files are redone
    cache.json      written last: preparation, archive, versions, what was left out and why, hashes

While it is being filled, ``partial.npy`` contains the rows, and ``progress.jsonl`` lists them; a cache without ``cache.json``
is not finished.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap
from pyarrow.parquet import read_schema

from bayescope.data.archives.base import BOX
from bayescope.data.dataset import ImageSet
from bayescope.data.groups import GROUP_COLUMNS, breasts_of, patients_of, studies_of
from bayescope.data.labelled import SPLITS, LabelledImages
from bayescope.data.preparation.manifest import MANIFEST, PENDING, read_manifest
from bayescope.data.tables.cases import class_indices
from bayescope.errors import DataError, RunError, reading, writing
from bayescope.types import Pixels

IMAGES, CASES, PARTIAL, PROGRESS = "images.npy", "cases.parquet", "partial.npy", "progress.jsonl"
_FILES = (MANIFEST, PENDING, IMAGES, CASES, PARTIAL, PROGRESS)


def is_cache(folder: Path) -> bool:
    """Whether ``folder`` is a cache, finished or not; a lone ``partial.npy`` is one that was hardly begun.

    Raises DataError if the system does not let it be reached.
    """
    with reading(folder):
        if (folder / MANIFEST).is_file() or (folder / PROGRESS).is_file():
            return True
        return folder.is_dir() and [path.name for path in folder.iterdir()] == [PARTIAL]


def check_replaceable(out: Path) -> None:
    """Raise RunError unless ``out`` is free, or a cache with no other files in the folder."""
    with reading(out, RunError):
        found = {path.name for path in out.iterdir()} if out.is_dir() else {""} if out.exists() else set()
    if found and (not is_cache(out) or not found <= set(_FILES)):
        raise RunError(
            f"{out}: exists and is no cache, or contains other files too; --force replaces caches only. Give another --out"
        )


def remove_cache(out: Path) -> None:
    """Remove the files of a cache from ``out``, and nothing else."""
    with writing(out):
        for name in _FILES:
            (out / name).unlink(missing_ok=True)


def read_cache(folder: Path) -> LabelledImages:
    """The prepared images, mapped from the file.  Raises DataError if the cache is unfinished or its parts do not agree."""
    manifest = read_manifest(folder)
    try:
        of_groups = set(GROUP_COLUMNS).intersection(read_schema(folder / CASES).names)
        table = pd.read_parquet(folder / CASES, columns=["path", "label", "patient", "split", "frame", *of_groups])
        pixels = np.load(folder / IMAGES, mmap_mode="r")
    except Exception as error:
        raise DataError(
            f"{folder}: cannot be read ({error}); expected {IMAGES} and {CASES}. Prepare the images again, with --force"
        ) from None
    _check_parts(folder, table, pixels, manifest.class_names)
    summary = manifest.summary
    return LabelledImages(
        ImageSet(
            pixels[:, None],
            class_indices(table, manifest.class_names),
            manifest.class_names,
            _names(table),
            patients_of(table),
            breasts_of(table),
            studies_of(table),
        ),
        table["split"].to_numpy(dtype=str),
        folder.name,
        (f"{summary.archive}, task {summary.task}, split {summary.split}", *summary.notes),
        preparation=manifest.preparation,
    )


def _names(table: pd.DataFrame) -> tuple[str, ...]:
    """File names, with their folders where needed to distinguish them, and the number of the frame of several."""
    frames = ["" if pd.isna(frame) else f"#{int(frame) + 1}" for frame in table["frame"]]
    brief = [Path(path).name + frame for path, frame in zip(table["path"], frames, strict=True)]
    if len(set(brief)) == len(brief):
        return tuple(brief)
    return tuple(path + frame for path, frame in zip(table["path"], frames, strict=True))


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
