"""Stored values of a DICOM frame: the bits that the header declares as stored, out of those allocated (PS3.5 section 8.1.1).

Other bits of a word, such as overlays (PS3.3 C.9.2), are removed, in every transfer syntax; signed values are extended from
their own sign bit.  The code stream of a compressed frame declares its own precision.  Where header, code stream and values
contradict each other, the frame is refused: bits cut off at the wrong end turn bright into dark.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder

from bayescope.data.formats.dicom import codecs, codestream
from bayescope.data.formats.dicom.header import refusal
from bayescope.data.formats.dicom.limits import frames_in
from bayescope.errors import DataError
from bayescope.types import Pixels

_ROWS_AT_ONCE = 64
_LOOKED_AT = 2**20
"""Fewest pixels that show whether values extend beyond the bits stored."""


@dataclass(frozen=True)
class Bits:
    """Bits Allocated, Bits Stored, High Bit, whether values are signed, and the bits of overlays, as a mask."""

    allocated: int
    stored: int
    high: int
    signed: bool
    overlays: int = 0

    @property
    def unused_below(self) -> int:
        return self.high + 1 - self.stored

    @property
    def lowest(self) -> int:
        return -(2 ** (self.stored - 1)) if self.signed else 0

    def as_stored(self, value: int) -> int:
        """A value of the header, signed or unsigned, as pixels have it: a word, or what is stored of one."""
        if self.signed and 2 ** (self.stored - 1) <= value < 2**self.stored:
            return value - 2**self.stored
        wrapped = value % 2**self.allocated
        return wrapped - 2**self.allocated if self.signed and wrapped >= 2 ** (self.allocated - 1) else wrapped


@dataclass(frozen=True)
class Stored:
    """``values`` ``(height, width)`` of the type allocated; ``words``, all bits allocated, where not all of them are stored."""

    values: Pixels
    bits: Bits
    words: Pixels | None

    @property
    def lowest(self) -> int:
        """The lowest value that can be stored."""
        return self.bits.lowest

    @property
    def n_values(self) -> int:
        """How many values can be stored."""
        return int(2**self.bits.stored)

    def used(self, left_out: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Which of the values that can be stored, ``(n_values,)``, any pixel has that is not ``left_out``."""
        used = np.zeros(self.n_values, np.bool_)
        for rows in _slices(len(self.values)):
            values = self.values[rows] if left_out is None else self.values[rows][~left_out[rows]]
            used[values.astype(np.intp) - self.lowest] = True
        return used

    def look_up(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """``table[values - lowest]`` ``(height, width)``."""
        found = np.empty(self.values.shape, np.float32)
        for rows in _slices(len(found)):
            np.take(table, self.values[rows].astype(np.intp) - self.lowest, mode="clip", out=found[rows])
        return found


def _slices(n_rows: int) -> Iterator[slice]:
    """A few rows at a time: indices take eight bytes each."""
    return (slice(start, start + _ROWS_AT_ONCE) for start in range(0, n_rows, _ROWS_AT_ONCE))


def bits_of(header: Dataset) -> Bits:
    """As the header gives them, High Bit absent being Bits Stored - 1."""
    allocated, stored, high = header.BitsAllocated, header.BitsStored, header.get("HighBit")
    overlays = 0
    for group in range(0x6000, 0x6020, 2):
        position = header.get((group, 0x0102))
        if (group, 0x3000) not in header and position is not None and position.value:
            overlays |= 1 << int(position.value)
    return Bits(allocated, stored, stored - 1 if high is None else high, bool(header.PixelRepresentation), overlays)


def decoded(header: Dataset, frame: int, name: str) -> tuple[Pixels, str]:
    """All bits allocated of one frame, unsigned, ``(height, width[, 3])``, and the colour space they are in now."""
    codecs.register()
    precision = _precision(header, frame, name)
    options: dict[str, Any] = {
        "samples_per_pixel": header.get("SamplesPerPixel", 1),
        "pixel_representation": 0,
        "bits_stored": header.BitsStored if precision is None else precision[0],
        "correct_unused_bits": False,
        "apply_j2k_sign_correction": False,
        "apply_jls_sign_correction": False,
    }
    decoder = get_decoder(header.file_meta.TransferSyntaxUID)
    pixels, properties = decoder.as_array(header, index=frame, raw=True, **options)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False), str(properties["photometric_interpretation"])


