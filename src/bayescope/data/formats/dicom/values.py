"""Stored values to displayed ones: Modality LUT, VOI LUT or window, polarity, padding (PS3.4 N.2.1, PS3.3 C.7.5.1.1.2, C.11).

Each step is a function of the stored value alone.  It is computed once for each value that can be stored, 65,536 at most, and
looked up for the pixels.  A window rises with the modality value whatever the sign of the Rescale Slope (PS3.3 C.11.2.1.2),
which ``apply_windowing`` of pydicom 3.0 does not where that is negative.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from bayescope.data.formats.dicom.header import number, numbers, refusal
from bayescope.data.formats.dicom.lut import lookup_table
from bayescope.data.formats.dicom.pixels import Stored
from bayescope.errors import DataError

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True)
class ShownPixels:
    """``pixels`` float32 ``(height, width)``; ``applied``: the steps that led there; ``notes``: what was not taken as it was
    written, and why."""

    pixels: NDArray[np.float32]
    applied: tuple[str, ...]
    notes: tuple[str, ...]


def shown_pixels(stored: Stored, header: Dataset, window: int, name: str) -> ShownPixels:
    """Show stored pixels as ``header`` asks for, with number ``window`` of its VOI LUTs or windows.

    Raises DataError if the header asks for what makes no picture.
    """
    account = _Account([], [])
    values = np.arange(stored.lowest, stored.lowest + stored.n_values)
    modality, (low, high) = _modality(values.astype(np.float64), header, account, name)
    shown = _windowed(modality, (low, high), header, window, account, name)
    if header.PhotometricInterpretation == "MONOCHROME1":
        account.applied.append("MONOCHROME1 inverted")
        shown = np.nanmin(shown) + np.nanmax(shown) - shown
    is_padding, padded_words = _padding(values, stored, header, account, name)
    used = stored.used(padded_words)
    if np.isnan(shown[used & ~is_padding]).any():
        raise refusal(name, "pixels beyond the entries of its lookup table", "an entry for each")
    if is_padding.any() or padded_words is not None:
        there = used & ~is_padding
        if not there.any():
            raise DataError(f"{name}: padding in every pixel; expected an image. Leave it out")
        shown[is_padding] = shown[there].min()
    pixels = stored.look_up(shown.astype(np.float32))
    if padded_words is not None:
        pixels[padded_words] = shown[used & ~is_padding].min()
    return ShownPixels(pixels, tuple(account.applied), tuple(account.notes))


@dataclass(frozen=True)
class _Account:
    applied: list[str]
    notes: list[str]

    def ignore(self, what: str, why: str) -> None:
        self.applied.append(f"{what} ignored: {why}")
        self.notes.append(f"{what} ignored: {why}")


def window_linear(values: NDArray[np.float64], center: float, width: float, reach: tuple[float, float]) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.2.1: modality values to ``reach`` = (lowest, highest); ``width`` is 1 or more."""
    return window_linear_exact(values, center - 0.5, width - 1, reach)


def window_linear_exact(
    values: NDArray[np.float64], center: float, width: float, reach: tuple[float, float]
) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.3.2: modality values to ``reach`` = (lowest, highest); ``width`` 0 is a step behind ``center``."""
    low, high = reach
    with np.errstate(divide="ignore", invalid="ignore"):
        between = ((values - center) / width + 0.5) * (high - low) + low
    below, above = values <= center - width / 2, values > center + width / 2
    return np.where(below, low, np.where(above, high, between))


def window_sigmoid(values: NDArray[np.float64], center: float, width: float, reach: tuple[float, float]) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.3.1: modality values to ``reach`` = (lowest, highest); ``width`` is above 0."""
    low, high = reach
    with np.errstate(over="ignore"):
        return (high - low) / (1 + np.exp(-4 * (values - center) / width)) + low


_WINDOWS = {"LINEAR": window_linear, "LINEAR_EXACT": window_linear_exact, "SIGMOID": window_sigmoid}


def _modality(
    values: NDArray[np.float64], header: Dataset, account: _Account, name: str
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Modality values, and the lowest and highest there can be."""
    if luts := header.get("ModalityLUTSequence"):
        account.applied.append("Modality LUT")
        table = lookup_table(luts[0], (values[0], values[-1]), _is_little_endian(header), "Modality LUT", name)
        return table.look_up(values), (0.0, 2.0**table.bits - 1)
    slope, intercept = (number(header, keyword, name) for keyword in ("RescaleSlope", "RescaleIntercept"))
    if slope is not None or intercept is not None:
        slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
        if slope == 0:
            raise refusal(name, "Rescale Slope 0", "another number, or every pixel is the same")
        account.applied.append(f"rescale {slope} {intercept}")
        values = values * slope + intercept
    return values, (min(values[0], values[-1]), max(values[0], values[-1]))


def _windowed(
    modality: NDArray[np.float64],
    reach: tuple[float, float],
    header: Dataset,
    window: int,
    account: _Account,
    name: str,
) -> NDArray[np.float64]:
    """The VOI LUT or window of this number; ``modality`` where there is none, or one that cannot be applied."""
    luts = header.get("VOILUTSequence") or ()
    pairs = [] if luts else list(zip(*_window_numbers(header, name), strict=False))
    available = len(luts) or len(pairs)
    if not 0 <= window < max(1, available):
        raise DataError(f"{name}: no window {window}; expected 0 to {max(1, available) - 1}. Choose another")
    which = f"{'VOI LUT' if luts else 'window'} {window + 1} of {available}"
    if luts:
        account.applied.append(which)
        met = (float(np.nanmin(modality)), float(np.nanmax(modality)))
        table = lookup_table(luts[window], met, _is_little_endian(header), "VOI LUT", name)
        return np.where(np.isnan(modality), np.nan, table.look_up(np.nan_to_num(modality)))
    if not pairs:
        return modality
    (center, width), function = pairs[window], _function(header, name)
    if center is None or width is None:
        account.ignore(which, "no Window Center or Window Width")
    elif width < 1 if function == "LINEAR" else width <= 0:
        account.ignore(which, f"Window Width {width:g}, expected {'1 or more' if function == 'LINEAR' else 'above 0'}")
    else:
        account.applied.append(which)
        return _WINDOWS[function](modality, center, width, reach)
    return modality


def _window_numbers(header: Dataset, name: str) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    return numbers(header, "WindowCenter", name), numbers(header, "WindowWidth", name)


def _function(header: Dataset, name: str) -> str:
    function = str(header.get("VOILUTFunction") or "LINEAR").strip().upper() or "LINEAR"
    if function not in _FUNCTIONS:
        raise refusal(name, f"VOI LUT Function {function:.40}", ", ".join(_FUNCTIONS))
    return function


def _is_little_endian(header: Dataset) -> bool:
    return bool(header.file_meta.TransferSyntaxUID.is_little_endian)


def _padding(
    values: NDArray[np.int64], stored: Stored, header: Dataset, account: _Account, name: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Which stored values are padding and, where padding is outside them, which pixels are, found in all bits allocated."""
    value = number(header, "PixelPaddingValue", name)
    if value is None:
        return np.zeros(len(values), np.bool_), None
    limit = number(header, "PixelPaddingRangeLimit", name)
    ends = [int(value), int(value if limit is None else limit)]
    first, last = sorted(stored.bits.as_stored(end) for end in ends)
    account.applied.append(f"padding {first} to {last} darkest")
    inside = (values >= first) & (values <= last)
    if stored.words is None or (stored.lowest <= first and last < stored.lowest + stored.n_values):
        return inside, None
    return inside, (stored.words >= first) & (stored.words <= last)
