"""Which bits of a word are stored: overlays masked, values shifted, contradictions refused, in every transfer syntax."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from bayescope.data.formats.dicom import read_dicom, stored_pixels
from bayescope.errors import DataError
from dicom_files import STORED, write

SMOOTH = np.add.outer(50 * np.arange(30), 60 * np.arange(40)).astype(np.uint16)  # 0 … 3790
ENCODE: dict[str, Callable[..., bytes]] = {
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: lambda words, **more: imagecodecs.jpeg2k_encode(words, level=0, codecformat="j2k", **more),
    HTJ2KLossless: imagecodecs.htj2k_encode,
    JPEGLosslessSV1: lambda words, bitspersample=16: imagecodecs.ljpeg_encode(words, bitspersample=bitspersample),
}
NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.dcm"


def write_words(path: Path, words: np.ndarray, bits: int, syntax: str, **elements: Any) -> Path:
    if syntax == RLELossless:
        data = pydicom.dcmread(write(path, words, 16))
        data.compress(RLELossless, encoding_plugin="pydicom")
        for name, value in ({"BitsStored": bits, "HighBit": bits - 1} | elements).items():
            setattr(data, name, value)
        data.save_as(path)
        return path
    encode = ENCODE.get(syntax)
    return write(path, words, bits, [encode(words)] if encode else None, syntax=syntax, **elements)


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless, *ENCODE])
@pytest.mark.parametrize("signed", [False, True])
def test_overlays_in_unused_bits_are_masked(path: Path, syntax: str, signed: bool) -> None:
    values = SMOOTH.astype(np.int64) - (2**11 if signed else 0)
    words = (values % 2**12).astype(np.uint16)
    words[5:9, 5:30] |= 1 << 15
    words[20:22, 1:3] |= 1 << 12
    write_words(path, words, 12, syntax, PixelRepresentation=int(signed))
    np.testing.assert_array_equal(stored_pixels(path), values)
    assert stored_pixels(path).dtype == (np.int16 if signed else np.uint16)
    np.testing.assert_array_equal(read_dicom(path).pixels, values)


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless, *ENCODE])
@pytest.mark.parametrize(("bits", "high"), [(12, 15), (12, 13), (10, 11)])
def test_values_lie_where_high_bit_says(path: Path, syntax: str, bits: int, high: int) -> None:
    words = SMOOTH << (high - 11)
    words[3, 4:7] |= 2 ** (high - 11) - 1
    write_words(path, words, bits, syntax, HighBit=high)
    np.testing.assert_array_equal(read_dicom(path).pixels, SMOOTH >> (12 - bits))


@pytest.mark.parametrize(
    ("bits", "elements", "reason"),
    [
        (12, {"HighBit": 15}, "High Bit 15, 12 bits stored; expected 11"),  # all lie below bit 12
        (12, {"HighBit": 10}, "High Bit 10, 12 bits stored; expected 11"),
        (12, {"HighBit": 16}, "High Bit 16, 12 bits stored; expected 11"),
        (10, {}, "values from 0 to 3790, 10 bits stored; expected as many bits"),  # bright would turn dark
        (17, {}, "17 bits stored of 16 allocated"),
        (0, {"HighBit": 0}, "0 bits stored of 16 allocated"),
        (12, {"BitsStored": None}, "no Bits Stored"),
        (12, {"PixelRepresentation": None}, "no Pixel Representation"),
        (12, {"PixelRepresentation": 7}, "Pixel Representation 7"),
        (12, {"PhotometricInterpretation": None}, "no Photometric Interpretation"),
        (12, {"PhotometricInterpretation": ""}, "no Photometric Interpretation"),
        (12, {"PhotometricInterpretation": "HSV"}, "a HSV image of 1 samples"),
    ],
)
def test_contradictions_are_refused_by_name(path: Path, bits: int, elements: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=rf"^case\.dcm: {reason}"):
        read_dicom(write(path, SMOOTH, bits, **elements))


@pytest.mark.parametrize("keyword", ["BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation"])
def test_an_empty_element_is_missing_by_name(path: Path, keyword: str) -> None:
    data = pydicom.dcmread(write(path, SMOOTH))
    value = data[keyword].value
    name, tag = data[keyword].name, data[keyword].tag
    content = f"{value} ".encode() if isinstance(value, str) else value.to_bytes(2, "little")
    vr = data[keyword].VR.encode()
    header = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + vr
    whole = path.read_bytes()
    path.write_bytes(whole.replace(header + len(content).to_bytes(2, "little") + content, header + b"\0\0"))
    assert len(path.read_bytes()) < len(whole)
    with pytest.raises(DataError, match=rf"^case\.dcm: no {name}; expected it"):
        read_dicom(path)


def test_high_bit_absent_is_the_usual_one(path: Path) -> None:
    np.testing.assert_array_equal(read_dicom(write(path, SMOOTH, HighBit=None)).pixels, SMOOTH)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLosslessSV1])
def test_a_code_stream_of_more_bits_than_are_stored_is_refused(path: Path, syntax: str) -> None:
    encoded = ENCODE[syntax](SMOOTH, bitspersample=12)
    with pytest.raises(DataError, match="12 bits in the code stream, 10 stored; expected Bits Stored 12"):
        read_dicom(write(path, SMOOTH, 10, [encoded], syntax=syntax))
    small = SMOOTH >> 2  # the same in 12 bits that hold no more than 10
    write(path, small, 10, [ENCODE[syntax](small, bitspersample=12)], syntax=syntax)
    np.testing.assert_array_equal(read_dicom(path).pixels, small)
    with pytest.raises(DataError, match="High Bit 15, 12 bits stored; expected 11"):
        read_dicom(write(path, SMOOTH, 12, [encoded], syntax=syntax, HighBit=15))


def test_bits_of_an_overlay_that_is_declared_are_no_values(path: Path) -> None:
    words = SMOOTH | ((SMOOTH > 2000).astype(np.uint16) << 12)  # runs with the picture
    data = pydicom.dcmread(write(path, words, 12))
    data.add_new((0x6000, 0x0102), "US", 12)
    data.save_as(path)
    np.testing.assert_array_equal(read_dicom(path).pixels, SMOOTH)


@pytest.mark.parametrize("signed", [False, True])
def test_a_code_stream_of_fewer_bits(path: Path, signed: bool) -> None:
    encoded = ENCODE[JPEG2000Lossless](SMOOTH, bitspersample=12)
    write(path, SMOOTH, 16, [encoded], syntax=JPEG2000Lossless, PixelRepresentation=int(signed))
    if signed:  # the sign may be bit 11 or 15
        with pytest.raises(DataError, match="signed values of 16 bits in a code stream of 12"):
            read_dicom(path)
    else:
        np.testing.assert_array_equal(read_dicom(path).pixels, SMOOTH)


def test_a_signed_code_stream(path: Path) -> None:
    values = SMOOTH.astype(np.int16) - 2000
    encoded = imagecodecs.jpeg2k_encode(values, level=0, codecformat="j2k")
    np.testing.assert_array_equal(read_dicom(write(path, values, 16, [encoded], syntax=JPEG2000Lossless)).pixels, values)


def test_eight_bits_stored_in_words(path: Path) -> None:
    small = (SMOOTH >> 4).astype(np.uint8)
    np.testing.assert_array_equal(read_dicom(write(path, small.astype(np.uint16) | 0x4200, 8)).pixels, small)
    encoded = imagecodecs.jpeg2k_encode(small, level=0, codecformat="j2k")
    write(path, small.astype(np.uint16), 8, [encoded], syntax=JPEG2000Lossless)
    np.testing.assert_array_equal(read_dicom(path).pixels, small)


@pytest.mark.parametrize("rest", [b"", b"\0", b"rest"])
def test_odd_lengths_and_remains(path: Path, rest: bytes) -> None:
    small = STORED[:5, :7].astype(np.uint8)
    data = pydicom.dcmread(write(path, np.zeros((6, 7), np.uint8), 8))
    data.Rows, data.Columns, data.PixelData = 5, 7, small.tobytes() + rest
    data.save_as(path)
    np.testing.assert_array_equal(read_dicom(path).pixels, small)


@pytest.mark.parametrize(
    ("n_rows", "reason"), [(5, "90 bytes of pixels, less than expected, 108"), (12, "216 bytes of pixels, for 1 frames of 108")]
)
def test_pixels_that_are_missing_or_too_many(path: Path, n_rows: int, reason: str) -> None:
    data = pydicom.dcmread(write(path))
    data.PixelData = np.zeros((n_rows, 9), np.uint16).tobytes()
    data.save_as(path)
    with pytest.raises(DataError, match=reason):
        read_dicom(path)


@pytest.mark.parametrize("encode", [ENCODE[JPEG2000Lossless], lambda words: imagecodecs.jpeg8_encode(words, level=98)])
def test_a_compressed_frame_cut_short_is_not_made_up(path: Path, encode: Callable[..., bytes]) -> None:
    small = (SMOOTH >> 4).astype(np.uint8)
    encoded = encode(small)
    syntax = JPEG2000Lossless if encode is ENCODE[JPEG2000Lossless] else JPEGBaseline8Bit
    read_dicom(write(path, small, 8, [encoded], syntax=syntax))
    with pytest.raises(DataError, match="without its end"):
        read_dicom(write(path, small, 8, [encoded[: len(encoded) // 2]], syntax=syntax))


GRAYSCALE = (SMOOTH >> 4).astype(np.uint8)


def write_colour(path: Path, channels: np.ndarray, photometric: str = "RGB", **elements: Any) -> Path:
    """Channels ``(height, width, 3)``."""
    data = pydicom.dcmread(write(path, channels[..., 0], 8 * channels.itemsize, PhotometricInterpretation=photometric))
    data.SamplesPerPixel, data.PlanarConfiguration = 3, 0
    data.PixelData = channels.tobytes()
    for name, value in elements.items():
        setattr(data, name, value)
    data.save_as(path)
    return path


@pytest.mark.parametrize("pixels", [GRAYSCALE, SMOOTH])
def test_gray_level_saved_as_rgb_is_gray_level(path: Path, pixels: np.ndarray) -> None:
    rgb = np.stack([pixels] * 3, axis=-1)
    frame = read_dicom(write_colour(path, rgb, WindowCenter=10, WindowWidth=5))
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert frame.applied == ("RGB taken for grayscale",)
    planes = write_colour(path, rgb, PlanarConfiguration=1, PixelData=np.moveaxis(rgb, -1, 0).tobytes())
    np.testing.assert_array_equal(read_dicom(planes).pixels, pixels)
    rgb[3, 4, 2] += 1
    with pytest.raises(DataError, match="a RGB image in colour; expected a grayscale one"):
        read_dicom(write_colour(path, rgb))


def test_gray_level_saved_as_ybr_is_gray_level(path: Path) -> None:
    ybr = np.stack([GRAYSCALE, np.full_like(GRAYSCALE, 128), np.full_like(GRAYSCALE, 128)], axis=-1)
    np.testing.assert_array_equal(read_dicom(write_colour(path, ybr, "YBR_FULL")).pixels, GRAYSCALE)
    ybr[0, 0, 1] = 129
    with pytest.raises(DataError, match="a YBR_FULL image in colour"):
        read_dicom(write_colour(path, ybr, "YBR_FULL"))


def test_gray_level_in_compressed_colour_is_gray_level(path: Path) -> None:
    rgb = np.stack([GRAYSCALE] * 3, axis=-1)
    for syntax, photometric, encoded in (
        (JPEG2000Lossless, "YBR_RCT", imagecodecs.jpeg2k_encode(rgb, level=0, codecformat="j2k", mct=True)),
        (JPEGLSLossless, "RGB", imagecodecs.jpegls_encode(rgb)),
        (JPEGBaseline8Bit, "YBR_FULL_422", imagecodecs.jpeg8_encode(rgb, level=98)),
    ):
        write(path, GRAYSCALE, 8, [encoded], syntax=syntax, PhotometricInterpretation=photometric, SamplesPerPixel=3)
        data = pydicom.dcmread(path)
        data.PlanarConfiguration = 0
        data.save_as(path)
        np.testing.assert_allclose(read_dicom(path).pixels, GRAYSCALE, atol=2)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_of_greys_is_gray_level(path: Path, bits: int) -> None:
    ramp = (np.arange(256)[::-1] * (257 if bits == 16 else 1)).astype("<u2" if bits == 16 else np.uint8)
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        palette[f"{colour}PaletteColorLookupTableData"] = ramp.tobytes()
    frame = read_dicom(write(path, GRAYSCALE, 8, **palette))
    np.testing.assert_array_equal(frame.pixels, ramp.astype(float)[GRAYSCALE])
    assert frame.bits_stored == bits
    palette["BluePaletteColorLookupTableData"] = (ramp // 2).tobytes()
    with pytest.raises(DataError, match="a PALETTE COLOR image in colour"):
        read_dicom(write(path, GRAYSCALE, 8, **palette))


def test_a_palette_in_segments(path: Path) -> None:
    """PS3.3 C.7.9.2: one value, 0, then 255 in a line up to 255."""
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        palette[f"Segmented{colour}PaletteColorLookupTableData"] = bytes([0, 1, 0, 1, 255, 255])
    np.testing.assert_array_equal(read_dicom(write(path, GRAYSCALE, 8, **palette)).pixels, GRAYSCALE)
