"""Grayscale images saved as colour: RGB, YBR or PALETTE COLOR with R = G = B in every pixel.

They are shown as they are: Modality LUT, VOI LUT, window and padding are for MONOCHROME images (PS3.3 C.11.1, C.11.2, C.7.5.1).
"""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from bayescope.data.formats.dicom.header import is_given
from bayescope.data.formats.dicom.lut import lookup_table
from bayescope.data.formats.dicom.pixels import Stored, decoded, read_stored
from bayescope.errors import DataError

_PALETTE = ("Red", "Green", "Blue")
_YBR = ("YBR_FULL", "YBR_FULL_422")


def grey_of_colour(header: Dataset, frame: int, name: str) -> tuple[NDArray[np.float32], int]:
    """One frame ``(height, width)`` and its bits.  Raises DataError if it is in colour."""
    if header.PhotometricInterpretation == "PALETTE COLOR":
        return _grey_of_palette(header, frame, name)
    samples, space = decoded(header, frame, name)
    samples &= samples.dtype.type(2**header.BitsStored - 1)
    if space == "RGB":
        is_grayscale = all(np.array_equal(samples[..., 0], samples[..., k]) for k in (1, 2))
    else:
        is_grayscale = space in _YBR and bool((samples[..., 1:] == 2 ** (header.BitsStored - 1)).all())  # no chroma
    _check_grey(is_grayscale, header, name)
    return samples[..., 0].astype(np.float32), header.BitsStored


def _grey_of_palette(header: Dataset, frame: int, name: str) -> tuple[NDArray[np.float32], int]:
    stored = read_stored(header, frame, name)
    shown, bits = _palettes(header, stored, name)
    _check_grey(bool((shown[:, stored.used()] == shown[0, stored.used()]).all()), header, name)
    return stored.look_up(shown[0].astype(np.float32)), bits


def _palettes(header: Dataset, stored: Stored, name: str) -> tuple[NDArray[np.float64], int]:
    """What each value that can be stored is in red, green and blue ``(3, n_values)``, and the bits of an entry."""
    values = np.arange(stored.lowest, stored.lowest + stored.n_values)
    if is_given(header, "SegmentedRedPaletteColorLookupTableData"):
        colours = apply_color_lut(values, header)[:, : len(_PALETTE)]
        return colours.T.astype(np.float64), int(header.RedPaletteColorLookupTableDescriptor[2])
    is_little_endian = bool(header.file_meta.TransferSyntaxUID.is_little_endian)
    reach = float(values[0]), float(values[-1])
    tables = [lookup_table(_palette(header, colour), reach, is_little_endian, f"{colour} palette", name) for colour in _PALETTE]
    return np.stack([table.look_up(values.astype(np.float64)) for table in tables]), tables[0].bits


def _palette(header: Dataset, colour: str) -> Dataset:
    item = Dataset()
    for keyword in ("Descriptor", "Data"):
        if (element := header.get(f"{colour}PaletteColorLookupTable{keyword}")) is not None:
            item.add_new(f"LUT{keyword}", header[f"{colour}PaletteColorLookupTable{keyword}"].VR, element)
    return item


def _check_grey(is_grayscale: bool, header: Dataset, name: str) -> None:
    if not is_grayscale:
        raise DataError(
            f"{name}: a {header.PhotometricInterpretation} image in colour; expected a grayscale one, or R = G = B in every "
            "pixel. "
            "Convert it to grayscale"
        )
