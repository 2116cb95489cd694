"""One picture, written in every way a header allows, is one and the same prepared image."""

import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from bayescope.data.formats.dicom import read_dicom
from bayescope.data.preparation.mammogram import Preparation
from dicom_files import lut, write

PREPARATION = Preparation(16, crop=False, orient=False, low_percentile=0, high_percentile=100)
ROUNDING = 3
"""Levels of 65,535: shown values are float32, which tells 1/2048 apart at 4,095, where the least slope spans 32."""
PICTURE = (np.add.outer(np.arange(11) ** 2, 13 * np.arange(9)) * 37 % 256).astype(np.int64)
LARGEST = int(PICTURE.max())
ENCODE = {
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: lambda words: imagecodecs.jpeg2k_encode(words, level=0, codecformat="j2k"),
    HTJ2KLossless: imagecodecs.htj2k_encode,
}
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless)


@st.composite
def headers(draw: st.DrawFn) -> dict[str, object]:
    """How to write PICTURE; ``offset`` is the stored value of what is darkest in it."""
    allocated = draw(st.sampled_from([8, 16, 16, 16]))
    stored = draw(st.integers(9, 16)) if allocated == 16 else 8
    signed = draw(st.booleans())
    lowest = -(2 ** (stored - 1)) if signed else 0
    return {
        "allocated": allocated,
        "stored": stored,
        "high": draw(st.integers(stored - 1, allocated - 1)),
        "signed": signed,
        "inverted": draw(st.booleans()),
        "slope": draw(st.sampled_from([None, 1.0, -1.0, 2.5, -0.125, -10.0])),
        "intercept": draw(st.sampled_from([0.0, -1024.0, 4095.0, 0.5])),
        "modality_lut": draw(st.booleans()),
        "lut_bits": draw(st.integers(10, 16)),
        "window": draw(st.sampled_from([None, "LINEAR", "LINEAR_EXACT", "LUT"])),
        "padding": draw(st.sampled_from([None, "inside", "beyond"])),
        "rest": draw(st.integers(0, 2**32 - 1)),
        "offset": draw(st.integers(lowest + 2, lowest + 2**stored - 1 - LARGEST)) if allocated == 16 else lowest,
        "syntax": draw(st.sampled_from([*NATIVE, *ENCODE])),
    }


def written(path: Path, how: dict[str, object]) -> NDArray[np.int64]:
    """Write PICTURE so, and return it as it is meant: with what is padding as dark as the rest."""
    allocated, bits, high, signed = (int(how[name]) for name in ("allocated", "stored", "high", "signed"))  # type: ignore[call-overload]
    lowest, offset = -(2 ** (bits - 1)) if signed else 0, int(how["offset"])  # type: ignore[call-overload]
    slope = None if how["modality_lut"] else how["slope"]
    falls = bool(how["inverted"]) != (slope is not None and slope < 0)  # type: ignore[operator]
    values = offset + (LARGEST - PICTURE if falls else PICTURE)
    elements: dict[str, object] = {"PhotometricInterpretation": "MONOCHROME1" if how["inverted"] else "MONOCHROME2"}
    modality = values.astype(float)
    if how["modality_lut"]:
        entries = [7 + 2 * n for n in range(LARGEST + 1)]
        elements["ModalityLUTSequence"] = [lut(entries, offset, int(how["lut_bits"]))]  # type: ignore[call-overload]
        modality = np.array(entries, dtype=float)[values - offset]
    elif slope is not None:
        elements |= {"RescaleSlope": slope, "RescaleIntercept": how["intercept"]}
        modality = values * slope + how["intercept"]  # type: ignore[operator]
    low, high_end = modality.min(), modality.max()
    if how["window"] == "LUT" and float(low).is_integer() and slope in (None, 1.0, -1.0) and low >= -(2**15):
        entries = [3 * n for n in range(int(high_end - low) + 1)]
        elements["VOILUTSequence"] = [lut(entries, as_word(int(low), signed), int(how["lut_bits"]))]  # type: ignore[call-overload]
    elif how["window"] in ("LINEAR", "LINEAR_EXACT"):
        elements |= {
            "WindowCenter": round((low + high_end) / 2, 3),
            "WindowWidth": round(high_end - low, 3) + 4,
            "VOILUTFunction": how["window"],
        }
    words, meant = values % 2**bits, PICTURE.copy()
    rng = np.random.default_rng(int(how["rest"]))  # type: ignore[call-overload]
    is_padding, beyond = np.zeros(PICTURE.shape, dtype=bool), False
    if how["padding"] and allocated == 16:
        is_padding[:2, :3] = True
        beyond = how["padding"] == "beyond" and high == bits - 1 and bits < 16
        value = (-(2**15) + 3 if signed else 2**16 - 3) if beyond else offset - 1
        elements["PixelPaddingValue"] = value
        words = np.where(is_padding, value % 2**16 if beyond else value % 2**bits, words)
        meant[is_padding] = meant[~is_padding].min()
    below = high + 1 - bits
    words = words << below
    words |= rng.integers(0, 2**below, words.shape)
    numbers = (words + 2 ** (allocated - 1)) % 2**allocated - 2 ** (allocated - 1) if signed else words
    if ((lowest <= numbers) & (numbers < lowest + 2**bits)).all():  # refused: nothing but the header tells where values lie
        words = words >> below << below
    above = rng.integers(0, 2 ** (allocated - 1 - high), words.shape) << (high + 1)
    words = np.where(is_padding | beyond, words, words | above) % 2**allocated  # or what is above could make it padding
    write_words(path, words.astype(f"u{allocated // 8}"), how, elements | {"HighBit": high, "PixelRepresentation": int(signed)})
    assert lowest <= values.min()
    return meant


