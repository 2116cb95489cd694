"""Modality and VOI LUTs, windows and padding, against values computed by hand from PS3.3 C.11."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from bayescope.data.formats.dicom import read_dicom
from bayescope.data.formats.dicom.values import window_linear, window_linear_exact, window_sigmoid
from bayescope.errors import DataError
from dicom_files import STORED, item, lut, write

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.dcm"


def test_linear_window_by_hand() -> None:
    # PS3.3 C.11.2.1.2.1 with its own example: c = 2048, w = 4096, to 0 … 255
    values = np.array([-5.0, 0, 1, 2048, 4094, 4095, 5000])
    expected = [0, 0, 255 / 4095, 255 * 2048 / 4095, 255 * 4094 / 4095, 255, 255]
    np.testing.assert_allclose(window_linear(values, 2048, 4096, (0, 255)), expected, rtol=1e-12)
    # and the next one: c = 2048, w = 1 is a threshold, at or below 2047.5
    np.testing.assert_array_equal(window_linear(np.array([2047, 2047.5, 2048]), 2048, 1, (0, 255)), [0, 0, 255])
    # c = 0, w = 100: y = 0 for x ≤ -50, 255 for x > 49, else 255 ((x + 0.5) / 99 + 0.5)
    values = np.array([-51.0, -50, -49, 0, 49, 50])
    expected = [0, 0, 255 / 99, 255 * (0.5 / 99 + 0.5), 255, 255]
    np.testing.assert_allclose(window_linear(values, 0, 100, (0, 255)), expected, rtol=1e-12)


def test_exact_linear_window_by_hand() -> None:
    # PS3.3 C.11.2.1.3.2: c = 0, w = 100: y = 0 for x ≤ -50, 255 for x > 50, else 255 (x / 100 + 0.5)
    values = np.array([-50.0, -49, 0, 50, 50.5])
    np.testing.assert_allclose(window_linear_exact(values, 0, 100, (0, 255)), [0, 2.55, 127.5, 255, 255], rtol=1e-12)


def test_sigmoid_window_by_hand() -> None:
    # PS3.3 C.11.2.1.3.1: y = 255 / (1 + exp(-4 (x - c) / w)); at c half, at c ± w / 2 1 / (1 + e^∓2)
    shown = window_sigmoid(np.array([40.0, 65, 90, -1e9, 1e9]), 65, 50, (0, 255))
    np.testing.assert_allclose(shown, [255 * 0.11920292202211755, 127.5, 255 * 0.8807970779778823, 0, 255], atol=1e-9)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("slope", [2.0, 1.0, -1.0, -10.0])
def test_a_window_rises_with_the_modality_value(path: Path, function: str, slope: float) -> None:
    window = {"WindowCenter": slope * 2000 + 7, "WindowWidth": abs(slope) * 1500, "VOILUTFunction": function}
    write(path, RAMP, RescaleSlope=slope, RescaleIntercept=7, **window)
    shown = read_dicom(path).pixels.ravel()
    modality = slope * np.arange(4096) + 7
    assert (np.diff(shown[np.argsort(modality)]) >= 0).all()
    assert shown[np.argmax(modality)] > shown[np.argmin(modality)]


def test_a_window_over_all_values_changes_nothing_whatever_the_slope(path: Path) -> None:
    # -1 x + 4095 of 12 bits is 0 … 4095; the window's is 4096 wide at 2048: y = x
    write(path, 4095 - RAMP, RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(read_dicom(path).pixels, RAMP, atol=1e-3)


@pytest.mark.parametrize(
    ("elements", "factor", "applied"),
    [
        ({"RescaleSlope": "", "RescaleIntercept": "0"}, 1, ("rescale 1.0 0.0",)),
        ({"RescaleSlope": "", "RescaleIntercept": ""}, 1, ()),
        ({"RescaleSlope": "3", "RescaleIntercept": ""}, 3, ("rescale 3.0 0.0",)),
        ({"RescaleSlope": "3"}, 3, ("rescale 3.0 0.0",)),
        ({"WindowCenter": "", "WindowWidth": ""}, 1, ()),
        ({"WindowCenter": "2048", "WindowWidth": ""}, 1, ()),
        ({"WindowWidth": "4096"}, 1, ()),
        ({"WindowCenter": "2048", "WindowWidth": "4096", "VOILUTFunction": ""}, 1, ("window 1 of 1",)),
        ({"ModalityLUTSequence": [], "VOILUTSequence": []}, 1, ()),
        ({"PixelPaddingValue": "", "PixelPaddingRangeLimit": ""}, 1, ()),
        ({"PixelSpacing": "", "Laterality": "", "NumberOfFrames": "", "PixelAspectRatio": ""}, 1, ()),
    ],
)
def test_empty_elements_are_absent(path: Path, elements: dict[str, Any], factor: int, applied: tuple[str, ...]) -> None:
    frame = read_dicom(write(path, RAMP, **elements))
    np.testing.assert_allclose(frame.pixels, factor * RAMP.astype(float), atol=1e-3)
    assert frame.applied == applied
    assert (frame.spacing, frame.laterality, frame.pixel_aspect, frame.notes) == (None, None, 1.0, ())


def test_windows_are_paired_as_far_as_they_go(path: Path) -> None:
    write(path, RAMP, WindowCenter=["2048", "10"], WindowWidth="4096")
    assert read_dicom(path).applied == ("window 1 of 1",)
    with pytest.raises(DataError, match="no window 1; expected 0 to 0"):
        read_dicom(path, window=1)


@pytest.mark.parametrize(
    ("function", "width", "expected"), [("LINEAR", 0, "1 or more"), ("LINEAR", 0.5, "1 or more"), ("SIGMOID", 0, "above 0")]
)
def test_a_window_that_is_none_is_ignored_with_a_note(path: Path, function: str, width: float, expected: str) -> None:
    write(path, RAMP, WindowCenter=[100, 2048], WindowWidth=[width, 4096], VOILUTFunction=function)
    frame = read_dicom(path)
    np.testing.assert_array_equal(frame.pixels, RAMP)
    assert frame.notes == frame.applied == (f"window 1 of 2 ignored: Window Width {width:g}, expected {expected}",)
    other = read_dicom(path, window=1)
    assert (other.applied, other.notes) == (("window 2 of 2",), ())


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, "Rescale Slope 0"),
        ({"VOILUTFunction": "GAMMA", "WindowCenter": 1, "WindowWidth": 5}, "VOI LUT Function GAMMA"),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}, "padding in every pixel"),
        ({"VOILUTSequence": [item(LUTExplanation="none")]}, "a VOI LUT without LUT Descriptor"),
        ({"ModalityLUTSequence": [lut([1, 2], 0, 20)]}, "a Modality LUT of 20 bits an entry"),
    ],
)
def test_refused_by_name(path: Path, elements: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=rf"^case\.dcm: {reason}.*; expected .*\. (Export it again|Leave it out)"):
        read_dicom(write(path, RAMP, **elements))


@pytest.mark.parametrize("text", ["ab", "NaN", "inf"])
@pytest.mark.parametrize("keyword", ["RescaleSlope", "WindowCenter"])
def test_numbers_that_are_none_are_refused_by_name(path: Path, keyword: str, text: str) -> None:
    write(path, RAMP, **{keyword: "123", "WindowWidth": 5, "RescaleIntercept": 0, "PatientID": "P"})
    path.write_bytes(path.read_bytes().replace(b"123 ", text.encode().ljust(4)))
    with pytest.raises(DataError, match=rf"(Rescale Slope|Window Center) {text}; expected a number"):
        read_dicom(path)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize("vr", ["US", "OW"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_entries_of_up_to_16_bits_are_words(path: Path, bits: int, sequence: str, vr: str, syntax: str) -> None:
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    entries = np.arange(256)[::-1] ** 2 % 2**bits
    data = item(LUTDescriptor=[256, 3, bits])
    data.add_new("LUTData", vr, entries.tolist() if vr == "US" else entries.astype(f"{order}u2").tobytes())
    write(path, RAMP.astype(f"{order}u2"), syntax=syntax, **{sequence: [data]})
    np.testing.assert_array_equal(read_dicom(path).pixels, entries[(RAMP.astype(int) - 3).clip(0, 255)])


@pytest.mark.parametrize("n", [256, 255])
@pytest.mark.parametrize("vr", ["OW", "US", "OB"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_entries_of_8_bits_may_be_packed(path: Path, n: int, vr: str, syntax: str) -> None:
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    entries = (np.arange(n) * 7 % 256).astype(np.uint8)
    words = np.append(entries, np.zeros(n % 2, np.uint8)).view("<u2")  # the first of two in the low byte
    data = item(LUTDescriptor=[n, 0, 8])
    content = {"OW": words.astype(f"{order}u2").tobytes(), "US": words.tolist(), "OB": entries.tobytes().ljust(256, b"\0")}
    data.add_new("LUTData", vr, content[vr])
    write(path, RAMP.astype(f"{order}u2"), syntax=syntax, VOILUTSequence=[data])
    np.testing.assert_array_equal(read_dicom(path).pixels, entries[RAMP.astype(int).clip(0, n - 1)])


def test_65536_entries_are_written_as_0(path: Path) -> None:
    data = item(LUTDescriptor=[0, 0, 16])
    data.add_new("LUTData", "OW", np.arange(2**16)[::-1].astype("<u2").tobytes())
    pixels = np.array([[0, 1], [40000, 65535]], np.uint16)
    np.testing.assert_array_equal(read_dicom(write(path, pixels, 16, VOILUTSequence=[data])).pixels, 65535.0 - pixels)


def test_a_lut_an_entry_short_goes_on_with_its_last(path: Path) -> None:
    data = lut(list(range(0, 2 * 4095, 2)), 0, 16)
    data.LUTDescriptor = [4096, 0, 16]
    shown = read_dicom(write(path, RAMP, VOILUTSequence=[data])).pixels
    np.testing.assert_array_equal(shown.ravel()[:4095], 2.0 * np.arange(4095))
    assert shown.ravel()[4095] == 2 * 4094


@pytest.mark.parametrize("n_given", [4000, 5000])
@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_lut_of_other_length_serves_where_no_pixel_needs_what_is_unknown(path: Path, n_given: int, sequence: str) -> None:
    data = lut([3 * n for n in range(n_given)], 0, 16)
    data.LUTDescriptor = [4096 if n_given < 4096 else 4000, 0, 16]
    write(path, RAMP.clip(0, 3999), **{sequence: [data]})
    np.testing.assert_array_equal(read_dicom(path).pixels, 3.0 * RAMP.clip(0, 3999))
    with pytest.raises(DataError, match="pixels beyond the entries of its lookup table"):
        read_dicom(write(path, RAMP, **{sequence: [data]}))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("signed", [False, True])
def test_the_first_value_mapped_is_signed_where_values_are(path: Path, syntax: str, signed: bool) -> None:
    """-1024 is written 64512 where the descriptor is US, as it is for unsigned pixels of a negative intercept."""
    data = lut([5 * n for n in range(4096)], -1024 if signed else 2**16 - 1024, 16)
    if signed:
        data["LUTDescriptor"].VR = "SS"
    pixels = RAMP.astype(np.int16) - 1024 if signed else RAMP
    elements = {} if signed else {"RescaleSlope": 1, "RescaleIntercept": -1024}
    write(path, pixels, 13 if signed else 12, syntax=syntax, VOILUTSequence=[data], **elements)
    np.testing.assert_array_equal(read_dicom(path).pixels, 5.0 * RAMP)


def test_rescale_to_halves_before_a_voi_lut(path: Path) -> None:
    write(path, RAMP, RescaleSlope=0.5, RescaleIntercept=0, VOILUTSequence=[lut(list(range(0, 4096, 2)), 0, 12)])
    np.testing.assert_array_equal(read_dicom(path).pixels, RAMP // 2 * 2.0)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("slope", [1, -1])
def test_padding_is_as_dark_as_what_is_there(path: Path, photometric: str, slope: int) -> None:
    pixels = STORED.clip(300, 2000).astype(np.int16)
    plain = read_dicom(write(path, pixels, 16, RescaleSlope=slope, PhotometricInterpretation=photometric)).pixels
    pixels[:2, :3] = -2000
    header = {"PixelPaddingValue": -2000, "RescaleSlope": slope, "PhotometricInterpretation": photometric}
    shown = read_dicom(write(path, pixels, 16, **header)).pixels
    np.testing.assert_array_equal(shown[2:], plain[2:])
    assert (shown[:2, :3] == np.append(shown[2:], shown[:2, 3:].ravel()).min()).all()


def padded_words(value: int, bits: int, signed: bool) -> np.ndarray:
    words = (STORED.clip(300, 2000) & (2**bits - 1)).astype(np.uint16)
    words[:2, :3] = value % 2**16
    return words.astype(np.uint16).view(np.int16) if signed else words


@pytest.mark.parametrize(
    ("value", "written", "bits", "signed"),
    [
        (63536, 63536, 12, False),  # beside the bits stored: all bits allocated tell it
        (-2000, -2000, 12, True),
        (-30000, -30000, 12, True),
        (0x830, -2000, 12, True),  # written as the bits stored have it
        (4095, 4095, 12, False),
    ],
)
def test_padding_inside_and_beyond_the_bits_stored(path: Path, value: int, written: int, bits: int, signed: bool) -> None:
    pixels = padded_words(written, bits, signed)
    write(path, pixels, bits, PixelPaddingValue=value if not signed or value < 2**15 else value - 2**16)
    shown = read_dicom(path).pixels
    assert (shown[:2, :3] == 300).all()
    np.testing.assert_array_equal(shown[2:], STORED.clip(300, 2000)[2:])


def test_white_is_no_padding_because_its_lowest_bits_are(path: Path) -> None:
    """Padding of 65535 beside 12 bits stored is not 4095."""
    pixels = STORED.copy()
    pixels[0, 0] = 4095
    frame = read_dicom(write(path, pixels, PixelPaddingValue=65535))
    np.testing.assert_array_equal(frame.pixels, pixels)


def test_a_signed_range_of_padding_either_way_round(path: Path) -> None:
    pixels = STORED.clip(300, 2000).astype(np.int16)
    pixels[0, :3] = [-2000, -1995, -1990]
    for ends in ((-2000, -1990), (-1990, -2000)):
        frame = read_dicom(write(path, pixels, PixelPaddingValue=ends[0], PixelPaddingRangeLimit=ends[1]))
        assert (frame.pixels[0, :3] == 300).all()
        assert frame.applied == ("padding -2000 to -1990 darkest",)
