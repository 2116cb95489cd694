"""MedMNIST's ``.npz`` files: official splits, any size, grey or RGB."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescope.data.images import Dataset, ImageSet, check_labels
from bayescope.errors import DataError
from bayescope.shapes import Labels, Pixels

_SPLITS = ("train", "val", "test")
_KEYS = {f"{split}_{part}" for split in _SPLITS for part in ("images", "labels")}
_KNOWN_NAMES = {"breastmnist": ("malignant", "normal or benign"), "pneumoniamnist": ("normal", "pneumonia")}


def read_npz(path: Path) -> Dataset:
    """Read ``{train,val,test}_{images,labels}``.  Raises DataError if anything is missing, damaged or inconsistent."""
    arrays = _arrays(path)
    pixels = {split: _pixels(arrays[f"{split}_images"], f"{path.name}: {split}_images") for split in _SPLITS}
    labels = {split: _labels(arrays[f"{split}_labels"], f"{path.name}: {split}_labels") for split in _SPLITS}
    n_classes = int(max(values.max(initial=0) for values in labels.values())) + 1
    names = _class_names(path, n_classes)
    sets = []
    for split in _SPLITS:
        if len(pixels[split]) != len(labels[split]):
            raise DataError(
                f"{path.name}: {len(pixels[split])} {split} images and {len(labels[split])} labels; "
                "expected one label per image. Write the file again"
            )
        image_names = tuple(f"{split}/{i}" for i in range(len(labels[split])))
        sets.append(ImageSet(pixels[split], labels[split], names, image_names))
    check_labels(sets[0], path.name)
    return Dataset(sets[0], sets[1], sets[2], source=path.name, notes=("the file's own splits",))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = sorted(_KEYS - set(file.files))
            if missing:
                raise DataError(
                    f"{path.name}: keys {sorted(file.files)}; expected {sorted(_KEYS)}, missing {missing}. Give a MedMNIST file"
                )
            return {key: file[key] for key in _KEYS}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError(
            f"{path.name}: not a readable .npz file ({error}); expected a whole MedMNIST file. Download it again"
        ) from None


def _pixels(images: NDArray[Any], name: str) -> Pixels:
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise DataError(f"{name}: shape {images.shape}; expected (n, height, width) or (n, height, width, 3) with images in it")
    images = np.moveaxis(images, -1, 1)
    if images.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(images)
    if images.dtype.kind not in "fiu":
        raise DataError(f"{name}: values of type {images.dtype}; expected 8 or 16 bit integers or floats")
    if not np.isfinite(images).all():
        raise DataError(f"{name}: holds NaN or infinite pixels; expected finite values. Mend or leave out these images")
    return np.ascontiguousarray(images, dtype=np.float32)


def _labels(labels: NDArray[Any], name: str) -> Labels:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(
            f"{name}: shape {labels.shape}; expected one label per image, (n,) or (n, 1). Multi-label sets cannot be used"
        )
    if labels.dtype.kind not in "iu" and not (labels.dtype.kind == "f" and (labels == np.floor(labels)).all()):
        raise DataError(f"{name}: values of type {labels.dtype}; expected whole numbers 0, 1, …")
    if len(labels) and labels.min() < 0:
        raise DataError(f"{name}: label {labels.min()}; expected 0 or more")
    return labels.astype(np.int64)


def _class_names(path: Path, n_classes: int) -> tuple[str, ...]:
    for prefix, names in _KNOWN_NAMES.items():
        if path.name.startswith(prefix) and len(names) == n_classes:
            return names
    return tuple(str(k) for k in range(n_classes))
