"""Transfer syntaxes that pydicom's own plug-ins do not decode: 12-bit JPEG Extended, and JPEG-LS of 6 or 7 bits.

The other transfer syntaxes go through pydicom's plug-ins for python-gdcm and pylibjpeg-openjpeg.  The plug-in for
pylibjpeg-libjpeg would decode these too; it is under the GPL, imagecodecs under BSD-3-Clause.
"""

from functools import cache

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.pixels.common import RunnerBase
from pydicom.pixels.decoders.base import get_decoder

_DECODE = {
    uid.JPEGExtended12Bit: imagecodecs.jpeg8_decode,
    uid.JPEGLSLossless: imagecodecs.jpegls_decode,
    uid.JPEGLSNearLossless: imagecodecs.jpegls_decode,
}


@cache
def register() -> None:
    """Make the decoders known to pydicom, behind those it has; once per process."""
    for syntax in _DECODE:
        get_decoder(syntax).add_plugin("imagecodecs", (__name__, "decode_frame"))


def is_available(syntax: str) -> bool:
    """pydicom asks: whether frames of this transfer syntax are decoded here."""
    return syntax in _DECODE


def decode_frame(encoded: bytes, runner: RunnerBase) -> bytes:
    """pydicom asks: one grayscale frame, decoded; raises ValueError for colour, so that pydicom turns to the next plug-in."""
    decoded: np.ndarray = _DECODE[runner.transfer_syntax](encoded)
    if decoded.ndim != 2:
        raise ValueError(f"{decoded.ndim} axes; expected a grayscale frame")
    runner.set_option("bits_allocated", 8 * decoded.itemsize)
    return decoded.tobytes()
