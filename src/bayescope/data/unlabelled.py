"""Images without labels for semi-supervised training: a folder, a table, a MedMNIST file, a cache, or blank labels of a table.

Labels and class folders are ignored.  Where there are splits, only training images are used; and none that the labelled
data already contain, so that no validation or test image is used in training.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescope.data.copies import pixel_hashes
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.filesystem.class_folders import sort_images
from bayescope.data.filesystem.image_files import read_images
from bayescope.data.filesystem.names import printable
from bayescope.data.filesystem.walk import visible_folders, walk
from bayescope.data.formats.channels import with_channels
from bayescope.data.formats.medmnist import as_pixels
from bayescope.data.labelled import SPLITS, split_of
from bayescope.data.pixel_scale import PixelScale, as_stored
from bayescope.data.preparation.cache import is_cache, read_cache
from bayescope.data.tables.case_table import SUFFIXES, check_files, read_path_table
from bayescope.errors import DataError, reading
from bayescope.types import Labels, Pixels

UNLABELLED = -1
"""The label of an image that has none, as in scikit-learn's semi-supervised estimators."""

_NPZ_KEYS = ("train_images", "images")


def with_unlabelled(
    data: Dataset, path: Path, size: int | None = None, callback: Callable[[int, int], None] = lambda done, total: None
) -> Dataset:
    """``data`` with the images of ``path`` added to its training images, without labels.

    ``size`` and ``callback`` are those of ``load_dataset``.
    Raises DataError if they cannot be read, are of another shape, type or preparation, or none is left.
    """
    with reading(path):
        exists, is_folder = path.exists(), path.is_dir()
    if not exists:
        raise DataError(f"{path}: no such file or folder; expected images, a table, a .npz file or a cache. Check the path")
    cached = is_folder and is_cache(path)
    if cached != (data.preparation is not None) or (cached and read_cache(path.resolve()).preparation != data.preparation):
        raise DataError(
            f"{path}: images prepared otherwise than those of {data.source}; expected the same preparation. Prepare both with "
            "`bayescope prepare` and the same options"
        )
    warnings: list[str] = []
    pixels, names = _read(path, is_folder, cached, size, callback, warnings.append)
    joined = join_unlabelled(data, _like(pixels, data, path), names, str(path))
    return replace(joined, warnings=(*joined.warnings, *warnings))


def with_blank_labels(
    data: Dataset, rows: pd.DataFrame, size: int | None, callback: Callable[[int, int], None] = lambda done, total: None
) -> Dataset:
    """``data`` with the images of a case table's rows whose label is blank, as training images without labels.

    Those for validation or test, by their split or their patient, are left out; a warning gives both numbers.  Raises
    DataError if a split is unknown, or as of :func:`with_unlabelled`.
    """
    check_files(rows, data.source)
    split = rows["split"].map(split_of) if "split" in rows.columns else pd.Series("", rows.index)
    if unknown := sorted(set(split) - {*SPLITS, ""}):
        raise DataError(f"{data.source}: splits {', '.join(unknown)}; expected train, val and test. Correct the column")
    held_out = split.isin(["val", "test"])
    if "patient" in rows.columns:
        held_out |= rows["patient"].isin({*(data.val.groups or ()), *(data.test.groups or ())})
    used = rows[~held_out]
    counted = f"{len(rows)} rows with a blank label: {len(used)} images are used in training without labels"
    if held_out.any():
        counted += f", {held_out.sum()} left out that are for validation or test, by their split or their patient"
    warnings = [f"{data.source}: {counted}"]
    if len(used):
        pixels = read_images([Path(path) for path in used["path"]], size, callback, warnings.append)
        names = tuple(printable(Path(path).name) for path in used["path"])
        data = join_unlabelled(data, _like(pixels, data, Path(data.source)), names, f"blank labels of {data.source}")
    return replace(data, warnings=(*data.warnings, *warnings))


