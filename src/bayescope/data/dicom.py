"""DICOM images: one grey frame as a workstation shows it, and what the header says of it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from bayescope.data import codecs
from bayescope.data.dicom_bits import stored_values
from bayescope.data.dicom_checks import check_encoded, check_header, check_size, check_syntax, is_color
from bayescope.data.dicom_content import has_mark, is_dicom, why_not_dicom
from bayescope.data.dicom_header import FrameHeader
from bayescope.data.dicom_values import darkened, padding_range, shown_values
from bayescope.data.frame import INTENTS, Frame
from bayescope.errors import DataError
from bayescope.shapes import Pixels

__all__ = ["frame_count", "is_dicom", "read_dicom", "read_header", "stored_pixels"]

_ROWS_AT_ONCE = 64


def read_dicom(path: Path, *, frame: int | None = None, window: int = 0) -> Frame:
    """One frame: Modality LUT, VOI LUT or else window (number ``window`` of several), MONOCHROME1 inverted, padding darkest.

    ``frame`` counts from 0 and is needed where the file has several.  An image in colour is read where its channels are equal,
    without windows, which are of grey images alone.  Raises DataError, with the reason, for what is no whole grey image of 8 or
    16 bits a pixel, or has more than ``dicom_checks.MAX_PIXELS``.
    """
    with _refusing(path):
        header, decoded = _decoded(path, frame)
        pixels, applied = (_of_color if is_color(header.dataset) else _of_grey)(header, decoded, window)
        return Frame(
            pixels=pixels,
            bits_stored=int(header.dataset.BitsStored),
            spacing=header.spacing,
            pixel_aspect=header.pixel_aspect,
            laterality=header.laterality,
            view=header.view,
            patient=str(header.get("PatientID") or "").strip() or None,
            presentation=header.word("PresentationIntentType", among=INTENTS),
            applied=applied,
        )


def stored_pixels(path: Path, *, frame: int | None = None) -> Pixels:
    """One frame as stored, before any LUT: ``(height, width)``, signed or unsigned, 8 or 16 bit.  Raises as read_dicom."""
    with _refusing(path):
        header, decoded = _decoded(path, frame)
        return _grey_channel(header, decoded) if is_color(header.dataset) else _stored(header, decoded)


def frame_count(path: Path) -> int:
    """How many frames the file says it holds.  Raises DataError if its header is damaged."""
    (count,) = read_header(path, "NumberOfFrames")
    return int(count) if count.isdigit() else 1


def read_header(path: Path, *keywords: str) -> tuple[str, ...]:
    """Elements of the header as text, blank where there is none; no pixels are read.  Raises DataError if it is damaged."""
    with _refusing(path):
        _check_content(path)
        check_size(path)  # a deflated file is inflated whole, whatever is asked of it
        header = dcmread(path, stop_before_pixels=True, specific_tags=list(keywords), force=True)
        return tuple(str(header.get(keyword) or "").strip() for keyword in keywords)


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
            f"{path.name}: cannot be read ({reason:.200}); expected a whole DICOM image. Export it again, or leave it out"
        ) from None


def _check_content(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a DICOM image. Check the path")
    if reason := why_not_dicom(path):
        raise DataError(f"{path.name}: {reason}")


def _decoded(path: Path, frame: int | None) -> tuple[FrameHeader, Pixels]:
    _check_content(path)
    check_size(path)
    dataset = _read(path)
    check_syntax(dataset, path.name)
    number = check_header(dataset, frame, path.name)
    check_encoded(dataset, number, path.name)
    codecs.register()
    return FrameHeader(dataset, number, path.name), pixel_array(dataset, index=number, correct_unused_bits=False)


def _read(path: Path) -> Dataset:
    """All of a file; one without File Meta Information is of the encoding that its first elements tell."""
    dataset = dcmread(path, force=True)
    if not has_mark(path) and "TransferSyntaxUID" not in dataset.file_meta and "PixelData" in dataset:
        is_implicit, is_little = dataset.original_encoding
        plain = ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian
        if not dataset["PixelData"].is_undefined_length:  # compressed, in a way that nothing tells
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else plain
    return dataset


def _of_grey(header: FrameHeader, decoded: Pixels, window: int) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    stored, shown = _stored(header, decoded), shown_values(header, window)
    pixels, applied = _looked_up(shown.values, stored, shown.lowest), shown.applied
    if (padding := padding_range(header, decoded.dtype)) is not None:
        first, last = padding
        fits = shown.lowest <= first and last < shown.lowest + len(shown.values)
        of = stored if fits else decoded  # a value that the bits stored cannot hold stands beside them
        pixels = darkened(pixels, (of >= first) & (of <= last), header.name)
        applied = (*applied, f"padding {first} to {last} darkest")
    return pixels, applied


def _of_color(header: FrameHeader, decoded: Pixels, window: int) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    if window:
        raise DataError(f"{header.name}: no window {window} in a colour image; expected 0. Leave --window out")
    name = str(header.get("PhotometricInterpretation"))
    return _grey_channel(header, decoded).astype(np.float32), (f"{name}, all channels equal",)


def _grey_channel(header: FrameHeader, decoded: Pixels) -> Pixels:
    name = str(header.get("PhotometricInterpretation"))
    color = apply_color_lut(decoded, header.dataset) if name == "PALETTE COLOR" else decoded
    channels = np.moveaxis(color, -1, 0)
    if any((channel != channels[0]).any() for channel in channels[1:3]):
        raise DataError(f"{header.name}: a {name} image in colour; expected a grey one. Convert it to grey, or leave it out")
    return np.asarray(channels[0])


def _stored(header: FrameHeader, decoded: Pixels) -> Pixels:
    is_compressed = header.dataset.file_meta.TransferSyntaxUID.is_encapsulated
    return stored_values(np.ascontiguousarray(decoded), header.dataset, is_compressed, header.name)


def _looked_up(table: NDArray[np.float32], stored: Pixels, lowest: int) -> NDArray[np.float32]:
    """``table[stored - lowest]``, a few rows at a time: indices take eight bytes each."""
    shown = np.empty(stored.shape, np.float32)
    for start in range(0, len(stored), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        np.take(table, stored[rows].astype(np.intp) - lowest, mode="clip", out=shown[rows])
    return shown
