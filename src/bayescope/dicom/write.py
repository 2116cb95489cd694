"""Objects as files."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from bayescope.data.filesystem.names import printable
from bayescope.data.formats.dicom import is_dicom
from bayescope.dicom.group_report import group_report
from bayescope.dicom.identity import ModelIdentity
from bayescope.dicom.report import measurement_report
from bayescope.dicom.source import read_source
from bayescope.errors import ConfigError, DataError, RunError, writing
from bayescope.inference.groups import GroupPredictions
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.read import ModelInput
from bayescope.runs.files import write_atomically


def check_takes_dicom(model: LikelihoodModel) -> None:
    """Raise ConfigError if the model reads no DICOM files, about which alone there are objects."""
    if model.preparation is None:
        raise ConfigError(
            "DICOM objects are about DICOM images; the model was trained on plain ones. Train on a cache of `bayescope "
            "prepare`: its model reads DICOM"
        )


def write_reports(
    found: ModelInput,
    records: Iterable[Mapping[str, Any]],
    identity: ModelIdentity,
    codes: Mapping[str, Code],
    folder: Path,
    force: bool = False,
    callback: Callable[[int], None] = lambda done: None,
) -> Iterator[str]:
    """Write a measurement report of each image that was read from DICOM into a folder.

    Parameters
    ----------
    found : ModelInput
        The images, as read for the model.
    records : iterable of mapping
        The prediction of each, from :meth:`bayescope.inference.predictions.Predictions.records`.
    identity : ModelIdentity
        Of the model.
    codes : mapping of str to Code
        Codes of the classes by name.
    folder : Path
        Made if need be; see :func:`write_objects`.
    force : bool, default False
        Whether files of other content are replaced.
    callback : callable, optional
        Called with 1 after each image.

    Yields
    ------
    str
        Why there is no report of an image.

    Raises
    ------
    RunError
        As :func:`write_objects`.
    """
    for path, name, frame, record in zip(found.paths, found.names, found.frames, records, strict=True):
        try:
            if not is_dicom(path):
                raise DataError("no DICOM file; expected one. Leave it out, or do without a report of it")
            write_objects([measurement_report(read_source(path), record, identity, codes, frame)], folder, force)
        except DataError as error:
            yield printable(f"{name}: {error}")
        callback(1)


def write_group_reports(
    found: ModelInput,
    groups: GroupPredictions,
    records: Iterable[Mapping[str, Any]],
    identity: ModelIdentity,
    codes: Mapping[str, Code],
    folder: Path,
    force: bool = False,
) -> Iterator[str]:
    """Write a measurement report of each patient, breast or study with several images that were read from DICOM.

    Parameters
    ----------
    found : ModelInput
        The images, as read for the model.
    groups : GroupPredictions
        Their groups.
    records : iterable of mapping
        The prediction of each group, from :meth:`bayescope.inference.groups.GroupPredictions.records`.
    identity : ModelIdentity
        Of the model.
    codes : mapping of str to Code
        Codes of the classes by name.
    folder : Path
        Made if need be; see :func:`write_objects`.
    force : bool, default False
        Whether files of other content are replaced.

    Yields
    ------
    str
        Why there is no report of a group.

    Raises
    ------
    RunError
        As :func:`write_objects`.
    """
    for positions, record in zip(groups.members, records, strict=True):
        if len(positions) > 1:
            try:
                sources = [read_source(found.paths[i]) for i in positions]
                frames = [found.frames[i] for i in positions]
                write_objects([group_report(sources, record, identity, codes, frames)], folder, force)
            except DataError as error:
                yield printable(f"{found.names[positions[0]]} and {len(positions) - 1} more: {error}")


def write_objects(objects: Iterable[Dataset], folder: Path, force: bool = False) -> list[Path]:
    """Write DICOM objects into a folder, each atomically.

    Parameters
    ----------
    objects : iterable of Dataset
        Each becomes a file named after its modality and SOP Instance UID.
    folder : Path
        Made if need be.
    force : bool, default False
        Whether a file of other content is replaced; one of the same content stays as it is.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    RunError
        If a file of another content is there and is not to be replaced, or one cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return [_write(found, folder / f"{found.Modality}.{found.SOPInstanceUID}.dcm", force) for found in objects]


def _write(found: Dataset, path: Path, force: bool) -> Path:
    content = to_bytes(found)
    with writing(path):
        is_same = path.exists() and path.read_bytes() == content
        is_taken = path.exists() and not is_same
    if is_taken and not force:
        raise RunError(f"{path}: exists already with another content; give --force to replace it, or another folder")
    if not is_same:
        write_atomically(path, content)
    return path


def to_bytes(found: Dataset) -> bytes:
    """A DICOM object as the content of a file (PS3.10).

    Parameters
    ----------
    found : Dataset
        The object, with File Meta Information.

    Returns
    -------
    bytes
        The file.
    """
    buffer = io.BytesIO()
    found.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
