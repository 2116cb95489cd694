"""What each value that can be stored is shown as: Modality LUT or rescale, VOI LUT or window, polarity, padding.

Every step from stored pixel to shown one (PS3.4 N.2.1) but padding is a function of the stored value alone, so it is worked out
once for each value, 65,536 at most, and then looked up.  Windows are those of PS3.3 C.11.2.1.2 and C.11.2.1.3; they rise with
the modality value whatever the sign of the rescale slope, which ``pydicom.pixels.apply_windowing`` of pydicom 3.0 does not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from bayescope.data.dicom_header import FrameHeader, is_present
from bayescope.errors import DataError
from bayescope.shapes import Floats

_TRANSFORMATION, _VOI = "PixelValueTransformationSequence", "FrameVOILUTSequence"
_LUT_BITS = (8, *range(10, 17))
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True)
class ShownValues:
    """``values``: float32, of every stored value from ``lowest`` up; ``applied``: the steps that led there, in words."""

    values: NDArray[np.float32]
    lowest: int
    applied: tuple[str, ...]


def shown_values(header: FrameHeader, window: int) -> ShownValues:
    """With number ``window``, from 0, of the VOI LUTs or windows.  Raises DataError if there is none, or a step is unclear."""
    bits, signed = int(header.get("BitsStored")), bool(header.get("PixelRepresentation"))
    lowest = -(2 ** (bits - 1)) if signed else 0
    stored = np.arange(lowest, lowest + 2**bits)
    values, ends, applied = _modality(header, stored)
    values, voi = _voi(header, values, ends, window)
    applied += voi
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        applied.append("MONOCHROME1 inverted")
        values = values.min() + values.max() - values
    return ShownValues(values.astype(np.float32), lowest, tuple(applied))


def padding_range(header: FrameHeader, stored_type: np.dtype) -> tuple[int, int] | None:
    """First and last stored value that are padding; a signed one may be written unsigned."""
    first = header.get("PixelPaddingValue")
    if first is None:
        return None
    limit = header.get("PixelPaddingRangeLimit")
    ends = np.array([first, first if limit is None else limit], dtype=np.int64).astype(stored_type).astype(np.int64)
    return int(ends.min()), int(ends.max())


def darkened(shown: NDArray[np.float32], padding: NDArray[np.bool_], name: str) -> NDArray[np.float32]:
    """``shown (height, width)`` with padding as dark as the darkest pixel that is none.  DataError if all is padding."""
    if padding.all():
        raise DataError(f"{name}: every pixel is padding; expected a picture. Leave it out")
    return np.where(padding, shown[~padding].min(), shown)


def _modality(header: FrameHeader, stored: NDArray[np.int64]) -> tuple[Floats, tuple[float, float], list[str]]:
    """Modality values, the ends of the range that windows fill, and what was done."""
    if items := header.get("ModalityLUTSequence"):
        entries, first, bits, note = _lut(items[0], header, "Modality LUT")
        return _looked_up(entries, stored - first), (0.0, 2.0**bits - 1), [f"Modality LUT{note}"]
    slope, intercept = header.number("RescaleSlope", _TRANSFORMATION), header.number("RescaleIntercept", _TRANSFORMATION)
    values, applied = stored.astype(float), []
    if slope is not None or intercept is not None:
        slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
        if slope == 0:
            raise DataError(f"{header.name}: Rescale Slope 0, which makes all pixels equal; expected another. Leave it out")
        values = values * slope + intercept
        applied.append(f"rescale {slope:g} {intercept:g}")
    return values, (float(values.min()), float(values.max())), applied


def _voi(header: FrameHeader, values: Floats, ends: tuple[float, float], window: int) -> tuple[Floats, list[str]]:
    luts = header.get("VOILUTSequence", _VOI) or ()
    item = header.item(_VOI, "WindowCenter")
    pairs = [] if luts else _windows(item)
    available = len(luts) or len(pairs)
    if not 0 <= window < max(1, available):
        raise DataError(
            f"{header.name}: no window {window}; expected 0 to {max(1, available) - 1}. Choose another with --window"
        )
    if luts:
        entries, first, _, note = _lut(luts[window], header, "VOI LUT")
        if first >= 2**15 and values.min() < 0:
            first -= 2**16  # signed, though written unsigned
        return _looked_up(entries, np.trunc(values).astype(np.int64) - first), [f"VOI LUT {window + 1} of {available}{note}"]
    if not pairs:
        return values, []
    center, width = pairs[window]
    function = str(item.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in _FUNCTIONS:
        raise DataError(
            f"{header.name}: VOI LUT Function {function}; expected one of {', '.join(_FUNCTIONS)}. Export it with one"
        )
    least = 1 if function == "LINEAR" else 0
    if not np.isfinite([center, width]).all() or width < least or width == 0:
        return values, [f"window {window + 1} of {available} left out: width {width:g}, center {center:g}"]
    low, high = ends
    return low + (high - low) * windowed(values, center, width, function), [f"window {window + 1} of {available}"]


def windowed(values: Floats, center: float, width: float, function: str = "LINEAR") -> Floats:
    """Modality values through a window, as shares of the output range, 0 to 1 (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(float)
    return np.asarray(np.clip((values - center) / width + 0.5, 0.0, 1.0))


def _windows(item: Dataset) -> list[tuple[float, float]]:
    """Center and width of each window; NaN for what is no number."""
    if not is_present(item, "WindowCenter") or not is_present(item, "WindowWidth"):
        return []
    return list(zip(_numbers(item, "WindowCenter"), _numbers(item, "WindowWidth"), strict=False))


def _numbers(item: Dataset, keyword: str) -> list[float]:
    value = item[keyword].value
    several = [value] if item[keyword].VM <= 1 else list(value)
    found = []
    for one in several:
        try:
            found.append(float(one))
        except (TypeError, ValueError):
            found.append(np.nan)
    return found


def _lut(item: Dataset, header: FrameHeader, what: str) -> tuple[NDArray[np.int64], int, int, str]:
    """Entries of a lookup table, the value that the first is for, bits of an entry, and a note where entries are missing."""
    if not is_present(item, "LUTDescriptor") or not is_present(item, "LUTData"):
        raise DataError(f"{header.name}: a {what} without descriptor or data; expected both. Export the image again")
    n_entries, first, bits = (int(number) for number in item.LUTDescriptor)
    n_entries = n_entries % 2**16 or 2**16
    if bits not in _LUT_BITS:
        raise DataError(f"{header.name}: a {what} of {bits} bits; expected 8 or 10 to 16. Export the image without it")
    entries = _entries(item, n_entries, bits, _is_little_endian(header.dataset))[:n_entries]
    missing = n_entries - len(entries)
    if missing > 1:
        raise DataError(
            f"{header.name}: a {what} of {len(entries)} entries; expected {n_entries}, as it declares. Export the image again"
        )
    return entries.astype(np.int64), first, bits, f" without its last entry of {n_entries}" if missing else ""


def _entries(item: Dataset, n_entries: int, bits: int, little_endian: bool) -> NDArray[np.unsignedinteger]:
    """Entries as they lie in the file: words, or bytes two to a word."""
    data = item["LUTData"].value
    word = np.dtype("<u2" if little_endian else ">u2")
    raw = data if isinstance(data, bytes) else np.atleast_1d(np.asarray(data)).astype(np.int64).astype(word).tobytes()
    if bits == 8 and len(raw) < 2 * n_entries - 2:
        return np.frombuffer(raw, np.uint8)
    return np.frombuffer(raw[: len(raw) // 2 * 2], word)


def _looked_up(entries: NDArray[np.int64], place: NDArray[np.int64]) -> Floats:
    return entries[np.clip(place, 0, len(entries) - 1)].astype(float)


def _is_little_endian(dataset: Dataset) -> bool:
    syntax = dataset.file_meta.TransferSyntaxUID
    return bool(syntax.is_little_endian)
