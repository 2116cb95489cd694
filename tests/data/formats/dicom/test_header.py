"""What the header says of a frame: functional groups, spacing, sides, shapes of pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from bayescope.data.formats.dicom import read_dicom
from bayescope.data.preparation.mammogram import Preparation
from bayescope.errors import DataError
from dicom_files import STORED, item, lut, write

AT_TOP = {
    "WindowCenter": 1900,
    "WindowWidth": 900,
    "RescaleSlope": -1,
    "RescaleIntercept": 4095,
    "PixelSpacing": [0.07, 0.07],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.dcm"


def group(laterality: str | None = "L", **elements: Any) -> Dataset:
    """Functional groups of these elements, each in its macro."""
    macros: dict[str, Dataset] = {}
    homes = {"Window": "FrameVOILUTSequence", "VOI": "FrameVOILUTSequence", "Resca": "PixelValueTransformationSequence"}
    for name, value in elements.items():
        macro = next((home for start, home in homes.items() if name.startswith(start)), "PixelMeasuresSequence")
        setattr(macros.setdefault(macro, Dataset()), name, value)
    if laterality is not None:
        macros["FrameAnatomySequence"] = item(FrameLaterality=laterality)
    return item(**{macro: [content] for macro, content in macros.items()})


@pytest.mark.parametrize("sequence", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_functional_groups_say_what_the_top_level_would(path: Path, sequence: str) -> None:
    expected = read_dicom(write(path, Laterality="L", **AT_TOP))
    found = read_dicom(write(path, NumberOfFrames=1, **{sequence: [group(**AT_TOP)]}))
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.shown == expected.shown
    assert (found.spacing, found.laterality) == ((0.07, 0.07), "L")
    assert found.applied == ("rescale -1.0 4095.0", "window 1 of 1")


def test_groups_of_the_frame_come_before_shared_ones_and_these_before_the_top_level(path: Path) -> None:
    frames = np.stack([STORED, STORED, STORED])
    shared = group(WindowCenter=2048, WindowWidth=4096, PixelSpacing=[0.1, 0.1])
    of_frames = [group(None, RescaleSlope=k, RescaleIntercept=0) for k in (1, 2, 3)]
    of_frames[1].FrameVOILUTSequence = [item(WindowCenter=1000, WindowWidth=100)]
    of_frames[2].FrameAnatomySequence = [item(FrameLaterality="R")]
    write(
        path,
        frames,
        NumberOfFrames=3,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=of_frames,
        VOILUTSequence=[lut([1, 2, 3], 0, 8)],
        RescaleSlope=-5,
        RescaleIntercept=9,
        Laterality="B",
    )
    found = [read_dicom(path, frame=k) for k in range(3)]
    assert [frame.applied[0] for frame in found] == [f"rescale {k}.0 0.0" for k in (1, 2, 3)]
    assert [frame.applied[1:] for frame in found] == [("window 1 of 1",)] * 3
    assert [frame.laterality for frame in found] == ["L", "L", "R"]
    assert {frame.spacing for frame in found} == {(0.1, 0.1)}
    write(path, RescaleSlope=2, RescaleIntercept=0, WindowCenter=1000, WindowWidth=100)
    np.testing.assert_array_equal(found[1].pixels, read_dicom(path).pixels)


def test_a_voi_lut_in_groups(path: Path) -> None:
    table = lut(list(range(4095, -1, -1)), 0, 12)
    found = read_dicom(write(path, SharedFunctionalGroupsSequence=[item(FrameVOILUTSequence=[item(VOILUTSequence=[table])])]))
    np.testing.assert_array_equal(found.pixels, 4095.0 - STORED)


def test_empty_groups_leave_the_top_level(path: Path) -> None:
    empty = item(FrameVOILUTSequence=[item(WindowCenter="", WindowWidth="")], PixelMeasuresSequence=[])
    for groups in ([], [Dataset()], [empty]):
        found = read_dicom(write(path, SharedFunctionalGroupsSequence=groups, **AT_TOP))
        assert found.applied == ("rescale -1.0 4095.0", "window 1 of 1")
        assert found.spacing == (0.07, 0.07)


def test_groups_of_too_few_frames_are_refused(path: Path) -> None:
    write(path, np.stack([STORED] * 3), NumberOfFrames=3, PerFrameFunctionalGroupsSequence=[group(), group()])
    read_dicom(path, frame=1)
    with pytest.raises(DataError, match="functional groups of 2 frames, none for frame 3"):
        read_dicom(path, frame=2)


@pytest.mark.parametrize(
    ("elements", "aspect"),
    [
        ({}, 1.0),
        ({"PixelSpacing": [0.2, 0.1]}, 2.0),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, 0.5),
        ({"NominalScannedPixelSpacing": [0.2, 0.1]}, 2.0),
        ({"PixelAspectRatio": ["2", "1"]}, 2.0),
        ({"PixelAspectRatio": ["1", "3"]}, 1 / 3),
        ({"PixelAspectRatio": ["1", "1"], "PixelSpacing": [0.2, 0.1]}, 2.0),
        ({"PixelAspectRatio": ["2", "1"], "PixelSpacing": [0.2, 0.1]}, 2.0),
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.1, 0.2]}, 1.0),
        ({"PixelSpacing": "", "ImagerPixelSpacing": [0.1, 0.2]}, 0.5),
        ({"PixelSpacing": [0.1], "PixelAspectRatio": ["2", "1"]}, 2.0),
        ({"PixelAspectRatio": ["0", "1"]}, 1.0),
        ({"PixelAspectRatio": ["2"]}, 1.0),
    ],
)
def test_height_of_a_pixel_over_its_width(path: Path, elements: dict[str, Any], aspect: float) -> None:
    assert read_dicom(write(path, **elements)).pixel_aspect == pytest.approx(aspect)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"PixelAspectRatio": ["2", "1"], "PixelSpacing": [0.1, 0.1]}, "spacing .* and Pixel Aspect Ratio 2"),
        ({"PixelSpacing": ["1e9", "1e-9"]}, "times as high as wide"),
    ],
)
def test_shapes_of_pixels_that_make_no_sense(path: Path, elements: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_dicom(write(path, **elements))


@pytest.mark.parametrize("elements", [{"PixelAspectRatio": ["2", "1"]}, {"PixelSpacing": [0.2, 0.1]}])
def test_pixels_that_are_not_square_are_prepared_as_square_ones(path: Path, elements: dict[str, Any]) -> None:
    """A disk of 40 by 40 mm is stored in 40 by 80 pixels, and prepared round."""
    rows, columns = np.mgrid[:40, :80]
    disk = np.hypot(2 * (rows - 19.5), columns - 39.5) < 30
    frame = read_dicom(write(path, (100 + 3000 * disk).astype(np.uint16), **elements))
    preparation = Preparation(64, crop=False, orient=False)
    prepared = preparation.apply(frame.pixels, pixel_aspect=frame.pixel_aspect)
    bright = prepared.pixels > 2**15
    assert bright.any(axis=1).sum() == pytest.approx(bright.any(axis=0).sum(), abs=1)
    assert prepared.record.inner == (64, 64)
    assert prepared.record.original_shape == (40, 80)
    box = prepared.record.box_to_original(prepared.record.box_to_prepared([3.0, 10.0, 17.0, 70.0]))
    np.testing.assert_allclose(box, [3.0, 10.0, 17.0, 70.0], atol=1e-9)
    np.testing.assert_allclose(prepared.record.to_prepared([[0, 0], [40, 80]]), [[0, 0], [64, 64]], atol=1e-9)
    np.testing.assert_allclose(prepared.record.scale, [64 / 40, 64 / 80])