def read_stored(header: Dataset, frame: int, name: str) -> Stored:
    """The stored values of one grayscale frame.  Raises DataError where header, code stream and values contradict each
    other."""
    words, _ = decoded(header, frame, name)
    bits, precision = bits_of(header), _precision(header, frame, name)
    n_bits = bits.stored
    if precision is not None:
        n_bits = min(n_bits, precision[0])
        _check_precision(words, bits, *precision, name)
        words &= words.dtype.type(2 ** precision[0] - 1)  # decoders extend a sign
    values = _extended(words >> words.dtype.type(bits.unused_below) if bits.unused_below else words, n_bits, bits)
    if bits.unused_below:
        _check_high_bit(words, bits, name)
    elif bits.stored < bits.allocated:
        _check_overflow(words, values, bits, name)
    return Stored(values, bits, words.view(values.dtype) if bits.stored < bits.allocated else None)


def _precision(header: Dataset, frame: int, name: str) -> tuple[int, bool] | None:
    """Bits of a sample in the code stream, and whether it is signed; None where frames are native or run-length encoded."""
    if not header.file_meta.TransferSyntaxUID.is_encapsulated:
        return None
    return codestream.precision(get_frame(header.PixelData, frame, number_of_frames=frames_in(header, name)))


def _as_numbers(words: Pixels, bits: Bits) -> Pixels:
    """All bits allocated as signed or unsigned numbers."""
    return words.view(f"i{words.itemsize}" if bits.signed else words.dtype)


def _extended(words: Pixels, n_bits: int, bits: Bits) -> Pixels:
    """The lowest ``n_bits`` of each word, as a number, signed or not: a new array."""
    values = _as_numbers(words, bits)
    unused = values.dtype.type(bits.allocated - n_bits)
    extended: Pixels = np.left_shift(values, unused)
    return np.right_shift(extended, unused, out=extended)


def _without_overlays(words: Pixels, bits: Bits) -> Pixels:
    return words & words.dtype.type((2**bits.allocated - 1) & ~bits.overlays)


def _check_precision(words: Pixels, bits: Bits, precision: int, signed: bool, name: str) -> None:
    if precision > bits.allocated:
        raise refusal(name, f"{precision} bits in the code stream, {bits.allocated} allocated", f"{bits.allocated} at most")
    if bits.unused_below and bits.high >= precision:
        raise _wrong_high_bit(bits, name)
    if bits.stored < precision < bits.allocated and not bits.unused_below:
        plain = _without_overlays(words, bits)
        if not np.array_equal(_extended(plain, bits.stored, bits), _extended(plain, precision, bits)):
            raise refusal(name, f"{precision} bits in the code stream, {bits.stored} stored", f"Bits Stored {precision}")
    if precision < bits.stored and bits.signed and not signed and (words >> words.dtype.type(precision - 1)).any():
        raise refusal(name, f"signed values of {bits.stored} bits in a code stream of {precision}", "as many in both")


def _check_high_bit(words: Pixels, bits: Bits, name: str) -> None:
    """Whether the values are where High Bit says: not if all are whole numbers of Bits Stored with the lowest bits in use."""
    lie_low = np.array_equal(_extended(words, bits.stored, bits), _as_numbers(words, bits))
    if lie_low and (_without_overlays(words, bits) & words.dtype.type(2**bits.unused_below - 1)).any():
        raise _wrong_high_bit(bits, name)


def _check_overflow(words: Pixels, values: Pixels, bits: Bits, name: str) -> None:
    """Refuse values that run on beyond Bits Stored, unlike overlays.

    Where the bits above change from a pixel to the next, values that run on change little with these bits, and go all the way
    back without; overlays make the value leap, and leave the bits below as smooth as elsewhere.
    """
    step = max(1, words.size // _LOOKED_AT)
    whole = _as_numbers(_without_overlays(words[::step], bits), bits).astype(np.int64)
    part = values[::step].astype(np.int64)
    above = whole >> bits.stored
    changes = (above[:, 1:] != above[:, :-1]) & ((whole != part)[:, 1:] | (whole != part)[:, :-1])
    if changes.any():
        across_whole, across_part = (np.median(np.abs(np.diff(array, axis=1)[changes])) for array in (whole, part))
        if across_whole < 2 ** (bits.stored - 2) and across_part > 2 ** (bits.stored - 1):
            raise refusal(name, f"values from {whole.min()} to {whole.max()}, {bits.stored} bits stored", "as many bits")


def _wrong_high_bit(bits: Bits, name: str) -> DataError:
    return refusal(name, f"High Bit {bits.high}, {bits.stored} bits stored", str(bits.stored - 1))
