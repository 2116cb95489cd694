"""DICOM files: what pydicom reads is what is read, what is shown follows the standard, the rest is refused with a reason."""

import gzip
import io
import signal
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis.strategies import binary, sampled_from
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from bayescope.data.formats.dicom import (
    frame_count,
    has_dicom_content,
    is_dicom,
    limits,
    read_dicom,
    read_header,
    stored_pixels,
)
from bayescope.data.formats.dicom.file import begins_with_elements
from bayescope.data.formats.frame import Frame
from bayescope.data.formats.grayscale import read_grayscale
from bayescope.errors import DataError
from dicom_files import STORED, lut, write

OWN_FILES = Path(pydicom.__file__).parent / "data" / "test_files"


def zipped(content: bytes) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr("IM0001", content)
    return buffer.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.dcm"


def check_message(message: str, path: Path) -> None:
    assert message.startswith(f"{path.name}: ")
    assert str(path) not in message


def check_against_pydicom(path: Path) -> Frame | None:
    """Read, with the same stored pixels as pydicom, and shown as pydicom would; or None if refused by name."""
    try:
        frame = read_dicom(path)
    except DataError as error:
        check_message(str(error), path)
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(path)
        expected = data.pixel_array
        shown = apply_voi_lut(apply_modality_lut(expected, data), data)
    stored = stored_pixels(path)
    np.testing.assert_array_equal(stored, expected)
    assert stored.dtype == expected.dtype.newbyteorder("=")
    assert frame.pixels.dtype == np.float32
    assert frame.pixels.shape == expected.shape
    if data.PhotometricInterpretation == "MONOCHROME2" and "PixelPaddingValue" not in data:
        np.testing.assert_array_equal(frame.pixels, shown.astype(np.float32))
    return frame


@pytest.mark.slow
def test_every_real_file_is_read_as_by_pydicom_or_refused(shared_data: Path) -> None:
    roots = (shared_data / "dicom", shared_data / "cbis_ddsm" / "dicom", OWN_FILES)
    paths = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file()]
    read = {path.name for path in paths if check_against_pydicom(path)}
    assert len(read) >= 70
    assert {"1-207.dcm", "JPGExtended.dcm", "JLSL_08_07_0_1F.dcm", "MR_small_RLE.dcm", "image_dfl.dcm", "JPEG-LL.dcm"} <= read


