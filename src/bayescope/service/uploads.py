"""Uploaded files: private copies that are gone once read, limits, and pixels as the model takes them.

Nothing of a request becomes part of a path: copies are named by number, and messages name a file as the client did.
"""

import hashlib
import hmac
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import tifffile
from PIL import Image

from bayescope.data.filesystem.names import printable
from bayescope.data.formats.dicom import has_dicom_content, read_header
from bayescope.data.preparation.mammogram import Record
from bayescope.errors import BayescopeError, DataError
from bayescope.evaluation.selection import seen_splits
from bayescope.inference.detail import detailed_image
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.read import Frames, read_for_model
from bayescope.runs.training_record import TrainingRecord
from bayescope.types import Pixels

_LONGEST_NAME = 200
_LONGEST_SIDE = 1536
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PSEUDONYM_DIGITS = 12


@dataclass(frozen=True)
class Upload:
    """A file of a request: its name as the client gave it, and its content."""

    name: str
    file: BinaryIO


@dataclass(frozen=True)
class Copy:
    """A private copy of an upload; ``label``: what to call it."""

    label: str
    path: Path
    is_dicom: bool

    def named(self, text: str) -> str:
        """``text`` with the label in the place of the path."""
        return text.replace(str(self.path), self.label).replace(self.path.name, self.label)


@dataclass(frozen=True)
class ReadImage:
    """An image as the model takes it, ``pixels (1, channel, height, width)``, and its ``frame`` of ``copy``, from 1.

    ``patient``: a pseudonym, or None; ``preparation``: what was done to prepare it, or None; ``detail``: see
    :func:`bayescope.inference.detail.detailed_image`, if it was asked for.
    """

    name: str
    pixels: Pixels
    remarks: tuple[str, ...]
    seen: str
    copy: Copy
    frame: int | None
    patient: str | None
    preparation: Record | None
    detail: Pixels | None = None


@contextmanager
def private_copies(uploads: Sequence[Upload]) -> Iterator[list[Copy]]:
    """Copies of uploads in a folder that nobody else may enter, which is removed in the end.

    Parameters
    ----------
    uploads : sequence of Upload
        The files.

    Yields
    ------
    list of Copy
        One for each.
    """
    with tempfile.TemporaryDirectory(prefix="bayescope-") as folder:
        yield [_copied(upload, Path(folder), i) for i, upload in enumerate(uploads)]


def _copied(upload: Upload, folder: Path, i: int) -> Copy:
    label = "".join(c if c.isprintable() else "?" for c in printable(upload.name))[-_LONGEST_NAME:] or "unnamed"
    found = _SUFFIX.fullmatch(Path(label).suffix.lower())
    path = folder / f"upload-{i}-{secrets.token_hex(4)}{found[0] if found else ''}"
    with path.open("xb") as copy:
        shutil.copyfileobj(upload.file, copy)
    return Copy(label, path, has_dicom_content(path))


@dataclass(frozen=True)
class Reader:
    """Reads copies for a model.

    Parameters
    ----------
    model : LikelihoodModel
        A trained model.
    record : TrainingRecord or None
        Of the images it was trained on.
    max_pixels : int
        Most pixels of an image, all its frames together.
    """

    model: LikelihoodModel
    record: TrainingRecord | None
    max_pixels: int
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def read(self, copy: Copy, frame: Frames = None, resize: bool = False) -> list[ReadImage]:
        """The images of a file.

        Parameters
        ----------
        copy : Copy
            The file.
        frame : int or "all", optional
            Which frame to read, from 1; needed where a file has several.
        resize : bool, default False
            Bring images of another size to the model's.

        Returns
        -------
        list of ReadImage
            One, or as many as there are frames.

        Raises
        ------
        DataError
            If the file cannot be read, or has more pixels than allowed.
        """
        try:
            self._check_pixels(copy.path)
            found = read_for_model(self.model, [copy.path], frame, resize=resize)
        except BayescopeError as error:
            raise type(error)(copy.named(str(error))) from None
        for file in found.failed:
            raise DataError(copy.named(file.reason))
        seen, patient = seen_splits(self.record, found.pixels), self._patient(copy)
        return [
            ReadImage(
                *(copy.named(name), found.pixels[i : i + 1], found.remarks[i], seen[i], copy, found.frames[i], patient),
                found.preparations[i],
            )
            for i, name in enumerate(found.names)
        ]

    def with_detail(self, image: ReadImage) -> ReadImage:
        """An image of :meth:`read` with its ``detail``."""
        found = detailed_image(self.model, image.copy.path, image.frame, image.preparation, _LONGEST_SIDE)
        return replace(image, detail=found)

    def _patient(self, copy: Copy) -> str | None:
        """A pseudonym of the patient of a DICOM file, the same for all files while the service runs; None if it names none."""
        if not copy.is_dicom:
            return None
        try:
            identity = "/".join(read_header(copy.path, "IssuerOfPatientID", "PatientID"))
        except DataError:
            return None
        if not identity.strip("/"):
            return None
        return hmac.new(self._key, identity.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:_PSEUDONYM_DIGITS]

    def _check_pixels(self, path: Path) -> None:
        """Raise DataError if the header of an image announces too many pixels; what has no readable header is refused later."""
        n_pixels = _pixels_announced(path)
        if n_pixels > self.max_pixels:
            raise DataError(
                f"{path}: {n_pixels} pixels; expected at most {self.max_pixels}. Send a smaller image, or start the service "
                "with a larger --max-pixels"
            )


def _pixels_announced(path: Path) -> int:
    try:
        if has_dicom_content(path):
            rows, columns, frames = read_header(path, "Rows", "Columns", "NumberOfFrames")
            return int(rows or 0) * int(columns or 0) * int(frames or 1)
        with path.open("rb") as file:
            is_tiff = file.read(4) in _TIFF_MARKS
        if is_tiff:
            with tifffile.TiffFile(path) as tiff:
                pages: Any = tiff.pages
                return sum(page.imagelength * page.imagewidth for page in pages)
        with Image.open(path) as image:
            return image.width * image.height
    except Exception:  # no readable header: reading the image gives the reason
        return 0
