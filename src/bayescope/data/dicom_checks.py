"""What a DICOM file must be to be read, found out before its pixels are decoded: reading then stays below 2 GiB."""

import zlib
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from bayescope.data import codestream
from bayescope.data.dicom_content import has_mark
from bayescope.data.dicom_header import is_present
from bayescope.errors import DataError

MAX_FILE_BYTES = 3 * 2**28
MAX_PIXELS = 2**26
"""Of one frame, 8192 by 8192."""
MAX_RLE_BYTES = 2**30
_CHUNK_BYTES = 2**20
_GREYS = ("MONOCHROME1", "MONOCHROME2")
_COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "PALETTE COLOR")


def check_size(path: Path) -> None:
    """Raise DataError if the file, inflated where it is deflated, has more than MAX_FILE_BYTES."""
    n_bytes = path.stat().st_size
    meta = read_file_meta_info(path) if has_mark(path) else Dataset()
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        with path.open("rb") as file:
            file.seek(144 + meta.FileMetaInformationGroupLength)
            encoded = file.read(_CHUNK_BYTES)
            while encoded and not inflater.eof and n_bytes <= MAX_FILE_BYTES:
                n_bytes += len(inflater.decompress(encoded, _CHUNK_BYTES))
                encoded = inflater.unconsumed_tail or file.read(_CHUNK_BYTES)
    if n_bytes > MAX_FILE_BYTES:
        raise DataError(f"{path.name}: over {MAX_FILE_BYTES >> 20} MiB; expected less. Split it into single frames")


def check_syntax(header: Dataset, name: str) -> None:
    """Raise DataError unless the transfer syntax is told and known."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    if not syntax or not syntax.is_transfer_syntax or syntax.is_private:
        raise DataError(
            f"{name}: transfer syntax {syntax or 'not told'}; expected one of the standard's. Export the image again as "
            "Explicit VR Little Endian"
        )


def is_color(header: Dataset) -> bool:
    """Whether a pixel is stored as colour, which may still be grey."""
    return header.get("PhotometricInterpretation") in _COLORS


def check_header(header: Dataset, frame: int | None, name: str) -> int:
    """The number of the frame to read; raise DataError unless it is an image of integers and of a size to hold."""
    if not is_present(header, "Rows") or not is_present(header, "Columns"):
        raise DataError(f"{name}: {header.get('Modality') or 'an object'} without an image; expected one. Leave it out")
    _check_pixel_elements(header, name)
    if header.Rows * header.Columns > MAX_PIXELS:
        raise DataError(f"{name}: {header.Rows}x{header.Columns} pixels; expected {MAX_PIXELS} at most. Check the header")
    n_frames = int(header.get("NumberOfFrames") or 1)
    if frame is None and n_frames > 1:
        raise DataError(f"{name}: {n_frames} frames; expected one. Give --frame 1 to {n_frames}, or --frame all for each")
    if frame is not None and not 0 <= frame < n_frames:
        raise DataError(f"{name}: no frame {frame + 1}; expected 1 to {n_frames}. Give another --frame")
    _check_length(header, n_frames, name)
    return frame or 0


def _check_pixel_elements(header: Dataset, name: str) -> None:
    for keyword in ("PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelData"):
        if not is_present(header, keyword):
            raise DataError(f"{name}: no {keyword}; expected one, as every image has. Export the image again, or leave it out")
    photometric, samples = header.PhotometricInterpretation, header.get("SamplesPerPixel") or 1
    expected = 3 if photometric in _COLORS and photometric != "PALETTE COLOR" else 1
    if photometric not in (*_GREYS, *_COLORS) or samples != expected:
        raise DataError(
            f"{name}: a {photometric} image of {samples} samples a pixel; expected MONOCHROME1 or MONOCHROME2 of one. Convert "
            "it to grey"
        )
    allocated, stored = header.BitsAllocated, header.BitsStored
    if allocated not in (8, 16):
        raise DataError(f"{name}: {allocated} bits a pixel; expected integers of 8 or 16. Leave it out, or convert it")
    if not 1 <= stored <= allocated:
        raise DataError(f"{name}: Bits Stored {stored}; expected 1 to {allocated}. Correct it, or export the image again")


def _check_length(header: Dataset, n_frames: int, name: str) -> None:
    """Raise DataError if uncompressed pixels are cut short."""
    if header.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    n_samples = header.Rows * header.Columns * (header.get("SamplesPerPixel") or 1) * n_frames
    if header.PhotometricInterpretation == "YBR_FULL_422":
        n_samples = n_samples * 2 // 3
    expected = n_samples * header.BitsAllocated // 8
    if len(header.PixelData) < expected:
        raise DataError(f"{name}: {len(header.PixelData)} bytes of pixels; expected {expected}. It is cut short: copy it again")


def check_encoded(header: Dataset, frame: int, name: str) -> None:
    """Raise DataError if a compressed frame would decode to more than the header lets expect, which decoders would obey."""
    syntax = header.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    encoded = get_frame(header.PixelData, frame, number_of_frames=int(header.get("NumberOfFrames") or 1))
    samples = int(header.get("SamplesPerPixel") or 1)
    size = f"{header.Rows}x{header.Columns}"
    if syntax == RLELossless:
        expected = header.Rows * header.Columns * samples * header.BitsAllocated // 8
        if len(encoded) > 2 * expected + 1024 or codestream.rle_bytes(encoded, MAX_RLE_BYTES) > MAX_RLE_BYTES:
            raise DataError(f"{name}: runs longer than its {size} pixels; expected as many. Export it again, or leave it out")
    elif (found := codestream.samples(encoded)) is not None and not 0 < found <= MAX_PIXELS * samples:
        raise DataError(
            f"{name}: {found} compressed pixels for {size}; expected {MAX_PIXELS} at most. Export it again, or leave it out"
        )