def as_word(value: int, signed: int) -> int:
    """A value of a header as US or SS holds it."""
    return (value + 2**15) % 2**16 - 2**15 if signed else value % 2**16


def write_words(path: Path, words: np.ndarray, how: dict[str, object], elements: dict[str, object]) -> None:
    syntax, bits = how["syntax"], int(how["stored"])  # type: ignore[call-overload]
    if encode := ENCODE.get(syntax):  # type: ignore[call-overload]
        write(path, words, bits, [encode(words)], syntax=syntax, **elements)
    elif syntax == RLELossless:
        data = pydicom.dcmread(write(path, words, bits, **elements | {"BitsStored": 8 * words.itemsize}))
        data.HighBit = 8 * words.itemsize - 1
        data.compress(RLELossless, encoding_plugin="pydicom")
        data.BitsStored, data.HighBit = bits, elements["HighBit"]
        data.save_as(path)
    else:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        write(path, words.astype(words.dtype.newbyteorder(order)), bits, syntax=syntax, **elements)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(how=headers())
def test_one_picture_is_one_prepared_image(tmp_path: Path, how: dict[str, object]) -> None:
    path = tmp_path / "case.dcm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meant = written(path, how)
    prepared = PREPARATION.apply(read_dicom(path).pixels).pixels.astype(int)
    expected = PREPARATION.apply(meant).pixels.astype(int)
    assert np.abs(prepared - expected).max() <= ROUNDING


@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLosslessSV1])
@pytest.mark.parametrize("signed", [False, True])
def test_code_streams_of_as_many_bits_as_are_stored(tmp_path: Path, bits: int, syntax: str, signed: bool) -> None:
    lowest = -(2 ** (bits - 1)) if signed else 0
    values = lowest + PICTURE * (2**bits - 1) // LARGEST
    words = (values % 2**bits).astype(np.uint16)
    encoded = (
        imagecodecs.ljpeg_encode(words, bitspersample=bits)
        if syntax == JPEGLosslessSV1
        else imagecodecs.jpeg2k_encode(words, level=0, codecformat="j2k", bitspersample=bits)
    )
    path = write(tmp_path / "case.dcm", words, bits, [encoded], syntax=syntax, PixelRepresentation=int(signed))
    np.testing.assert_array_equal(read_dicom(path).pixels, values)
