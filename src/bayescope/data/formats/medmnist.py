"""MedMNIST's ``.npz`` files: official splits, any image size, grayscale or RGB."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescope.data.dataset import ImageSet
from bayescope.data.labelled import SPLITS, LabelledImages
from bayescope.errors import DataError
from bayescope.types import Labels, Pixels

_KEYS = {f"{split}_{part}" for split in SPLITS for part in ("images", "labels")}
_SHOWN = 5
_MOST_CLASSES = 1000
_KNOWN_NAMES = {"breastmnist": ("malignant", "normal or benign"), "pneumoniamnist": ("normal", "pneumonia")}


def read_npz(path: Path) -> LabelledImages:
    """Read ``{train,val,test}_{images,labels}``, of one split or more.

    Raises DataError if anything is damaged or inconsistent.
    """
    arrays = _arrays(path)
    splits = [split for split in SPLITS if f"{split}_images" in arrays]
    pixels = {split: as_pixels(arrays[f"{split}_images"], f"{path.name}: {split}_images") for split in splits}
    labels = {split: _labels(arrays[f"{split}_labels"], f"{path.name}: {split}_labels") for split in splits}
    first = splits[0]
    for split in splits:
        if len(pixels[split]) != len(labels[split]):
            raise DataError(
                f"{path.name}: {len(pixels[split])} {split} images and {len(labels[split])} labels; "
                "expected one label per image. Write the file again"
            )
        if (pixels[split].shape[1:], pixels[split].dtype) != (pixels[first].shape[1:], pixels[first].dtype):
            raise DataError(
                f"{path.name}: {split} images {pixels[split].shape[1:]} {pixels[split].dtype}, {first} images "
                f"{pixels[first].shape[1:]} {pixels[first].dtype}; expected one shape and type. Write the file again"
            )
    class_names = _class_names(path, _count_classes(labels, path.name))
    names = tuple(f"{split}/{i}" for split in splits for i in range(len(labels[split])))
    images = ImageSet(np.concatenate([*pixels.values()]), np.concatenate([*labels.values()]), class_names, names)
    given = np.repeat(splits, [len(labels[split]) for split in splits])
    return LabelledImages(images, given, path.name, ("the file's own splits",))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            keys = set(file.files)
            arrays = {key: file[key] for key in _KEYS & keys}
    except Exception as error:  # zip, deflate and header parsers each raise their own kind on a damaged file
        raise DataError(
            f"{path.name}: not a readable .npz file ({error}); expected a whole MedMNIST file. Download it again"
        ) from None
    whole = [split for split in SPLITS if {f"{split}_images", f"{split}_labels"} <= keys]
    if not whole or len(arrays) != 2 * len(whole):
        missing = sorted(_KEYS - keys)
        raise DataError(f"{path.name}: keys {sorted(keys)}; expected {sorted(_KEYS)}, missing {missing}. Give a MedMNIST file")
    return arrays


def as_pixels(images: NDArray[Any], name: str) -> Pixels:
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"{name}: shape {images.shape}; expected (n, height, width) or (n, height, width, 3) with images in it. "
            "Give a file of flat grayscale or RGB images"
        )
    images = np.moveaxis(images, -1, 1)
    if images.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(images)
    if images.dtype.kind not in "fiu":
        raise DataError(f"{name}: values of type {images.dtype}; expected 8 or 16 bit integers or floats. Convert them")
    with np.errstate(over="ignore"):  # what float32 cannot represent is infinite, and refused below
        images = np.ascontiguousarray(images, dtype=np.float32)
    if not np.isfinite(images).all():
        bad = int((~np.isfinite(images)).any(axis=(1, 2, 3)).sum())
        raise DataError(
            f"{name}: NaN or infinite pixels in {bad} images; expected finite values. Correct or leave out these images"
        )
    return images


def _labels(labels: NDArray[Any], name: str) -> Labels:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(
            f"{name}: shape {labels.shape}; expected one label per image, (n,) or (n, 1). Choose one finding "
            "for each, as multi-label sets cannot be used"
        )
    kind = labels.dtype.kind
    if kind not in "iu" and not (kind == "f" and np.isfinite(labels).all() and (labels == np.floor(labels)).all()):
        raise DataError(
            f"{name}: labels of type {labels.dtype}, not all whole; expected whole numbers 0, 1, … Number the classes"
        )
    if labels.min(initial=0) < 0:
        raise DataError(f"{name}: label {labels.min()}; expected 0 or more. Number the classes from 0")
    return labels.astype(np.int64)


def _count_classes(labels: dict[str, Labels], source: str) -> int:
    """How many classes the training labels name.  Raises DataError unless all labels are 0 … n-1 with these n.

    Without training labels, the highest label gives the number.
    """
    found = np.unique(np.concatenate(list(labels.values())))
    if "train" not in labels and len(found) and found[-1] < _MOST_CLASSES:
        return int(found[-1]) + 1
    trained = np.unique(labels.get("train", found))
    if not np.array_equal(found, np.arange(len(trained))):
        # Named before any list as long as the largest label is made: a stray label may be huge.
        wanting = np.setdiff1d(np.append(np.arange(len(trained)), found), trained)
        raise DataError(
            f"{source}: no training image of class {', '.join(map(str, wanting[:_SHOWN]))}{' …' * (len(wanting) > _SHOWN)}, "
            f"labels up to {found[-1]}; expected labels 0 to {len(trained) - 1} for {len(trained)} classes. "
            "Add training images, or renumber the classes"
        )
    return len(trained)


def _class_names(path: Path, n_classes: int) -> tuple[str, ...]:
    for prefix, names in _KNOWN_NAMES.items():
        if path.name.startswith(prefix) and n_classes <= len(names):
            return names
    return tuple(str(k) for k in range(n_classes))