SWEEP = """
import resource, sys
from pathlib import Path
from bayescope.data.formats.dicom import read_dicom, read_header, stored_pixels
from bayescope.errors import DataError

resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
for path in map(Path, sys.stdin.read().splitlines()):
    for read in (read_dicom, stored_pixels, lambda path: read_header(path, "PatientID")):
        try:
            read(path)
        except DataError as error:
            assert "MemoryError" not in str(error), error
status = Path("/proc/self/status").read_text().split()
print(int(status[status.index("VmHWM:") + 1]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_every_real_file_is_read_or_refused_in_little_memory_and_time(shared_data: Path) -> None:
    roots = (shared_data / "dicom", shared_data / "cbis_ddsm" / "dicom", OWN_FILES)
    paths = [str(path) for root in roots for path in sorted(root.rglob("*")) if path.is_file()]
    assert len(paths) > 150
    command = [sys.executable, "-c", SWEEP]
    swept = subprocess.run(command, input="\n".join(paths), capture_output=True, text=True, timeout=300, check=False)
    assert swept.returncode == 0, swept.stderr[-2000:]
    assert int(swept.stdout) < 2**31


def test_a_real_mammogram(shared_data: Path) -> None:
    (path,) = (shared_data / "cbis_ddsm" / "dicom").rglob("*.dcm")
    frame = read_dicom(path)
    assert frame.pixels.shape == (1129, 1065)
    assert (frame.bits_stored, frame.laterality, frame.view, frame.presentation) == (16, "L", "MLO", None)
    assert frame.patient is not None
    assert frame.patient not in repr(frame)


def test_single_frames_of_many_are_pydicoms(shared_data: Path) -> None:
    path = shared_data / "dicom" / "pydicom-data" / "emri_small_jpeg_ls_lossless.dcm"
    for number, expected in enumerate(pydicom.dcmread(path).pixel_array):
        np.testing.assert_array_equal(stored_pixels(path, frame=number), expected)
    for wrong in (-1, 10):
        with pytest.raises(DataError, match="expected 1 to 10"):
            read_dicom(path, frame=wrong)
    with pytest.raises(DataError, match="10 frames"):
        read_dicom(path)


SMOOTH = np.add.outer(np.arange(64), np.arange(48))


@pytest.mark.parametrize(
    ("syntax", "pixels", "encoded", "tolerance"),
    [
        (JPEGLosslessSV1, STORED, imagecodecs.ljpeg_encode(STORED, bitspersample=12), 0),
        (JPEGLSLossless, STORED, imagecodecs.jpegls_encode(STORED), 0),
        (JPEG2000Lossless, STORED, imagecodecs.jpeg2k_encode(STORED, level=0, codecformat="j2k"), 0),
        (HTJ2KLossless, STORED, imagecodecs.htj2k_encode(STORED), 0),
        (JPEGBaseline8Bit, SMOOTH.astype(np.uint8), imagecodecs.jpeg8_encode(SMOOTH.astype(np.uint8), level=98), 2),
        (
            JPEGExtended12Bit,
            30 * SMOOTH.astype(np.uint16),
            imagecodecs.jpeg8_encode(30 * SMOOTH.astype(np.uint16), level=98),
            20,
        ),
    ],
    ids=["JPEG lossless", "JPEG-LS", "JPEG 2000", "HTJ2K", "JPEG baseline", "JPEG extended"],
)
def test_compressed(path: Path, syntax: str, pixels: np.ndarray, encoded: bytes, tolerance: int) -> None:
    bits = 8 if pixels.dtype == np.uint8 else 12
    write(path, pixels, bits, [encoded], syntax=syntax)
    assert np.abs(read_dicom(path).pixels - pixels.astype(np.float32)).max() <= tolerance


def test_compressed_by_runs(path: Path) -> None:
    data = pydicom.dcmread(write(path))
    data.compress(RLELossless)
    data.save_as(path)
    np.testing.assert_array_equal(read_dicom(path).pixels, STORED)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_all_depths_signed_or_not(path: Path, bits: int, signed: bool) -> None:
    low = -(2 ** (bits - 1)) if signed else 0
    kind = f"{'' if signed else 'u'}int{8 if bits == 8 else 16}"
    pixels = np.linspace(low, low + 2**bits - 1, 54).round().astype(kind).reshape(6, 9)
    frame = read_dicom(write(path, pixels, bits))
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert frame.bits_stored == bits
    np.testing.assert_array_equal(
        read_dicom(write(path, pixels, bits, PhotometricInterpretation="MONOCHROME1")).pixels,
        2.0 * low + 2**bits - 1 - pixels,
    )


def test_rescale_and_choice_of_window(path: Path) -> None:
    write(path, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=[1000, 4000], WindowWidth=[2000, 500])
    data = pydicom.dcmread(path)
    frames = [read_dicom(path, window=window) for window in (0, 1)]
    for window, frame in enumerate(frames):
        expected = apply_voi_lut(apply_modality_lut(STORED, data), data, index=window)
        np.testing.assert_array_equal(frame.pixels, expected.astype(np.float32))
        assert frame.applied == ("rescale 2.0 -100.0", f"window {window + 1} of 2")
    assert (frames[0].pixels != frames[1].pixels).any()
    for wrong in (-1, 2):
        with pytest.raises(DataError, match="expected 0 to 1"):
            read_dicom(path, window=wrong)


def test_lookup_tables(path: Path) -> None:
    squares = [i * i // 4096 for i in range(4096)]
    frame = read_dicom(
        write(path, ModalityLUTSequence=[lut(squares, 0, 16)], VOILUTSequence=[lut(list(range(255, -1, -1)) * 2, 100, 8)])
    )
    voi = np.tile(np.arange(255, -1, -1), 2)
    np.testing.assert_array_equal(frame.pixels, voi[(np.array(squares)[STORED] - 100).clip(0, 511)])
    assert frame.applied == ("Modality LUT", "VOI LUT 1 of 1")


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_becomes_the_darkest(path: Path, photometric: str) -> None:
    pixels = STORED.clip(100, 2000).astype(np.int16)
    pixels[:2, :3] = [[-2000, -1995, -1990]] * 2
    header = {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1990, "PhotometricInterpretation": photometric}
    frame = read_dicom(write(path, pixels, **header))
    assert (frame.pixels[:2, :3] == frame.pixels.min()).all()
    inverted = photometric == "MONOCHROME1"
    np.testing.assert_array_equal(frame.pixels[2:], -1.0 - pixels[2:] if inverted else pixels[2:])
    assert frame.applied[-1] == "padding -2000 to -1990 darkest"


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewPosition": "CC"}, "CC"),
        ({"PatientOrientation": "MLO"}, "MLO"),
        ({"PatientOrientation": ["A", "FR"]}, None),
        ({}, None),
    ],
)
def test_view(path: Path, elements: dict[str, Any], view: str | None) -> None:
    assert read_dicom(write(path, **elements)).view == view


@pytest.mark.parametrize(("code", "view"), [("R-10226", "MLO"), ("399162004", "CC"), ("1", None)])
def test_coded_view(path: Path, code: str, view: str | None) -> None:
    item = Dataset()
    item.CodeValue = code
    assert read_dicom(write(path, ViewCodeSequence=[item])).view == view


def test_what_the_header_says(path: Path) -> None:
    header = {"ImagerPixelSpacing": [0.07, 0.08], "ImageLaterality": "R", "Laterality": "L", "PatientID": " P 1 "}
    frame = read_dicom(write(path, PresentationIntentType="FOR PROCESSING", **header))
    assert (frame.spacing, frame.laterality, frame.patient) == ((0.07, 0.08), "R", "P 1")
    assert frame.presentation == "FOR PROCESSING"
    frame = read_dicom(write(path, PixelSpacing=[0.1, 0.2], Laterality="B", **{"ImagerPixelSpacing": [0.07, 0.08]}))
    assert (frame.spacing, frame.laterality, frame.patient, frame.presentation) == ((0.1, 0.2), None, None, None)
    assert read_dicom(write(path, PixelSpacing=[0, 0.2])).spacing is None


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"Rows": None}, "MG without an image"),
        ({"PixelData": None}, "no 'Pixel Data'"),
        ({"BitsAllocated": 32}, "32 bits a pixel"),
        ({"BitsStored": 20}, "20 bits stored of 16 allocated; expected 1 to as many"),
        ({"Rows": 65535, "Columns": 65535}, "65535x65535 pixels"),
        ({"Rows": 7}, "less than expected"),
        ({"PixelRepresentation": None}, "PixelRepresentation|Pixel Representation"),
    ],
)
def test_refused_with_a_reason(path: Path, elements: dict[str, Any], reason: str) -> None:
    write(path, **elements)
    with pytest.raises(DataError, match=rf"^case\.dcm: .*({reason})"):
        read_dicom(path)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGExtended12Bit]
)
def test_cut_short(path: Path, syntax: str) -> None:
    encode = {JPEG2000Lossless: imagecodecs.jpeg2k_encode, JPEGExtended12Bit: imagecodecs.jpeg8_encode}.get(syntax)
    write(path, frames=[encode(STORED)] if encode else None, syntax=syntax)
    read_dicom(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"^case\.dcm: "):
        read_dicom(path)


def test_a_deflated_bomb_is_not_inflated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", 2**22)
    zeros = np.zeros((2100, 1000), np.uint16)
    assert write(path, zeros, syntax=DeflatedExplicitVRLittleEndian).stat().st_size < 2**14
    monkeypatch.setattr(zlib, "decompress", None)
    with pytest.raises(DataError, match="over 4 MiB"):
        read_dicom(path)


def test_a_deflated_bomb_is_not_inflated_for_its_header(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", 2**22)
    write(path, np.zeros((2100, 1000), np.uint16), syntax=DeflatedExplicitVRLittleEndian, PatientID="P 1")
    monkeypatch.setattr(zlib, "decompress", None)
    with pytest.raises(DataError, match="over 4 MiB"):
        read_header(path, "PatientID")


@pytest.fixture
def impatient() -> Iterator[None]:
    """A hang fails."""

    def stop(signum: int, frame: object) -> None:
        raise TimeoutError("still at it")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("impatient")
def test_deflated_images_of_every_length_are_read(path: Path) -> None:
    padded = set()
    for columns in range(900, 908):
        pixels = np.add.outer(np.arange(1000), np.arange(columns)).astype(np.uint16)
        write(path, pixels, syntax=DeflatedExplicitVRLittleEndian, PatientID="P 1")
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        data = path.read_bytes()
        inflater.decompress(data[144 + int.from_bytes(data[140:144], "little") :])
        padded.add(inflater.unused_data)
        np.testing.assert_array_equal(read_dicom(path).pixels, pixels)
        assert read_header(path, "PatientID") == ("P 1",)
    assert padded == {b"", b"\0"}


def test_is_dicom(path: Path, tmp_path: Path) -> None:
    write(path)
    renamed = path.rename(tmp_path / "IM0001")
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    predictions = [is_dicom(tmp_path / name) for name in ("x.dcm", "x.DICOM", "IM0001", "a.png", "absent", "")]
    assert predictions == [True, True, True, False, False, False]
    (tmp_path / "b.dcm").write_bytes(b"\x89PNG")
    assert [has_dicom_content(tmp_path / name) for name in ("IM0001", "b.dcm", "a.png", "absent")] == [
        True,
        False,
        False,
        False,
    ]
    assert read_dicom(renamed).view is None
    for name, reason in (("a.png", "no DICM mark"), ("absent", "no such file"), ("x.dcm", "no such file")):
        with pytest.raises(DataError, match=reason):
            read_dicom(tmp_path / name)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian], ids=["implicit", "explicit", "big endian"]
)
def test_without_preamble(path: Path, tmp_path: Path, syntax: str) -> None:
    write(path, STORED.astype(STORED.dtype.newbyteorder(">")) if syntax == ExplicitVRBigEndian else STORED, syntax=syntax)
    whole = path.read_bytes()
    no_preamble, data_set = tmp_path / "no_preamble.txt", tmp_path / "data_set"
    no_preamble.write_bytes(whole[132:])
    data_set.write_bytes(whole[144 + int.from_bytes(whole[140:144], "little") :])
    for bare in (no_preamble, data_set):
        assert is_dicom(bare)
        np.testing.assert_array_equal(read_dicom(bare).pixels, STORED)
        assert read_header(bare, "Modality") == ("MG",)
        assert frame_count(bare) == 1


def test_deflated_without_preamble(path: Path) -> None:
    write(path, syntax=DeflatedExplicitVRLittleEndian)
    path.write_bytes(path.read_bytes()[132:])
    np.testing.assert_array_equal(read_dicom(path).pixels, STORED)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x08\x00",
        b"path,label\na.png,ill\n" * 80,
        bytes(range(256)) * 8,
        b"\x08\x00" * 999,
        b"\x08\x00\x05\x00" + bytes(999),
        bytes(2000),
        b"\x89PNG\r\n\x1a\n" + bytes(999),
    ],
)
def test_other_content_is_not_dicom_whatever_its_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert not has_dicom_content(path)
    with pytest.raises(DataError, match=r"^case\.dcm: no DICM mark"):
        read_dicom(path)


@given(content=binary(max_size=1500), mark=sampled_from([b"", b"\x08\x00", b"\x02\x00", b"\x00\x08"]))
def test_no_random_content_is_dicom(content: bytes, mark: bytes) -> None:
    assert not begins_with_elements(mark + content)


@pytest.mark.parametrize(("pack", "advice"), [(gzip.compress, "gunzip case.dcm"), (zipped, "unzip case.dcm")])
def test_packed_files_are_to_be_unpacked(path: Path, pack: Callable[[bytes], bytes], advice: str) -> None:
    path.write_bytes(pack(write(path).read_bytes()))
    assert not has_dicom_content(path)
    with pytest.raises(DataError, match=advice):
        read_dicom(path)


@pytest.mark.parametrize("syntax", ["1.2.3.4.5", "1.2.840.10008.1.2.4.100"], ids=["private", "MPEG2"])
def test_a_transfer_syntax_that_is_not_read_is_named(path: Path, syntax: str) -> None:
    data = pydicom.dcmread(write(path))
    data.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    data.PixelData = pydicom.encaps.encapsulate([bytes(data.PixelData)])
    data["PixelData"].is_undefined_length = True
    data.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=False)
    with pytest.raises(DataError, match=r"transfer syntax .*, which is not read.*Convert it"):
        read_dicom(path)


def test_frame_count(path: Path, tmp_path: Path) -> None:
    assert frame_count(write(path)) == 1
    assert frame_count(write(path, NumberOfFrames="")) == 1
    assert frame_count(write(path, np.stack([STORED] * 3), NumberOfFrames=3)) == 3
    with pytest.raises(DataError, match=r"3 frames; expected one\. Give --frame 1 to 3, or --frame all"):
        read_grayscale(path)
    np.testing.assert_array_equal(read_grayscale(path, frame=2).pixels, STORED)
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match="no DICM mark"):
        frame_count(tmp_path / "a.png")
