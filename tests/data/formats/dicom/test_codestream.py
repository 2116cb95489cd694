"""Compressed frames that would decode to more than the header says are refused before any decoder sees them."""

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from bayescope.data.formats.dicom import codestream, pixels, read_dicom
from bayescope.data.formats.dicom.limits import MAX_RLE_BYTES
from bayescope.errors import DataError

GRAYSCALE = np.random.default_rng(0).integers(0, 200, (6, 9)).astype(np.uint8)


def write(path: Path, encoded: bytes, syntax: str) -> Path:
    """An 8-bit mammogram of 6 by 9 pixels, whatever ``encoded`` holds."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3", "MG"
    data.Rows, data.Columns = GRAYSCALE.shape
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelData = encapsulate([encoded])
    data.save_as(path, enforce_file_format=True)
    return path


def huge_jpeg2000(encoded: bytes) -> bytes:
    """The same codestream, its size marker saying 60000 by 60000."""
    at = encoded.index(b"\xff\x4f\xff\x51")
    large = struct.pack(">2I", 60000, 60000)
    return encoded[: at + 8] + large + encoded[at + 16 : at + 24] + large + encoded[at + 32 :]


def huge_jpeg(encoded: bytes) -> bytes:
    """The same, its start of frame saying 60000 by 60000."""
    at = next(encoded.find(bytes([0xFF, m])) for m in (0xC0, 0xC1, 0xC3, 0xF7) if encoded.find(bytes([0xFF, m])) >= 0)
    return encoded[: at + 5] + struct.pack(">2H", 60000, 60000) + encoded[at + 9 :]


CASES = [
    pytest.param(
        JPEG2000Lossless, imagecodecs.jpeg2k_encode(GRAYSCALE, level=0, codecformat="j2k"), huge_jpeg2000, id="JPEG 2000"
    ),
    pytest.param(JPEG2000Lossless, imagecodecs.jpeg2k_encode(GRAYSCALE, level=0, codecformat="jp2"), huge_jpeg2000, id="JP2"),
    pytest.param(HTJ2KLossless, imagecodecs.htj2k_encode(GRAYSCALE), huge_jpeg2000, id="HTJ2K"),
    pytest.param(JPEGBaseline8Bit, imagecodecs.jpeg8_encode(GRAYSCALE, level=98), huge_jpeg, id="JPEG baseline"),
    pytest.param(JPEGLosslessSV1, imagecodecs.ljpeg_encode(GRAYSCALE, bitspersample=8), huge_jpeg, id="JPEG lossless"),
    pytest.param(JPEGLSLossless, imagecodecs.jpegls_encode(GRAYSCALE), huge_jpeg, id="JPEG-LS"),
]


@pytest.mark.parametrize(("syntax", "encoded", "enlarge"), CASES)
def test_a_codestream_larger_than_the_header_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str, encoded: bytes, enlarge: object
) -> None:
    assert codestream.samples(encoded) == GRAYSCALE.size
    path = write(tmp_path / "case.dcm", encoded, syntax)
    assert read_dicom(path).pixels.shape == GRAYSCALE.shape
    write(path, enlarge(encoded), syntax)  # type: ignore[operator]
    monkeypatch.setattr(pixels, "get_decoder", None)
    with pytest.raises(DataError, match=r"case\.dcm: 3600000000 compressed pixels for 6x9"):
        read_dicom(path)


def runs(*segments: bytes) -> bytes:
    """A frame of DICOM's RLE."""
    starts = np.cumsum([64, *map(len, segments)])[:-1].tolist()
    return struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(segments))) + b"".join(segments)


def test_runs_longer_than_the_header_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "case.dcm", runs(bytes([53]) + GRAYSCALE.tobytes()), RLELossless)
    np.testing.assert_array_equal(read_dicom(path).pixels, GRAYSCALE)
    monkeypatch.setattr(pixels, "get_decoder", None)
    write(path, runs(b"\x81\x00" * 2**20), RLELossless)
    with pytest.raises(DataError, match=r"case\.dcm: runs longer than its 6x9 pixels"):
        read_dicom(path)


def test_runs_are_counted_only_where_they_could_be_too_long() -> None:
    frame = runs(b"\x81\x07" * 40 + b"\x80", b"\x02abc" * 5)
    assert codestream.rle_bytes(frame, MAX_RLE_BYTES) == 64 * len(frame)
    assert codestream.rle_bytes(frame, 5500) == 40 * 128 + 15
    assert 1000 < codestream.rle_bytes(frame, 1000) <= 1128


@pytest.mark.parametrize("encoded", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"BM not one of them", b"\xff\xd8\x00\x00" + bytes(20)])
def test_other_bytes_say_no_size(encoded: bytes) -> None:
    assert codestream.samples(encoded) is None
