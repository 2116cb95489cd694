"""Checks of a DICOM file before its pixels are decoded, which keep memory below 2 GiB."""

import zlib
from pathlib import Path

from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import RLELossless

from bayescope.data.formats.dicom import codestream
from bayescope.data.formats.dicom.file import deflated_at
from bayescope.data.formats.dicom.header import is_given, refusal
from bayescope.errors import DataError

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
SAMPLES = {
    **dict.fromkeys((*MONOCHROME, "PALETTE COLOR"), 1),
    **dict.fromkeys(("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"), 3),
}
"""Samples per Pixel of each Photometric Interpretation that is read."""
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
    """The number of the frame to read; raise DataError unless it is an image of integers, described in full, and not too large.

    Colour is let pass where it may be grayscale in truth.
    """
    if not (is_given(header, "Rows") and is_given(header, "Columns")):
        raise DataError(f"{name}: {header.get('Modality') or 'an object'} without an image; expected one. Leave it out")
    if is_given(header, "BitsAllocated") and header.BitsAllocated not in (8, 16):
        raise DataError(
            f"{name}: {header.BitsAllocated} bits a pixel; expected integers of 8 or 16. Leave it out, or convert it"
        )
    _check_described(header, name)
    _check_syntax(header, name)
    if not 1 <= header.BitsStored <= header.BitsAllocated:
        raise refusal(name, f"{header.BitsStored} bits stored of {header.BitsAllocated} allocated", "1 to as many")
    high = header.get("HighBit")
    if high is not None and not header.BitsStored - 1 <= high < header.BitsAllocated:
        raise refusal(name, f"High Bit {high}, {header.BitsStored} bits stored", str(header.BitsStored - 1))
    if header.Rows * header.Columns * header.get("SamplesPerPixel", 1) > MAX_PIXELS:
        raise DataError(f"{name}: {header.Rows}x{header.Columns} pixels; expected {MAX_PIXELS} at most. Check the header")
    n_frames = frames_in(header, name)
    if frame is None and n_frames > 1:
        raise DataError(f"{name}: {n_frames} frames; expected one. Give --frame 1 to {n_frames}, or --frame all for each")
    if frame is not None and not 0 <= frame < n_frames:
        raise DataError(f"{name}: no frame {frame + 1}; expected 1 to {n_frames}. Give another --frame")
    return frame or 0


def _check_described(header: Dataset, name: str) -> None:
    """Raise DataError, by name, for an element that is missing or empty and without which pixels mean nothing."""
    photometric = header.get("PhotometricInterpretation")
    for keyword in ("PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation"):
        if not is_given(header, keyword):
            raise refusal(name, f"no {dictionary_description(keyword)}", "it, as in every image")
    if header.PixelRepresentation not in (0, 1):
        raise refusal(name, f"Pixel Representation {header.PixelRepresentation}", "0, unsigned, or 1, signed")
    n_samples = header.get("SamplesPerPixel") or (1 if photometric in MONOCHROME else None)
    if n_samples != SAMPLES.get(photometric, 0):
        raise DataError(
            f"{name}: a {photometric} image of {n_samples} samples a pixel; expected MONOCHROME1 or MONOCHROME2, of one, or "
            "colour that is grayscale throughout. Convert it to grayscale"
        )
    if photometric not in MONOCHROME and header.get("HighBit", header.BitsStored - 1) != header.BitsStored - 1:
        raise refusal(name, f"High Bit {header.HighBit}, {header.BitsStored} bits stored", str(header.BitsStored - 1))


def _check_syntax(header: Dataset, name: str) -> None:
    """Raise DataError if frames are encoded as nothing here decodes: by a private scheme, or as video."""
    syntax = header.file_meta.TransferSyntaxUID
    try:
        get_decoder(syntax)
    except NotImplementedError:
        raise DataError(
            f"{name}: transfer syntax {syntax.name}, which is not read; expected a public one of still images. Convert it, for "
            "example with `gdcmconv --raw`, or export it as Explicit VR Little Endian"
        ) from None


def frames_in(header: Dataset, name: str) -> int:
    """Number of Frames; 1 where it is absent, empty or 0.  Raises DataError if it is no such number."""
    try:
        n_frames = int(header.get("NumberOfFrames") or 1)
    except (TypeError, ValueError):
        n_frames = 0
    if n_frames < 1:
        raise refusal(name, f"Number of Frames {header.get('NumberOfFrames')}", "1 or more")
    return n_frames


def check_length(header: Dataset, frame: int, name: str) -> None:
    """Raise DataError if pixels are missing, native frames cut short, or a compressed frame makes more than it should.

    Decoders would obey what the code stream says, and make up the rest of one that was cut short.
    """
    if not is_given(header, "PixelData"):
        raise DataError(f"{name}: no 'Pixel Data'; expected some. The file is cut short, or no image: copy it again")
    if header.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_encoded(header, frame, name)
        return
    one = header.Rows * header.Columns * header.get("SamplesPerPixel", 1) * header.BitsAllocated // 8
    if header.PhotometricInterpretation == "YBR_FULL_422":
        one = one * 2 // 3
    n_frames, found = frames_in(header, name), len(header.PixelData)
    expected = one * n_frames
    if found < expected:
        raise DataError(
            f"{name}: {found} bytes of pixels, less than expected, {expected}. The file is cut short: copy or export it again"
        )
    if found >= expected + one:
        raise DataError(
            f"{name}: {found} bytes of pixels, for {n_frames} frames of {one}; expected {expected}. Export it again, "
            "with the right Number of Frames, Rows, Columns and Bits Allocated"
        )


def _check_encoded(header: Dataset, frame: int, name: str) -> None:
    encoded = get_frame(header.PixelData, frame, number_of_frames=frames_in(header, name))
    if header.file_meta.TransferSyntaxUID == RLELossless:
        expected = header.Rows * header.Columns * header.get("SamplesPerPixel", 1) * header.BitsAllocated // 8
        if len(encoded) > 2 * expected + 1024 or codestream.rle_bytes(encoded, MAX_RLE_BYTES) > MAX_RLE_BYTES:
            raise refusal(name, f"runs longer than its {header.Rows}x{header.Columns} pixels", "as many")
        return
    if (found := codestream.samples(encoded)) is not None and not 0 < found <= MAX_PIXELS:
        raise refusal(name, f"{found} compressed pixels for {header.Rows}x{header.Columns}", f"{MAX_PIXELS} at most")
    if not codestream.is_complete(encoded):
        raise DataError(
            f"{name}: a compressed frame without its end; expected it whole. It was cut short: copy or export it again"
        )
