"""Reads image files or DICOM for a model: prepared, resized and converted as its training images were."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bayescope.data.filesystem.class_folders import sort_images
from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.filesystem.names import printable
from bayescope.data.filesystem.walk import LeftOut, walk
from bayescope.data.formats.channels import with_channels
from bayescope.data.formats.dicom import frame_count, is_dicom
from bayescope.data.formats.frame import FOR_PROCESSING
from bayescope.data.formats.images import read_image
from bayescope.data.formats.resize import fit
from bayescope.data.pixel_scale import as_stored, unlike_training
from bayescope.data.preparation.cache import is_cache
from bayescope.data.preparation.mammogram import Record
from bayescope.data.preparation.workers import prepare_file
from bayescope.data.remarks import Remarks
from bayescope.errors import DataError
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.sizing import check_sizing, resize_remarks, resize_remedy
from bayescope.types import Floats, Pixels

_STRETCHED = (
    "8 bits, the training images 16: values are stretched to their 0 to {:.0f}. Give images as deep as they are if that is not "
    "the same brightness"
)
Frames = int | Literal["all"] | None
"""Which frame of a DICOM file to read, counted from 1 as DICOM does; all of them; or None where a file has one."""


@dataclass(frozen=True)
class ModelInput:
    """Images as a model takes them.

    Attributes
    ----------
    names
        Of each image: the path as given, ``folder/name`` for one found in a folder, ``name#2`` for the second frame of a file
        whose frames were asked for; bytes that are no UTF-8 are written ``\\xe9``.
    paths
        Of the file of each image.
    pixels
        Stored pixels ``(n, channel, height, width)``.
    gray_level_steps
        How far apart each file's own gray levels are in ``pixels``: ``(n,)``, 1 unless 8 bit was stretched to a range of 16.
    remarks
        What to know of each image before trusting its prediction: a tuple for each.
    warnings
        The same, each given once for all images it concerns.
    from_folders
        Whether some of the images were found in folders.
    left_out
        The files that were not read, and why: those of a folder that are no images, and those that ``failed``.
    files
        The account of all files in the folders and of those given by name.
    frames
        Number of the frame read of each file, from 1; None where none was asked for.
    preparations
        What was done to prepare each image, enough to lead positions back to its file; None for one that is not prepared here.
    keys
        Patient, breast and study of each image, by what it is, as far as a cache names them.
    """

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    pixels: Pixels
    gray_level_steps: Floats
    remarks: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...]
    from_folders: bool
    left_out: tuple[LeftOut, ...]
    files: FileSummary
    frames: tuple[int | None, ...]
    preparations: tuple[Record | None, ...]
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def failed(self) -> tuple[LeftOut, ...]:
        """Files that should have been read and could not."""
        return tuple(file for file in self.left_out if file.failed)

    def left_out_records(self) -> list[dict[str, Any]]:
        """A record of each file that could not be read, and last, where folders were given, the account of all files.

        As ``--json`` prints them after the images.
        """
        records: list[dict[str, Any]] = [{"image": printable(file.path), "error": file.reason} for file in self.failed]
        return [*records, {"summary": self.files.to_dict()}] if self.from_folders else records


def read_for_model(
    model: LikelihoodModel,
    sources: Sequence[Path],
    frame: Frames = None,
    callback: Callable[[int, int], None] = lambda done, total: None,
    resize: bool = False,
) -> ModelInput:
    """Read files, and the images in folders, as the training images of ``model`` were read.

    Parameters
    ----------
    model
        A model trained on a cache of ``bayescope prepare`` accepts DICOM files, recognised by their content, and prepares them
        in the same way; any other accepts image files of other formats only.
    sources
        Files, or folders with images anywhere in them, searched as described for :func:`bayescope.data.filesystem.walk.walk`.
    frame
        Which frame of a DICOM file to read, counted from 1, or ``"all"``; needed where a file has several.
    callback
        Called with ``(done, total)`` files.
    resize
        Bring images of another size to the model's, with a remark where its training images were not brought to size so.

    Returns
    -------
    ModelInput
        The images that could be read, in order, and an account of the others.

    Raises
    ------
    DataError
        If a folder has no image, cannot be entered or is a cache; not for a file that cannot be read.
    RunError
        If images are to be resized and the run does not record how its own were.
    """
    check_sizing(model, resize)
    files, left_out = _expanded(sources, with_dicom=model.preparation is not None)
    images, failed, warnings = [], list[LeftOut](), Remarks()
    for number, path in enumerate(files, start=1):
        try:
            for name, chosen in _frames(path, frame):
                remarks: list[str] = []
                number_of_frame = None if chosen is None else chosen + 1
                read = _read(model, path, chosen, remarks, resize)
                images.append((name, path, number_of_frame, *read, tuple(remarks)))
                for text in remarks:
                    warnings.of(name)(text)
        except DataError as error:
            failed.append(LeftOut(path, printable(str(error)), failed=True))
        callback(number, len(files))
    names, paths, frames, pixels, steps, preparations, remarks_of_images = zip(*images, strict=True) if images else ((),) * 7
    return ModelInput(
        names,
        paths,
        np.stack(pixels) if pixels else np.empty((0, *model.image_shape)),
        np.array(steps, dtype=np.float64),
        remarks_of_images,
        warnings.lines(),
        any(map(_is_folder, sources)),
        (*failed, *left_out),
        FileSummary.of(len(files) - len(failed), [*(file.reason for file in left_out), *["cannot be read"] * len(failed)]),
        frames,
        preparations,
    )


def convert_for_model(model: LikelihoodModel, pixels: Pixels, name: str) -> tuple[Pixels, list[str]]:
    """Images ``(n, channel, height, width)`` in the channels and the type of the training images; a remark on each, or blank.

    Raises DataError, under ``name``, for colour where those are grayscale, and for another type than theirs but 8 bit for 16.
    """
    found = with_channels(pixels, model.image_shape[0], name)
    taken = as_stored(found, model.pixel_type, model.scale, name)
    if taken.dtype != found.dtype:
        return taken, [_STRETCHED.format(model.scale.high)] * len(taken)
    if model.preparation:
        return taken, [""] * len(taken)
    return taken, [unlike_training(image, model.scale) for image in taken]


def summarise_remarks(names: Sequence[str], remarks: Sequence[str]) -> tuple[str, ...]:
    """Remarks on images by ``names``, blank for none, each in one line with the number of images."""
    found = Remarks()
    for name, text in zip(names, remarks, strict=True):
        if text:
            found.of(name)(text)
    return found.lines()


def _expanded(sources: Sequence[Path], with_dicom: bool) -> tuple[list[Path], list[LeftOut]]:
    """The files to read, including those in folders, and the other files of the folders."""
    files: list[Path] = []
    left_out: list[LeftOut] = []
    for source in sources:
        if not _is_folder(source):
            files.append(source)
            continue
        if is_cache(source):
            raise DataError(f"{source}: a cache of `bayescope prepare`; expected image files and folders. Give the cache alone")
        found = walk(source)
        images, others = sort_images(found.files, with_dicom)
        unused = [*others, *found.left_out]
        if not images:
            account = str(FileSummary.of(0, (file.reason for file in unused)))
            raise DataError(f"{source}: no image in this folder ({account or 'empty'}); expected some. Give a folder of images")
        files += images
        left_out += unused
    return files, left_out


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # reading it gives the reason


def _frames(path: Path, frame: Frames) -> Iterator[tuple[str, int | None]]:
    """Name and number, from 0, of each frame to read."""
    name = printable(path)
    if frame is None or not is_dicom(path):
        if isinstance(frame, int) and frame != 1:
            raise DataError(f"{path}: no frame {frame}, not being DICOM; expected a picture's only one. Leave --frame out")
        yield name, None
    elif frame == "all":
        n_frames = frame_count(path)
        yield from ((f"{name}#{number}" if n_frames > 1 else name, number - 1) for number in range(1, n_frames + 1))
    else:
        yield f"{name}#{frame}", frame - 1


def _read(
    model: LikelihoodModel, path: Path, frame: int | None, remarks: list[str], resize: bool
) -> tuple[Pixels, float, Record | None]:
    """Pixels ``(channel, height, width)``, the step of the file's gray levels in them, and what was done to prepare them.

    Raises DataError if they do not fit.
    """
    if model.preparation:
        prepared, done = prepare_file(path, model.preparation, frame=frame)
        if done.shown.presentation == FOR_PROCESSING:
            remarks.append("a FOR PROCESSING image; expected FOR PRESENTATION, as readers see it. Its prediction may mislead")
        remarks += done.shown.notes if is_dicom(path) else done.shown.applied
        return prepared[None], 1.0, done.record
    if is_dicom(path):
        raise DataError(
            f"{path}: a DICOM file; the model was trained on plain images. Train on a cache of "
            "`bayescope prepare`: its model prepares DICOM files in the same way"
        )
    pixels = read_image(path, model.config.size, remarks.append)
    if resize and pixels.shape[1:] != model.image_shape[1:]:
        remarks += resize_remarks(model, pixels)
        pixels = fit(pixels, model.image_shape[1:])
    taken, conversions = convert_for_model(model, pixels[None], str(path))
    if taken.shape[1:] != model.image_shape:
        raise DataError(
            f"{path}: {pixels.shape[0]} channel(s), {pixels.shape[1]}x{pixels.shape[2]} pixels; the model expects "
            f"{model.image_shape[0]} channel(s), {model.image_shape[1]}x{model.image_shape[2]}. {_remedy(model, pixels)}"
        )
    remarks += filter(None, conversions)
    return taken[0], model.scale.high / 255 if taken.dtype != pixels.dtype else 1.0, None


def _remedy(model: LikelihoodModel, pixels: Pixels) -> str:
    if pixels.shape[1:] == model.image_shape[1:]:
        return "Convert it first"
    return resize_remedy(model)
