"""DICOM images: one grey frame as a workstation shows it, and what the header says of it.

Every step from stored pixel to shown one, PS3.4 N.2.1, is a function of the stored value alone.  It is computed by pydicom
once for each value that can be stored, 65,536 at most, and then looked up: the result is that of pydicom on the whole image.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from bayescope.data import codecs
from bayescope.data.dicom_checks import check_encoded, check_header, check_size, frames_in
from bayescope.data.dicom_file import check_is_dicom, is_dicom, read_data_set
from bayescope.data.frame import INTENTS, Frame
from bayescope.errors import DataError
from bayescope.shapes import Pixels

__all__ = ["SUFFIXES", "frame_count", "is_dicom", "read_dicom", "read_header", "stored_pixels"]

SUFFIXES = (".dcm", ".dicom")
_VIEWS = {  # PS3.16 CID 4014, in SNOMED CT and in the older SNOMED RT
    **dict.fromkeys(("399162004", "R-10242"), "CC"),
    **dict.fromkeys(("399368009", "R-10226"), "MLO"),
    **dict.fromkeys(("399260004", "R-10224"), "ML"),
    **dict.fromkeys(("399352003", "R-10228"), "LM"),
    **dict.fromkeys(("399099002", "R-10230"), "LMO"),
    **dict.fromkeys(("399196006", "R-10244"), "FB"),
    **dict.fromkeys(("399188001", "R-102D0"), "SIO"),
    **dict.fromkeys(("441555000", "R-40AAA"), "ISO"),
    **dict.fromkeys(("399265009", "R-102CF"), "XCC"),
    **dict.fromkeys(("399192008", "R-1024A"), "XCCL"),
    **dict.fromkeys(("399101009", "R-1024B"), "XCCM"),
}
_ROWS_AT_ONCE = 64


def read_dicom(path: Path, *, frame: int | None = None, window: int = 0) -> Frame:
    """One frame: Modality LUT, VOI LUT or else window (number ``window`` of several), MONOCHROME1 inverted, padding darkest.

    ``frame`` counts from 0 and is needed where the file has several.  Raises DataError, with the reason, for what is no whole
    grey image of 8 or 16 bits a pixel, or has more than ``dicom_checks.MAX_PIXELS``.
    """
    with _refusing(path):
        stored, header = _read(path, frame)
        table, applied = _shown_values(header, window, stored.dtype, path.name)
        return Frame(
            pixels=_looked_up(table, stored, _stored_range(header)[0]),
            bits_stored=header.BitsStored,
            spacing=_spacing(header),
            laterality=_first(header, ("ImageLaterality", "Laterality"), among=("L", "R")),
            view=_view(header),
            patient=str(header.get("PatientID") or "").strip() or None,
            presentation=_first(header, ("PresentationIntentType",), among=INTENTS),
            applied=applied,
        )


def stored_pixels(path: Path, *, frame: int | None = None) -> Pixels:
    """One frame as stored, before any LUT: ``(height, width)``, signed or unsigned, 8 or 16 bit.  Raises as read_dicom."""
    with _refusing(path):
        return _read(path, frame)[0]


def read_header(path: Path, *keywords: str) -> tuple[str, ...]:
    """Elements of the header as text, blank where there is none; no pixels are read.  Raises DataError if it is damaged."""
    with _refusing(path):
        header = _read_header(path, *keywords)
        return tuple(str(header.get(keyword) or "").strip() for keyword in keywords)


def frame_count(path: Path) -> int:
    """Frames that the file holds, from its header; no pixels are read.  Raises DataError if it is damaged or no DICOM."""
    with _refusing(path):
        return frames_in(_read_header(path, "NumberOfFrames"))


def _read_header(path: Path, *keywords: str) -> Dataset:
    check_is_dicom(path)
    check_size(path)  # a deflated file is inflated whole, whatever is asked of it
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
        raise DataError(f"{path.name}: cannot be read ({reason:.200}); expected a whole DICOM image. Replace it") from None


def _read(path: Path, frame: int | None) -> tuple[Pixels, Dataset]:
    check_is_dicom(path)
    check_size(path)
    header = read_data_set(path)
    number = check_header(header, frame, path.name)
    check_encoded(header, number, path.name)
    codecs.register()
    return pixel_array(header, index=number), header


def _looked_up(table: NDArray[np.float32], stored: Pixels, lowest: int) -> NDArray[np.float32]:
    """``table[stored - lowest]``, a few rows at a time: indices take eight bytes each."""
    shown = np.empty(stored.shape, np.float32)
    for start in range(0, len(stored), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        np.take(table, stored[rows].astype(np.intp) - lowest, mode="clip", out=shown[rows])
    return shown


def _stored_range(header: Dataset) -> tuple[int, int]:
    """Lowest value the bits stored can hold, and how many there are."""
    n_values = 2**header.BitsStored
    return (-n_values // 2 if header.PixelRepresentation else 0), n_values


def _shown_values(
    header: Dataset, window: int, stored_type: np.dtype, name: str
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """What each value that can be stored is shown as, ``(values,)`` from the lowest up, and the steps that led there."""
    lowest, n_values = _stored_range(header)
    stored = np.arange(lowest, lowest + n_values)
    applied = []
    shown = apply_modality_lut(stored, header)
    if header.get("ModalityLUTSequence"):
        applied.append("Modality LUT")
        shown = shown.astype(np.int64)
    elif shown.dtype != stored.dtype:
        applied.append(f"rescale {header.RescaleSlope} {header.RescaleIntercept}")
    if choice := _voi_choice(header, window, name):
        applied.append(choice)
        _widen_luts(header)
        shown = apply_voi_lut(shown, header, index=window)
    shown = shown.astype(np.float32)
    if header.PhotometricInterpretation == "MONOCHROME1":
        applied.append("MONOCHROME1 inverted")
        shown = shown.min() + shown.max() - shown
    if header.get("PixelPaddingValue") is not None:
        ends = [header.PixelPaddingValue, header.get("PixelPaddingRangeLimit", header.PixelPaddingValue)]
        first, last = np.sort(np.array(ends, dtype=np.int64).astype(stored_type))  # a signed one may be written unsigned
        padding = (stored >= first) & (stored <= last)
        applied.append(f"padding {first} to {last} darkest")
        shown[padding] = shown[~padding].min()
    return shown, tuple(applied)


def _widen_luts(header: Dataset) -> None:
    """Declare the entries of 8-bit VOI LUTs as 16-bit: pydicom counts entries in their own type, so past 255 from 0 again."""
    for item in header.get("VOILUTSequence") or ():
        n_entries, first, _ = item.LUTDescriptor
        item.LUTDescriptor = [n_entries, first, 16]


def _voi_choice(header: Dataset, window: int, name: str) -> str | None:
    """In words, the VOI LUT or window that pydicom will apply; None if there is none.  DataError if it is not there."""
    n_luts = len(header.get("VOILUTSequence") or ())
    has_window = header.get("WindowCenter") is not None and header.get("WindowWidth") is not None
    available = n_luts or (min(header["WindowCenter"].VM, header["WindowWidth"].VM) if has_window else 0)
    if not 0 <= window < max(1, available):
        raise DataError(f"{name}: no window {window}; expected 0 to {max(1, available) - 1}. Choose another")
    return f"{'VOI LUT' if n_luts else 'window'} {window + 1} of {available}" if available else None


def _spacing(header: Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = (float(value) for value in header.get(keyword) or ())
        except (TypeError, ValueError):
            continue
        if 0 < row < np.inf and 0 < column < np.inf:
            return row, column
    return None


def _view(header: Dataset) -> str | None:
    codes = [str(item.get("CodeValue")) for item in header.get("ViewCodeSequence") or ()]
    position = str(header.get("ViewPosition") or "").strip().upper()
    coded = next((_VIEWS[code] for code in codes if code in _VIEWS), None)
    return position or coded or _first(header, ("PatientOrientation",), among=tuple(_VIEWS.values()))


def _first(header: Dataset, keywords: tuple[str, ...], among: tuple[str, ...]) -> str | None:
    """The first of the elements that holds one of these words."""
    words = (str(header.get(keyword) or "").strip().upper() for keyword in keywords)
    return next((word for word in words if word in among), None)
