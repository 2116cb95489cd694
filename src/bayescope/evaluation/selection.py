"""Selection of the labelled images to measure a model on: unseen ones, unless others are requested by name."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bayescope.data.dataset import ImageSet
from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.filesystem.names import printable
from bayescope.data.groups import GROUPS
from bayescope.data.labelled import SPLITS, LabelledImages
from bayescope.data.tables.cases import Callback
from bayescope.errors import ConfigError, DataError
from bayescope.evaluation.labelled_input import load_for_model
from bayescope.evaluation.seen import SEEN, SeenImages
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.read import ModelInput
from bayescope.runs.folder import read_record
from bayescope.runs.training_record import TrainingRecord
from bayescope.types import Pixels

CHOICES = ("auto", "all", *SPLITS)


@dataclass(frozen=True)
class ChosenImages:
    """The images to measure a model on, and what to know about them.

    Parameters
    ----------
    images : ImageSet
        The selected images.
    name : str
        Their split, or ``"all"`` for every unseen image.
    data : LabelledImages
        The data they were selected from.
    seen : bool
        Whether the run was trained or validated on them, so that results do not apply to new images.
    left_out : dict of str to int
        Number of images left out, by reason.
    warnings : tuple of str
        What to know before trusting results.
    """

    images: ImageSet
    name: str
    data: LabelledImages
    seen: bool
    left_out: dict[str, int]
    warnings: tuple[str, ...]


def unseen_images(
    model: LikelihoodModel,
    run: Path,
    data: Path,
    split: str = "auto",
    callback: Callback = lambda done, total: None,
    normalise_labels: bool = False,
    resize: bool = False,
) -> ChosenImages:
    """Read labelled images and select those to measure a run on.

    Parameters
    ----------
    model : LikelihoodModel
        The model of the run.
    run : Path
        Run folder.
    data : Path
        Labelled images, as for :func:`bayescope.data.load.load_dataset`.
    split : str, default "auto"
        As for :func:`choose_images`.
    callback : callable, optional
        Called with ``(done, total)`` as files are read.
    normalise_labels : bool, default False
        Whether labels and patients that differ only in spelling are taken as the same.
    resize : bool, default False
        Whether images of another size are resized to the model's.

    Returns
    -------
    ChosenImages
        The selected images.

    Raises
    ------
    ConfigError
        If the split is unknown; before anything is read.
    DataError
        If the data cannot be read, do not fit the model, or contain no unseen image.
    """
    check_choice(split)
    return choose_images(load_for_model(model, data, callback, normalise_labels, resize), read_record(run), split)


def images_of_cache(model: LikelihoodModel, cache: Path, split: str = "test") -> ModelInput:
    """Images of one split of a prepared cache, memory-mapped.

    Parameters
    ----------
    model : LikelihoodModel
        The model they are for.
    cache : Path
        Folder written by ``bayescope prepare``.
    split : str, default "test"
        ``"train"``, ``"val"``, ``"test"`` or ``"all"``.

    Returns
    -------
    ModelInput
        The images.

    Raises
    ------
    ConfigError
        If the split is unknown.
    DataError
        If the split has no images or they do not fit the model.
    """
    if split not in (*SPLITS, "all"):
        raise ConfigError(f"split {split!r}; expected one of {', '.join(SPLITS)}, all")
    data = load_for_model(model, cache)
    assert data.split is not None
    chosen = np.arange(len(data.images)) if split == "all" else np.flatnonzero(data.split == split)
    if not len(chosen):
        raise DataError(f"{cache}: no image of split {split}; expected some. Give another --split, or --split all")
    found, n = data.images.subset(chosen), len(chosen)
    paths = tuple(cache / name for name in found.names)
    names, nothing, files = tuple(map(printable, paths)), ((),) * n, FileSummary.of(n, ())
    keys = {by: known for by, field in GROUPS.items() if (known := getattr(found, field)) is not None}
    return ModelInput(names, paths, found.pixels, np.ones(n), nothing, (), False, (), files, (None,) * n, (None,) * n, keys)


def seen_splits(record: TrainingRecord | None, pixels: Pixels) -> list[str]:
    """The split of each image that the run was trained or validated on.

    Parameters
    ----------
    record : TrainingRecord or None
        Record of the run.
    pixels : ndarray of shape (n, channel, height, width)
        The images.

    Returns
    -------
    list of str
        ``"train"``, ``"val"``, or blank for unseen images.
    """
    splits = [""] * len(pixels) if record is None else record.splits_of(pixels)
    return [split if split in SEEN else "" for split in splits]


def check_choice(split: str) -> None:
    """Raise ConfigError unless ``split`` is one of ``CHOICES``."""
    if split not in CHOICES:
        raise ConfigError(f"split {split!r}; expected one of {', '.join(CHOICES)}")


def choose_images(data: LabelledImages, record: TrainingRecord | None, split: str = "auto") -> ChosenImages:
    """Select the images to measure a run on.

    An image counts as seen if the run was trained or validated on it or on another image of its patient.

    Parameters
    ----------
    data : LabelledImages
        All images of the data.
    record : TrainingRecord or None
        What the run was given; None if it keeps no record.
    split : str, default "auto"
        ``"auto"``: of data that contain at least half of the images the run was trained and validated on, its test images and
        test images that were added; of other data, every unseen image, whatever its split.  ``"all"``: every unseen image.
        ``"test"``, ``"train"``, ``"val"``: that split of the run, or, for other data, the unseen images of the split that
        they give.

    Returns
    -------
    ChosenImages
        The selected images.

    Raises
    ------
    ConfigError
        If the split is unknown or not given by the data.
    DataError
        If no unseen image is left.
    """
    check_choice(split)
    known = SeenImages.of(data, record)
    if split in SEEN and known.any_image:
        return _seen(data, known, split)
    everything = split == "all" or (split == "auto" and not known.is_source)
    wanted = np.ones(len(data.images), bool) if everything else _of_split(data, known, "test" if split == "auto" else split)
    chosen = np.flatnonzero(wanted & ~known.is_seen)
    added = int((~wanted & ~known.is_seen & (known.of_image == "")).sum()) if known.is_source else 0
    left_out = known.reasons(np.ones_like(wanted) if split == "auto" else wanted)
    if not len(chosen):
        more = f", or --split all to measure the {added} images added since training" if added else ""
        raise DataError(
            f"{data.source}: no unseen image of {len(data.images)} ({_describe_left_out(left_out) or 'none of the split'}); "
            f"expected some. Give images that the run was not trained on{more}, or --split train to measure it on its own"
        )
    warnings = list(data.warnings)
    if record is None:
        warnings.append("the run keeps no record of its training images: whether these are unseen is not known")
    if added:
        warnings.append(
            f"{added} images were added since training and are not measured; --split all measures every image not trained on"
        )
    if described := _describe_left_out(known.reasons(wanted)):
        warnings.append(f"left out: {described}")
    name = "all" if everything else "test" if split == "auto" else split
    return ChosenImages(data.images.subset(chosen), name, data, False, left_out, tuple(warnings))


def _of_split(data: LabelledImages, known: SeenImages, split: str) -> NDArray[np.bool_]:
    """Images that were of the split in the run, and those that the data give as such."""
    wanted = known.of_image == split
    if data.split is not None:
        wanted |= data.split == split
    elif not wanted.any() and not known.is_source:
        raise ConfigError(f"split {split!r} of {data.source}, which gives no splits; expected all. Give --split all")
    return wanted


def _seen(data: LabelledImages, known: SeenImages, split: str) -> ChosenImages:
    """The images that the run was trained or validated on."""
    chosen = np.flatnonzero(known.of_image == split)
    if not len(chosen):
        raise DataError(f"{data.source}: no image of split {split}; expected some. Give another --split")
    role = "trained" if split == "train" else "validated"
    warning = f"measured on images the run was {role} on: the result does not apply to new images"
    return ChosenImages(data.images.subset(chosen), split, data, True, {}, (*data.warnings, warning))


def _describe_left_out(left_out: dict[str, int]) -> str:
    return "; ".join(f"{n} {reason}" for reason, n in left_out.items())
