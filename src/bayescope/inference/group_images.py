"""Images that belong together, each once: one that is given twice is no further evidence."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.filesystem.walk import LeftOut
from bayescope.data.formats import dicom
from bayescope.data.remarks import Remarks
from bayescope.inference.group_keys import group_keys
from bayescope.inference.read import ModelInput

_OF_EACH = ("names", "paths", "remarks", "frames", "preparations")
_GIVEN_TWICE = "an image given before, which counts once"


@dataclass(frozen=True)
class ImagesInGroups:
    """Images with the patient, breast or study of each.

    Attributes
    ----------
    images
        The images, without those that were given before; their account says so.
    keys
        Patient, breast or study of each, blank where it is not known.
    warnings
        What was left out, in words.
    """

    images: ModelInput
    keys: tuple[str, ...]
    warnings: tuple[str, ...]


def images_in_groups(images: ModelInput, by: str, table: Path | None = None) -> ImagesInGroups:
    """Patient, breast or study of each image that was read; an image given twice is left out the second time.

    The same image is the same frame of the same file, also through links, or of the same DICOM instance in the same group, by
    its SOP Instance UID.

    Parameters
    ----------
    images : ModelInput
        The images.
    by, table
        As of :func:`bayescope.inference.group_keys.group_keys`.

    Returns
    -------
    ImagesInGroups
        Images and keys, to be classified and combined.

    Raises
    ------
    ConfigError, DataError
        As :func:`bayescope.inference.group_keys.group_keys`.

    Examples
    --------
    >>> found = images_in_groups(read_for_model(model, [Path("examination")]), "breast")  # doctest: +SKIP
    >>> combine(model, model.classify(found.images.pixels), found.keys, "breast")  # doctest: +SKIP
    """
    keys = group_keys(images, by, table)
    first, repeated, known = list[int](), list[int](), set[tuple[object, ...]]()
    for i, key in enumerate(keys):
        same = set(_identities(images.paths[i], images.frames[i], key))
        (repeated if same & known else first).append(i)
        known |= same
    if not repeated:
        return ImagesInGroups(images, keys, ())
    return ImagesInGroups(_without(images, first, repeated), tuple(keys[i] for i in first), _warnings(images, repeated))


def _identities(path: Path, frame: int | None, key: str) -> Iterator[tuple[object, ...]]:
    """What tells that an image is the same as another; nothing of one that is kept in a cache, which has each once."""
    if path.is_file():
        yield path.resolve(), frame
        if key and dicom.is_dicom(path) and (uid := dicom.read_header(path, "SOPInstanceUID")[0]):
            yield key, uid, frame


def _without(images: ModelInput, first: Sequence[int], repeated: Sequence[int]) -> ModelInput:
    """The images that come first, and an account of the others."""
    kept: dict[str, Any] = {name: tuple(getattr(images, name)[i] for i in first) for name in _OF_EACH}
    files, n_files = images.files, _files_of(images, repeated)
    reasons = [reason for reason, n in files.left_out.items() for _ in range(n)] + [_GIVEN_TWICE] * n_files
    return replace(
        images,
        **kept,
        pixels=images.pixels[np.array(first)],
        gray_level_steps=images.gray_level_steps[np.array(first)],
        left_out=(*images.left_out, *(LeftOut(images.paths[i], _GIVEN_TWICE) for i in repeated)),
        files=FileSummary.of(files.used - n_files, reasons),
    )


def _files_of(images: ModelInput, repeated: Sequence[int]) -> int:
    """How many files these images are, which may be all frames of a file, or one of each."""
    return max(Counter(images.frames[i] for i in repeated).values())


def _warnings(images: ModelInput, repeated: Sequence[int]) -> tuple[str, ...]:
    found = Remarks()
    for i in repeated:
        found.of(images.names[i])(f"left out: {_GIVEN_TWICE}")
    return found.lines()
