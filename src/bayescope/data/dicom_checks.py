"""What a DICOM file must be to be read, found out before its pixels are decoded: reading then stays below 2 GiB."""

import zlib
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import RLELossless

from bayescope.data import codestream
from bayescope.data.dicom_file import deflated_at
from bayescope.errors import DataError

MAX_FILE_BYTES = 3 * 2**28
MAX_PIXELS = 2**26
"""Of one frame, 8192 by 8192."""
MAX_RLE_BYTES = 2**30
_CHUNK_BYTES = 2**20


def check_size(path: Path) -> None:
    """Raise DataError if the file, inflated where it is deflated, has more than MAX_FILE_BYTES."""
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        if (start := deflated_at(file)) is not None:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            file.seek(start)
            encoded = file.read(_CHUNK_BYTES)
            while encoded and not inflater.eof and n_bytes <= MAX_FILE_BYTES:
                n_bytes += len(inflater.decompress(encoded, _CHUNK_BYTES))
                encoded = inflater.unconsumed_tail or file.read(_CHUNK_BYTES)
    if n_bytes > MAX_FILE_BYTES:
        raise DataError(f"{path.name}: over {MAX_FILE_BYTES >> 20} MiB; expected less. Split it into single frames")


def check_header(header: Dataset, frame: int | None, name: str) -> int:
    """The number of the frame to read; raise DataError unless it is a grey image of integers and of a size to hold."""
    if header.get("Rows") is None or header.get("Columns") is None:
        raise DataError(f"{name}: {header.get('Modality') or 'an object'} without an image; expected one. Leave it out")
    photometric = header.get("PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or header.get("SamplesPerPixel", 1) != 1:
        raise DataError(f"{name}: a {photometric or 'nameless'} image; expected MONOCHROME1 or MONOCHROME2. Convert it to grey")
    if header.get("BitsAllocated") not in (8, 16):
        raise DataError(
            f"{name}: {header.get('BitsAllocated')} bits a pixel; expected integers of 8 or 16. Leave it out, or convert it"
        )
    if header.Rows * header.Columns > MAX_PIXELS:
        raise DataError(f"{name}: {header.Rows}x{header.Columns} pixels; expected {MAX_PIXELS} at most. Check the header")
    n_frames = frames_in(header)
    if frame is None and n_frames > 1:
        raise DataError(f"{name}: {n_frames} frames; expected one. Give --frame 0 to {n_frames - 1}, or --frame all")
    if frame is not None and not 0 <= frame < n_frames:
        raise DataError(f"{name}: no frame {frame}; expected 0 to {n_frames - 1}. Name another")
    return frame or 0


def frames_in(header: Dataset) -> int:
    """Number of Frames; 1 where it is absent or empty."""
    return int(header.get("NumberOfFrames") or 1)


def check_encoded(header: Dataset, frame: int, name: str) -> None:
    """Raise DataError if a compressed frame would decode to more than the header lets expect, which decoders would obey."""
    syntax = header.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    encoded = get_frame(header.PixelData, frame, number_of_frames=frames_in(header))
    if syntax == RLELossless:
        expected = header.Rows * header.Columns * header.BitsAllocated // 8
        if len(encoded) > 2 * expected + 1024 or codestream.rle_bytes(encoded, MAX_RLE_BYTES) > MAX_RLE_BYTES:
            raise DataError(f"{name}: runs longer than its {header.Rows}x{header.Columns} pixels; expected as many. Replace it")
    elif (found := codestream.samples(encoded)) is not None and not 0 < found <= MAX_PIXELS:
        raise DataError(
            f"{name}: {found} compressed pixels for {header.Rows}x{header.Columns}; expected {MAX_PIXELS} at most. Replace it"
        )
