"""Unlabelled images of a site, read for a model with their patients, less those that the model was fitted on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.filesystem.walk import LeftOut
from bayescope.data.formats import dicom
from bayescope.data.preparation.cache import is_cache
from bayescope.errors import DataError
from bayescope.evaluation.labelled_input import load_for_model
from bayescope.evaluation.selection import seen_splits
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.read import Frames, read_for_model
from bayescope.runs.training_record import TrainingRecord
from bayescope.types import Pixels


@dataclass(frozen=True)
class SiteImages:
    """Images of a site whose classes are not known.

    Parameters
    ----------
    pixels : ndarray of shape (n, channel, height, width)
        Stored pixels, in the model's size and units.
    patients : tuple of str, or None
        Patient of each image; None if no image names its patient.
    failed : tuple of LeftOut
        Files that could not be read, and why.
    files : FileSummary
        The account of all files.
    warnings : tuple of str
        What to know of the images.
    """

    pixels: Pixels
    patients: tuple[str, ...] | None
    failed: tuple[LeftOut, ...]
    files: FileSummary
    warnings: tuple[str, ...]


def read_site_images(
    model: LikelihoodModel,
    record: TrainingRecord | None,
    sources: Sequence[Path],
    frame: Frames = None,
    resize: bool = False,
    callback: Callable[[int, int], None] = lambda done, total: None,
) -> SiteImages:
    """Read files, folders or a cache for a model, and leave out what it was trained or validated on.

    Parameters
    ----------
    model : LikelihoodModel
        The model.
    record : TrainingRecord or None
        Record of the images it was fitted on.
    sources : sequence of Path
        Files and folders as for :func:`bayescope.inference.read.read_for_model`, or one cache of ``bayescope prepare``, whose
        labels are not used.
    frame, resize, callback
        As for :func:`~bayescope.inference.read.read_for_model`.

    Returns
    -------
    SiteImages
        The images; patients by the cache's table, or by DICOM headers.

    Raises
    ------
    DataError
        If a source cannot be read or does not fit the model, or no unseen image is left.
    """
    if len(sources) == 1 and is_cache(sources[0]):
        labelled = load_for_model(model, sources[0])
        images = labelled.images
        found = SiteImages(images.pixels, images.groups, (), FileSummary(), labelled.warnings)
    else:
        read = read_for_model(model, sources, frame, callback, resize)
        found = SiteImages(read.pixels, _patients_in_headers(read.paths), read.failed, read.files, read.warnings)
    unseen = np.flatnonzero(np.array(seen_splits(record, found.pixels), dtype=str) == "")
    if not len(unseen):
        raise DataError(f"{len(found.pixels)} images, none that the model was not fitted on; expected some. Give other images")
    warnings = [*found.warnings]
    if n_seen := len(found.pixels) - len(unseen):
        warnings.append(f"{n_seen} images left out that the model was fitted on")
    if found.patients is None:
        warnings.append("no image names its patient: each counts as another's, and intervals may be too narrow")
    patients = None if found.patients is None else tuple(found.patients[i] for i in unseen)
    return SiteImages(found.pixels[unseen], patients, found.failed, found.files, tuple(warnings))


def _patients_in_headers(paths: Sequence[Path]) -> tuple[str, ...] | None:
    """By DICOM header, a file without one being a patient of its own; None if there is none at all."""
    named = [dicom.read_header(path, "PatientID")[0] if dicom.is_dicom(path) else "" for path in paths]
    return tuple(name or f"\0{path}" for name, path in zip(named, paths, strict=True)) if any(named) else None
