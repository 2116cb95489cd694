"""Stored pixels from decoded ones: what lies beside the bits stored is taken off, whatever the transfer syntax.

Bits above High Bit may hold overlays or anything else (PS3.5 8.1.1); decoders of compressed frames hand them out as they are.
"""

import numpy as np
from pydicom.dataset import Dataset

from bayescope.errors import DataError
from bayescope.shapes import Pixels


def stored_values(decoded: Pixels, header: Dataset, is_compressed: bool, name: str) -> Pixels:
    """``decoded``, 8 or 16 bit, with the bits stored alone, signed ones extended: the same shape and type.

    Raises DataError where High Bit contradicts the pixels, or is other than Bits Stored - 1 in a compressed frame.
    """
    n_bits, allocated = int(header.BitsStored), 8 * decoded.itemsize
    high_bit = header.get("HighBit")
    shift = 0 if high_bit in (None, "") else int(high_bit) + 1 - n_bits
    unsigned = decoded.view(f"u{decoded.itemsize}")
    if shift and (shift < 0 or shift + n_bits > allocated or is_compressed or _lies_lower(unsigned, n_bits, shift)):
        raise DataError(
            f"{name}: High Bit {high_bit}, {n_bits} bits stored; expected {n_bits - 1}. Correct it, or export the image again"
        )
    mask = unsigned.dtype.type(2**n_bits - 1)
    values = (unsigned >> unsigned.dtype.type(shift)) & mask
    if decoded.dtype.kind != "i" or n_bits == allocated:
        return values.view(decoded.dtype)
    spare = allocated - n_bits
    return np.right_shift(np.left_shift(values, spare).view(decoded.dtype), spare)


def _lies_lower(unsigned: Pixels, n_bits: int, shift: int) -> bool:
    """Whether pixels use the bits below those that High Bit tells, and none above ``n_bits``."""
    return bool((unsigned & unsigned.dtype.type(2**shift - 1)).any() and not (unsigned >> unsigned.dtype.type(n_bits)).any())
