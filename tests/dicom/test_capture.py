"""Evidence maps as pictures: on the grid of the source, with the warning, the side and the numbers burnt in."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from bayescope.dicom import evidence_capture, to_bytes
from bayescope.dicom.picture import draw, times, tinted
from dicom_evidence import MODEL, source_evidence
from dicom_sources import SOURCES, instance, written
from services import Orthanc, dciodvfy_errors


def capture(source: Dataset, frame: int | None = None, **changes: object) -> Dataset:
    found = source_evidence((source.Rows, source.Columns), **changes)
    return evidence_capture(source, found, MODEL, frame or (2 if source.get("NumberOfFrames") else None))


@pytest.mark.parametrize("kind", SOURCES)
def test_passes_dciodvfy(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "capture.dcm"
    path.write_bytes(to_bytes(capture(written(SOURCES[kind]()))))
    assert dciodvfy_errors(path) == []


@pytest.mark.parametrize("kind", SOURCES)
def test_it_refers_to_the_instance_in_its_study(kind: str) -> None:
    source = written(SOURCES[kind]())
    found = capture(source)
    (reference,) = found.SourceImageSequence
    assert (found.StudyInstanceUID, found.get("PatientID", "")) == (source.StudyInstanceUID, source.get("PatientID", ""))
    assert (reference.ReferencedSOPInstanceUID, reference.ReferencedSOPClassUID) == (source.SOPInstanceUID, source.SOPClassUID)
    assert reference.get("ReferencedFrameNumber") == (2 if source.get("NumberOfFrames") else None)
    assert found.BurnedInAnnotation == "YES"
    assert found.ImageType[0] == "DERIVED"


def test_the_picture_keeps_the_grid_of_the_source() -> None:
    source = instance(shape=(700, 600), PixelSpacing=[0.1, 0.2])
    found, expected = capture(source), source_evidence((700, 600))
    pixels = found.pixel_array
    assert pixels.shape[1] == 600
    below_the_marker = slice(60, 700)
    np.testing.assert_array_equal(pixels[:700][below_the_marker], tinted(expected)[below_the_marker])
    assert [float(value) for value in found.PixelSpacing] == [0.1, 0.2]


def test_a_small_picture_is_enlarged_by_a_whole_number() -> None:
    found, expected = capture(instance(shape=(48, 32), PixelSpacing=[0.1, 0.2])), source_evidence((48, 32))
    tint = tinted(expected)
    np.testing.assert_array_equal(found.pixel_array[8 : 16 * 48 : 16, 8 : 16 * 32 : 16], tint)
    assert [float(value) for value in found.PixelSpacing] == [0.1 / 16, 0.2 / 16]


def text_of(found: Dataset) -> list[str]:
    return [found.ImageComments, found.DerivationDescription]


def test_what_is_drawn_is_said_in_attributes_too() -> None:
    found = capture(instance())
    assert text_of(found) == [
        "For research, not for diagnosis",
        "malignant against the rest: log-likelihood ratio +5.2900 nats",
    ]


@pytest.mark.parametrize("chest_wall", ["left", "right"])
def test_the_side_is_marked_away_from_the_chest_wall(chest_wall: str) -> None:
    found = replace(source_evidence((700, 600)), chest_wall=chest_wall)
    changed = (draw(found, MODEL, "R MLO") != draw(found, MODEL, "")).any(axis=(0, 2)).nonzero()[0]
    assert changed.min() > 400 if chest_wall == "left" else changed.max() < 200


def test_the_warning_stands_below_the_picture() -> None:
    """Yellow, which no evidence and no other text is."""
    pixels = draw(source_evidence((700, 600)), MODEL, "L").astype(int)
    yellow = (pixels[..., 0] > 200) & (pixels[..., 2] < 100) & (pixels[..., 1] > 180)
    assert not yellow[:700].any()
    assert yellow[700:].any(axis=1).sum() >= 8


@pytest.mark.parametrize(
    ("log_ratio", "expected"),
    [(0, "1"), (2.303, "10"), (-2.303, "0.1"), (23.03, "10^10"), (-2000, "10^-869"), (2e3, "10^869")],
)
def test_likelihood_ratios_of_any_size_are_written(log_ratio: float, expected: str) -> None:
    assert times(log_ratio) == expected


@pytest.mark.parametrize("class_name", ["x" * 200, "größer als 2 cm", "κακοήθης"])
def test_any_class_name_fits(class_name: str, tmp_path: Path) -> None:
    path = tmp_path / "capture.dcm"
    path.write_bytes(to_bytes(capture(instance(), class_name=class_name)))
    assert dciodvfy_errors(path) == []


def test_made_again_it_is_the_same_object_with_the_same_bytes() -> None:
    assert to_bytes(capture(instance())) == to_bytes(capture(instance()))


def test_another_content_is_another_object() -> None:
    made = [
        capture(instance()),
        capture(instance(SOPInstanceUID="1.2.3")),
        capture(instance(), winner=0),
        capture(instance(), against=0),
        capture(instance(), prior=(0.5, 0.5)),
        capture(instance(frames=3), frame=2),
        capture(instance(frames=3), frame=3),
    ]
    assert len({found.SOPInstanceUID for found in made}) == len(made)


def test_sides_are_series_of_their_own() -> None:
    """Laterality belongs to a series."""
    left, right = (capture(instance(ImageLaterality=side)) for side in "LR")
    assert (left.Laterality, right.Laterality) == ("L", "R")
    assert left.SeriesInstanceUID != right.SeriesInstanceUID


def test_orthanc_gives_it_back_unchanged_and_shows_it(orthanc: Orthanc, tmp_path: Path) -> None:
    path = tmp_path / "capture.dcm"
    path.write_bytes(to_bytes(capture(written(SOURCES["Japanese"]()))))
    name, found = orthanc.store(path), dcmread(path)
    assert orthanc.instance(found.SOPInstanceUID) == found
    shown = np.asarray(Image.open(BytesIO(orthanc.get(f"instances/{name}/preview"))))
    np.testing.assert_array_equal(shown, found.pixel_array)