def join_unlabelled(data: Dataset, pixels: Pixels, names: tuple[str, ...], source: str) -> Dataset:
    """``data`` with these images, of its shape and type, without those it has already.  Raises DataError if none is left."""
    before = data.unlabelled
    known_images = [*(getattr(data, name) for name in SPLITS), *([] if before is None else [before])]
    held = {found for images in known_images for found in pixel_hashes(images.pixels)}
    new = np.array([i for i, found in enumerate(pixel_hashes(pixels)) if found not in held], dtype=np.int64)
    if len(new) == 0:
        raise DataError(
            f"{source}: all of its {len(pixels)} images are in {data.source} already; expected others. Give other images"
        )
    known = ""
    if len(new) < len(pixels):
        known = f", {len(pixels) - len(new)} left out that {data.source} contains already"
        pixels = pixels[new]
    kept_names = tuple(names[i] for i in new)
    if before is not None:
        pixels, kept_names = np.concatenate([before.pixels, pixels]), (*before.names, *kept_names)
    images = unlabelled_images(pixels, kept_names, data.class_names)
    return replace(data, unlabelled=images, notes=(*data.notes, f"{len(new)} images without labels from {source}{known}"))


def unlabelled_images(pixels: Pixels, names: tuple[str, ...], class_names: tuple[str, ...]) -> ImageSet:
    """As an image set whose labels are all -1."""
    labels: Labels = np.full(len(pixels), UNLABELLED, dtype=np.int64)
    return ImageSet(pixels, labels, class_names, names)


def _read(
    path: Path,
    is_folder: bool,
    cached: bool,
    size: int | None,
    callback: Callable[[int, int], None],
    warn: Callable[[str], None],
) -> tuple[Pixels, tuple[str, ...]]:
    suffix = path.suffix.lower()
    if cached:
        found = read_cache(path.resolve())
        train = found.images if found.split is None else found.images.subset(np.flatnonzero(found.split == "train"))
        return train.pixels, train.names
    if not is_folder and suffix == ".npz":
        pixels = _npz_pixels(path)
        return pixels, tuple(f"{path.stem}/{i}" for i in range(len(pixels)))
    if is_folder:
        paths = _image_files(path.resolve())
    elif suffix in SUFFIXES:
        table = read_path_table(path)
        paths = [Path(name) for name in table["path"][table["split"].map(split_of).isin(["train", ""])]]
    else:
        raise DataError(
            f"{path.name}: a {suffix or 'nameless'} file; expected a folder, {', '.join(SUFFIXES)} or .npz. Give one of these"
        )
    if not paths:
        raise DataError(f"{path}: no image to learn from; expected image files. Give another path")
    return read_images(paths, size, callback, warn), tuple(printable(file.name) for file in paths)


def _image_files(folder: Path) -> list[Path]:
    """All below ``folder``; only those in its training folder if it has split folders."""
    splits = {split_of(child.name): child for child in visible_folders(folder)}
    has_splits = "train" in splits and {"val", "test"} & set(splits)
    return sort_images(walk(splits["train"] if has_splits else folder).files, with_dicom=False)[0]


def _npz_pixels(path: Path) -> Pixels:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            found: list[str] = list(file.files)
            key = next((key for key in _NPZ_KEYS if key in found), None)
            images: Any = None if key is None else file[key]
    except Exception as error:  # zip, deflate and header parsers each raise their own kind on a damaged file
        raise DataError(f"{path.name}: not a readable .npz file ({error}); expected a whole file. Write it again") from None
    if images is None:
        raise DataError(f"{path.name}: keys {sorted(found)}; expected train_images or images. Name the array so")
    return as_pixels(images, f"{path.name}: {key}")


def _like(pixels: Pixels, data: Dataset, path: Path) -> Pixels:
    """In the shape and type of the training images."""
    train = data.train
    pixels = with_channels(pixels, train.image_shape[0], str(path))
    if pixels.shape[1:] != train.pixels.shape[1:]:
        raise DataError(
            f"{path}: images {_shape(pixels)}, those of {data.source} {_shape(train.pixels)}; expected one shape. "
            "Give --size N, which brings folders and tables to N by N, or images of that shape"
        )
    return as_stored(pixels, train.pixels.dtype.name, PixelScale.of(train.pixels), str(path))


def _shape(pixels: Pixels) -> str:
    channels, height, width = pixels.shape[1:]
    return f"of {height}x{width} pixels and {channels} channel{'s' * (channels > 1)}"
