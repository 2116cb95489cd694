"""Evidence maps as fractional segmentations: the class named, its evidence relative to the strongest pixel."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from bayescope.dicom import evidence_segmentation, to_bytes
from bayescope.dicom.codes import SCHEME
from bayescope.dicom.segmentation import relative_evidence
from dicom_evidence import MODEL, source_evidence
from dicom_sources import SOURCES, instance, written
from services import Orthanc, dciodvfy_errors

MALIGNANT = Code("86049000", "SCT", "Malignant neoplasm, primary")
CODES = {"malignant": MALIGNANT}


def segmentation(source: Dataset, frame: int | None = None, **changes: object) -> Dataset:
    found = source_evidence((source.Rows, source.Columns), **changes)
    return evidence_segmentation(source, found, MODEL, CODES, frame or (2 if source.get("NumberOfFrames") else None))


def read_back(found: Dataset) -> hd.seg.Segmentation:
    return hd.seg.segread(BytesIO(to_bytes(found)))


@pytest.mark.parametrize("kind", SOURCES)
def test_passes_dciodvfy(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "segmentation.dcm"
    path.write_bytes(to_bytes(segmentation(written(SOURCES[kind]()))))
    assert dciodvfy_errors(path) == []


@pytest.mark.parametrize("kind", SOURCES)
def test_it_refers_to_the_instance_in_its_study(kind: str) -> None:
    source = written(SOURCES[kind]())
    found = segmentation(source)
    assert (found.StudyInstanceUID, found.get("PatientID", "")) == (source.StudyInstanceUID, source.get("PatientID", ""))
    ((study, series, uid),) = read_back(found).get_source_image_uids()
    assert (study, series, uid) == (source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID)
    (frame,) = found.PerFrameFunctionalGroupsSequence
    (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
    assert reference.ReferencedSOPClassUID == source.SOPClassUID
    assert reference.get("ReferencedFrameNumber") == (2 if source.get("NumberOfFrames") else None)


def test_highdicom_reads_the_evidence_on_the_grid_of_the_source() -> None:
    found = read_back(segmentation(instance(shape=(48, 32))))
    assert (found.Rows, found.Columns) == (48, 32)
    expected = np.maximum(source_evidence((48, 32)).evidence, 0)
    expected /= expected.max()
    (values,) = found.get_pixels_by_source_instance([instance().SOPInstanceUID], rescale_fractional=True)
    np.testing.assert_allclose(values[..., 0], expected, atol=0.5 / 255 + 1e-6)


def test_the_segment_is_the_class() -> None:
    (segment,) = read_back(segmentation(instance())).SegmentSequence
    assert segment.SegmentLabel == "malignant"
    assert segment.segmented_property_type == MALIGNANT
    (segment,) = read_back(segmentation(instance(), winner=0)).SegmentSequence
    assert segment.segmented_property_type.scheme_designator == SCHEME
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("Bayescope", "1.2.3")


def test_where_nothing_speaks_for_the_class_all_is_zero() -> None:
    assert not relative_evidence(-np.ones((3, 4))).any()
    found = evidence_segmentation(instance(), replace(source_evidence(), evidence=-np.ones((48, 32))), MODEL)
    assert not read_back(found).pixel_array.any()


@pytest.mark.parametrize("class_name", ["x" * 200, "größer als 2 cm", "back\\slash"])
def test_any_class_name_fits(class_name: str, tmp_path: Path) -> None:
    path = tmp_path / "segmentation.dcm"
    path.write_bytes(to_bytes(segmentation(instance(), class_name=class_name)))
    assert dciodvfy_errors(path) == []


def test_made_again_it_is_the_same_object_with_the_same_bytes() -> None:
    assert to_bytes(segmentation(instance())) == to_bytes(segmentation(instance()))


def test_another_content_is_another_object() -> None:
    made = [
        segmentation(instance()),
        segmentation(instance(SOPInstanceUID="1.2.3")),
        segmentation(instance(), winner=0),
        segmentation(instance(), prior=(0.5, 0.5)),
        segmentation(instance(frames=3), frame=2),
        segmentation(instance(frames=3), frame=3),
        evidence_segmentation(instance(), source_evidence(), MODEL),
    ]
    assert len({found.SOPInstanceUID for found in made}) == len(made)


def test_orthanc_gives_it_back_unchanged(orthanc: Orthanc, tmp_path: Path) -> None:
    path = tmp_path / "segmentation.dcm"
    path.write_bytes(to_bytes(segmentation(written(SOURCES["Japanese"]()))))
    orthanc.store(path)
    found = dcmread(path)
    assert orthanc.instance(found.SOPInstanceUID) == found
