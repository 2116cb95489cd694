"""Prepared images as they lie on disk: written once, mapped into memory, never loaded whole.

::

    images.npy     uint16 (n, size, size), train before val before test, so that a split is one stretch of the file
    cases.parquet  a row for each image: the case table, boxes in prepared pixels, and what was done to it
    cache.json     written last: preparation, archive, versions, what was left out and why, hashes

While it is being filled, ``partial.npy`` holds the rows and ``progress.jsonl`` tells which; a cache without ``cache.json`` is
not finished.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from bayescope.data.archive import BOX
from bayescope.data.cases import SPLITS, class_indices
from bayescope.data.images import Dataset, ImageSet, check_labels
from bayescope.data.intensity import Preparation
from bayescope.errors import DataError

FORMAT = 1
IMAGES, CASES, MANIFEST, PARTIAL, PROGRESS = "images.npy", "cases.parquet", "cache.json", "partial.npy", "progress.jsonl"


def is_cache(folder: Path) -> bool:
    """Whether ``folder`` is a cache, finished or not."""
    return (folder / MANIFEST).is_file() or (folder / PROGRESS).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """What ``cache.json`` holds.  Raises DataError if it is unfinished, damaged or of another version."""
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{folder}: preparation has not finished; expected {MANIFEST}. Run `bayescope prepare` again to go on")
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        found = content["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / MANIFEST}: cannot be read ({error!r}); expected JSON. Prepare the images again") from None
    if found != FORMAT:
        raise DataError(f"{folder}: cache of format {found}; expected {FORMAT}. Prepare the images again")
    return content


def read_cache(folder: Path) -> Dataset:
    """The prepared images, mapped from the file.  Raises DataError if the cache is unfinished or its parts do not agree."""
    manifest = read_manifest(folder)
    try:
        table = pd.read_parquet(folder / CASES)
        pixels = np.load(folder / IMAGES, mmap_mode="r")
    except Exception as error:
        raise DataError(
            f"{folder}: cannot be read ({error}); expected {IMAGES} and {CASES}. Prepare the images again"
        ) from None
    if pixels.shape != (len(table), *pixels.shape[1:]) or pixels.ndim != 3:
        raise DataError(
            f"{folder}: {pixels.shape} pixels for {len(table)} cases; expected one square for each. Prepare the images again"
        )
    class_names = tuple(manifest["class_names"])
    labels, split = class_indices(table, class_names), table["split"].to_numpy()
    check_labels(labels[split == "train"], class_names, folder.name)
    groups = None if table["patient"].isna().any() else table["patient"].astype(str).to_numpy()
    sets, start = [], 0
    for name in SPLITS:
        end = start + int((split == name).sum())
        if not (split[start:end] == name).all():
            raise DataError(f"{folder}: cases out of order; expected train, val, test. Prepare the images again")
        names = tuple(Path(path).name for path in table["path"][start:end])
        owners = None if groups is None else tuple(groups[start:end])
        sets.append(ImageSet(pixels[start:end, None], labels[start:end], class_names, names, owners))
        start = end
    summary = manifest["summary"]
    note = f"{summary['archive']}, task {summary['task']}, split {summary['split']}"
    preparation = Preparation.from_dict(manifest["preparation"])
    return Dataset(sets[0], sets[1], sets[2], folder.name, (note, *summary["notes"]), preparation)


def create_pixels(path: Path, n: int, size: int) -> None:
    """A blank file of ``n`` squares of 16 bit.  Its space is taken at once where the system can: none is missing later."""
    pixels = open_memmap(path, mode="w+", dtype=np.uint16, shape=(n, size, size))
    pixels.flush()
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def boxes_to_prepared(table: pd.DataFrame, boxes: list[list[float] | None]) -> pd.DataFrame:
    """The case table with its boxes in prepared pixels, each (top, left, bottom, right) or None."""
    rows = [[np.nan] * 4 if box is None else [box[1], box[0], box[3], box[2]] for box in boxes]
    return table.assign(**dict(zip(BOX, np.array(rows, dtype=float).reshape(-1, 4).T, strict=True)))
