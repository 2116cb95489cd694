"""DICOM images: one grayscale frame as displayed by a workstation, and its header.

:mod:`bayescope.data.formats.dicom.pixels` extracts the stored bits, :mod:`bayescope.data.formats.dicom.values` maps them to
displayed values.
"""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.dataset import Dataset

from bayescope.data.formats.dicom.colour import grey_of_colour
from bayescope.data.formats.dicom.file import SUFFIXES, check_is_dicom, has_dicom_content, is_dicom, read_data_set
from bayescope.data.formats.dicom.header import apply_functional_groups, first_word, pixel_aspect, spacing, view
from bayescope.data.formats.dicom.limits import MONOCHROME, check_header, check_length, check_size, frames_in
from bayescope.data.formats.dicom.pixels import read_stored
from bayescope.data.formats.dicom.values import ShownPixels, shown_pixels
from bayescope.data.formats.frame import INTENTS, Frame
from bayescope.errors import DataError
from bayescope.types import Pixels

__all__ = [
    "SUFFIXES",
    "check_image",
    "frame_count",
    "has_dicom_content",
    "is_dicom",
    "read_dicom",
    "read_header",
    "read_whole_header",
    "stored_pixels",
]


def read_dicom(path: Path, *, frame: int | None = None, window: int = 0) -> Frame:
    """One frame: Modality LUT, VOI LUT or else window (number ``window`` of several), MONOCHROME1 inverted, padding darkest.

    ``frame`` counts from 0 and is needed where the file has several; what functional groups say of it applies to it.  Raises
    DataError, with the reason, for what is no whole image of 8 or 16 bits a pixel, is in colour, contradicts itself, or has
    more than ``dicom_checks.MAX_PIXELS``.
    """
    with _refusing(path):
        header, number = _read(path, frame)
        if header.PhotometricInterpretation in MONOCHROME:
            bits = header.BitsStored
            shown = shown_pixels(read_stored(header, number, path.name), header, window, path.name)
        else:
            pixels, bits = grey_of_colour(header, number, path.name)
            if window:
                raise DataError(f"{path.name}: no window {window}; expected 0 to 0. Choose another")
            shown = ShownPixels(pixels, (f"{header.PhotometricInterpretation} taken for grayscale",), ())
        return Frame(
            pixels=shown.pixels,
            bits_stored=bits,
            spacing=spacing(header),
            pixel_aspect=pixel_aspect(header, path.name),
            laterality=first_word(header, ("FrameLaterality", "ImageLaterality", "Laterality"), among=("L", "R")),
            view=view(header),
            patient=str(header.get("PatientID") or "").strip() or None,
            presentation=first_word(header, ("PresentationIntentType",), among=INTENTS),
            applied=shown.applied,
            notes=shown.notes,
            study=_hash_of(str(header.get("StudyInstanceUID") or "")),
        )


def check_image(path: Path) -> Dataset:
    """The header of a file of one frame, whose pixels are all there; they are not decoded.  Raises as read_dicom."""
    with _refusing(path):
        return _read(path, None)[0]


def stored_pixels(path: Path, *, frame: int | None = None) -> Pixels:
    """One frame as stored, before any LUT: ``(height, width)``, signed or unsigned, 8 or 16 bit.  Raises as read_dicom, and
    DataError for colour."""
    with _refusing(path):
        header, number = _read(path, frame)
        if header.get("SamplesPerPixel", 1) != 1:
            raise DataError(
                f"{path.name}: a {header.PhotometricInterpretation} image; expected MONOCHROME1 or 2. Convert it to grayscale"
            )
        return read_stored(header, number, path.name).values


def read_header(path: Path, *keywords: str) -> tuple[str, ...]:
    """Elements of the header as text, blank where there is none; no pixels are read.  Raises DataError if it is damaged."""
    with _refusing(path):
        header = _read_header(path, *keywords)
        return tuple(str(header.get(keyword) or "").strip() for keyword in keywords)


def read_whole_header(path: Path) -> Dataset:
    """All elements of a file up to the pixels.  Raises DataError if it is damaged or no DICOM."""
    with _refusing(path):
        check_is_dicom(path)
        check_size(path)
        return read_data_set(path, stop_before_pixels=True)


def frame_count(path: Path) -> int:
    """Number of frames of the file, from its header; no pixels are read.  Raises DataError if it is damaged or no DICOM."""
    with _refusing(path):
        return frames_in(_read_header(path, "NumberOfFrames"), path.name)


def _hash_of(identifier: str) -> str | None:
    """The same for equal identifiers; None for a blank one."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:16] if identifier else None


def _read_header(path: Path, *keywords: str) -> Dataset:
    check_is_dicom(path)
    check_size(path)  # a deflated file is inflated whole, whatever is read of it
    return read_data_set(path, list(keywords), stop_before_pixels=True)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Whatever pydicom and the decoders raise on a damaged file becomes a DataError; their warnings, which quote it, go."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".replace(str(path), path.name).split())
        raise DataError(
            f"{path.name}: cannot be read ({reason:.200}); expected a whole DICOM image. Copy it again, or leave it out"
        ) from None


def _read(path: Path, frame: int | None) -> tuple[Dataset, int]:
    """The header, pixels undecoded, with what functional groups say of the frame to read; and the number of that frame."""
    check_is_dicom(path)
    check_size(path)
    header = read_data_set(path)
    number = check_header(header, frame, path.name)
    check_length(header, number, path.name)
    apply_functional_groups(header, number, path.name)
    return header, number
